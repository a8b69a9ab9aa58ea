"""What is known of each recipe without importing it.

``recipes.json`` is generated from the recipe files by
``python -m training.recipes`` (a test keeps it fresh), so that a Lambda handler
can check a request without torch.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import InvalidConfig, nearest
from contract.frameworks import FRAMEWORKS
from contract.parsing import check, parse, setting

AUTO = "auto"
"""The name in [recipe] that stands for a search among all recipes that fit."""
SCRIPT = "script"
"""The name that stands for a user's own program: contract.script."""
COLUMNS = frozenset({".csv", ".parquet"})
TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting that only this recipe has."""

    type: str = setting("int, float, bool or str.", choices=tuple(TYPES))
    doc: str = setting("What it does.")
    default: Any = setting("Its value when nobody sets it.")
    minimum: float | None = setting("Smallest value.", default=None)
    maximum: float | None = setting("Largest value.", default=None)
    choices: tuple[str, ...] | None = setting("The only values.", default=None)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """How fast a recipe was seen to train, for the first estimate of a project."""

    samples_per_second: float = setting("Rows trained each second by one host.", minimum=0.0)
    machine: str = setting("On what it was measured.")
    measured: str = setting("When, as an ISO date.")


@dataclass(frozen=True, kw_only=True)
class Search:
    """One candidate of an automatic search."""

    options: dict[str, Any] = setting("Options of the recipe that stay as they are.", default_factory=dict)
    ranges: dict[str, Any] = setting("What is varied, as [tune.ranges] of project.toml has it.", default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The public face of a recipe file."""

    name: str = setting("Name of the file in training/recipes/.")
    summary: str = setting("What it learns, in a line.")
    accepts: tuple[str, ...] = setting("File name endings it can read.")
    needs_target: bool = setting("Whether prepare.target must name a column.")
    reader: str = setting("Format of the dataset; recipes of one reader can learn from the same upload.")
    default_for: tuple[str, ...] = setting("File name endings that it is taken for when no recipe is named.")
    framework: str = setting("What it is written in.", default="torch", choices=tuple(FRAMEWORKS))
    metric: dict[str, str] = setting("What gate and tuner compare, by task that it learns.")
    baseline: dict[str, str] = setting("What it must beat when nothing is in service, in words, by task.")
    when: str = setting("When to choose it.")
    examples: str = setting("Folder of examples/ that shows it; empty when none does.")
    throughput: Throughput = setting("Measured speed for first estimates.")
    options: dict[str, Option] = setting("Settings of its own, under [recipe].", default_factory=dict)
    read_options: tuple[str, ...] = setting("Options that uploads are read with, once for a dataset.", default=())
    defaults: dict[str, dict[str, Any]] = setting("Its defaults, section by section.", default_factory=dict)
    searches: dict[str, Search] = setting("What automatic search may try with it.", default_factory=dict)
    narrows: tuple[str, ...] = setting(
        "Options in whose proportion its network has channels or units; what [optimise] distil lowers.", default=()
    )
    prunes: bool = setting("Whether channels can be removed from its trained network.", default=False)
    branched: tuple[str, ...] = setting("Values of option 'network' with which they cannot.", default=())

    @property
    def reads_columns(self) -> bool:
        """Whether its uploads are tables, so that settings may name columns."""
        return not COLUMNS.isdisjoint(self.accepts)


@functools.cache
def load_recipes() -> Mapping[str, Recipe]:
    """Return every recipe by name."""
    data = json.loads(Path(__file__).with_name("recipes.json").read_text())
    return {name: parse(Recipe, {"name": name, **entry}, f"recipes.{name}") for name, entry in data.items()}


def choose_recipe(table: Mapping[str, Any], suffix: str) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe that ``[recipe]`` names, or the one that is taken for ``suffix``, with its checked options.

    ``auto`` is that one too: it reads the upload for all recipes of its kind.

    Raises:
        InvalidConfig: for an unknown recipe or option, a wrong value, or when
            no recipe is named and none is taken for such a file.
    """
    recipes, given = load_recipes(), dict(table)
    known = [*recipes, SCRIPT, AUTO]
    name = given.pop("name", None)
    if name is None or name == AUTO:
        name = _default_for(recipes, suffix)
    if not isinstance(name, str) or name not in recipes:
        raise InvalidConfig("recipe.name", name, "one of " + ", ".join(known), nearest(str(name), known))
    recipe = recipes[name]
    settable = recipe.read_options if table.get("name") == AUTO else tuple(recipe.options)
    for key in given:
        if key not in settable:
            allowed = "one of " + ", ".join(["name", *settable])
            raise InvalidConfig("recipe", key, allowed, nearest(key, settable))
    options = {
        key: check(given.get(key, option.default), TYPES[option.type], vars(option), f"recipe.{key}")
        for key, option in recipe.options.items()
    }
    return recipe, options


def _default_for(recipes: Mapping[str, Recipe], suffix: str) -> str:
    for recipe in recipes.values():
        if suffix.lower() in recipe.default_for:
            return recipe.name
    readers = [recipe.name for recipe in recipes.values() if suffix.lower() in recipe.accepts]
    can = f"{', '.join(readers)} can all read {suffix}" if readers else f"no recipe reads {suffix!r} files"
    raise InvalidConfig("recipe.name", None, "one of " + ", ".join(recipes), f"Name one in project.toml: {can}.")
