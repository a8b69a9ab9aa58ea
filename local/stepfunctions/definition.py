"""What AWS refuses in a definition when a machine is created, and where.

The checks of CreateStateMachine and ValidateStateMachineDefinition for JSONata
workflows. ``location`` is a path in the definition: ``/States/Train/Next``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.stepfunctions import fields, tasks
from local.stepfunctions.fields import JSONPATH_FIELDS, STATE_FIELDS, TEMPLATES
from local.stepfunctions.jsonata import is_expression, parse
from local.stepfunctions.tasks.resource import parse as parse_resource

MAX_NAME = 80
SCHEMA, TARGET, EXPRESSION = "SCHEMA_VALIDATION_FAILED", "MISSING_TRANSITION_TARGET", "INVALID_JSONATA_EXPRESSION"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: its code, what is wrong, and where."""

    code: str
    message: str
    location: str


Problems = Iterator[Problem]


def errors_of(text: str) -> list[Problem]:
    """Return every mistake of a definition, in reading order."""
    try:
        definition = json.loads(text)
    except ValueError as error:
        return [Problem(code="INVALID_JSON_DESCRIPTION", message=f"Invalid JSON: {error}", location="/")]
    if not isinstance(definition, Mapping):
        return [_schema("The definition must be a JSON object", "/")]
    return list(_machine(definition))


def _schema(message: str, location: str) -> Problem:
    return Problem(code=SCHEMA, message=message, location=location or "/")


def _machine(definition: Mapping[str, Any]) -> Problems:
    if definition.get("QueryLanguage") != "JSONata":
        yield _schema('The laptop cloud runs machines whose "QueryLanguage" is "JSONata" at the top level', "/")
        return
    yield from _unknown(definition, fields.MACHINE_FIELDS, "")
    yield from fields.positive_integer(definition, "TimeoutSeconds", "", _schema)
    yield from _workflow(definition, "", set(), frozenset())


def _workflow(definition: Any, path: str, names: set[str], outer: frozenset[str]) -> Problems:
    """Check a ``{StartAt, States}``: the machine, a branch or an item processor."""
    states = definition.get("States") if isinstance(definition, Mapping) else None
    if not isinstance(states, Mapping) or not states:
        yield _schema('The field "States" must be an object with at least one state', path)
        return
    if definition.get("StartAt") not in states:
        message = f"Missing 'StartAt' target: {definition.get('StartAt')}"
        yield Problem(code=TARGET, message=message, location=f"{path}/StartAt")
    inner = outer | fields.assigned_names(states)
    for name, state in states.items():
        where = f"{path}/States/{name}"
        yield from _name(name, names, where)
        if isinstance(state, Mapping) and state.get("Type") in STATE_FIELDS:
            yield from _state(state, where, states, names, outer, inner)
        else:
            yield _schema(f'The field "Type" must be one of {", ".join(STATE_FIELDS)}', f"{where}/Type")
    for name in fields.unreachable(definition, states):
        yield Problem(code=TARGET, message=f'State "{name}" is not reachable.', location=f"{path}/States/{name}")


def _name(name: str, names: set[str], where: str) -> Problems:
    if len(name) > MAX_NAME:
        yield _schema(f"A state's name has at most {MAX_NAME} characters, but this one has {len(name)}", where)
    if name in names:
        yield Problem(code="DUPLICATE_STATE_NAME", message=f"Duplicate state name: {name}", location=where)
    names.add(name)


def _state(
    state: Mapping[str, Any],
    where: str,
    states: Mapping[str, Any],
    names: set[str],
    outer: frozenset[str],
    inner: frozenset[str],
) -> Problems:
    kind = state["Type"]
    yield from _unknown(state, STATE_FIELDS[kind], where)
    for field in fields.REQUIRED[kind]:
        if field not in state:
            yield _schema(f'The field "{field}" is required but was missing', where)
    yield from _transitions(state, where, states)
    yield from _expressions(state, where)
    yield from _handlers(state, where)
    yield from _assigned(state, where, outer)
    yield from _particular(state, where, names, inner)


def _unknown(holder: Mapping[str, Any], allowed: frozenset[str], where: str) -> Problems:
    for field in holder:
        if field in allowed:
            continue
        if field in JSONPATH_FIELDS:
            yield _schema(f'The field "{field}" is not supported when "QueryLanguage" is "JSONata"', where)
        else:
            expected = ", ".join(sorted(allowed))
            yield _schema(f'The field "{field}" is not supported by Step Functions; expected one of {expected}', where)


def _transitions(state: Mapping[str, Any], where: str, states: Mapping[str, Any]) -> Problems:
    if "Next" in STATE_FIELDS[state["Type"]] and ("Next" in state) == (state.get("End") is True):
        yield _schema('Exactly one of "Next" and "End": true is required', where)
    for field, target in fields.targets(state):
        if target not in states:
            name = field.rsplit("/", 1)[-1]
            yield Problem(code=TARGET, message=f"Missing '{name}' target: {target}", location=f"{where}/{field}")


def _expressions(state: Mapping[str, Any], where: str) -> Problems:
    for field in TEMPLATES & state.keys():
        yield from _template(state[field], f"{where}/{field}")
    for group in ("Choices", "Catch"):
        for index, item in enumerate(state.get(group) or []):
            for field in TEMPLATES & item.keys():
                yield from _template(item[field], f"{where}/{group}[{index}]/{field}")


def _template(value: Any, where: str) -> Problems:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key.endswith(".$"):
                yield _schema(f'The field "{key}" ends with ".$", which JSONata states do not have', where)
            yield from _template(item, f"{where}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _template(item, f"{where}[{index}]")
    elif is_expression(value):
        try:
            parse(value)
        except ValueError as error:
            yield Problem(code=EXPRESSION, message=str(error), location=where)
    elif isinstance(value, str) and (value.strip().startswith("{%") or value.strip().endswith("%}")):
        message = (
            f"A JSONata expression begins with '{{%' and ends with '%}}', with nothing around it, but was {value!r}"
        )
        yield Problem(code=EXPRESSION, message=message, location=where)


def _handlers(state: Mapping[str, Any], where: str) -> Problems:
    for group, allowed in (("Retry", fields.RETRIER_FIELDS), ("Catch", fields.CATCHER_FIELDS)):
        handlers = state.get(group) or []
        for index, handler in enumerate(handlers):
            place = f"{where}/{group}[{index}]"
            yield from _unknown(handler, allowed, place)
            yield from _error_equals(handler.get("ErrorEquals"), place, index == len(handlers) - 1)
            yield from fields.retry_numbers(handler, place, _schema)
            if group == "Catch" and "Next" not in handler:
                yield _schema('The field "Next" is required but was missing', place)


def _error_equals(names: Any, where: str, last: bool) -> Problems:
    if not isinstance(names, list) or not names:
        yield _schema('The field "ErrorEquals" must be a list with at least one error name', where)
        return
    for name in names:
        if str(name).startswith("States.") and name not in fields.ERROR_NAMES:
            yield _schema(
                f'"{name}" is no error name of Step Functions; expected one of {", ".join(fields.ERROR_NAMES)}', where
            )
    if "States.ALL" in names and (len(names) > 1 or not last):
        yield _schema('"States.ALL" must stand alone in its "ErrorEquals", and in the last of them', where)


def _assigned(state: Mapping[str, Any], where: str, outer: frozenset[str]) -> Problems:
    for name in fields.assigned_by(state):
        if name == "states" or not name.isidentifier() or len(name) > MAX_NAME:
            yield _schema(f'"{name}" is no name for a variable', f"{where}/Assign")
        elif name in outer:
            message = f'The variable "{name}" belongs to an outer workflow and cannot be assigned here'
            yield _schema(message, f"{where}/Assign")


def _particular(state: Mapping[str, Any], where: str, names: set[str], inner: frozenset[str]) -> Problems:
    kind = state["Type"]
    if kind == "Task":
        yield from _task(state, where)
    elif kind == "Wait" and ("Seconds" in state) == ("Timestamp" in state):
        yield _schema('Exactly one of "Seconds" and "Timestamp" is required', where)
    elif kind == "Choice":
        yield from _choices(state.get("Choices"), where)
    elif kind == "Parallel":
        for index, branch in enumerate(state.get("Branches") or []):
            yield from _workflow(branch, f"{where}/Branches[{index}]", names, inner)
    elif kind == "Map":
        processor = state.get("ItemProcessor") or {}
        if processor.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE":
            yield _schema("The laptop cloud runs inline Maps only", f"{where}/ItemProcessor/ProcessorConfig/Mode")
        yield from _workflow(processor, f"{where}/ItemProcessor", names, inner)


def _task(state: Mapping[str, Any], where: str) -> Problems:
    try:
        resource = parse_resource(str(state.get("Resource")))
        integration = tasks.find(resource)
    except ValueError as error:
        yield _schema(str(error), f"{where}/Resource")
        return
    for place, message in integration.check(resource.action, state.get("Arguments", {}), f"{where}/Arguments"):
        yield _schema(message, place)
    for field in ("TimeoutSeconds", "HeartbeatSeconds"):
        yield from fields.positive_integer(state, field, where, _schema)


def _choices(choices: Any, where: str) -> Problems:
    if not isinstance(choices, list) or not choices:
        yield _schema('The field "Choices" must be a list with at least one rule', where)
        return
    for index, rule in enumerate(choices):
        place = f"{where}/Choices[{index}]"
        yield from _unknown(rule, fields.RULE_FIELDS, place)
        for field in ("Condition", "Next"):
            if field not in rule:
                yield _schema(f'The field "{field}" is required but was missing', place)
        condition = rule.get("Condition")
        if condition is not None and not isinstance(condition, bool) and not is_expression(condition):
            yield _schema('The field "Condition" must be a boolean or a JSONata expression', place)
