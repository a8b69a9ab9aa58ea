"""[tune]: what may be searched, what is refused, and what recipe auto tries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.config import Train
from contract.errors import InvalidConfig
from contract.recipes import load_recipes
from contract.request import RunRequest, Upload, build_request
from contract.tuning import AUTO_JOBS, CATEGORICAL, INTEGER, TUNABLE, join_options

RATE = {"learning_rate": {"min": 1e-4, "max": 1e-1, "scale": "log"}}


def request(
    tune: dict[str, Any], *, recipe: Any = "tabular", train: dict[str, Any] | None = None, suffix: str = ".csv"
) -> RunRequest:
    upload = Upload(bucket="b", key=f"acme/t/inbox/rows{suffix}", version_id="v", bytes=1, files=1)
    toml: dict[str, Any] = {"recipe": recipe, "tune": tune, "train": train or {}}
    if suffix == ".csv":
        toml["prepare"] = {"target": "y"}
    return build_request(run="r", console={"tenant": "acme", "project": "t"}, project_toml=toml, upload=upload)


def test_without_jobs_nothing_is_searched() -> None:
    assert request({}).candidates == ()
    assert request({"ranges": RATE, "jobs": 0}).candidates == ()


def test_settings_of_a_search_that_is_neither_on_nor_off_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"tune\.jobs.*0 keeps the settings for later"):
        request({"ranges": RATE})


def test_ranges_are_of_settings_and_of_the_recipes_options() -> None:
    found = request(
        {
            "jobs": 3,
            "ranges": {**RATE, "batch_size": {"choices": [16, 32]}, "options": {"hidden": {"min": 8, "max": 64}}},
        }
    )
    (candidate,) = found.candidates
    assert candidate.name == candidate.recipe == "tabular"
    assert set(candidate.ranges) == {"learning_rate", "batch_size", "options.hidden"}
    assert candidate.ranges["batch_size"].kind == CATEGORICAL
    assert candidate.ranges["options.hidden"].kind == INTEGER
    assert "hidden" not in candidate.options
    assert candidate.options["layers"] == load_recipes()["tabular"].options["layers"].default
    assert RunRequest.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_without_ranges_those_of_the_recipe_are_searched_except_what_a_person_set() -> None:
    suggested = request({"jobs": 4}).candidates[0].ranges
    assert {"learning_rate", "options.hidden"} <= set(suggested)
    (candidate,) = request({"jobs": 4}, train={"learning_rate": 0.01}).candidates
    assert set(candidate.ranges) == set(suggested) - {"learning_rate"}


def test_the_search_of_the_network_that_was_chosen_is_taken() -> None:
    (candidate,) = request({"jobs": 4}, recipe={"name": "image", "network": "resnet18"}, suffix=".zip").candidates
    assert candidate.options["network"] == "resnet18"
    assert "options.width" not in candidate.ranges


@pytest.mark.parametrize(
    ("tune", "says"),
    [
        ({"ranges": {"learning_rte": {"min": 1, "max": 2}}}, "Did you mean 'learning_rate'?"),
        ({"ranges": {"hosts": {"min": 1, "max": 2}}}, "It says how a job runs"),
        ({"ranges": {"seed": {"min": 1, "max": 2}}}, "It says how a job runs"),
        ({"ranges": {"instance": {"choices": ["ml.m5.large"]}}}, "It says how a job runs"),
        ({"ranges": {"hidden": {"min": 8, "max": 64}}}, "written options.hidden"),
        ({"ranges": {"options": {"hiden": {"min": 8, "max": 64}}}}, "Did you mean 'options.hidden'?"),
        ({"ranges": {"options.max_vocabulary": {"min": 8, "max": 64}}}, "The upload is prepared with it"),
        ({"ranges": {"options": 3}}, "a table of the recipe's options"),
        ({"ranges": {"learning_rate": 0.1}}, "{ min = ..., max = ... }"),
        ({"ranges": {"learning_rate": {"min": 0.1}}}, "needs both min and max"),
        ({"ranges": {"learning_rate": {"min": 0.1, "max": 0.1}}}, "less than max, 0.1"),
        ({"ranges": {"learning_rate": {"min": 0.1, "max": 0.01}}}, "less than max, 0.01"),
        ({"ranges": {"learning_rate": {"min": 0.1, "max": 11}}}, "from 1e-08 to 10"),
        ({"ranges": {"learning_rate": {"min": "0.1", "max": 1}}}, "a number"),
        ({"ranges": {"learning_rate": {"min": 0.1, "mx": 1}}}, "Did you mean 'max'?"),
        ({"ranges": {"learning_rate": {"min": 0.1, "max": 1, "scale": "logs"}}}, "Did you mean 'log'?"),
        ({"ranges": {"weight_decay": {"min": 0, "max": 1, "scale": "log"}}}, "more than 0"),
        ({"ranges": {"learning_rate": {"min": 0.1, "max": 1, "scale": "reverse_log"}}}, "from 0 to below 1"),
        ({"ranges": {"batch_size": {"min": 1.5, "max": 8}}}, "an integer"),
        ({"ranges": {"optimiser": {"min": 1, "max": 2}}}, "Only numbers have a range"),
        ({"ranges": {"optimiser": {"choices": ["adam"]}}}, "'adamw'"),
        ({"ranges": {"batch_size": {"choices": []}}}, "1 to 30 values"),
        ({"ranges": {"batch_size": {"choices": list(range(1, 40))}}}, "1 to 30 values"),
        ({"ranges": {"batch_size": {"choices": [8, 8]}}}, "each value once"),
        ({"ranges": {"batch_size": {"choices": [8, "16"]}}}, "an integer"),
        ({"ranges": {"batch_size": {"choices": [8], "min": 1}}}, "nothing beside choices"),
        ({"ranges": {"options": {"hidden": {"min": 8, "max": 9}}, "options.hidden": {"min": 8, "max": 9}}}, "twice"),
        (
            {"ranges": {"momentum": {"min": 0.1, "max": 0.9}}},
            "tune.ranges.momentum: 0.1 is not allowed; expected 0 with",
        ),
        ({"ranges": RATE, "parallel": 5}, "at most tune.jobs = 4"),
        ({"ranges": RATE, "jobs": 751}, "from 0 to 750"),
        ({"ranges": RATE, "strategy": "grd"}, "Did you mean 'grid'?"),
        ({"ranges": RATE, "strategy": "grid"}, "{ choices = [...] } with grid"),
        ({"ranges": {"batch_size": {"choices": [8, 16, 32]}}, "strategy": "grid"}, "3, the number of combinations"),
        ({"ranges": RATE, "strategy": "hyperband", "early_stopping": True}, "Hyperband stops weak jobs itself"),
        ({"ranges": {"epochs": {"min": 2, "max": 9}}, "strategy": "hyperband"}, "decides how long a job trains"),
        ({"ranges": RATE, "max_minutes": 1}, "at least 2"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_reason(tune: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        request({"jobs": 4, **tune})
    assert says in str(caught.value)
    assert str(caught.value).startswith("tune.") or "train." in str(caught.value)


def test_a_grid_of_too_many_combinations_is_refused() -> None:
    choices = {"choices": list(range(1, 31))}
    with pytest.raises(InvalidConfig, match="at most 750 combinations"):
        request({"jobs": 4, "strategy": "grid", "ranges": {"batch_size": choices, "epochs": choices}})


def test_a_grid_takes_as_many_jobs_as_there_are_combinations() -> None:
    ranges = {"batch_size": {"choices": [8, 16, 32]}, "optimiser": {"choices": ["adamw", "sgd"]}}
    assert request({"jobs": 6, "strategy": "grid", "ranges": ranges}).tune.jobs == 6


def test_a_setting_that_is_both_set_and_searched_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"\[train\] sets 'learning_rate'"):
        request({"jobs": 4, "ranges": RATE}, train={"learning_rate": 0.1})
    ranges = {"options": {"hidden": {"min": 8, "max": 64}}}
    with pytest.raises(InvalidConfig, match=r"\[recipe\] sets 'hidden'"):
        request({"jobs": 4, "ranges": ranges}, recipe={"name": "tabular", "hidden": 64})


def test_auto_tries_every_search_of_the_recipes_that_read_alike() -> None:
    found = request({}, recipe="auto")
    assert found.recipe.auto
    assert found.tune.jobs == AUTO_JOBS
    assert found.recipe.name == "tabular"  # it reads the upload for all
    names = {candidate.name for candidate in found.candidates}
    assert {"tabular", "linear"} <= names
    assert {load_recipes()[candidate.recipe].reader for candidate in found.candidates} == {"table"}
    assert len(names) == len(found.candidates)
    images = request({}, recipe="auto", suffix=".zip").candidates
    assert len({candidate.options["network"] for candidate in images}) == len(images) > 1
    assert RunRequest.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_each_candidate_of_auto_has_its_recipes_defaults_but_what_a_person_set() -> None:
    linear = load_recipes()["linear"].defaults["train"]["epochs"]
    found = request({}, recipe="auto")
    (candidate,) = [each for each in found.candidates if each.recipe == "linear"]
    assert candidate.train.get("epochs", found.train.epochs) == linear
    (candidate,) = [
        each for each in request({}, recipe="auto", train={"epochs": 2}).candidates if each.recipe == "linear"
    ]
    assert "epochs" not in candidate.train


@pytest.mark.parametrize(
    ("tune", "says"),
    [
        ({"warm_start": True}, "SageMaker has it for a single one only"),
        ({"early_stopping": True}, "SageMaker has it for a single one only"),
        ({"strategy": "grid"}, "continuous ranges"),
        ({"strategy": "hyperband"}, "recipes differ in theirs"),
        ({"jobs": 1}, "one for each candidate"),
        ({"ranges": {"options": {"hidden": {"min": 8, "max": 64}}}}, "Options belong to one recipe"),
    ],
)
def test_what_several_recipes_cannot_do_is_refused_with_the_reason(tune: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        request(tune, recipe="auto")


def test_an_option_of_one_recipe_cannot_be_set_with_auto_but_one_of_reading_can() -> None:
    with pytest.raises(InvalidConfig, match="hidden"):
        request({}, recipe={"name": "auto", "hidden": 64})
    found = request({}, recipe={"name": "auto", "max_vocabulary": 50})
    assert {candidate.options["max_vocabulary"] for candidate in found.candidates} == {50}


@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.0}])
def test_auto_is_refused_where_a_recipe_has_nothing_left_to_search(more: dict[str, Any]) -> None:
    """SageMaker makes no tuning job of which a definition has no range; it would say so in the midst of the run."""
    train = {"learning_rate": 0.01, "batch_size": 32, **more}
    with pytest.raises(InvalidConfig, match=r"tune\.ranges.*set all that linear would search"):
        request({}, recipe="auto", train=train)
    found = request({"ranges": {"epochs": {"min": 1, "max": 9}}}, recipe="auto", train=train)
    assert all(candidate.ranges for candidate in found.candidates)


def test_a_cluster_of_several_types_cannot_search() -> None:
    with pytest.raises(InvalidConfig, match=r"train\.groups"):
        request({"jobs": 4, "ranges": RATE}, train={"groups": {"ml.m5.xlarge": 1, "ml.m5.large": 1}})


def test_the_settings_that_may_be_searched_exist() -> None:
    assert set(TUNABLE) <= set(Train.__dataclass_fields__)


@pytest.mark.parametrize("name", sorted(load_recipes()))
def test_the_suggestions_of_every_recipe_can_be_searched(name: str) -> None:
    recipe = load_recipes()[name]
    assert set(recipe.read_options) <= set(recipe.options)
    for search in recipe.searches.values():
        assert not set(search.options) & set(recipe.read_options)
        suffix = recipe.accepts[0]
        found = request({"jobs": 4}, recipe={"name": name, **search.options}, suffix=suffix)
        assert found.candidates[0].ranges


def test_options_of_a_searched_job_are_read_by_their_own_types() -> None:
    told = {
        "recipe": "image",
        "options.width": "32",
        "options.colours": "grey",
        "options.image_size": "0",
        "epochs": "3",
    }
    joined = join_options(told)
    assert json.loads(joined["options"]) == {"width": 32, "colours": "grey", "image_size": 0}
    assert set(joined) == {"recipe", "options", "epochs"}
    assert join_options({"recipe": "image", "options": "{}"}) == {"recipe": "image", "options": "{}"}
