"""What an execution went through, from Step Functions' own history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contract.run import StateVisit
from functions import causes
from functions.shared import client

ENDS = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


@dataclass(frozen=True, kw_only=True)
class End:
    """How an execution ended badly; all empty when it did not."""

    state: str = ""
    error: str = ""
    cause: str = ""


def events(execution_arn: str) -> Iterator[dict[str, Any]]:
    """Yield the execution's events, oldest first."""
    pages = client("stepfunctions").get_paginator("get_execution_history")
    for page in pages.paginate(executionArn=execution_arn, includeExecutionData=True):
        yield from page["events"]


def iso(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(history: Iterable[Mapping[str, Any]]) -> tuple[list[StateVisit], End]:
    """Return every visit of a state, in order, and how the execution ended, if badly.

    A visit's error is the last of its attempts, unless a later attempt succeeded.
    """
    visits: list[dict[str, Any]] = []
    end = End()
    for event in history:
        kind, when = event["type"], iso(event["timestamp"])
        if kind.endswith("StateEntered"):
            visits.append(
                {"name": event["stateEnteredEventDetails"]["name"], "entered": when, "left": None, "error": ""}
            )
        elif kind.endswith("StateExited"):
            _leave(visits, event["stateExitedEventDetails"]["name"], when)
        elif kind in ENDS:
            end = _end(event, visits)
            for visit in visits:
                visit["left"] = visit["left"] or when
        elif visits and kind.endswith("Succeeded"):
            visits[-1]["error"] = ""
        elif visits and kind.endswith(("Failed", "TimedOut")):
            visits[-1]["error"] = _details(event).get("error", kind)
    return [StateVisit(**visit) for visit in visits], end


def _leave(visits: list[dict[str, Any]], name: str, when: str) -> None:
    for visit in reversed(visits):
        if visit["name"] == name:
            visit["left"] = when
            return


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the details of an event: the one member that is named after its type."""
    return next((value for key, value in event.items() if key.endswith("EventDetails")), {})


def _end(event: Mapping[str, Any], visits: list[dict[str, Any]]) -> End:
    details = _details(event)
    error = details.get("error") or event["type"]
    open_visit = next((visit for visit in reversed(visits) if visit["left"] is None), None)
    told = next((visit for visit in reversed(visits) if visit["error"]), None)
    culprit = told or open_visit
    if open_visit and event["type"] == "ExecutionFailed" and not open_visit["error"]:
        open_visit["error"] = error
    return End(state=culprit["name"] if culprit else "", error=error, cause=causes.readable(details.get("cause") or ""))
