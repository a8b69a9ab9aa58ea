"""What an execution went through, from Step Functions' own history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contract import histories
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
    """Return the visits of states, in order, and how the execution ended, if badly.

    A visit's error is the last of its attempts, unless a later attempt succeeded. A loop that only waits and looks is
    told once: its wait is as long as all of them, and what was seen last follows.
    """
    visits: list[dict[str, Any]] = []
    end = End()
    for event in history:
        kind, when = event["type"], iso(event["timestamp"])
        if kind.endswith("StateEntered"):
            visits.append(_visit(event, when))
        elif kind.endswith("StateExited"):
            _leave(visits, event["stateExitedEventDetails"]["name"], when)
        elif kind in ENDS:
            end = _end(event, visits)
            for visit in visits:
                visit["left"] = visit["left"] or when
        elif visits and kind.endswith("Succeeded"):
            visits[-1]["error"] = ""
        elif visits and kind.endswith(("Failed", "TimedOut")):
            visits[-1]["error"] = histories.details_of(event).get("error", kind)
    told = [{name: value for name, value in visit.items() if name != "kind"} for visit in _folded(visits)]
    return [StateVisit(**visit) for visit in told], end


def _visit(event: Mapping[str, Any], when: str) -> dict[str, Any]:
    kind, name = event["type"].removesuffix("StateEntered"), event["stateEnteredEventDetails"]["name"]
    return {"name": name, "kind": kind, "entered": when, "left": None, "error": ""}


def _folded(visits: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return visits without the earlier turns of loops of a Wait and a single Task in which nothing went wrong."""
    kept: list[dict[str, Any]] = []
    for visit in visits:
        before = [place for place, each in enumerate(kept) if each["name"] == visit["name"]]
        turn = kept[before[-1] :] if visit["kind"] == "Wait" and before else []
        if turn and sum(each["kind"] == "Task" for each in turn) == 1 and not any(each["error"] for each in turn):
            visit = {**visit, "entered": turn[0]["entered"]}
            del kept[before[-1] :]
        kept.append(visit)
    return kept


def _leave(visits: list[dict[str, Any]], name: str, when: str) -> None:
    for visit in reversed(visits):
        if visit["name"] == name:
            visit["left"] = when
            return


def _end(event: Mapping[str, Any], visits: list[dict[str, Any]]) -> End:
    details = histories.details_of(event)
    error = details.get("error") or event["type"]
    open_visit = next((visit for visit in reversed(visits) if visit["left"] is None), None)
    told = next((visit for visit in reversed(visits) if visit["error"]), None)
    culprit = told or open_visit
    if open_visit and event["type"] == "ExecutionFailed" and not open_visit["error"]:
        open_visit["error"] = error
    return End(state=culprit["name"] if culprit else "", error=error, cause=causes.readable(details.get("cause") or ""))
