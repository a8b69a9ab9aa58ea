"""What has to go when some people's rows are forgotten: the project's tables and requests are read, every version."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli import ledger as rows
from cli import versions
from cli.erasure import (
    BATCHES,
    CAPTURED,
    FEEDBACK,
    GOLDENS,
    QUEUED,
    UPLOADS,
    Plan,
    Rewrite,
    Scope,
    doom_bundles,
    doom_run,
)
from cli.people import People, Sifted, in_capture, in_request, sift
from cli.versions import Version
from contract import keys, ledger, names
from contract.golden import Golden, GoldenSample


def of_people(scope: Scope, people: People) -> Plan:
    """Plan to forget some people's rows, wherever the project has them."""
    plan = Plan()
    for run in scope.runs:
        copies = versions.below(scope.account, scope.artifacts, scope.prefix(run) + keys.UPLOAD)
        if [version for version in copies if _search(scope, plan, people, version)]:
            plan.runs.add(run)
            doom_run(scope, plan, run)
    _search_tables(scope, plan, people)
    _search_batches(scope, plan, people)
    _search_queue(scope, plan, people)
    _search_capture(scope, plan, people)
    for run in scope.runs:
        _search_golden(scope, plan, people, run)
    return plan


@contextmanager
def sifted(scope: Scope, version: Version, people: People) -> Iterator[tuple[Sifted | None, Path]]:
    """Give a table without people's rows: how it went, and the file; both are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kept"
        yield sift(versions.fetch(scope.account, version, Path(folder)), people, out), out


def _search(scope: Scope, plan: Plan, people: People, version: Version) -> Sifted | None:
    """Return what would be left of a table that has some of their rows; None where it has none."""
    if version.is_marker or not version.bytes or version.key.endswith("/manifest.json"):
        return None
    with sifted(scope, version, people) as (found, _):
        if found is None:
            plan.unsearched.append(version.uri)
            return None
        plan.rows += found.removed
        return found if found.removed else None


def _search_tables(scope: Scope, plan: Plan, people: People) -> None:
    """Look through the uploads and what came back."""
    places = {
        UPLOADS: keys.inbox(scope.tenant, scope.project), FEEDBACK: keys.feedback(scope.tenant, scope.project),
    }  # fmt: skip
    for kind, prefix in places.items():
        for version in versions.below(scope.account, scope.data, prefix):
            if found := _search(scope, plan, people, version):
                plan.doom(kind, [version])
                to = _place_of_rest(scope, version) if kind == UPLOADS else version.key
                if found.kept and (version.is_latest or to != version.key):
                    plan.rewrites.append(Rewrite(kind=kind, source=version, to=to))


def _place_of_rest(scope: Scope, version: Version) -> str:
    """Return where what is left of an upload goes: into a folder of its run, where nothing starts another one."""
    inbox = keys.inbox(scope.tenant, scope.project)
    rest = version.key.removeprefix(inbox)
    if not keys.starts_run(rest):
        return version.key
    run = names.run_for_upload(scope.project, version.bucket, version.key, version.version_id)
    return f"{inbox}{run}/{rest}"


def _search_batches(scope: Scope, plan: Plan, people: People) -> None:
    """Look through files that were answered: answers are in the order of the rows, so that both go as a whole."""
    prefix = keys.batch_file(scope.tenant, scope.project, "")
    for version in versions.below(scope.account, scope.data, prefix):
        if _asks(scope, version, people):
            plan.doom(BATCHES, [version])
    found = list(versions.below(scope.account, scope.artifacts, prefix))
    asked = [version for version in found if f"/{keys.BATCH_INPUT}" in version.key and _asks(scope, version, people)]
    folders = tuple({version.key.partition(f"/{keys.BATCH_INPUT}")[0] + "/" for version in asked})
    plan.doom(BATCHES, (version for version in found if version.key.startswith(folders)))


def _asks(scope: Scope, version: Version, people: People) -> bool:
    return not version.is_marker and in_request(versions.read(scope.account, version), people)


def _search_queue(scope: Scope, plan: Plan, people: People) -> None:
    """Look through the requests of an asynchronous endpoint; the ledger tells the answers of the public API's."""
    prefix = keys.async_prefix(scope.tenant, scope.project)
    requests = versions.below(scope.account, scope.artifacts, prefix + keys.ASYNC_REQUESTS)
    asked = [version for version in requests if _asks(scope, version, people)]
    plan.doom(QUEUED, asked)
    for number in {version.key.rpartition("/")[2] for version in asked}:
        key = ledger.prediction_key(scope.tenant, scope.project, number)
        if row := scope.account.table().get_item(Key=key).get("Item"):
            plan.predictions.append(number)
            for address in (row["answer"], row["failure"]):
                plan.doom(QUEUED, versions.of(scope.account, *keys.parse_uri(str(address))))


def _search_capture(scope: Scope, plan: Plan, people: People) -> None:
    prefix = keys.capture_prefix(scope.tenant, scope.project)
    for version in versions.below(scope.account, scope.artifacts, prefix):
        if version.is_marker:
            continue
        lines = versions.read(scope.account, version).decode().splitlines()
        kept = without_captured(lines, people)
        if len(kept) < len(lines):
            plan.doom(CAPTURED, [version])
            if kept and version.is_latest:
                plan.rewrites.append(Rewrite(kind=CAPTURED, source=version, to=version.key))


def without_captured(lines: Iterable[str], people: People) -> list[str]:
    """Return the lines of a capture that ask nothing of these people."""
    return [line for line in lines if not (line.strip() and in_capture(line, people))]


def _search_golden(scope: Scope, plan: Plan, people: People, run: str) -> None:
    for version in versions.of(scope.account, scope.artifacts, scope.prefix(run) + keys.GOLDEN):
        if version.is_marker:
            continue
        golden = Golden.from_dict(json.loads(versions.read(scope.account, version)))
        kept = without_samples(scope, golden, people, rows_of(plan, run))
        if len(kept.samples) < len(golden.samples):
            plan.doom(GOLDENS, [version])
            doom_bundles(scope, plan, run)
            if kept.samples and version.is_latest:
                plan.rewrites.append(Rewrite(kind=GOLDENS, source=version, to=version.key))


def rows_of(plan: Plan, run: str) -> list[dict[str, Any]]:
    """Return the rows that were found and may be among a run's."""
    return plan.rows if run in plan.runs else []


def without_samples(scope: Scope, golden: Golden, people: People, gone: Iterable[dict[str, Any]]) -> Golden:
    """Return golden samples without those of the people.

    They have features only, in prepared form: what may be one of the rows that were found counts as theirs.
    """
    body = rows.read(scope.account, scope.prefix(golden.run) + keys.REQUEST)
    rounded = json.loads(body or b"{}").get("privacy", {}).get("generalise", {})

    def is_gone(sample: GoldenSample) -> bool:
        asked = json.loads(sample.request_body())["instances"][0] if not sample.base64 else {}
        features = asked if isinstance(asked, dict) else {}
        return people.have(features) or any(people.same(features, row, rounded) for row in gone)

    kept = tuple(sample for sample in golden.samples if not is_gone(sample))
    return Golden(run=golden.run, tolerance=golden.tolerance, samples=kept)
