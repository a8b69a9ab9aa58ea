"""``tandem logs``: what the functions, jobs and builds of a run logged."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from cli import ledger
from cli.aws import Account, error_code
from cli.errors import NotFound
from cli.follow import Task, Visit
from cli.options import Context
from cli.watch import LOG_GROUPS, Watcher
from contract.errors import nearest

SLACK = timedelta(seconds=5)  # a function's last lines arrive after its state was left; clocks differ
_START = re.compile(r"START RequestId: (\S+)")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the log of one thing is."""

    group: str
    streams: str | None  # prefix of the streams' names; None takes all
    since: datetime | None
    until: datetime | None


def logs(
    context: Context,
    run: Annotated[str, typer.Argument(help="The run; `tandem runs` lists them.")],
    state: Annotated[str | None, typer.Argument(help="Only this state's, such as Evaluate.")] = None,
) -> None:
    """Print what a run logged, state by state."""
    row = ledger.get_run(context.account, run)
    visits = Watcher(context.account, row.execution_arn).poll().visits
    document = []
    for visit in _chosen(visits, state):
        for task in visit.tasks:
            events = list(_events(context.account, visit, task))
            if task.kind == "function" and visit.requests and visit.left:  # before, some id is not known yet
                events = list(of_invocations(events, visit.requests))
            document.append({"state": visit.name, "source": task.name, "events": events})
            _show(context, visit.name, task.name, events)
    context.out.document({"run": run, "logs": document})


def _chosen(visits: tuple[Visit, ...], state: str | None) -> list[Visit]:
    logged = [visit for visit in visits if any(task.kind != "execution" for task in visit.tasks)]
    chosen = [visit for visit in logged if state is None or visit.name.lower() == state.lower()]
    if not chosen:
        names = list(dict.fromkeys(visit.name for visit in logged))
        raise NotFound(
            f"No state {state!r} of this run has logs." if state else "Nothing of this run has logs yet.",
            " ".join(part for part in (nearest(state or "", names), f"States with logs: {', '.join(names)}.") if part)
            if names
            else "",
        )
    return chosen


def _events(account: Account, visit: Visit, task: Task) -> Iterator[dict[str, Any]]:
    source = _source(account, visit, task)
    if source is None:
        return
    window = {
        name: int(when.timestamp() * 1000)
        for name, when in (("startTime", source.since), ("endTime", source.until))
        if when
    }
    streams = {"logStreamNamePrefix": source.streams} if source.streams else {}
    try:
        for event in account.pages(
            "logs", "filter_log_events", "events", logGroupName=source.group, **window, **streams
        ):
            yield {name: event.get(name) for name in ("timestamp", "logStreamName", "message")}
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":  # nothing was logged there
            raise


def of_invocations(events: Iterable[dict[str, Any]], requests: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of some of a function's invocations: one after the other shares a stream, runs share them all.

    Args:
        events: in order of time, of several streams.
        requests: ids of the invocations.
    """
    current: dict[str, str] = {}
    for event in events:
        stream = event["logStreamName"]
        if begun := _START.match(event["message"]):
            current[stream] = begun[1]
        if current.get(stream) in requests:
            yield event


def _source(account: Account, visit: Visit, task: Task) -> Source | None:
    if task.kind in LOG_GROUPS:
        return Source(group=LOG_GROUPS[task.kind], streams=f"{task.name}/", since=None, until=None)
    if task.kind == "tuning":  # its training jobs' names begin with its own
        return Source(group=LOG_GROUPS["training"], streams=f"{task.name}-", since=None, until=None)
    if task.kind == "function":
        until = visit.left + SLACK if visit.left else None
        group = _function_group(account, task.name)
        return Source(group=group, streams=None, since=visit.entered - SLACK, until=until)
    if task.kind == "build":
        project, _, build = task.name.partition(":")
        return Source(group=f"/aws/codebuild/{project}", streams=build, since=None, until=None)
    return None


def _function_group(account: Account, function: str) -> str:
    """Return a function's log group: its configuration's, or Lambda's default for its name."""
    found = account.client("lambda").get_function_configuration(FunctionName=function)
    configured: str | None = found.get("LoggingConfig", {}).get("LogGroup")
    return configured or f"/aws/lambda/{found['FunctionName']}"


def _show(context: Context, state: str, source: str, events: list[dict[str, Any]]) -> None:
    context.out.show(f"--- {state}: {source}")
    context.out.show(*(str(event["message"]).rstrip() for event in events))
