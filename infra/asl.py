"""Amazon States Language in JSONata, as plain dictionaries: the words that the steps are written in.

A state is written once, in one place, with literal argument names: a misspelt
field is refused when the machine is created, not in the middle of a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

State = dict[str, Any]

LAMBDA_ERRORS = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
)
"""What AWS recommends to retry: none of them is raised by a handler."""

ASKED = (
    "($own := function($event) {"
    " $exists($event.detail.executionArn) ? $own($parse($event.detail.input)) : $event };"
    " $own($states.input))"
)
"""What was asked of an execution: its input, or, where that is the event of another's end, what that one was asked."""

FOLLOWED = (
    "($asked := $parse($states.input.detail.input);"
    " $exists($asked.detail.executionArn) ? $asked.detail.executionArn : $states.input.detail.executionArn)"
)
"""Of an execution whose input is the event of another's end: the one that the other was to put right, or the other."""


def machine(*, comment: str, timeout_seconds: int, states: Mapping[str, State]) -> dict[str, Any]:
    """Return a whole definition; the first state starts.

    Raises:
        ValueError: for a transition to a state that is not there, or a state
            that no transition reaches.
    """
    start = next(iter(states))
    reached = {start} | {target for state in states.values() for target in targets(state)}
    if unknown := reached - set(states):
        raise ValueError(f"no such states: {sorted(unknown)}; there are {sorted(states)}")
    if orphans := set(states) - reached:
        raise ValueError(f"no transition reaches {sorted(orphans)}")
    return {
        "Comment": comment,
        "QueryLanguage": "JSONata",
        "StartAt": start,
        "TimeoutSeconds": timeout_seconds,
        "States": dict(states),
    }


def targets(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield every state that may follow ``state``."""
    for rule in (state, *state.get("Choices", ()), *state.get("Catch", ())):
        yield from (rule[key] for key in ("Next", "Default") if key in rule)


def task(
    resource: str,
    arguments: Any,
    *,
    then: str | None,
    seconds: int | str,
    retry: Sequence[Mapping[str, Any]],
    assign: Mapping[str, Any] | None = None,
    output: Any = None,
    catch: Sequence[Mapping[str, Any]] = (),
) -> State:
    """Return a Task.

    Args:
        resource: what to call, after ``arn:aws:states:::``.
        arguments: the call's arguments.
        then: the next state; None ends the execution.
        seconds: longest time one attempt may take.
        retry: rules from :func:`transient`.
        assign: variables set from ``$states.result``.
        output: what the state shows, and hands to the next; default the whole result.
        catch: rules from :func:`caught`.
    """
    state: State = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Arguments": arguments,
        "TimeoutSeconds": seconds,
        "Retry": list(retry),
    }
    optional = {"Assign": assign, "Output": output, "Catch": list(catch) or None}
    state |= {name: value for name, value in optional.items() if value is not None}
    return state | ({"Next": then} if then else {"End": True})


def invoke(
    function: str,
    payload: Any,
    *,
    then: str | None,
    seconds: int,
    retry: Sequence[Mapping[str, Any]] = (),
    assign: Mapping[str, Any] | None = None,
    output: Any = "{% $states.result.Payload %}",
    catch: Sequence[Mapping[str, Any]] = (),
) -> State:
    """Return a Task that calls a Lambda function and shows what it returned; ``retry`` is for errors of its own."""
    return task(
        "lambda:invoke",
        {"FunctionName": function, "Payload": payload},
        then=then,
        seconds=seconds,
        retry=[*retry, transient(*LAMBDA_ERRORS)],
        assign=assign,
        output=output,
        catch=catch,
    )


def transient(*errors: str, first: int = 2, longest: int = 60, times: int = 5) -> dict[str, Any]:
    """Return a Retry rule with jitter, for errors that pass by themselves.

    Args:
        errors: names of the errors.
        first: seconds before the first retry, doubled for each next one.
        longest: most seconds between two attempts.
        times: number of retries.
    """
    return {
        "ErrorEquals": list(errors),
        "IntervalSeconds": first,
        "BackoffRate": 2,
        "MaxDelaySeconds": longest,
        "MaxAttempts": times,
        "JitterStrategy": "FULL",
    }


def caught(*errors: str, then: str, assign: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a Catch rule; ``assign`` may use ``$states.errorOutput``."""
    return {"ErrorEquals": list(errors), "Next": then} | ({"Assign": dict(assign)} if assign else {})


def choice(*rules: Mapping[str, Any], otherwise: str, assign: Mapping[str, Any] | None = None) -> State:
    """Return a Choice; ``assign`` is for the way ``otherwise``."""
    state: State = {"Type": "Choice", "Choices": list(rules), "Default": otherwise}
    return state | ({"Assign": dict(assign)} if assign else {})


def when(condition: str, then: str, assign: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return one rule of a Choice; ``condition`` is JSONata without its brackets."""
    return {"Condition": expression(condition), "Next": then} | ({"Assign": dict(assign)} if assign else {})


def wait(seconds: int | str, *, then: str) -> State:
    """Return a Wait; ``seconds`` is a number or an expression of one."""
    return {"Type": "Wait", "Seconds": seconds, "Next": then}


def each(
    items: str,
    states: Mapping[str, State],
    *,
    then: str | None,
    catch: Sequence[Mapping[str, Any]] = (),
    at_once: int = 5,
) -> State:
    """Return a Map that runs some states, from the first on, for each of ``items`` (JSONata code), its input."""
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": next(iter(states)), "States": dict(states)}
    mapped: State = {"Type": "Map", "Items": expression(items), "MaxConcurrency": at_once, "ItemProcessor": processor}
    mapped |= {"Output": {}} | ({"Catch": list(catch)} if catch else {})
    return mapped | ({"Next": then} if then else {"End": True})


def expression(code: str) -> str:
    """Return ``code`` in JSONata's brackets."""
    return "{% " + code + " %}"


def code(template: Any) -> str:
    """Return the JSONata code of an argument template, for use inside a larger expression."""
    if isinstance(template, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {code(value)}" for key, value in template.items()) + "}"
    if isinstance(template, (list, tuple)):
        return "[" + ", ".join(code(item) for item in template) + "]"
    if isinstance(template, str) and template.startswith("{%"):
        return f"({template[2:-2].strip()})"
    return json.dumps(template)
