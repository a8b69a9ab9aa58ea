"""Branches of a Parallel and iterations of a Map: at once, and all cancelled by the first failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from local.stepfunctions.errors import Cancelled
from local.stepfunctions.scope import Scope

Branch = Callable[[Scope], Any]


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
