"""A run's progress, computed from its execution's history and its training log.

Pure: events and log lines in, :class:`Progress` out. Fetching is ``watch``'s,
drawing is ``progress_view``'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from contract import histories, metrics


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One state, from entry to exit."""

    name: str
    kind: str  # Task, Choice, Wait, Pass, Fail, Succeed
    entered: datetime
    left: datetime | None = None
    error: str = ""
    caught: bool = False  # the error led to another state
    depth: int = 0  # 1 inside the deployment machine
    tasks: tuple[Task, ...] = ()
    requests: tuple[str, ...] = ()  # ids of the function's invocations that have ended


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a state started, as far as its logs and its insides can be found by it."""

    kind: str  # training, tuning, processing, function, build, execution
    name: str  # a job's name, a function's name or ARN, a build's id, an execution's ARN


@dataclass(frozen=True, kw_only=True)
class Step:
    """All visits of one state together, for display."""

    name: str
    depth: int
    entered: datetime
    left: datetime | None
    seconds: float | None
    visits: int
    error: str
    caught: bool


@dataclass(frozen=True, kw_only=True)
class Search:
    """How far a search among settings or recipes is."""

    metric: str
    wanted: int
    started: int = 0
    finished: int = 0
    failed: int = 0
    best: float | None = None
    candidate: str = ""  # the best job's recipe, where several compete
    values: Mapping[str, str] = field(default_factory=dict)  # what the best job tries


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is."""

    visits: tuple[Visit, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, float], ...] = ()
    search: Search | None = None
    status: str = "RUNNING"
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    cause: str = ""

    @property
    def finished(self) -> bool:
        """Whether the execution has ended."""
        return self.status not in ("RUNNING", "PENDING_REDRIVE")

    def jobs(self, kind: str) -> list[str]:
        """Return the names of what was started of a kind, oldest first."""
        return list(dict.fromkeys(task.name for visit in self.visits for task in visit.tasks if task.kind == kind))

    def steps(self) -> list[Step]:
        """Return the states worth showing, in order of first entry: a loop is one step, choices are left out."""
        groups: dict[tuple[int, str], list[Visit]] = {}
        for visit in self.visits:
            if visit.kind not in ("Choice", "Pass"):
                groups.setdefault((visit.depth, visit.name), []).append(visit)
        return [_step(visits) for visits in groups.values()]

    @property
    def epochs_wanted(self) -> int | None:
        """How many epochs the run trains, once its request is known."""
        return _dig(self.variables, "run", "train", "epochs")

    @property
    def planned_search(self) -> Mapping[str, Any]:
        """``metric``, ``jobs`` and more of the planned search; empty when there is none, or before Plan compute."""
        return _dig(self.variables, "plan", "tune") or {}

    @property
    def expected(self) -> Mapping[str, Any]:
        """``seconds`` and ``usd`` that Plan compute expects; empty before."""
        return _dig(self.variables, "plan", "expected") or {}

    @property
    def worst_case(self) -> Mapping[str, Any]:
        """``seconds`` and ``usd`` that the run can take at most; empty before Plan compute."""
        return _dig(self.variables, "plan", "worst_case") or {}


def _dig(data: Any, *path: str) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _step(visits: list[Visit]) -> Step:
    last = visits[-1]
    gone = [(visit.left - visit.entered).total_seconds() for visit in visits if visit.left]
    return Step(
        name=last.name,
        depth=last.depth,
        entered=visits[0].entered,
        left=last.left,
        seconds=sum(gone) if last.left else None,
        visits=len(visits),
        error=last.error,
        caught=last.caught,
    )


def read_history(events: Iterable[Mapping[str, Any]], *, depth: int = 0) -> Progress:
    """Return the states, variables and end of one execution.

    Args:
        events: as GetExecutionHistory lists them, oldest first, with execution data.
        depth: 1 for the deployment machine inside a run.
    """
    visits: list[Visit] = []
    variables: dict[str, Any] = {}
    end: dict[str, Any] = {}
    for event in events:
        kind, when = event["type"], event["timestamp"]
        details = histories.details_of(event)
        if kind.endswith("StateEntered"):
            visits.append(
                Visit(name=details["name"], kind=kind.removesuffix("StateEntered"), entered=when, depth=depth)
            )
        elif kind.endswith("StateExited"):
            _leave(visits, details["name"], when)
            variables |= _assigned(details)
        elif kind == "ExecutionRedriven":
            end = {}
        elif kind in _ENDS:
            end = {"status": _ENDS[kind], "ended": when} | _failure(details)
            _leave_all(visits, when)
        elif visits:
            visits[-1] = _during(visits[-1], kind, details)
    return Progress(visits=tuple(visits), variables=variables, **end)


_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionTimedOut": "TIMED_OUT",
    "ExecutionAborted": "ABORTED",
}


def _failure(details: Mapping[str, Any]) -> dict[str, str]:
    return {key: details.get(key) or "" for key in ("error", "cause")}


def _assigned(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(text) for name, text in (details.get("assignedVariables") or {}).items()}


def _json(text: Any) -> Any:
    """Return the value of a JSON text; a text that was cut off (or is none) stays as it is."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _leave(visits: list[Visit], name: str, when: datetime) -> None:
    for index in reversed(range(len(visits))):
        if visits[index].name == name and visits[index].left is None:
            visits[index] = replace(visits[index], left=when, caught=bool(visits[index].error))
            return


def _leave_all(visits: list[Visit], when: datetime) -> None:
    visits[:] = [visit if visit.left else replace(visit, left=when) for visit in visits]


def _during(visit: Visit, kind: str, details: Mapping[str, Any]) -> Visit:
    if request := _request(details):
        visit = replace(visit, requests=(*visit.requests, request))
    if kind.endswith(("Failed", "TimedOut", "Aborted")):
        return replace(visit, error=details.get("error") or kind)
    if kind.endswith("Succeeded"):
        return replace(visit, error="")  # a retry helped
    started = _started(kind, details)
    return replace(visit, tasks=(*visit.tasks, started)) if started and started not in visit.tasks else visit


_REQUEST = re.compile(r"RequestId: ([0-9a-f-]{36})|([0-9a-f-]{36}) Task timed out")


def _request(details: Mapping[str, Any]) -> str:
    """Return the id of the invocation that an event tells the end of; empty where it tells none."""
    answered = _dig(_json(details.get("output")), "SdkResponseMetadata", "RequestId")
    raised = _dig(_json(details.get("cause")), "requestId")
    killed = _REQUEST.search(details.get("cause") or "")  # by its time-out, or with its process
    return str(answered or raised or (killed and (killed[1] or killed[2])) or "")


_PARAMETERS = {
    "TrainingJobName": "training",
    "HyperParameterTuningJobName": "tuning",
    "ProcessingJobName": "processing",
    "FunctionName": "function",
}


def _started(kind: str, details: Mapping[str, Any]) -> Task | None:
    if kind == "LambdaFunctionScheduled":
        return Task(kind="function", name=details["resource"])
    if kind == "TaskScheduled":
        given = _json(details.get("parameters"))
        return next((Task(kind=sort, name=given[key]) for key, sort in _PARAMETERS.items() if _dig(given, key)), None)
    if kind == "TaskSubmitted":
        answer = _json(details.get("output"))
        execution, build = _dig(answer, "ExecutionArn"), _dig(answer, "Build", "Id")
        if execution:
            return Task(kind="execution", name=execution)
        return Task(kind="build", name=build) if build else None
    return None


def read_epochs(lines: Iterable[str]) -> tuple[Mapping[str, float], ...]:
    """Return each epoch's metrics, in order; an epoch that was repeated after an interruption counts once."""
    epochs: dict[float, Mapping[str, float]] = {}
    for line in lines:
        values = metrics.parse_line(line.strip())
        if "epoch" in values:
            epochs[values["epoch"]] = values
    return tuple(epochs[number] for number in sorted(epochs))


def read_search(jobs: Iterable[Mapping[str, Any]], *, metric: str, wanted: int) -> Search:
    """Return how far a search is.

    Args:
        jobs: as ListTrainingJobsForHyperParameterTuningJob lists its training jobs.
        metric: what they are compared by.
        wanted: how many there will be at most.
    """
    listed = list(jobs)
    scored = [(job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"], job) for job in listed if _scored(job)]
    sign = 1 if metrics.METRICS[metric].higher_is_better else -1
    best, job = max(scored, key=lambda pair: sign * pair[0], default=(None, {}))
    return Search(
        metric=metric,
        wanted=wanted,
        started=len(listed),
        finished=sum(each["TrainingJobStatus"] in ("Completed", "Stopped") for each in listed),
        failed=sum(each["TrainingJobStatus"] == "Failed" for each in listed),
        best=best,
        candidate=job.get("TrainingJobDefinitionName", ""),
        values=dict(job.get("TunedHyperParameters", {})),
    )


def _scored(job: Mapping[str, Any]) -> bool:
    return job["TrainingJobStatus"] == "Completed" and "FinalHyperParameterTuningJobObjectiveMetric" in job


def join(outer: Progress, inner: Iterable[Progress]) -> Progress:
    """Return ``outer`` with the states of the executions that it started, in order of entry."""
    visits = [*outer.visits, *(visit for progress in inner for visit in progress.visits)]
    return replace(outer, visits=tuple(sorted(visits, key=lambda visit: visit.entered)))


def explain_failure(progress: Progress, lines: int = 25) -> str:
    """Return an ended execution's error and the end of its cause: the traceback's end, where there is one.

    A service's cause may be a JSON document with the true reason inside.
    """
    cause = _json(progress.cause)
    for name in ("ExitMessage", "FailureReason", "errorMessage", "Cause", "StatusReason"):
        if _dig(cause, name):
            cause = _with_trace(cause, name)
            break
    text = cause if isinstance(cause, str) else progress.cause
    tail = "\n".join(text.strip().splitlines()[-lines:])
    return "\n".join(part for part in (progress.error, tail) if part)


def _with_trace(cause: Mapping[str, Any], name: str) -> str:
    trace = cause.get("stackTrace") or []
    return "".join(trace) + str(cause[name]) if isinstance(trace, list) else str(cause[name])
