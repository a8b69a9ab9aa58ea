"""A commented project.toml: every setting with what it does, its limits and its default. Pure."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from contract import script
from contract.config import SECTIONS
from contract.parsing import describe
from contract.recipes import TYPES, Option, Recipe
from contract.request import settings

WIDTH = 100
PLACEHOLDER = "label"
SCRIPT_METRIC = {"metric": "accuracy", "regex": "accuracy=([0-9.]+)"}  # to be replaced by what the script prints


def project_toml(tenant: str, project: str, recipe: Recipe, *, target: str = "") -> str:
    """Return the text of a new project.toml.

    Settings stand commented out with their defaults, so that the file keeps
    working when a later version has better ones; only what must be chosen is set.

    Args:
        tenant: the team.
        project: the line of models.
        recipe: what it is learned with; its defaults are shown.
        target: column to predict, for recipes that need it.
    """
    lines = [
        *_comment(f"{tenant}/{project}: how an upload becomes a model in service. {recipe.summary}"),
        *_comment("Every setting is here with its default. Remove the # before one to change it."),
        "",
        "[recipe]",
        f"name = {_toml(recipe.name)}",
        *(_section(script.Script, {}, SCRIPT_METRIC) if recipe is script.RECIPE else _options(recipe.options)),
    ]
    chosen = {"prepare": {"target": target or PLACEHOLDER}} if recipe.needs_target else {}
    for name, section in SECTIONS.items():
        lines += ["", "", *_comment(section.__doc__ or ""), f"[{name}]"]
        lines += _section(section, recipe.defaults.get(name, {}), chosen.get(name, {}))
    return "\n".join(lines) + "\n"


def _options(options: Mapping[str, Option]) -> Iterator[str]:
    for name, option in options.items():
        yield from _setting(name, option.doc, describe(TYPES[option.type], vars(option)), option.default)


def _section(section: type, defaults: Mapping[str, Any], chosen: Mapping[str, Any]) -> Iterator[str]:
    hints = get_type_hints(section)
    for name, field in settings(section).items():
        allowed = describe(hints[name], field.metadata)
        if name in chosen:
            yield ""
            yield from _comment(f"{field.metadata['doc']} Expected: {allowed}. This recipe needs it.")
            yield f"{name} = {_toml(chosen[name])}"
        else:
            yield from _setting(name, field.metadata["doc"], allowed, defaults.get(name, _default(field)))


def _setting(name: str, doc: str, allowed: str, default: Any) -> Iterator[str]:
    yield ""
    if default is None:
        yield from _comment(f"{doc} Expected: {allowed}. Not set by default.")
        yield f"#{name} = 0.9"
    else:
        yield from _comment(f"{doc} Expected: {allowed}.")
        yield f"#{name} = {_toml(default)}"


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH)]


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, float):
        return repr(value)  # TOML writes floats as Python does
    return json.dumps(value, ensure_ascii=False)  # strings, integers and booleans as JSON
