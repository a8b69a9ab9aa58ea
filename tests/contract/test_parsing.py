"""Plain data to dataclasses: what is taken, and with which words the rest is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from contract.errors import MAX_SHOWN, InvalidConfig, nearest
from contract.parsing import describe, from_strings, parse, setting, to_dict


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = setting("Size.", minimum=1, maximum=9)


@dataclass(frozen=True, kw_only=True)
class Sample:
    count: int = setting("Count.", default=5, minimum=1, maximum=10)
    share: float = setting("Share.", default=0.5, minimum=0.0)
    limit: float | None = setting("Limit.", default=None, maximum=1.0)
    mode: str = setting("Mode.", default="fast", choices=("fast", "slow"))
    machine: str = setting("Machine.", default="ml.m5.large", pattern=r"ml\.[a-z0-9]+\.[a-z0-9]+")
    flag: bool = setting("Flag.", default=False)
    names: tuple[str, ...] = setting("Names.", default=(), maximum=2, pattern="[a-z]+")
    sizes: tuple[int, ...] = setting("Sizes.", default=())
    steps: dict[str, float] = setting("Steps.", default_factory=dict, minimum=0.1)
    inner: Inner = setting("Inner.", default=Inner(size=1))
    many: tuple[Inner, ...] = setting("Many.", default=())
    extra: Any = setting("Extra.", default=None)


@dataclass(frozen=True, kw_only=True)
class Required:
    name: str = setting("Name.", choices=("a", "b"))


@dataclass(frozen=True, kw_only=True)
class Machines:
    machine: str = setting("Machine.", pattern=r"ml[.].+", examples=("ml.m5.large", "ml.g5.xlarge", "ml.g5.2xlarge"))


def refusal(data: Any, path: str = "sample") -> InvalidConfig:
    with pytest.raises(InvalidConfig) as refused:
        parse(Sample, data, path)
    return refused.value


@pytest.mark.parametrize(
    ("data", "path", "value", "allowed"),
    [
        ({"count": "5"}, "sample.count", "5", "an integer from 1 to 10"),
        ({"count": 5.0}, "sample.count", 5.0, "an integer from 1 to 10"),
        ({"count": True}, "sample.count", True, "an integer from 1 to 10"),
        ({"count": None}, "sample.count", None, "an integer from 1 to 10"),
        ({"count": 0}, "sample.count", 0, "an integer from 1 to 10"),
        ({"count": 11}, "sample.count", 11, "an integer from 1 to 10"),
        ({"count": 10**400}, "sample.count", 10**400, "an integer from 1 to 10"),
        ({"share": -0.1}, "sample.share", -0.1, "a number of at least 0"),
        ({"share": float("nan")}, "sample.share", None, "a number of at least 0"),
        ({"share": float("inf")}, "sample.share", float("inf"), "a number of at least 0"),
        ({"share": 10**400}, "sample.share", 10**400, "a number of at least 0"),
        ({"share": False}, "sample.share", False, "a number of at least 0"),
        ({"limit": 1.5}, "sample.limit", 1.5, "a number of at most 1"),
        ({"mode": "quick"}, "sample.mode", "quick", "one of 'fast', 'slow'"),
        ({"mode": 1}, "sample.mode", 1, "one of 'fast', 'slow'"),
        ({"machine": "m5.large"}, "sample.machine", "m5.large", r"a string that matches ml\.[a-z0-9]+\.[a-z0-9]+"),
        ({"machine": "ml.m5.large\n"}, "sample.machine", "ml.m5.large\n", r"a string that matches ml\."),
        ({"flag": 1}, "sample.flag", 1, "true or false"),
        ({"flag": "true"}, "sample.flag", "true", "true or false"),
        ({"names": "ab"}, "sample.names", "ab", "a list of at most 2 items, each a string that matches [a-z]+"),
        ({"names": ["a", "b", "c"]}, "sample.names", ["a", "b", "c"], "a list of at most 2 items"),
        ({"names": ["a", "B"]}, "sample.names[1]", "B", "a string that matches [a-z]+"),
        ({"names": {"a": 1}}, "sample.names", {"a": 1}, "a list"),
        ({"sizes": [1, 2.5]}, "sample.sizes[1]", 2.5, "an integer"),
        ({"steps": []}, "sample.steps", [], "a table, each value a number of at least 0.1"),
        ({"steps": {"a": 0}}, "sample.steps.a", 0, "a number of at least 0.1"),
        ({"inner": 5}, "sample.inner", 5, "a table of settings"),
        ({"inner": {}}, "sample.inner.size", None, "an integer from 1 to 9"),
        ({"many": [{"size": 1}, {"size": 10}]}, "sample.many[1].size", 10, "an integer from 1 to 9"),
        ({"inner": {"size": 1, "sise": 2}}, "sample.inner", "sise", "one of size"),
    ],
)
def test_a_mistake_is_refused_with_path_value_and_what_is_allowed(
    data: dict[str, Any], path: str, value: Any, allowed: str
) -> None:
    error = refusal(data)
    assert error.path == path
    assert value is None or error.value == value
    assert error.allowed.startswith(allowed)
    assert str(error).startswith(f"{path}: ")
    assert allowed in str(error)


def test_values_within_their_limits_are_taken() -> None:
    data = {
        "count": 10,
        "share": 1,
        "limit": None,
        "machine": "ml.g5.xlarge",
        "names": ["a", "b"],
        "steps": {"a": 0.1},
        "many": [{"size": 9}],
        "extra": {"any": ["thing"]},
    }
    sample = parse(Sample, data)
    assert (sample.count, sample.limit, sample.names, sample.many) == (10, None, ("a", "b"), (Inner(size=9),))
    assert isinstance(sample.share, float)
    assert sample.extra == {"any": ["thing"]}


def test_an_unknown_key_gets_the_nearest_valid_one() -> None:
    error = refusal({"cuont": 3})
    assert (error.path, error.value) == ("sample", "cuont")
    assert error.hint == "Did you mean 'count'?"
    assert "extra, flag" in error.allowed


def test_an_unknown_choice_gets_the_nearest_valid_one() -> None:
    assert refusal({"mode": "slov"}).hint == "Did you mean 'slow'?"


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_anything_but_a_table_is_refused(data: Any) -> None:
    assert refusal(data, "").path == "(top level)"
    assert refusal(data).allowed == "a table of settings"


def test_a_required_setting_is_named_when_it_is_absent() -> None:
    with pytest.raises(
        InvalidConfig, match=r"sample\.name: nothing is not allowed; expected one of 'a', 'b'. It is req"
    ):
        parse(Required, {}, "sample")


def test_hyperparameters_are_read_from_text() -> None:
    strings = {"count": "7", "share": "1e-1", "flag": "true", "mode": "slow", "names": '["a"]', "steps": '{"a": 2}'}
    sample = from_strings(Sample, strings)
    assert (sample.count, sample.share, sample.flag, sample.mode) == (7, 0.1, True, "slow")
    assert (sample.names, sample.steps) == (("a",), {"a": 2.0})


@pytest.mark.parametrize("text", ["seven", "7.5", '"7"', "NaN", "Infinity", "null", ""])
def test_a_hyperparameter_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match="count"):
        from_strings(Sample, {"count": text})


def test_text_stays_text_even_if_it_looks_like_json() -> None:
    with pytest.raises(InvalidConfig, match=r"mode: '1' is not allowed; expected one of 'fast', 'slow'"):
        from_strings(Sample, {"mode": "1"})


def test_to_dict_and_parse_are_inverse() -> None:
    sample = parse(Sample, {"names": ["x"], "many": [{"size": 2}], "steps": {"a": 1}})
    assert parse(Sample, to_dict(sample)) == sample
    assert to_dict(sample)["many"] == [{"size": 2}]


def test_what_is_allowed_reads_as_a_phrase() -> None:
    assert describe(int, {"minimum": 1, "maximum": 1_048_576}) == "an integer from 1 to 1048576"
    assert describe(tuple[str, ...], {"minimum": 1}) == "a list of at least 1 items, each a string"
    assert describe(float | None, {}) == "a number"


def test_a_huge_value_does_not_make_a_huge_message() -> None:
    error = refusal({"mode": "x" * 1_000_000})
    assert len(str(error)) < MAX_SHOWN + 100
    assert error.hint == ""


@pytest.mark.parametrize(
    ("name", "hint"), [("lable", "Did you mean 'label'?"), ("zzz", ""), ("l" * 10_000, ""), ("", "")]
)
def test_nearest_names_only_what_is_near(name: str, hint: str) -> None:
    assert nearest(name, ["label", "weight"]) == hint


def test_a_text_of_another_form_is_shown_an_example_and_the_nearest() -> None:
    with pytest.raises(InvalidConfig) as refused:
        parse(Machines, {"machine": "g5.2xlarg"}, "train")
    assert refused.value.allowed == "a string like 'ml.m5.large'"
    assert refused.value.hint == "Did you mean 'ml.g5.2xlarge'?"
