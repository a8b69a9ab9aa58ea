"""Resume: a run that failed or was stopped goes on from the state that did not succeed, once that is paid for.

``Plan compute``, which covers a run's worst case, is not run again by a
redrive. So the worst case of what is left is covered here first; only then is
the execution redriven. A redrive that somebody starts without asking (the
console's button) tells of itself by an event, and is stopped unless the rest
can be covered: https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contract import histories, ledger, names
from contract.machines import Machines
from contract.request import RunRequest
from contract.run import RUNNING
from functions import budget, definitions, history, machines, rest, runs, table
from functions.shared import client, error_code, logger
from functions.worst_case import NoBound

OVER_BUDGET = "OverBudget"
"""Error of an execution that was redriven by hand and stopped."""
TOO_OLD = "redrivable period"
NOT_SETTLED = "its end is not settled yet: try again in a minute"
GONE = ("ExecutionDoesNotExist", "StateMachineDoesNotExist")


class NotResumable(Exception):
    """Why a run cannot go on, for people."""


class Behind(Exception):
    """Step Functions does not know yet of the redrive that its event tells of: Lambda asks again in a minute."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What is left of a run."""

    state: str
    spent_usd: float
    worst_usd: float
    budget_usd: float
    redrive: int  # the number of the redrive that does it
    machines: Machines  # that its plan holds
    request: RunRequest | None  # None before it was accepted: then nothing is to be paid for yet

    def told(self) -> dict[str, Any]:
        """Return it as the answer has it."""
        return {name: value for name, value in vars(self).items() if name not in ("request", "machines")}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Resume ``event["run"]``, or see to a redrive that an EventBridge event tells of.

    Args:
        event: ``{"run"}``, with ``max_usd`` where a person allows the whole run more than its budget; or an event
            ``Step Functions Execution Status Change`` of a redriven execution.
        context: unused.

    Returns:
        ``{"run", "resumed", "reasons", "state", "spent_usd", "worst_usd", "budget_usd", "redrive"}``; without the
        last five when nothing can go on.
    """
    if "detail" in event:
        return watch(event["detail"])
    try:
        found = resume(event["run"], event.get("max_usd"))
    except NotResumable as reason:
        logger.warning("run not resumed", extra={"run": event["run"], "reason": str(reason)})
        return {"run": event["run"], "resumed": False, "reasons": [str(reason)]}
    return _answer(event["run"], found)


def _answer(run: str, found: Rest) -> dict[str, Any]:
    logger.info("run resumed", extra={"run": run, "state": found.state, "redrive": found.redrive})
    return {"run": run, "resumed": True, "reasons": [], **found.told()}


def resume(run: str, max_usd: float | None) -> Rest:
    """Cover the rest of a run, then redrive its execution.

    Raises:
        NotResumable: before anything was changed.
    """
    row = table.get(ledger.run_key(run))
    if row is None:
        raise NotResumable(f"there is no run {run!r}")
    described = _describe(row)
    _check(row, described)
    found = find_rest(row, described, redrive=described["redriveCount"] + 1, max_usd=max_usd)
    _cover(row, found)
    try:
        client("stepfunctions").redrive_execution(executionArn=row["execution_arn"])
    except ClientError as error:
        if error_code(error) != "ExecutionNotRedrivable":
            raise
        if _describe(row)["status"] != RUNNING:  # else: another redrive came first, and the rest is covered
            _take_back(row, found)
            raise NotResumable(f"Step Functions refused: {error}") from error
    return found


def _describe(row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(client("stepfunctions").describe_execution(executionArn=row["execution_arn"]))
    except ClientError as error:
        if error_code(error) not in GONE:
            raise
        raise NotResumable(
            "its execution, or the state machine that it ran, is deleted (Step Functions keeps executions for 90 days)"
        ) from error


def _check(row: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    """Refuse what has nothing left to do, runs, or cannot be redriven any more."""
    if described["status"] == RUNNING:
        raise NotResumable("it is running")
    _check_forgotten(row)
    if described["status"] == "SUCCEEDED" or row["status"] not in runs.UNFINISHED:  # it may have failed once settled
        ended = row.get("outcome") or "it ended well"
        raise NotResumable(f"it ended as {ended}, so nothing is left to do: submit its upload again for another run")
    if described["redriveStatus"] != "REDRIVABLE":
        reason = described.get("redriveStatusReason") or "no reason given"
        told = "it ended more than 14 days ago, and Step Functions resumes none so old" if TOO_OLD in reason else reason
        raise NotResumable(f"{told}: submit its upload again")
    covered = row["status"] == RUNNING and row.get("resumes", 0) > described["redriveCount"]
    if row["status"] == RUNNING and not covered:  # covered: whoever resumed it died before the redrive
        raise NotResumable(NOT_SETTLED)


def _check_forgotten(row: Mapping[str, Any]) -> None:
    if row.get("forgotten"):
        raise NotResumable(f"rows that it works on were forgotten by erasure {row['forgotten']}: submit what is left")


def find_rest(
    row: Mapping[str, Any], described: Mapping[str, Any], *, redrive: int, max_usd: float | None = None
) -> Rest:
    """Return what is left of a run.

    Raises:
        NotResumable: when its budget does not cover it, or nobody can tell.
    """
    arn = row["execution_arn"]
    try:
        events = list(history.events(arn))
        stopped = histories.read(histories.before_redrive(events) if described["status"] == RUNNING else events)
        worst = rest.worst_usd(definitions.of_execution(arn), stopped)
    except (histories.NoPlaceToGoOn, NoBound) as error:
        raise NotResumable(str(error)) from error
    except ClientError as error:
        if error_code(error) not in GONE:
            raise
        raise NotResumable("the state machine that it ran is deleted") from error
    asked = stopped.variables.get("run")
    request = RunRequest.from_dict(asked) if asked and worst else None
    cap = request.budget.max_usd_per_run if request else 0.0
    found = Rest(
        request=request,
        state=stopped.state,
        spent_usd=float(row.get("usd") or 0.0),
        worst_usd=worst,
        budget_usd=cap if max_usd is None else max_usd,
        redrive=redrive,
        machines=(stopped.variables.get("plan") or {}).get("machines") or {},
    )
    _afford(found)
    return found


def _afford(found: Rest) -> None:
    if found.worst_usd and found.spent_usd + found.worst_usd > found.budget_usd:
        raise NotResumable(
            f"it has cost ${found.spent_usd:.2f}, and from {found.state!r} on it may cost ${found.worst_usd:.2f} more:"
            f" together more than ${found.budget_usd:.2f}, its budget.max_usd_per_run"
        )


def _cover(row: Mapping[str, Any], found: Rest) -> None:
    """Take the rest out of the tenant's budget and its machines, and have the run's row say so.

    Raises:
        NotResumable: when the budget or the machines are lacking, or another resumption came first.
    """
    if refusal := _reserve(row, found, found.worst_usd):
        raise NotResumable(refusal)
    if runs.resume(row, redrive=found.redrive, reserved_usd=found.worst_usd):
        _equip(row, found)
        return
    if (table.get(ledger.run_key(row["run"])) or {}).get("status") != RUNNING:
        _reserve(row, found, 0.0)
        raise NotResumable("it ended again just now")
    raise NotResumable("somebody else resumes it just now")


def _equip(row: Mapping[str, Any], found: Rest) -> None:
    """Take the machines, which only a run that goes on holds; without them it does not."""
    try:
        lacking = machines.retake(row["run"], found.machines)
    except Exception:
        _take_back(row, found)
        raise
    if lacking:
        _take_back(row, found)
        raise NotResumable(f"it cannot have its machines: {lacking}")


def _take_back(row: Mapping[str, Any], found: Rest) -> None:
    """Undo :func:`_cover`: the run is as it was."""
    runs.restore(row)
    _reserve(row, found, 0.0)
    machines.release(row["run"])


def _reserve(row: Mapping[str, Any], found: Rest, usd: float) -> str:
    """Charge the run ``usd`` on top of what it has cost; return why not."""
    if not found.request:
        return ""
    return budget.reserve(found.request, month=budget.month_of(row["started"]), usd=usd, redrives=found.redrive)


def watch(detail: Mapping[str, Any]) -> dict[str, Any]:
    """See to a redriven execution that runs: unless the rest is covered, cover it or stop it."""
    run = names.run_for_execution(detail["name"])
    row = table.get(ledger.run_key(run))
    nothing = {"run": run, "resumed": False, "reasons": []}
    if row is None or row["execution_arn"] != detail["executionArn"]:
        return nothing  # it failed before it was accepted, and Accept request makes the row; or it is no run
    described = _describe(row)
    if described["redriveCount"] < detail["redriveCount"]:
        raise Behind(f"{detail['executionArn']} has been redriven {described['redriveCount']} times, it says")
    current = (described["status"], described["redriveCount"]) == (RUNNING, detail["redriveCount"])
    if not current or _is_covered(row, detail) or row["status"] not in runs.UNFINISHED:
        return nothing  # a run that ended well failed once it was settled: nothing that costs is left
    try:
        _check_forgotten(row)
        if row["status"] == RUNNING:  # what it has cost is in no row yet
            raise NotResumable(NOT_SETTLED)
        found = find_rest(row, described, redrive=detail["redriveCount"])
        _cover(row, found)
    except NotResumable as reason:
        if _is_covered(table.get(ledger.run_key(run)) or {}, detail):
            return nothing  # by another delivery of this event, or by `tandem resume`, at the same moment
        told = f"It was redriven by hand, not by `tandem resume`, and is stopped: {reason}"
        client("stepfunctions").stop_execution(executionArn=row["execution_arn"], error=OVER_BUDGET, cause=told)
        return {**nothing, "reasons": [told]}
    return _answer(run, found)


def _is_covered(row: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    """Say whether a run's row tells that somebody covered this redrive."""
    return bool(row.get("resumes", 0) >= detail["redriveCount"])
