"""``tandem new``: a commented project.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.aws import split_project
from cli.errors import BadArgument
from cli.options import Context
from cli.template import PLACEHOLDER, project_toml
from contract import script
from contract.errors import nearest
from contract.recipes import AUTO, load_recipes

RECIPES = {**load_recipes(), script.RECIPE.name: script.RECIPE}
AUTO_FIX = "Take the template of a recipe for such data, write recipe = 'auto', and see [tune]."


def new(
    context: Context,
    project: Annotated[str, typer.Argument(metavar="TENANT/PROJECT", help="Name of the new project.")],
    recipe: Annotated[str, typer.Option(help=f"What to learn with: {', '.join(RECIPES)}.")],
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Folder to write into; by default one named after the project.")
    ] = None,
    target: Annotated[str, typer.Option(help="Column to predict (tables only).")] = "",
) -> None:
    """Write a project.toml in which every setting is explained."""
    tenant, name = split_project(project)
    if recipe not in RECIPES:
        fix = AUTO_FIX if recipe == AUTO else nearest(recipe, RECIPES)
        raise BadArgument(f"--recipe: {recipe!r} has no template; expected one of {', '.join(RECIPES)}.", fix)
    path = (directory or Path(name)) / "project.toml"
    if path.exists():
        raise BadArgument(f"{path} exists.", "Remove it, or choose another folder with --dir.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(project_toml(tenant, name, RECIPES[recipe], target=target), encoding="utf-8")
    context.out.document({"project": project, "recipe": recipe, "path": str(path)})
    context.out.show(f"Wrote {path}.")
    if recipe == script.RECIPE.name:
        context.out.show("Set recipe.metric and recipe.regex in it: what your script prints.")
    if RECIPES[recipe].needs_target and not target:
        context.out.show(f"Set prepare.target in it: the column to predict (it says {PLACEHOLDER!r} now).")
    context.out.show(f"Next: tandem submit DATA --project {project} --config {path}")
