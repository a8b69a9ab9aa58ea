"""Parallel and Map: branches and iterations at once, all cancelled by the first failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from local.stepfunctions.errors import BRANCH_FAILED, QUERY_EVALUATION, Cancelled, Interrupted, StateFailed
from local.stepfunctions.history import dumps
from local.stepfunctions.scope import Scope
from local.stepfunctions.visit import Step, Visit

INLINE_CONCURRENCY = 40
Branch = Callable[[Scope], Any]


def parallel(visit: Visit) -> Step:
    """A Parallel state."""

    def attempt() -> Any:
        value = visit.fill(visit.state["Arguments"], "Arguments") if "Arguments" in visit.state else visit.value
        visit.flow.trail.add("ParallelStateStarted")
        branches = [_branch(visit, branch, value) for branch in visit.state["Branches"]]
        return _together(visit, branches, len(branches))

    return visit.guarded(attempt)


def _branch(visit: Visit, definition: Mapping[str, Any], value: Any) -> Branch:
    trail = visit.flow.trail.branch()
    return lambda scope: visit.flow.inner(definition, scope, trail).run(value)


def each_item(visit: Visit) -> Step:
    """A Map state, inline."""

    def attempt() -> Any:
        items = visit.fill(visit.state["Items"], "Items") if "Items" in visit.state else visit.value
        if not isinstance(items, list):
            raise StateFailed(
                QUERY_EVALUATION, f"The field 'Items' must be an array, but was {dumps(items)}", location="Items"
            )
        visit.flow.trail.add("MapStateStarted", {"length": len(items)})
        limit = visit.seconds("MaxConcurrency") or INLINE_CONCURRENCY
        iterations = [_iteration(visit, index, item) for index, item in enumerate(items)]
        return _together(visit, iterations, int(limit))

    return visit.guarded(attempt)


def _iteration(visit: Visit, index: int, item: Any) -> Branch:
    trail, flow = visit.flow.trail.branch(), visit.flow
    details = {"name": visit.name, "index": index}
    map_context = {"Item": {"Index": index, "Value": item}}

    def run(scope: Scope) -> Any:
        trail.add("MapIterationStarted", details)
        value = item
        if "ItemSelector" in visit.state:
            value = visit.fill(
                visit.state["ItemSelector"], "ItemSelector", context={**visit.context, "Map": map_context}
            )
        try:
            output = flow.inner(visit.state["ItemProcessor"], scope, trail, map_context).run(value)
        except Interrupted:
            trail.add("MapIterationAborted", details)
            raise
        except StateFailed:
            trail.add("MapIterationFailed", details)
            raise
        trail.add("MapIterationSucceeded", details)
        return output

    return run


def _together(visit: Visit, branches: list[Branch], limit: int) -> list[Any]:
    kind, trail = visit.state["Type"], visit.flow.trail
    try:
        results = run_together(visit.flow.scope, branches, limit)
    except StateFailed as failure:
        trail.add(f"{kind}StateFailed")
        raise StateFailed(failure.error, failure.cause, also=failure.also | {BRANCH_FAILED}) from failure
    trail.add(f"{kind}StateSucceeded")
    visit.check_size(results)
    return results


def run_together(parent: Scope, branches: Sequence[Branch], limit: int) -> list[Any]:
    """Run branches at once, at most ``limit`` of them, and return their results in order.

    Args:
        parent: the scope around them; what interrupts it interrupts them.
        branches: each takes the scope to wait in.
        limit: how many run at a time.

    Raises:
        StateFailed: the failure of the branch that failed first; the others were cancelled.
    """
    if not branches:
        return []
    scope = Scope(parent=parent)
    first = _First()

    def run(branch: Branch) -> Any:
        try:
            scope.check()
            return branch(scope)
        except Exception as error:
            first.offer(error)
            scope.cancel(Cancelled("another branch failed"))
            raise

    with ThreadPoolExecutor(max_workers=min(limit, len(branches)), thread_name_prefix="stepfunctions-branch") as pool:
        futures: list[Future[Any]] = [pool.submit(run, branch) for branch in branches]
    if first.error is not None:
        raise first.error
    return [future.result() for future in futures]


class _First:
    """The failure that came first: those after it are only its consequences."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: Exception | None = None

    def offer(self, error: Exception) -> None:
        with self._lock:
            self.error = self.error or error
