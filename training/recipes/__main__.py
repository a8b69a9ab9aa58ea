"""Writes contract/recipes.json: ``python -m training.recipes``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_type_hints

import contract
from contract.parsing import to_dict
from training import recipes
from training.recipes import Recipe

PATH = Path(contract.__file__).with_name("recipes.json")
LIMITS = ("minimum", "maximum", "choices")


def describe() -> str:
    """Return the text of recipes.json."""
    found = {name: _recipe(recipes.load(name)) for name in recipes.names()}
    return json.dumps(found, indent=2) + "\n"


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "summary": recipe.summary,
        "accepts": list(recipe.accepts),
        "needs_target": recipe.needs_target,
        "reader": recipe.reader,
        "default_for": list(recipe.default_for),
        "framework": recipe.framework,
        "metric": dict(recipe.metric),
        "baseline": {task: recipe.describe_baseline(task) for task in recipe.metric},
        "when": recipe.when,
        "examples": recipe.examples,
        "throughput": to_dict(recipe.throughput),
        "options": _options(recipe.options),
        "read_options": list(recipe.read_options),
        "defaults": {section: dict(table) for section, table in recipe.defaults.items()},
        "searches": {name: to_dict(search) for name, search in recipe.searches.items()},
        "narrows": list(recipe.narrows),
        "prunes": recipe.prunes,
        "branched": list(recipe.branched),
    }


def _options(options: type) -> dict[str, Any]:
    hints = get_type_hints(options)
    return {
        field.name: {
            "type": hints[field.name].__name__,
            "doc": field.metadata["doc"],
            "default": field.default,
            **{limit: to_dict(field.metadata[limit]) for limit in LIMITS if field.metadata[limit] is not None},
        }
        for field in dataclasses.fields(options)
    }


if __name__ == "__main__":
    PATH.write_text(describe())
    print(f"{PATH} is fresh")
