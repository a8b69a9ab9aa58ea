"""Approve: people are told of a version, and its run waits for what they say.

The token is kept before anybody is told, so that no answer can come too early.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from contract import ledger, names
from contract.request import RunRequest
from functions import approvals, bus, table
from functions.shared import logger, setting


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Tell people of ``event["package"]``; a version that was decided about before is answered at once.

    Args:
        event: ``{"token", "run", "package", "reasons"}``: the task token, ``$run``, ``{"package_arn", "version"}``,
            and why the version is better.
        context: unused.

    Returns:
        ``{"asked"}``: False when there was nothing to ask.
    """
    request = RunRequest.from_dict(event["run"])
    arn, version = event["package"]["package_arn"], int(event["package"]["version"])
    secret = secrets.token_urlsafe(32)
    row = {
        "token": event["token"],
        "run": request.run,
        "package_arn": arn,
        "link": hashlib.sha256(secret.encode()).hexdigest(),
    }
    table.put(ledger.approval_key(request.tenant, request.project, version), row)
    if decided := approvals.decision(arn):
        approvals.release(row, decided)
        return {"asked": False}
    url = setting(names.API_URL)
    path = f"{request.tenant}/{request.project}/versions/{version}/approval"
    announce(request, event, version, link=f"{url}{path}#{secret}" if url else "")
    logger.info("approval wanted", extra={"run": request.run, "package": arn})
    return {"asked": True}


def announce(request: RunRequest, event: dict[str, Any], version: int, *, link: str) -> None:
    """Put the event that notifications are made of on the bus."""
    name = f"{request.tenant}/{request.project}"
    detail = {
        "tenant": request.tenant,
        "project": request.project,
        "run": request.run,
        "version": version,
        "package_arn": event["package"]["package_arn"],
        "hours": request.gate.approve_hours,
        "summary": "; ".join(event["reasons"]),
        "how": f"tandem approve {name} {version}" + (f"\nor open {link}" if link else ""),
    }
    bus.put(names.EVENT_APPROVAL_WANTED, detail)
