"""Events of the audit trail as entries that people read: when, who, what, with which data and model."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cli.audit import Event
from contract import keys, names
from contract.run import RUNNING

Detail = Mapping[str, Any]
Made = tuple[str, str]
"""How a call's record and an event are told to be about the same: a kind, and an id."""
REGISTERED = "version: registered"
TOLD_ALONE = ("StopExecution", "RedriveExecution", "DeleteModelPackage")
"""Calls that are entries of their own; others say who made happen what another event tells."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened.

    ``who`` is an ARN, an account where AWS names no more, or "" where nothing told. ``proof`` is where that comes from:
    ``cloudtrail``, ``s3``, or ``said`` by the caller of the command line.
    """

    when: str  # ISO 8601, UTC
    what: str
    project: str = ""  # tenant/project, or a tenant
    who: str = ""
    proof: str = ""
    run: str = ""
    data: str = ""  # s3://bucket/key@version
    fingerprint: str = ""  # of the dataset
    model: str = ""  # ARN of the model package
    model_sha256: str = ""
    note: str = ""
    by: tuple[Made, ...] = field(default=(), compare=False)  # which calls can have made it happen


def entries(events: Iterable[Event]) -> list[Entry]:
    """Return what happened, the oldest first, each with who made it happen as far as a call's record tells."""
    found: list[Entry] = []
    calls: dict[Made, list[Detail]] = defaultdict(list)
    for event in events:
        if event["detail-type"] == names.CLOUDTRAIL_CALL:
            for made in _made(event["detail"]):
                calls[made].append(event["detail"])
            found += _call(event)
        else:
            found += _happening(event)
    projects = {entry.run: entry.project for entry in found if entry.run and entry.project}
    told = [replace(_by(entry, calls), project=entry.project or projects.get(entry.run, "")) for entry in found]
    return sorted(told, key=lambda entry: entry.when)


def _by(entry: Entry, calls: Mapping[Made, list[Detail]]) -> Entry:
    """Add who made the last of the calls that can have made it happen, and what he noted."""
    before = [call for made in entry.by for call in calls.get(made, ()) if call["eventTime"] <= entry.when]
    if not before:
        return entry
    call = max(before, key=lambda each: str(each["eventTime"]))
    what = REGISTERED if call["eventName"] == "CreateModelPackage" and not _refusal(call) else entry.what
    note = (call.get("requestParameters") or {}).get("approvalDescription") or entry.note
    return replace(entry, what=what, who=call["userIdentity"].get("arn", ""), proof="cloudtrail", note=note)


def _refusal(call: Detail) -> str:
    """Return the error with which AWS refused a call; empty of one that it answered."""
    return str(call.get("errorCode") or "")


def _made(call: Detail) -> Iterator[Made]:
    """Yield what a call made happen, as ``by`` of that entry has it."""
    asked, answered = call.get("requestParameters") or {}, call.get("responseElements") or {}
    if call.get("requestID"):
        yield "request", call["requestID"]
    if _refusal(call):
        return  # its record has no answer, and nothing happened
    if call["eventName"] == "StartExecution":
        yield "execution", answered["executionArn"]
    if call["eventName"] in ("CreateModelPackage", "UpdateModelPackage"):
        yield asked.get("modelApprovalStatus", ""), answered["modelPackageArn"]
    if call["eventName"] == "UpdateModelPackage" and "modelLifeCycle" in asked:
        yield asked["modelLifeCycle"].get("stage", ""), answered["modelPackageArn"]


def _call(event: Event) -> Iterator[Entry]:
    """A call that no other event tells of: one of TOLD_ALONE, or one that AWS refused."""
    call, refusal = event["detail"], _refusal(event["detail"])
    if not refusal and call["eventName"] not in TOLD_ALONE:
        return
    asked = call.get("requestParameters") or {}
    execution = asked.get("executionArn", "")
    model = asked.get("modelPackageArn") or asked.get("modelPackageName", "")
    group, key = asked.get("modelPackageGroupName", ""), asked.get("key", "")
    yield Entry(
        when=event["time"],
        what=f"{call['eventName']}: {refusal}" if refusal else call["eventName"],
        project=_project_of(model) or group.replace("--", "/") or "/".join(key.split("/")[:2]),
        run=names.run_for_execution(execution.rpartition(":")[2]) if names.MACHINE_PIPELINE in execution else "",
        data=f"s3://{asked['bucketName']}/{key}" if key else "",
        model=model,
        note=execution,
        by=(("request", call["requestID"]),),
    )


def _happening(event: Event) -> Iterator[Entry]:
    tell = SERVICES.get(event["source"])
    if tell:
        yield from (replace(entry, when=event["time"]) for entry in tell(event, event["detail"]))


def _object(event: Event, detail: Detail) -> Iterator[Entry]:
    """An object of the data bucket was written or deleted; S3 itself names the account and the address."""
    key, version = detail["object"]["key"], detail["object"].get("version-id", "")
    project = "/".join(key.split("/")[:2])
    written = "configured" if key == keys.project_config(*project.partition("/")[::2]) else "uploaded"
    yield Entry(
        when="",
        what=written if event["detail-type"] == "Object Created" else "deleted",
        project=project,
        who=detail.get("requester", ""),
        proof="s3",
        data=f"s3://{detail['bucket']['name']}/{key}@{version}",
        note=detail.get("reason", ""),
        by=(("request", detail.get("request-id", "")),),
    )


def _execution(event: Event, detail: Detail) -> Iterator[Entry]:
    tell = MACHINES.get(detail["stateMachineArn"].split(":")[6])
    asked = json.loads(detail.get("input") or "{}")
    if tell and isinstance(asked, dict):
        entry = Entry(when="", what="", by=(("execution", detail["executionArn"]),), project=_asked_project(asked))
        yield from tell(detail, asked, entry)


def _asked_project(asked: Detail) -> str:
    """Return the project that an execution was asked about; of one that follows another's end, as that was asked."""
    if "detail" in asked:
        before = json.loads(asked["detail"].get("input") or "{}")
        return _asked_project(before) if isinstance(before, dict) else ""
    return f"{asked.get('tenant', '')}/{asked.get('project', '')}".strip("/")


def _run(detail: Detail, asked: Detail, entry: Entry) -> Iterator[Entry]:
    """The beginning of a run; its end is told by an event of ours, which says more."""
    if detail["status"] == RUNNING:
        again = bool(detail.get("redriveCount"))
        version = f"@{asked['version_id']}" if asked.get("version_id") else ""
        yield replace(
            entry,
            what="run resumed" if again else "run started",
            run=names.run_for_execution(detail["name"]),
            data=f"{asked.get('upload', '')}{version}",
            by=() if again else entry.by,  # who redrove it is an entry of its own
        )


def _deployment(detail: Detail, asked: Detail, entry: Entry) -> Iterator[Entry]:
    if detail["status"] == RUNNING:
        return
    output = json.loads(detail.get("output") or "{}")
    status = output.get("status") or detail["status"]
    yield replace(
        entry,
        what=f"deployment: {status}",
        run=asked.get("run", ""),
        model=asked.get("package_arn", ""),
        note=output.get("endpoint") or detail.get("error") or "",
    )


def _sleep(detail: Detail, asked: Detail, entry: Entry) -> Iterator[Entry]:
    if detail["status"] != RUNNING:
        did = "sleep" if asked.get("asleep") else "wake"
        yield replace(entry, what=f"{did}: {detail['status']}", note=f"wanted by {asked.get('by', '')}")


def _version(event: Event, detail: Detail) -> Iterator[Entry]:
    """A version was registered, approved or rejected, or its stage changed."""
    arn, status = detail["ModelPackageArn"], detail["ModelApprovalStatus"]
    stage = (detail.get("ModelLifeCycle") or {}).get("Stage", "")
    yield Entry(
        when="",
        what=f"version: {status}",
        project=_project_of(arn),
        model=arn,
        note=stage,
        by=((status, arn), (stage, arn)),
    )


def _project_of(arn: str) -> str:
    return arn.rpartition(":model-package/")[2].partition("/")[0].replace("--", "/") if arn else ""


def _ours(event: Event, detail: Detail) -> Iterator[Entry]:
    kind = event["detail-type"]
    project = f"{detail.get('tenant', '')}/{detail.get('project', '')}".strip("/")
    entry = Entry(when="", what=kind.lower(), project=project, run=detail.get("run") or "")
    if "said_by" in detail:
        yield replace(entry, who=detail["said_by"], proof="said", note=detail["what"])
    elif kind == names.EVENT_RUN_SETTLED:
        yield replace(
            entry,
            what=f"run ended: {detail['outcome']}",
            data=f"{detail.get('upload') or ''}@{detail.get('upload_version') or ''}".rstrip("@"),
            fingerprint=detail.get("fingerprint") or "",
            model=detail.get("package_arn") or "",
            model_sha256=detail.get("model_sha256") or "",
            note="; ".join(filter(None, (detail.get("gate"), detail.get("summary")))),
        )
    elif kind == names.EVENT_BATCH_ENDED:
        yield replace(entry, what=f"batch: {detail['status']}", note=detail.get("file") or "")
    elif kind == names.EVENT_JOB_STOPPED:
        yield replace(entry, note=f"{detail['job']}: {detail['why']}")
    elif kind == names.EVENT_APPROVAL_WANTED:
        yield replace(entry, model=detail["package_arn"], note=detail.get("summary") or "")


SERVICES: dict[str, Callable[[Event, Detail], Iterator[Entry]]] = {
    "aws.s3": _object,
    "aws.states": _execution,
    "aws.sagemaker": _version,
    names.EVENT_SOURCE: _ours,
}
MACHINES: dict[str, Callable[[Detail, Detail, Entry], Iterator[Entry]]] = {
    names.MACHINE_PIPELINE: _run,
    names.MACHINE_DEPLOYMENT: _deployment,
    names.MACHINE_SLEEP: _sleep,
}
