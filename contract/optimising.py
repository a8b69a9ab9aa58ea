"""What must be so that a project can have the smaller forms that it asks for: checked before any money is spent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from contract import names
from contract.config import Deploy, Optimise
from contract.errors import InvalidConfig
from contract.forms import FLOAT16
from contract.recipes import Recipe, load_recipes

GPU = re.compile(r"ml\.[gp][0-9]")
"""Instance types with a GPU: families g* and p*."""


def check(optimise: Optimise, deploy: Deploy, recipes: Iterable[tuple[Recipe, Mapping[str, Any]]]) -> None:
    """Refuse what cannot be made.

    Args:
        optimise, deploy: sections of the request.
        recipes: what the run may train, each with its options.

    Raises:
        InvalidConfig: for the first thing.
    """
    if FLOAT16 in optimise.forms and not (deploy.target in names.INSTANCE_TARGETS and GPU.match(deploy.instance)):
        fix = "On a CPU it is slower than onnx-float32; where GPUs serve, deploy.target and deploy.instance say so."
        raise InvalidConfig("optimise.forms", FLOAT16, "other forms where no GPU serves", fix)
    for recipe, options in recipes:
        network = options.get("network")
        if optimise.prune and (not recipe.prunes or network in recipe.branched):
            fix = _who_can("Recipes whose channels can be removed", [r for r in load_recipes().values() if r.prunes])
            raise InvalidConfig("optimise.prune", optimise.prune, f"0 with {_called(recipe, network)}", fix)
        if optimise.distil and not recipe.narrows:
            fix = _who_can("Recipes that have students", [r for r in load_recipes().values() if r.narrows])
            raise InvalidConfig("optimise.distil", optimise.distil, f"0 with {_called(recipe, network)}", fix)


def _called(recipe: Recipe, network: str | None) -> str:
    return f"recipe {recipe.name!r}" + (f" and its network {network!r}" if network in recipe.branched else "")


def _who_can(what: str, recipes: list[Recipe]) -> str:
    return f"{what}: {', '.join(recipe.name for recipe in recipes)}."
