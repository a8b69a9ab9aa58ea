"""What a search proposes, within its ranges and by its strategy, and which training jobs it stops."""

from __future__ import annotations

from typing import Any

import pytest

from local.sagemaker.tuning_search import Proposal, Resource, Search
from local.sagemaker.tuning_space import Parameter, parameters

X = Parameter(name="x", kind="Continuous", low=0.0, high=1.0, scaling="Linear")


def make(**more: Any) -> Search:
    options: dict[str, Any] = {
        "name": "search", "strategy": "Random", "spaces": {"": [X]}, "maximise": True, "jobs": 20, "seed": 3,
    }  # fmt: skip
    return Search(**{**options, **more})


def values(search: Search, count: int) -> list[float]:
    """Train ``count`` times, with x as the objective, and return the x."""
    found = []
    for _ in range(count):
        proposal = search.propose()
        found.append(float(proposal.values["x"]))
        search.tell(proposal.number, found[-1], stopped=False)
    return found


def run(search: Search, curve: list[float]) -> tuple[Proposal, int]:
    """Train one job whose objective goes along ``curve``; return it and how many values it gave before it stopped."""
    proposal = search.propose()
    for epoch, value in enumerate(curve, 1):
        if search.report(proposal.number, value):
            search.tell(proposal.number, value, stopped=True)
            return proposal, epoch
    search.tell(proposal.number, curve[-1], stopped=False)
    return proposal, len(curve)


@pytest.mark.parametrize(
    ("scaling", "low", "high", "middle"),
    [
        ("Linear", "0", "1", (0.35, 0.65)),
        ("Logarithmic", "1e-6", "1", (1e-4, 1e-2)),
        ("Auto", "1e-6", "1", (1e-4, 1e-2)),
        ("Auto", "0.1", "1", (0.4, 0.7)),
        ("ReverseLogarithmic", "0", "0.999999", (0.99, 0.9999)),
    ],
)
def test_half_of_the_values_are_on_either_side_of_the_scales_middle(
    scaling: str, low: str, high: str, middle: tuple[float, float]
) -> None:
    space = parameters(
        {"ContinuousParameterRanges": [{"Name": "x", "MinValue": low, "MaxValue": high, "ScalingType": scaling}]}
    )
    found = sorted(values(make(spaces={"": space}), 61))
    assert float(low) <= found[0] < found[-1] <= float(high)
    assert middle[0] < found[30] < middle[1]


def test_integers_are_whole_and_both_ends_are_among_them() -> None:
    space = parameters({"IntegerParameterRanges": [{"Name": "x", "MinValue": "2", "MaxValue": "4"}]})
    search = make(spaces={"": space})
    assert {search.propose().values["x"] for _ in range(40)} == {"2", "3", "4"}


def test_a_seed_proposes_the_same_values_again_and_another_seed_others() -> None:
    assert values(make(seed=3), 5) == values(make(seed=3), 5) != values(make(seed=4), 5)


def test_a_bayesian_search_moves_to_where_the_objective_is_better() -> None:
    for maximise, better in ((True, lambda x: x > 0.8), (False, lambda x: x < 0.2)):
        found = values(make(strategy="Bayesian", maximise=maximise, jobs=30), 30)
        assert sum(map(better, found[15:])) > 10 > sum(map(better, values(make(), 30)[15:]))


def test_a_bayesian_search_learns_which_definition_is_better() -> None:
    search = make(strategy="Bayesian", spaces={"good": [X], "bad": [X]}, jobs=40)
    chosen = []
    for _ in range(40):
        proposal = search.propose()
        chosen.append(proposal.definition)
        search.tell(proposal.number, float(proposal.definition == "good"), stopped=False)
    assert {"good", "bad"} == set(chosen)
    assert chosen[20:].count("good") >= 16


@pytest.mark.parametrize("strategy", ["Bayesian", "Random", "Hyperband"])
def test_every_definition_is_tried_before_any_is_tried_again(strategy: str) -> None:
    search = make(strategy=strategy, spaces={"a": [X], "b": [X], "c": [X]}, resource=Resource(least=1, most=9))
    assert sorted(search.propose().definition for _ in range(3)) == ["a", "b", "c"]


def test_parallel_proposals_of_a_bayesian_search_differ() -> None:
    search = make(strategy="Bayesian", jobs=12)
    values(search, 6)
    found = [float(search.propose().values["x"]) for _ in range(4)]
    assert len({round(x, 3) for x in found}) == 4


def test_a_grid_is_every_combination_of_every_definition_once() -> None:
    def choices(name: str, *found: str) -> Parameter:
        return Parameter(name=name, kind="Categorical", values=found)

    search = make(
        strategy="Grid", spaces={"a": [choices("x", "1", "2"), choices("y", "p", "q")], "b": [choices("x", "3")]}
    )
    tried = [search.propose() for _ in range(5)]
    assert sorted((each.definition, *each.values.values()) for each in tried) == [
        ("a", "1", "p"), ("a", "1", "q"), ("a", "2", "p"), ("a", "2", "q"), ("b", "3"),
    ]  # fmt: skip


class TestWarmStart:
    def test_what_parents_saw_steers_the_first_proposals(self) -> None:
        warm = make(strategy="Bayesian", jobs=6)
        for number in range(20):
            x = number / 20
            assert warm.observe("", {"x": str(x), "other": "1"}, -abs(x - 0.7))
        found = [float(warm.propose().values["x"]) for _ in range(4)]
        assert all(0.5 < x < 0.9 for x in found), found

    @pytest.mark.parametrize("x", ["1.5", "-0.1", "red", ""])
    def test_what_lies_outside_the_new_ranges_is_left_out(self, x: str) -> None:
        assert not make().observe("", {"x": x}, 1.0)

    @pytest.mark.parametrize(
        ("parameter", "text"),
        [
            (Parameter(name="x", kind="Integer", low=1, high=9), "4"),
            (Parameter(name="x", kind="Categorical", values=("red", "blue")), "blue"),
            (Parameter(name="x", kind="Continuous", low=0, high=0.99, scaling="ReverseLogarithmic"), "0.5"),
        ],
    )
    def test_every_kind_of_value_can_be_inherited(self, parameter: Parameter, text: str) -> None:
        search = make(strategy="Bayesian", spaces={"": [parameter]}, jobs=3)
        assert all(search.observe("", {"x": text}, 1.0) for _ in range(5))
        assert search.propose().values["x"]


class TestMedianRule:
    CURVES = ([0.2, 0.4, 0.6], [0.4, 0.6, 0.8], [0.6, 0.8, 1.0])  # running averages at epoch 2: 0.3, 0.5, 0.7

    def test_a_job_below_the_median_of_the_running_averages_is_stopped_at_that_epoch(self) -> None:
        search = make(median_rule=True)
        for curve in reversed(self.CURVES):
            proposal = search.propose()
            for value in curve:
                search.report(proposal.number, value)
        assert run(search, [0.4, 0.49, 1.0])[1] == 2

    def test_a_job_at_the_median_goes_on(self) -> None:
        search = make(median_rule=True)
        for curve in self.CURVES:
            run(search, curve)
        assert run(search, [0.4, 0.5, 0.6])[1] == 3

    def test_lower_is_better_where_the_objective_is_minimised(self) -> None:
        search = make(median_rule=True, maximise=False)
        run(search, [0.5, 0.4])
        assert run(search, [0.6, 0.1])[1] == 1
        assert run(search, [0.4, 0.3])[1] == 2

    def test_failed_jobs_are_no_measure(self) -> None:
        search = make(median_rule=True)
        proposal = search.propose()
        search.report(proposal.number, 1.0)
        search.tell(proposal.number, None, stopped=False)
        assert run(search, [0.1, 0.1])[1] == 2

    def test_without_the_rule_nothing_is_stopped(self) -> None:
        search = make()
        run(search, [1.0, 1.0])
        assert run(search, [0.1, 0.1])[1] == 2


class TestHyperband:
    def test_worse_jobs_get_less_and_the_best_gets_all(self) -> None:
        search = make(strategy="Hyperband", resource=Resource(least=1, most=9), jobs=30)
        given = [run(search, [0.9 - number / 100] * 9)[1] for number in range(30)]  # each worse than the one before
        assert given[0] == 9
        assert sum(given[10:]) < 5 * 20
        assert min(given) == 1

    def test_nothing_is_stopped_below_the_least_resource(self) -> None:
        search = make(strategy="Hyperband", resource=Resource(least=4, most=16), jobs=30)
        assert min(run(search, [0.9 - number / 100] * 16)[1] for number in range(20)) == 4

    def test_a_job_that_goes_on_beyond_its_resource_is_stopped(self) -> None:
        search = make(strategy="Hyperband", resource=Resource(least=1, most=3))
        assert run(search, [1.0] * 3)[1] == 3
        proposal = search.propose()
        assert [search.report(proposal.number, 2.0) for _ in range(4)] == [False, False, False, True]
