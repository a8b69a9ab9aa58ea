"""What the audit trail's events prove, and what they only say."""

from __future__ import annotations

from typing import Any

from cli.audit_entries import entries
from contract import names

PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/acme--risks/3"
RUN = "arn:aws:states:eu-west-1:123456789012:execution:tandem-pipeline:risks-1"


def call(at: str, name: str, who: str, *, asked: Any = None, answered: Any = None, request: str = "r") -> Any:
    detail = {
        "eventName": name, "eventTime": at, "requestID": request, "userIdentity": {"arn": f"arn:aws:iam::1:user/{who}"},
        "requestParameters": asked or {}, "responseElements": answered,
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
    (entry,) = entries([call("2026-11-01T10:00:00Z", "StopExecution", "ada", asked={"executionArn": RUN})])
    assert (entry.what, entry.run, entry.who.rpartition("/")[2]) == ("StopExecution", "risks-1", "ada")
