"""What has to go when an upload or some people's rows are forgotten: found afresh each time, so that it can go on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from boto3.dynamodb.conditions import Key

from cli import ledger as rows
from cli import versions
from cli.aws import Account
from cli.versions import Version
from contract import batch, keys, ledger, packages

KEPT = (
    keys.REQUEST, keys.UPLOAD_FILES, keys.PLAN, keys.DATASET_REPORT, keys.EVALUATION_REPORT, keys.MODEL, keys.GOLDEN,
    keys.RUN_DOCUMENT, keys.REPORT, keys.FORGOTTEN,
)  # fmt: skip
"""What a run wrote and what holds no rows, or, golden samples, is looked through; everything else goes."""
KEPT_BELOW = (keys.SOURCE, keys.TENSORBOARD)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A project of an account, with its runs' rows and its versions."""

    account: Account
    tenant: str
    project: str
    runs: dict[str, dict[str, Any]]
    packages: list[dict[str, Any]]

    @classmethod
    def of(cls, account: Account, tenant: str, project: str) -> Scope:
        """Read the ledger and the registry."""
        runs = _runs(account, tenant, project)
        registered = rows.versions(account, tenant, project)
        return cls(account=account, tenant=tenant, project=project, runs=runs, packages=registered)

    @property
    def data(self) -> str:
        """The data bucket."""
        return self.account.installation.data_bucket

    @property
    def artifacts(self) -> str:
        """The artifacts bucket."""
        return self.account.installation.artifacts_bucket

    @property
    def folder(self) -> str:
        """The project's prefix in both buckets."""
        return f"{self.tenant}/{self.project}/"

    def prefix(self, run: str) -> str:
        """Return the prefix of a run."""
        return keys.run_prefix(self.tenant, self.project, run)

    def runs_now(self, surely: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Read the runs' rows again; those of ``surely`` as they are, the others as the index has them by now."""
        found = _runs(self.account, self.tenant, self.project)
        for run in surely:
            found[run] = self.account.table().get_item(Key=ledger.run_key(run), ConsistentRead=True).get("Item", {})
        return found

    def trained(self, runs: Iterable[str]) -> list[int]:
        """Return the versions that some runs registered."""
        mine, found = set(runs), self.packages
        made = [each for each in found if each.get("CustomerMetadataProperties", {}).get("run") in mine]
        return sorted(packages.version(each["ModelPackageArn"]) for each in made)


def _runs(account: Account, tenant: str, project: str) -> dict[str, dict[str, Any]]:
    own = Key("project").eq(f"{tenant}/{project}")
    found = account.rows("query", IndexName=ledger.BY_PROJECT, KeyConditionExpression=own)
    return {ledger.run_of(item["pk"]): item for item in found}


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """An object that is written again without some rows, to ``to`` in the same bucket; its old version is doomed."""

    kind: str
    source: Version
    to: str


@dataclass(kw_only=True)
class Plan:
    """What has to go; empty when nothing is left."""

    runs: set[str] = field(default_factory=set)
    doomed: dict[str, list[Version]] = field(default_factory=dict)
    rewrites: list[Rewrite] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)  # ids of ledger rows
    rows: list[dict[str, Any]] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)

    def doom(self, kind: str, found: Iterable[Version]) -> None:
        """Have versions deleted."""
        if some := list(found):
            self.doomed[kind] = list(dict.fromkeys([*self.doomed.get(kind, ()), *some]))

    @property
    def counts(self) -> dict[str, int]:
        """How many versions of objects go, by kind."""
        return {kind: len(found) for kind, found in sorted(self.doomed.items())}

    @property
    def versions(self) -> list[Version]:
        """Every version that goes, in an order in which whatever tells that others have to go comes after them."""
        return [version for kind in ORDER for version in self.doomed.get(kind, ())]


GOLDENS, BUNDLES, REPORTS, CAPTURED, BATCHES, QUEUED, FEEDBACK, DERIVED, COPIES, UPLOADS = ORDER = (
    "golden samples", "bundles for devices", "values in reports", "captured requests", "batches", "queued requests",
    "feedback", "datasets, quarantine, checkpoints", "copies of uploads", "uploads",
)  # fmt: skip
"""Kinds of what goes, in the order in which it goes."""


def of_upload(scope: Scope, key: str, version_id: str | None) -> Plan:
    """Plan to forget an object of the data bucket, or one version of it; of a manifest, its whole batch."""
    plan = Plan()
    folder = key.rpartition("/")[0] + "/"
    whole = key.endswith("/manifest.json") and version_id is None
    found = versions.below(scope.account, scope.data, folder) if whole else versions.of(scope.account, scope.data, key)
    gone = [version for version in found if version_id in (None, version.version_id)]
    plan.doom(UPLOADS, gone)
    lineage = {run: _lineage(scope, run) for run in scope.runs}
    plan.runs = {
        run for run, files in lineage.items()
        if any(_is(each, key, version_id) or (whole and each["key"].startswith(folder)) for each in files)
        or _asked(scope, run, key, version_id)
    }  # fmt: skip
    _follow_replays(plan, lineage)
    if key.startswith(f"{scope.folder}{keys.BATCH}/"):
        answered = f"{key}/" if version_id is None else f"{key}/{batch.batch_id(scope.data, key, version_id)}/"
        plan.doom(BATCHES, versions.below(scope.account, scope.artifacts, answered))
    for run in plan.runs:
        doom_run(scope, plan, run)
        plan.doom(GOLDENS, versions.of(scope.account, scope.artifacts, scope.prefix(run) + keys.GOLDEN))
        doom_bundles(scope, plan, run)
    return plan


def _is(file: dict[str, Any], key: str, version_id: str | None) -> bool:
    return bool(file["key"] == key and version_id in (None, file["version_id"]))


def _asked(scope: Scope, run: str, key: str, version_id: str | None) -> bool:
    row = scope.runs[run]
    return row.get("upload") == f"s3://{scope.data}/{key}" and version_id in (None, row.get("version_id"))


def _lineage(scope: Scope, run: str) -> list[dict[str, Any]]:
    """Return the files that a run was made of, as it wrote them down."""
    body = rows.read(scope.account, scope.prefix(run) + keys.UPLOAD_FILES)
    return list(json.loads(body)) if body else []


def _follow_replays(plan: Plan, lineage: dict[str, list[dict[str, Any]]]) -> None:
    """Add the runs that replayed rows of those found, and so on."""
    before: set[str] = set()
    while before != plan.runs:
        before = set(plan.runs)
        kept = [f"/runs/{run}/{keys.REPLAY}" for run in before]
        for run, files in lineage.items():
            if any(place in each["key"] for each in files for place in kept):
                plan.runs.add(run)


def doom_bundles(scope: Scope, plan: Plan, run: str) -> None:
    """Have the bundles for devices of a run's versions go: golden samples are in them."""
    for version in scope.trained([run]):
        folder = keys.edge_prefix(scope.tenant, scope.project, version)
        plan.doom(BUNDLES, versions.below(scope.account, scope.artifacts, folder))


def doom_run(scope: Scope, plan: Plan, run: str) -> None:
    """Have everything of a run go that can hold rows; documents, and what the registry serves, stay."""
    prefix = scope.prefix(run)
    served = {
        container["ModelDataUrl"]
        for package in scope.packages
        for container in package.get("InferenceSpecification", {}).get("Containers", ())
    }
    for version in versions.below(scope.account, scope.artifacts, prefix):
        path = version.key.removeprefix(prefix)
        stays = path in KEPT or path.startswith(KEPT_BELOW) or f"s3://{version.bucket}/{version.key}" in served
        if not stays:
            plan.doom(COPIES if path.startswith(keys.UPLOAD) else DERIVED, [version])
    _doom_pairs(scope, plan, prefix)


def _doom_pairs(scope: Scope, plan: Plan, prefix: str) -> None:
    """Have the values go that a report shows of held-out rows: from the run's document, and with the page."""
    for version in versions.of(scope.account, scope.artifacts, prefix + keys.RUN_DOCUMENT):
        document = {} if version.is_marker else json.loads(versions.read(scope.account, version))
        if (document.get("evaluation") or {}).get("pairs"):
            plan.doom(REPORTS, [*versions.of(scope.account, scope.artifacts, prefix + keys.REPORT), version])
            if version.is_latest:
                plan.rewrites.append(Rewrite(kind=REPORTS, source=version, to=version.key))
