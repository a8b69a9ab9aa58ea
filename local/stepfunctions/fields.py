"""The fields of the Amazon States Language in JSONata mode, and what can be read from them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local.stepfunctions.jsonata import is_expression

MACHINE_FIELDS = frozenset({"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"})
_COMMON = {"Type", "Comment", "QueryLanguage"}
_FLOW = {*_COMMON, "Assign", "Output", "Next", "End"}
_GUARDED = {*_FLOW, "Retry", "Catch"}

STATE_FIELDS: dict[str, frozenset[str]] = {
    "Task": frozenset({*_GUARDED, "Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds"}),
    "Pass": frozenset(_FLOW),
    "Choice": frozenset({*_COMMON, "Assign", "Output", "Choices", "Default"}),
    "Wait": frozenset({*_FLOW, "Seconds", "Timestamp"}),
    "Succeed": frozenset({*_COMMON, "Output"}),
    "Fail": frozenset({*_COMMON, "Error", "Cause"}),
    "Parallel": frozenset({*_GUARDED, "Branches", "Arguments"}),
    "Map": frozenset({*_GUARDED, "Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"}),
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "Task": ("Resource",),
    "Pass": (),
    "Choice": ("Choices",),
    "Wait": (),
    "Succeed": (),
    "Fail": (),
    "Parallel": ("Branches",),
    "Map": ("ItemProcessor",),
}
RULE_FIELDS = frozenset({"Condition", "Next", "Assign", "Output", "Comment"})
CATCHER_FIELDS = frozenset({"ErrorEquals", "Next", "Assign", "Output", "Comment"})
RETRIER_FIELDS = frozenset(
    {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment"}
)
JSONPATH_FIELDS = frozenset(
    {
        *("InputPath", "OutputPath", "Parameters", "ResultPath", "ResultSelector", "Result", "Variable"),
        *("SecondsPath", "TimestampPath", "TimeoutSecondsPath", "HeartbeatSecondsPath", "ItemsPath", "Iterator"),
        *("ErrorPath", "CausePath", "MaxConcurrencyPath"),
    }
)
# The fields that may hold expressions.
TEMPLATES = frozenset(
    {
        *("Arguments", "Assign", "Output", "Condition", "Seconds", "Timestamp", "Error", "Cause"),
        *("Items", "ItemSelector", "MaxConcurrency", "TimeoutSeconds", "HeartbeatSeconds"),
    }
)
ERROR_NAMES = (
    *("States.ALL", "States.TaskFailed", "States.Timeout", "States.HeartbeatTimeout", "States.Permissions"),
    *("States.BranchFailed", "States.NoChoiceMatched", "States.QueryEvaluationError", "States.Runtime"),
    *("States.DataLimitExceeded", "States.ExceedToleratedFailureThreshold", "States.ItemReaderFailed"),
    "States.ResultWriterFailed",
)

Report = Callable[[str, str], Any]


def targets(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, name) for every state that this one may lead to."""
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for group in ("Choices", "Catch"):
        for index, item in enumerate(state.get(group) or []):
            if "Next" in item:
                yield f"{group}[{index}]/Next", item["Next"]


def unreachable(definition: Mapping[str, Any], states: Mapping[str, Any]) -> list[str]:
    """Return the states that no way from StartAt leads to."""
    found: set[str] = set()
    ahead = [str(definition.get("StartAt"))]
    while ahead:
        name = ahead.pop()
        if name in states and name not in found:
            found.add(name)
            ahead.extend(target for _, target in targets(states[name]))
    return [name for name in states if name not in found]


def assigned_by(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield the variables that a state, its choice rules and its catchers assign."""
    for holder in (state, *(state.get("Choices") or []), *(state.get("Catch") or [])):
        yield from holder.get("Assign") or {}


def assigned_names(states: Mapping[str, Any]) -> frozenset[str]:
    """Return the variables that a workflow assigns, its inner workflows' apart."""
    return frozenset(name for state in states.values() if isinstance(state, Mapping) for name in assigned_by(state))


def positive_integer(holder: Mapping[str, Any], field: str, where: str, report: Report) -> Iterator[Any]:
    """Yield a report when a field is there and is neither a positive integer nor an expression."""
    value = holder.get(field)
    if value is None or is_expression(value):
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        yield report(f'The field "{field}" must be a positive integer, but was {value!r}', where)


def retry_numbers(retrier: Mapping[str, Any], where: str, report: Report) -> Iterator[Any]:
    """Yield a report for each number of a retrier that is out of its limits."""
    for field, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("BackoffRate", 1), ("MaxDelaySeconds", 1)):
        value = retrier.get(field, least)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
            yield report(f'The field "{field}" must be a number of at least {least}, but was {value!r}', where)
    if retrier.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
        yield report(f'The field "JitterStrategy" must be FULL or NONE, but was {retrier["JitterStrategy"]!r}', where)
