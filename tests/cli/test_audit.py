"""What the audit trail's events prove, and what they only say."""

from __future__ import annotations

from typing import Any

from cli.audit_entries import entries
from contract import names

PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/acme--risks/3"
RUN = "arn:aws:states:eu-west-1:123456789012:execution:tandem-pipeline:risks-1"


def call(
    at: str, name: str, who: str, *, asked: Any = None, answered: Any = None, request: str = "r", refused: str = ""
) -> Any:
    detail = {
        "eventName": name, "eventTime": at, "requestID": request, "userIdentity": {"arn": f"arn:aws:iam::1:user/{who}"},
        "requestParameters": asked or {}, "responseElements": answered, **({"errorCode": refused} if refused else {}),
    }  # fmt: skip
    return {"time": at, "source": "aws.x", "detail-type": names.CLOUDTRAIL_CALL, "detail": detail}


def version(at: str, status: str) -> Any:
    detail = {"ModelPackageArn": PACKAGE, "ModelApprovalStatus": status, "ModelLifeCycle": {"Stage": "Development"}}
    kind = "SageMaker Model Package State Change"
    return {"time": at, "source": "aws.sagemaker", "detail-type": kind, "detail": detail}


def test_a_decision_is_of_whoever_called_last_before_it_in_whatever_order_events_come() -> None:
    updated = {"modelPackageArn": PACKAGE}

    def asked(status: str) -> Any:
        return {"modelPackageArn": PACKAGE, "modelApprovalStatus": status}

    events = [
        version("2026-11-01T10:00:09Z", "Rejected"),
        call("2026-11-01T10:00:08Z", "UpdateModelPackage", "bob", asked=asked("Rejected"), answered=updated),
        version("2026-11-01T10:00:05Z", "Approved"),
        call("2026-11-01T10:00:05Z", "UpdateModelPackage", "ada", asked=asked("Approved"), answered=updated),
        call("2026-11-01T10:00:05Z", "CreateModelPackage", "register", asked=asked("Pending"), answered=updated),
        version("2026-11-01T10:00:05Z", "Pending"),
    ]
    found = [(entry.what, entry.who.rpartition("/")[2], entry.proof) for entry in entries(events)]
    assert set(found) == {
        ("version: registered", "register", "cloudtrail"),
        ("version: Approved", "ada", "cloudtrail"),
        ("version: Rejected", "bob", "cloudtrail"),
    }
    assert {entry.project for entry in entries(events)} == {"acme/risks"}


def test_what_a_caller_says_of_himself_is_no_proof() -> None:
    said = {"tenant": "acme", "project": "", "what": "may spend $9 a month", "said_by": "arn:aws:iam::1:user/ada"}
    forged = {"time": "2026-11-01T10:00:00Z", "source": "tandem", "detail-type": "Budget Changed", "detail": said}
    (entry,) = entries([forged])
    assert (entry.who, entry.proof, entry.note) == ("arn:aws:iam::1:user/ada", "said", "may spend $9 a month")


def test_a_job_that_was_stopped_is_an_entry_of_its_run() -> None:
    told = {"tenant": "acme", "project": "risks", "run": "r1", "job": "r1-train-0-0-0", "why": "its GPUs did nothing"}
    event = {"time": "2026-11-01T10:00:00Z", "source": "tandem", "detail-type": "Job Stopped", "detail": told}
    (entry,) = entries([event])
    assert (entry.what, entry.project, entry.run) == ("job stopped", "acme/risks", "r1")
    assert entry.note == "r1-train-0-0-0: its GPUs did nothing"


def test_an_upload_without_a_trail_has_the_account_that_s3_names() -> None:
    detail = {
        "bucket": {"name": "data"}, "object": {"key": "acme/risks/inbox/a@b.csv", "version-id": "v1"},
        "requester": "123456789012", "request-id": "Q", "reason": "PutObject",
    }  # fmt: skip
    event = {"time": "2026-11-01T10:00:00Z", "source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    (alone,) = entries([event])
    assert (alone.who, alone.proof, alone.data) == ("123456789012", "s3", "s3://data/acme/risks/inbox/a@b.csv@v1")
    (known,) = entries([call("2026-11-01T10:00:00Z", "PutObject", "ada", request="Q"), event])
    assert (known.who.rpartition("/")[2], known.proof) == ("ada", "cloudtrail")


def test_who_stopped_or_redrove_a_run_is_an_entry_of_its_own() -> None:
    began = {
        "executionArn": RUN, "stateMachineArn": RUN.replace("execution", "stateMachine").removesuffix(":risks-1"),
        "name": "risks-1", "status": "RUNNING", "input": '{"tenant": "acme", "project": "risks"}',
    }  # fmt: skip
    kind = "Step Functions Execution Status Change"
    started, stopped = entries([
        {"time": "2026-11-01T10:00:00Z", "source": "aws.states", "detail-type": kind, "detail": began},
        call("2026-11-01T10:00:09Z", "StopExecution", "ada", asked={"executionArn": RUN}),
    ])  # fmt: skip
    assert (started.what, started.project) == ("run started", "acme/risks")
    assert (stopped.what, stopped.run, stopped.who.rpartition("/")[2]) == ("StopExecution", "risks-1", "ada")
    assert stopped.project == "acme/risks", "who asks for the project's entries sees it"


def test_a_refused_call_made_nothing_happen_and_says_who_tried() -> None:
    wanted = {"modelPackageArn": PACKAGE, "modelApprovalStatus": "Approved"}
    found = entries([
        call("2026-11-01T10:00:01Z", "UpdateModelPackage", "ada", asked=wanted, answered={"modelPackageArn": PACKAGE}),
        call("2026-11-01T10:00:02Z", "UpdateModelPackage", "bob", asked=wanted, request="b", refused="AccessDenied"),
        version("2026-11-01T10:00:03Z", "Approved"),
        call("2026-11-01T10:00:04Z", "StopExecution", "eve", asked={"executionArn": RUN}, request="e", refused="No"),
        call(
            "2026-11-01T10:00:05Z", "DeleteObject", "eve", request="o", refused="AccessDenied",
            asked={"bucketName": "data", "key": "acme/risks/inbox/a.csv"},
        ),
        call(
            "2026-11-01T10:00:06Z", "CreateModelPackage", "eve", request="c", refused="AccessDenied",
            asked={"modelPackageGroupName": "acme--risks"},
        ),
    ])  # fmt: skip
    told = [(entry.what, entry.who.rpartition("/")[2], entry.run or entry.data or entry.model) for entry in found]
    assert told == [
        ("UpdateModelPackage: AccessDenied", "bob", PACKAGE),
        ("version: Approved", "ada", PACKAGE),
        ("StopExecution: No", "eve", "risks-1"),
        ("DeleteObject: AccessDenied", "eve", "s3://data/acme/risks/inbox/a.csv"),
        ("CreateModelPackage: AccessDenied", "eve", ""),
    ]
    assert [entry.project for entry in found] == ["acme/risks", "acme/risks", "", "acme/risks", "acme/risks"]
