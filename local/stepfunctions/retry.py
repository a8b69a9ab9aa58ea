"""Retry and Catch: which retrier or catcher answers an error, and how long to wait.

"Handling errors in Step Functions workflows" (developer guide). Each retrier of
a state counts its own attempts. ``States.ALL`` and ``States.TaskFailed`` match
neither ``States.Runtime`` nor ``States.DataLimitExceeded``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from local.stepfunctions.errors import DATA_LIMIT, RUNTIME, TASK_FAILED, TIMEOUT, StateFailed

UNCATCHABLE = frozenset({RUNTIME, DATA_LIMIT})


def matches(error_equals: Sequence[str], failure: StateFailed) -> bool:
    """Whether a list of ErrorEquals answers a failure."""
    names = {failure.error, *failure.also}
    if names & set(error_equals):
        return True
    if failure.error in UNCATCHABLE:
        return False
    return "States.ALL" in error_equals or (TASK_FAILED in error_equals and failure.error != TIMEOUT)


def first_match(handlers: Sequence[Mapping[str, Any]], failure: StateFailed) -> Mapping[str, Any] | None:
    """Return the first retrier or catcher that answers a failure."""
    return next((handler for handler in handlers if matches(handler["ErrorEquals"], failure)), None)


class Retries:
    """The attempts that one visit of a state has used, retrier by retrier."""

    def __init__(self, retriers: Sequence[Mapping[str, Any]]) -> None:
        self._retriers = retriers
        self._used: Counter[int] = Counter()

    @property
    def count(self) -> int:
        """Attempts after the first one: ``$states.context.State.RetryCount``."""
        return self._used.total()

    def delay(self, failure: StateFailed) -> float | None:
        """Use up an attempt and return its wait in definition seconds; None when there is none left."""
        retrier = first_match(self._retriers, failure)
        if retrier is None:
            return None
        attempt = self._used[id(retrier)]
        if attempt >= retrier.get("MaxAttempts", 3):
            return None
        self._used[id(retrier)] += 1
        return _delay(retrier, attempt)


def _delay(retrier: Mapping[str, Any], attempt: int) -> float:
    seconds: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** attempt
    seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
    return random.uniform(0, seconds) if retrier.get("JitterStrategy") == "FULL" else seconds
