"""Parallel and Map: branches and iterations at once, all cancelled by the first failure.

A redrive reruns those that failed or were aborted, each from the state that did
not succeed; where all had succeeded, and only the state as a whole failed, all
are rerun ("Restarting state machine executions with redrive", developer guide).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from local.stepfunctions.errors import BRANCH_FAILED, QUERY_EVALUATION, Cancelled, Interrupted, StateFailed
from local.stepfunctions.history import dumps
from local.stepfunctions.scope import Scope
from local.stepfunctions.visit import Step, Visit

if TYPE_CHECKING:
    from local.stepfunctions.flow import Flow, Inner

INLINE_CONCURRENCY = 40
Branch = Callable[[Scope], Any]


def parallel(visit: Visit) -> Step:
    """A Parallel state."""

    def attempt() -> Any:
        value = visit.fill(visit.state["Arguments"], "Arguments") if "Arguments" in visit.state else visit.value
        visit.flow.trail.add("ParallelStateStarted")
        before = _known(visit, len(visit.state["Branches"]))
        branches = [
            _branch(visit, before.get(index), index, branch, value)
            for index, branch in enumerate(visit.state["Branches"])
        ]
        return _together(visit, branches, len(branches))

    return visit.guarded(attempt)


def _branch(visit: Visit, before: Inner | None, index: int, definition: Mapping[str, Any], value: Any) -> Branch:
    if before is not None and before.done:
        return lambda _: before.output
    trail = visit.flow.trail.branch()
    return lambda scope: _run(visit, before, index, visit.flow.inner(definition, scope, trail), lambda: value)


def _known(visit: Visit, count: int) -> dict[int, Inner]:
    """Return how far each branch got before the redrive; nothing where there was none, or the state is retried."""
    position = visit.flow.position
    assert position is not None
    if visit.retries or sum(each.done for each in position.inner.values()) == count:
        position.inner = {}
    return dict(position.inner)


def _run(visit: Visit, before: Inner | None, index: int, flow: Flow, value: Callable[[], Any]) -> Any:
    """Run a branch or iteration, or the rest of it, and remember how far it got.

    Args:
        visit: of the Parallel or Map.
        before: how far it got before the redrive, if it had begun.
        index: its number.
        flow: through its states.
        value: returns its input.
    """
    given = value() if before is None else None
    inner = visit.flow.remember(index, flow)
    inner.output = flow.run(given) if before is None else flow.resume(before.flow)
    inner.done = True
    return inner.output


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
        before = _known(visit, len(items))
        iterations = [_iteration(visit, before.get(index), index, item) for index, item in enumerate(items)]
        return _together(visit, iterations, int(limit))

    return visit.guarded(attempt)


def _iteration(visit: Visit, before: Inner | None, index: int, item: Any) -> Branch:
    if before is not None and before.done:
        return lambda _: before.output
    trail, flow = visit.flow.trail.branch(), visit.flow
    details = {"name": visit.name, "index": index}
    map_context = {"Item": {"Index": index, "Value": item}}

    def value() -> Any:
        if "ItemSelector" not in visit.state:
            return item
        return visit.fill(visit.state["ItemSelector"], "ItemSelector", context={**visit.context, "Map": map_context})

    def run(scope: Scope) -> Any:
        trail.add("MapIterationStarted", details)
        iteration = flow.inner(visit.state["ItemProcessor"], scope, trail, map_context)
        try:
            output = _run(visit, before, index, iteration, value)
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
