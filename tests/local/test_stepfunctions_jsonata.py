"""Expressions are evaluated as Step Functions evaluates them."""

from __future__ import annotations

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.cloud import Cloud
from local.stepfunctions.errors import StateFailed
from local.stepfunctions.jsonata import evaluate, fill
from tests.local.conftest import Vanilla
from tests.local.machines import create, ended, outcome, run, start

AWKWARD = 'it\'s "quoted",\nnewlined, \\ and üñí😀 {% $x %}'


def value_of(expression: str, **bindings: Any) -> Any:
    return evaluate("{% " + expression + " %}", "Output", bindings)


def test_values_survive_whatever_they_hold(cloud: Cloud) -> None:
    states = {
        "Keep": {"Type": "Pass", "Assign": {"kept": "{% $states.input.text %}"}, "Next": "Show"},
        "Show": {
            "Type": "Pass",
            "Output": {"variable": "{% $kept %}", "input": "{% $states.input.text %}"},
            "End": True,
        },
    }
    assert run(cloud, states, {"text": AWKWARD}).output == {"variable": AWKWARD, "input": AWKWARD}


def test_vanilla_moto_evaluates_no_jsonata(vanilla: Vanilla) -> None:
    states = {"Show": {"Type": "Pass", "Output": "{% 1 + 1 %}", "End": True}}
    assert outcome(vanilla, states) != 2


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$x[$ > 2]", [3, 4]),
        ("[$x[$ > 3]]", [4]),
        ("24 / 2 / 3", 4),
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ("$hash('text', 'SHA-256')", hashlib.sha256(b"text").hexdigest()),
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(0, 1, 0.5)", [0, 0.5, 1]),
        ("$range(10, 4, -3)", [10, 7, 4]),
        ("$random(7) = $random(7)", True),
        ("$states.input.none", None),
        ("$none = null", True),
        ("$exists($states.input.missing)", False),
        ("[1..3]", [1, 2, 3]),
        ("$map($x, function($v) { $v * 2 })", [2, 4, 6, 8]),
        ("{'gone': $states.input.missing, 'kept': 1}", {"kept": 1}),
    ],
)
def test_expressions(expression: str, expected: Any) -> None:
    bindings = {"x": [1, 2, 3, 4], "none": None, "states": {"input": {"none": None}}}
    assert value_of(expression, **bindings) == expected


def test_uuid_is_one() -> None:
    assert uuid.UUID(value_of("$uuid()")).version == 4


def test_evaluation_does_not_change_what_it_reads() -> None:
    state = {"input": {"list": [1, None], "object": {"a": None}}}
    fill({"all": "{% $states.input %}"}, "Output", {"states": state})
    assert state == {"input": {"list": [1, None], "object": {"a": None}}}


@pytest.mark.parametrize(
    ("expression", "cause"),
    [
        ("$states.input.missing", "returned nothing (undefined)"),
        ("$unknown", "returned nothing (undefined)"),
        ("1 + 'a'", "threw an error during evaluation"),
        ("function($a) { $a }", "unsupported result type"),
        ("$eval('1')", "$eval is not supported"),
        ("$hash('a', 'CRC')", "CRC"),
    ],
)
def test_a_failed_expression_names_itself_and_its_field(expression: str, cause: str) -> None:
    with pytest.raises(StateFailed) as caught:
        value_of(expression, states={"input": {}})
    assert caught.value.error == "States.QueryEvaluationError"
    assert cause in caught.value.cause
    assert "'Output'" in caught.value.cause


def test_an_undefined_field_fails_the_execution_and_says_where(cloud: Cloud) -> None:
    end = run(cloud, {"Show": {"Type": "Pass", "Output": {"a": {"b": "{% $states.input.missing %}"}}, "End": True}})
    error, cause = end.failure
    assert (end.status, error) == ("FAILED", "States.QueryEvaluationError")
    assert cause is not None
    assert "the state 'Show' (entered at the event id #2)" in cause
    assert "'Output/a/b' returned nothing (undefined)" in cause
    (event,) = end.events("EvaluationFailed")
    assert event["evaluationFailedEventDetails"]["location"] == "Output/a/b"


def test_many_executions_evaluate_at_once(cloud: Cloud) -> None:
    states = {
        "Show": {
            "Type": "Pass",
            "Output": "{% $map([1..50], function($v) { $v * $states.input.n })[49] %}",
            "End": True,
        }
    }
    machine = create(cloud, states)
    with ThreadPoolExecutor(8) as pool:
        executions = list(pool.map(lambda n: start(cloud, machine, {"n": n}), range(1, 17)))
        outputs = list(pool.map(lambda execution: ended(cloud, execution).output, executions))
    assert outputs == [50 * n for n in range(1, 17)]
