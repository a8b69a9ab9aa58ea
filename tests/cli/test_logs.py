"""A function's log streams are shared by all runs; a run is shown its own invocations."""

from __future__ import annotations

from typing import Any

from cli.commands.logs import of_invocations


def event(stream: str, message: str) -> dict[str, Any]:
    return {"timestamp": 0, "logStreamName": stream, "message": message}


def test_only_the_lines_of_the_runs_own_invocations_are_shown() -> None:
    events = [
        event("a", "the end of an earlier one"),
        event("a", "START RequestId: mine Version: 1"),
        event("b", "START RequestId: other Version: 1"),
        event("a", "planned"),
        event("b", "planned too"),
        event("a", "END RequestId: mine"),
        event("a", "REPORT RequestId: mine\tDuration: 3 ms"),
        event("a", "START RequestId: next Version: 1"),
        event("a", "Traceback of another run"),
        event("b", "START RequestId: again Version: 1"),
        event("b", "my retry"),
    ]
    shown = [each["message"] for each in of_invocations(events, ("mine", "again"))]
    assert shown == [
        "START RequestId: mine Version: 1", "planned", "END RequestId: mine", "REPORT RequestId: mine\tDuration: 3 ms",
        "START RequestId: again Version: 1", "my retry",
    ]  # fmt: skip
