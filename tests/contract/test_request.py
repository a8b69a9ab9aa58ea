"""RunRequest: defaults in order, and every mistake refused with its path."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from contract.config import SECTIONS
from contract.errors import InvalidConfig
from contract.recipes import load_recipes
from contract.request import RunRequest, check_project, settings
from tests.contract.requests import TABLE, build, build_image


def refusal(project_toml: dict[str, Any] | None = None, **console: Any) -> InvalidConfig:
    with pytest.raises(InvalidConfig) as refused:
        build(project_toml, **console)
    return refused.value


def test_the_smallest_request_has_every_section() -> None:
    request = build_image()
    assert request.recipe.name == "image"
    assert request.prefix == "acme/credit/runs/run-1/"
    assert all(isinstance(getattr(request, name), section) for name, section in SECTIONS.items())


def test_console_goes_before_project_toml_before_recipe_before_default() -> None:
    recipe = load_recipes()["tabular"].defaults["train"]
    train = build().train
    assert train.epochs == recipe["epochs"]
    assert train.hosts == 1
    project = {**TABLE, "train": {"epochs": 3, "hosts": 2}}
    assert (build(project).train.epochs, build(project).train.hosts) == (3, 2)
    overridden = build(project, train={"epochs": 4}).train
    assert (overridden.epochs, overridden.hosts) == (4, 2)


def test_a_request_survives_json() -> None:
    request = build({**TABLE, "privacy": {"drop": ["name"], "generalise": {"age": 10}}})
    assert RunRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@pytest.mark.parametrize(
    ("project_toml", "path", "value"),
    [
        ({**TABLE, "train": {"epochs": 0}}, "train.epochs", 0),
        ({**TABLE, "train": {"epochs": "ten"}}, "train.epochs", "ten"),
        ({**TABLE, "train": {"epoch": 10}}, "train", "epoch"),
        ({**TABLE, "train": 5}, "train", 5),
        ({**TABLE, "trian": {}}, "project.toml", "trian"),
        ({**TABLE, "tenant": "other"}, "project.toml", "tenant"),
        ({**TABLE, "train": {"instance": "g5.xlarge"}}, "train.instance", "g5.xlarge"),
        ({**TABLE, "train": {"fallback_instances": ["ml.g5.xlarge", "x"]}}, "train.fallback_instances[1]", "x"),
        ({**TABLE, "train": {"fallback_instances": ["ml.g5.xlarge"] * 5}}, "train.fallback_instances", None),
        ({**TABLE, "deploy": {"memory_mb": 2000}}, "deploy.memory_mb", 2000),
        ({**TABLE, "deploy": {"target": "kubernetes"}}, "deploy.target", "kubernetes"),
        ({**TABLE, "budget": {"max_usd_per_run": -1}}, "budget.max_usd_per_run", -1),
        ({"prepare": {"target": "risk", "test_fraction": 0.5, "validation_fraction": 0.5}}, "prepare", 1.0),
        ({"prepare": {"target": "risk", "test_fraction": 0.0}}, "prepare.test_fraction", 0.0),
        ({}, "prepare.target", ""),
        ({"prepare": {"target": "risk", "exclude": ["risk"]}}, "prepare.exclude", "risk"),
        ({**TABLE, "privacy": {"drop": ["risk"]}}, "privacy.drop", "risk"),
        ({**TABLE, "privacy": {"hash": ["risk"]}}, "privacy.hash", "risk"),
        ({**TABLE, "privacy": {"generalise": {"risk": 2}}}, "privacy.generalise", "risk"),
        ({**TABLE, "privacy": {"generalise": {"age": 0}}}, "privacy.generalise.age", 0),
        ({**TABLE, "privacy": {"drop": ["age"], "hash": ["age"]}}, "privacy.hash", "age"),
        ({**TABLE, "privacy": {"drop": ["age"], "generalise": {"age": 2}}}, "privacy.generalise", "age"),
        ({**TABLE, "privacy": {"hash": ["age"], "generalise": {"age": 2}}}, "privacy.generalise", "age"),
        ({**TABLE, "recipe": "tablar"}, "recipe.name", "tablar"),
        ({**TABLE, "recipe": {"name": ["tabular"]}}, "recipe.name", ["tabular"]),
        ({**TABLE, "recipe": {"name": ""}}, "recipe.name", ""),
        ({**TABLE, "recipe": ["tabular"]}, "recipe", ["tabular"]),
        ({**TABLE, "recipe": {"name": "tabular", "hiden": 3}}, "recipe", "hiden"),
        ({**TABLE, "recipe": {"name": "tabular", "hidden": 1}}, "recipe.hidden", 1),
        ({**TABLE, "recipe": {"name": "tabular", "hidden": None}}, "recipe.hidden", None),
    ],
)
def test_a_mistake_in_project_toml_is_refused_by_its_path(project_toml: dict[str, Any], path: str, value: Any) -> None:
    error = refusal(project_toml)
    assert error.path == path
    assert value is None or error.value == value
    assert error.allowed


@pytest.mark.parametrize(
    ("console", "path", "value"),
    [
        ({"tenant": "Acme"}, "tenant", "Acme"),
        ({"tenant": None}, "tenant", None),
        ({"tenant": "a--b"}, "tenant", "a--b"),
        ({"tenant": "-a"}, "tenant", "-a"),
        ({"tenant": "a" * 21}, "tenant", "a" * 21),
        ({"tenant": "acme\n"}, "tenant", "acme\n"),
        ({"project": "a/b"}, "project", "a/b"),
        ({"project": ["digits"]}, "project", ["digits"]),
        ({"trian": {}}, "(input)", "trian"),
        ({"train": {"epochs": 10_001}}, "train.epochs", 10_001),
        ({"train": None}, "train", None),
    ],
)
def test_a_mistake_in_the_input_is_refused_by_its_path(console: dict[str, Any], path: str, value: Any) -> None:
    error = refusal(**console)
    assert (error.path, error.value) == (path, value)


@pytest.mark.parametrize(
    ("project_toml", "hint"),
    [
        ({**TABLE, "trian": {}}, "Did you mean 'train'?"),
        ({**TABLE, "train": {"epoch": 1}}, "Did you mean 'epochs'?"),
        ({**TABLE, "recipe": "tablar"}, "Did you mean 'tabular'?"),
        ({**TABLE, "recipe": {"name": "tabular", "hiden": 3}}, "Did you mean 'hidden'?"),
        ({**TABLE, "deploy": {"target": "server-less"}}, "Did you mean 'serverless'?"),
    ],
)
def test_the_nearest_valid_name_is_offered(project_toml: dict[str, Any], hint: str) -> None:
    assert refusal(project_toml).hint == hint


@pytest.mark.parametrize(
    ("project_toml", "path"),
    [
        ({"prepare": {"target": "x"}}, "prepare.target"),
        ({"prepare": {"exclude": ["x"]}}, "prepare.exclude"),
        ({"privacy": {"hash": ["x"]}}, "privacy.hash"),
    ],
)
def test_columns_are_refused_where_there_is_no_table(project_toml: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidConfig, match="Recipe 'image' reads no columns") as refused:
        build_image(project_toml)
    assert refused.value.path == path


def test_the_recipe_follows_from_the_files_ending() -> None:
    assert build(key="a/b/inbox/rows.CSV").recipe.name == "tabular"
    assert build(key="a/b/inbox/batch/manifest.json", suffix=".parquet").recipe.name == "tabular"


def test_an_ending_that_no_recipe_reads_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidConfig, match=r"Name one in project\.toml: no recipe reads '\.xlsx' files"):
        build(key="a/b/inbox/rows.xlsx")


def test_the_consoles_recipe_goes_before_that_of_project_toml() -> None:
    project = {**TABLE, "recipe": {"name": "tabular", "hidden": 32}}
    assert build(project, recipe={"hidden": 16}).recipe.options["hidden"] == 16


def test_the_command_line_can_check_a_project_before_the_upload() -> None:
    check_project(TABLE, ".csv")
    with pytest.raises(InvalidConfig, match=r"train\.epochs"):
        check_project({**TABLE, "train": {"epochs": 0}}, ".csv")


def test_every_setting_says_what_it_does() -> None:
    for section in SECTIONS.values():
        for name, field in settings(section).items():
            assert field.metadata["doc"].endswith("."), f"{section.__name__}.{name}"


@pytest.mark.parametrize("name", load_recipes())
def test_every_recipes_own_defaults_are_accepted(name: str) -> None:
    recipe = load_recipes()[name]
    request = build(TABLE if recipe.needs_target else {}, key=f"a/b/inbox/data{recipe.accepts[0]}", recipe=name)
    assert request.recipe.name == name
    assert request.recipe.options.keys() == recipe.options.keys()


SPARK = {**TABLE["prepare"], "engine": "spark", "hosts": 4, "isolation": "off"}


def test_spark_prepares_tables_on_several_machines() -> None:
    prepare = build({**TABLE, "prepare": SPARK}).prepare
    assert (prepare.engine, prepare.hosts, prepare.isolation) == ("spark", 4, "off")


@pytest.mark.parametrize(
    ("prepare", "path", "said"),
    [
        ({"hosts": 4}, "prepare.hosts", "1 with prepare.engine 'embedded'"),
        ({"isolation": "off"}, "prepare.isolation", "'on' with prepare.engine 'embedded'"),
        ({**SPARK, "isolation": "on"}, "prepare.isolation", "'off' with prepare.engine 'spark'.*reach each other"),
        ({**SPARK, "engine": "sparc"}, "prepare.engine", "'spark'"),
    ],
    ids=["hosts", "isolation", "isolated spark", "misspelt"],
)
def test_an_engine_that_cannot_prepare_so_is_refused(prepare: dict[str, Any], path: str, said: str) -> None:
    refused = refusal({**TABLE, "prepare": {**TABLE["prepare"], **prepare}})
    assert refused.path == path
    assert re.search(said, str(refused)), str(refused)


def test_spark_prepares_no_images() -> None:
    with pytest.raises(InvalidConfig, match=r"prepare\.engine.*Spark takes tables"):
        build_image({"prepare": {"engine": "spark", "isolation": "off"}})
