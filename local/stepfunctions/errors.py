"""How a state, or a whole execution, ends other than well.

StateFailed      an error name and cause that Retry and Catch may handle
Interrupted      the flow must end now; nothing in a definition can catch it
├── Aborted      StopExecution
├── TimedOut     the machine's TimeoutSeconds
└── Cancelled    a sibling branch failed, or the laptop cloud stops
"""

from __future__ import annotations

RUNTIME = "States.Runtime"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
TASK_FAILED = "States.TaskFailed"
QUERY_EVALUATION = "States.QueryEvaluationError"
DATA_LIMIT = "States.DataLimitExceeded"
NO_CHOICE = "States.NoChoiceMatched"
BRANCH_FAILED = "States.BranchFailed"


class StateFailed(Exception):
    """A state's failure, as ``$states.errorOutput`` will show it.

    Args:
        error: error name, e.g. ``States.TaskFailed``.
        cause: text for people; often JSON.
        also: other names that ErrorEquals may use for the same failure.
        location: the field whose expression failed, e.g. ``Arguments/Key``.
    """

    def __init__(self, error: str, cause: str, *, also: frozenset[str] = frozenset(), location: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause, self.also, self.location = error, cause, also, location

    @property
    def output(self) -> dict[str, str]:
        """The value of ``$states.errorOutput``."""
        return {"Error": self.error, "Cause": self.cause}


class Interrupted(Exception):
    """The flow must end now."""


class Aborted(Interrupted):
    """StopExecution, with the error and cause it was given."""

    def __init__(self, error: str | None = None, cause: str | None = None) -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


class TimedOut(Interrupted):
    """The machine's TimeoutSeconds has passed."""


class Cancelled(Interrupted):
    """A sibling branch failed, or the laptop cloud stops."""
