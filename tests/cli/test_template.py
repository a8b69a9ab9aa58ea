"""A new project.toml is valid, as it is and with every setting uncommented."""

from __future__ import annotations

import re
import tomllib

import pytest

from cli.template import project_toml
from contract import script
from contract.config import SECTIONS
from contract.recipes import load_recipes
from contract.request import check_project, settings

RECIPES = load_recipes()


@pytest.mark.parametrize("name", list(RECIPES))
def test_it_is_valid_for_every_file_that_the_recipe_reads(name: str) -> None:
    text = project_toml("acme", "mine", RECIPES[name], target="species")
    for suffix in RECIPES[name].accepts:
        check_project(tomllib.loads(text), suffix)


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_setting_is_there_and_uncommenting_it_changes_nothing(name: str) -> None:
    text = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", project_toml("acme", "mine", RECIPES[name]))
    table = tomllib.loads(text)
    check_project(table, RECIPES[name].accepts[0])
    assert set(table["recipe"]) == {"name", *RECIPES[name].options}
    for section, cls in SECTIONS.items():
        assert set(table[section]) == set(settings(cls)), section


def test_the_recipes_own_defaults_are_shown() -> None:
    recipe = RECIPES["image"]
    changed = type(recipe)(**{**vars(recipe), "defaults": {"train": {"epochs": 15}}})
    assert "#epochs = 15\n" in project_toml("acme", "mine", changed)


def test_only_what_must_be_chosen_is_set() -> None:
    assert tomllib.loads(project_toml("acme", "mine", RECIPES["image"]))["train"] == {}
    prepare = tomllib.loads(project_toml("acme", "mine", RECIPES["tabular"], target='a "b" ü'))["prepare"]
    assert prepare == {"target": 'a "b" ü'}


def test_a_scripts_template_says_what_it_must_print() -> None:
    text = project_toml("acme", "mine", script.RECIPE)
    uncommented = tomllib.loads(re.sub(r"(?m)^#(?=[a-z_]+ = )", "", text))
    for table in (tomllib.loads(text), uncommented):
        assert check_project(table, ".csv") is script.RECIPE
    assert set(uncommented["recipe"]) == {"name", *settings(script.Script)}
