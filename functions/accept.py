"""Accept request: the execution's input becomes a full RunRequest, and the upload is pinned.

Everything that can be wrong with a request is found here, before anything is
billed: REFUSED names a mistake in the request or in project.toml, REJECTED one
in the upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract import keys, ledger, names
from contract.errors import InvalidConfig, InvalidUpload
from contract.parsing import parse_toml
from contract.reports import MAX_REASONS
from contract.request import RunRequest, build_request, is_script
from contract.run import Outcome
from functions import documents, runs, sources, table, tenants, uploads
from functions.shared import client, environment, logger


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The execution that asks: ``$states.context.Execution``."""

    arn: str
    name: str
    started: str

    @property
    def run(self) -> str:
        """The id of its run."""
        return names.run_for_execution(self.name)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Accept, refuse or reject ``event["input"]``.

    Returns:
        ``{"accepted", "outcome", "reasons", "run", "run_id"}``; ``run`` is the RunRequest as data, or None.

    Raises:
        RunIdTaken: when another execution made a run of this id.
    """
    given = event["execution"]
    execution = Execution(arn=given["id"], name=given["name"], started=given["started"])
    try:
        request = accept(event["input"], execution)
    except InvalidConfig as error:
        return _no(execution, Outcome.REFUSED, [str(error)])
    except InvalidUpload as error:
        return _no(execution, Outcome.REJECTED, str(error).splitlines())
    logger.info("request accepted", extra={"run": request.run, "recipe": request.recipe.name})
    return {
        "accepted": True,
        "outcome": None,
        "reasons": [],
        "run": request.to_dict(),
        "run_id": request.run,
    }


def _no(execution: Execution, outcome: Outcome, reasons: list[str]) -> dict[str, Any]:
    logger.warning("request not accepted", extra={"run": execution.run, "outcome": outcome, "reasons": reasons})
    kept = reasons if len(reasons) <= MAX_REASONS else [*reasons[: MAX_REASONS - 1], f"... {len(reasons)} in all"]
    return {"accepted": False, "outcome": outcome.value, "reasons": kept, "run": None, "run_id": execution.run}


def accept(console: Any, execution: Execution) -> RunRequest:
    """Return the run's request; the same one when this execution asked before.

    Raises:
        InvalidConfig: for a mistake in the request or in project.toml.
        InvalidUpload: for an upload that does not exist or may not be used.
    """
    runs.begin(execution.run, execution.arn, _first_row(console, execution))
    tenant, project, source = check_input(console)
    tenants.check(tenant)
    made = documents.read(keys.run_prefix(tenant, project, execution.run) + keys.REQUEST)
    if made is not None:
        return RunRequest.from_dict(made)
    config = read_project(tenant, project)
    upload = uploads.resolve(source, tenant, project, any_kind=is_script(console, config))
    request = build_request(
        run=execution.run, console=console, project_toml=config, upload=upload.summary(), suffix=upload.suffix
    )
    if request.script:
        sources.pin(request)
    uploads.pin(upload, request.prefix, as_named=request.script is not None, replay=find_replay(request))
    uploads.make_salt(tenant)
    runs.note(request.run, {"recipe": request.recipe.name, "version_id": request.upload.version_id})
    documents.write(request.prefix + keys.REQUEST, request.to_dict())
    return request


def find_replay(request: RunRequest) -> uploads.File | None:
    """Return the rows that the run of the version in service has kept, if this run replays any."""
    champion = table.get(ledger.champion_key(request.tenant, request.project)) if request.prepare.replay else None
    if champion is None or not champion["model_uri"].endswith(keys.MODEL):
        return None
    bucket, model = keys.parse_uri(champion["model_uri"])
    prefix = model.removesuffix(keys.MODEL) + keys.REPLAY
    found = client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return uploads.head(uploads.Source(bucket=bucket, key=found[0]["Key"])) if found else None


def _first_row(console: Any, execution: Execution) -> dict[str, Any]:
    """Return what can be told of a run before its input is checked."""
    row: dict[str, Any] = {"started": execution.started}
    if isinstance(console, Mapping):
        tenant, project, upload = (console.get(name) for name in ("tenant", "project", "upload"))
        row["project"] = f"{tenant}/{project}" if tenant and project else None
        row["upload"] = str(upload) if upload else None
    return row


def check_input(console: Any) -> tuple[str, str, uploads.Source]:
    """Return tenant, project and the upload's address.

    Raises:
        InvalidConfig: when they are missing or not this project's.
    """
    if not isinstance(console, Mapping):
        raise InvalidConfig(
            "(input)", console, 'an object like {"tenant": "...", "project": "...", "upload": "s3://..."}'
        )
    tenant = names.check_name("tenant", console.get("tenant"))
    project = names.check_name("project", console.get("project"))
    bucket, folder = environment(names.DATA_BUCKET), f"{tenant}/{project}/"
    allowed = f"the address of an object below s3://{bucket}/{folder}"
    address = console.get("upload")
    try:
        given, key = keys.parse_uri(address if isinstance(address, str) else "")
    except InvalidUpload as error:
        raise InvalidConfig("upload", address, allowed) from error
    if given != bucket or not key.startswith(folder):
        raise InvalidConfig("upload", address, allowed, "Other buckets and projects are out of this run's reach.")
    version = console.get("version_id")
    if version is not None and (not isinstance(version, str) or not version):
        raise InvalidConfig("version_id", version, "the version id of the object, as S3 gives it")
    return tenant, project, uploads.Source(bucket=bucket, key=key, version_id=version)


def read_project(tenant: str, project: str) -> dict[str, Any]:
    """Return the project's project.toml, parsed; empty when there is none.

    Raises:
        InvalidConfig: when it is not TOML, with the line.
    """
    body = documents.read_bytes(environment(names.DATA_BUCKET), keys.project_config(tenant, project)) or b""
    return parse_toml(body, "project.toml")
