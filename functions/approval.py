"""``/v1/{tenant}/{project}/versions/{version}/approval``: what a notification's link opens.

The page is the same for every version. What opens one is the link's fragment, a secret that browsers send to
nobody: the page hands it over in a POST. A GET decides nothing, because scanners of mail follow links.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

from contract import ledger, packages
from functions import api, approvals, pages, table
from functions.api import ApiError, Response
from functions.shared import client, logger

PAGE = "approval_page.html"
DECISIONS = (packages.APPROVED, packages.REJECTED)
LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
"""What ApprovalDescription takes, and what is text: no half of a UTF-16 pair, which JSON can spell."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway: GET the page, POST ``{"secret", "status"?, "note"?}``."""
    request_id = event["requestContext"]["requestId"]
    if event["httpMethod"] == "GET":
        return pages.page(PAGE).to_event(request_id)
    try:
        response = answer(api.Request.of(event), event["pathParameters"]["version"])
    except ApiError as error:
        response = api.refusal(error, request_id)
    return response.to_event(request_id)


def answer(request: api.Request, version: str) -> Response:
    """Say what the version is, after changing its approval where ``status`` says so.

    Raises:
        ApiError: 404 for another secret than the link's, 400 for what is no decision, 409 for one that comes too late.
    """
    asked = _asked(request.body)
    key = ledger.approval_key(request.tenant, request.project, int(version)) if version.isdecimal() else None
    row = table.get(key) if key else None
    digest = hashlib.sha256(asked["secret"].encode()).hexdigest()
    if row is None or not hmac.compare_digest(digest, row["link"]):
        raise ApiError(404, "NotFound", "This link opens no version.")
    arn = row["package_arn"]
    if asked["status"]:
        _decide(arn, asked["status"], asked["note"])
        logger.info(
            "approval decided by link", extra={"package": arn, "status": asked["status"], "request": request.id}
        )
    return Response(
        body=json.dumps(_tell(arn, row["run"]), ensure_ascii=False).encode(), headers={"Cache-Control": "no-store"}
    )


def _asked(body: bytes) -> dict[str, str]:
    try:
        asked = json.loads(body)
        given = {name: asked.get(name, "") for name in ("secret", "status", "note")}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ApiError(400, "InvalidInput", "The body is no JSON object.") from error
    if not all(isinstance(value, str) and LINE.fullmatch(value) for value in given.values()):
        raise ApiError(400, "InvalidInput", f"{', '.join(given)} are texts of one line each")
    if given["status"] not in ("", *DECISIONS):
        raise ApiError(400, "InvalidInput", f"status is not allowed; expected one of {', '.join(DECISIONS)}")
    if len(given["note"]) > packages.NOTE_LIMIT:
        raise ApiError(400, "InvalidInput", f"The note is longer than {packages.NOTE_LIMIT:,} characters.", path="note")
    return given


def _decide(arn: str, status: str, note: str) -> None:
    decided = approvals.decision(arn)
    if decided:
        raise ApiError(
            409, "TooLate", f"The version is {decided.status} already; `tandem approve` and `reject` change it."
        )
    description = {"ApprovalDescription": note} if note else {}
    client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, **description)


def _tell(arn: str, run: str) -> dict[str, Any]:
    package = client("sagemaker").describe_model_package(ModelPackageName=arn)
    properties = package["CustomerMetadataProperties"]
    found = {
        name.removeprefix(packages.METRIC): value
        for name, value in properties.items()
        if name.startswith(packages.METRIC)
    }
    return {
        "version": packages.version(arn),
        "run": run,
        "recipe": properties["recipe"],
        "why": package.get("ModelPackageDescription", ""),
        "metrics": {name: float(value) for name, value in found.items()},
        "status": package["ModelApprovalStatus"],
        "note": package.get("ApprovalDescription", ""),
    }
