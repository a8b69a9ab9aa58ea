"""What a run tries when it tunes: one recipe and its ranges, or (recipe ``auto``) every recipe that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contract.config import Train, Tune
from contract.errors import InvalidConfig
from contract.parsing import parse, to_dict
from contract.recipes import Recipe, Search, load_recipes
from contract.training import check_training
from contract.tuning import MAX_CANDIDATES, OPTIONS, TUNABLE, Candidate, Range, parse_ranges

PATH = "tune.ranges"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of a run, as far as its candidates depend on it.

    ``options`` are the recipe's, complete; ``set_options`` and ``set_train`` only what a person set.
    """

    recipe: Recipe
    suffix: str
    options: Mapping[str, Any]
    tune: Tune
    train: Train
    set_options: Mapping[str, Any]
    set_train: Mapping[str, Any]

    def is_set(self, name: str) -> bool:
        """Whether a person gave the setting of this hyperparameter a value."""
        return name in self.set_train or (name.startswith(OPTIONS) and name.removeprefix(OPTIONS) in self.set_options)


def of_recipe(asked: Asked) -> Candidate:
    """Return the one candidate of a recipe that was named.

    Raises:
        InvalidConfig: for ranges that cannot be meant, or when there are none.
    """
    given = parse_ranges(asked.tune.ranges, asked.recipe, PATH)
    for name in filter(asked.is_set, given):
        raise InvalidConfig(f"{PATH}.{name}", name, "settings that have no value of their own", _twice(name))
    ranges = given or _suggested(asked)
    kept = {name: value for name, value in asked.options.items() if OPTIONS + name not in ranges}
    return Candidate(name=asked.recipe.name, recipe=asked.recipe.name, options=kept, ranges=ranges)


def _twice(name: str) -> str:
    section = "[recipe]" if name.startswith(OPTIONS) else "[train]"
    return f"{section} sets {name.removeprefix(OPTIONS)!r}: leave it out there, or here."


def _suggested(asked: Asked) -> dict[str, Range]:
    """Return the ranges of the recipe's search that suits its options, but for what a person set."""
    recipe = asked.recipe
    fitting = [search for search in recipe.searches.values() if search.options.items() <= asked.options.items()]
    ranges = _ranges(recipe, fitting[0], asked) if fitting else {}
    if not ranges:
        raise InvalidConfig(
            PATH, {}, "at least one range", f"Recipe {recipe.name!r} suggests none for these settings; give your own."
        )
    return ranges


def _ranges(recipe: Recipe, search: Search, asked: Asked) -> dict[str, Range]:
    found = parse_ranges(search.ranges, recipe, f"recipes.{recipe.name}.searches")
    return {name: each for name, each in found.items() if not asked.is_set(name)}


def of_reader(asked: Asked) -> tuple[Candidate, ...]:
    """Return the candidates of recipe ``auto``: the searches of all recipes that read the upload alike.

    Raises:
        InvalidConfig: when there are none, when one has nothing to search, or for ranges that are not of [train].
    """
    for name in asked.tune.ranges:
        if name not in TUNABLE:
            fix = "Options belong to one recipe; name it to tune them."
            raise InvalidConfig(PATH, name, "one of " + ", ".join(TUNABLE), fix)
    found = tuple(
        _candidate(recipe, name, search, asked)
        for recipe in _like(asked.recipe, asked.suffix)
        for name, search in recipe.searches.items()
    )
    if not 1 <= len(found) <= MAX_CANDIDATES:
        raise InvalidConfig(
            "recipe.name", "auto", f"recipes with 1 to {MAX_CANDIDATES} searches for such files",
            f"There are {len(found)}; name one recipe.",
        )  # fmt: skip
    if fixed := [each.name for each in found if not each.ranges]:
        fix = f"[train] and [recipe] set all that {', '.join(fixed)} would search: leave some out, or name one recipe."
        raise InvalidConfig(PATH, asked.tune.ranges, "at least one range for each recipe that is tried", fix)
    return found


def _like(recipe: Recipe, suffix: str) -> Iterable[Recipe]:
    """Return the recipes that read such files as this one does, and compare by the same metric whatever they hold."""
    alike = (each for each in load_recipes().values() if each.reader == recipe.reader and suffix in each.accepts)
    return (each for each in alike if not set(each.metric.items()) - set(recipe.metric.items()))


def _candidate(recipe: Recipe, search_name: str, search: Search, asked: Asked) -> Candidate:
    ranges = _ranges(recipe, search, asked) | parse_ranges(asked.tune.ranges, recipe, PATH)
    options = {name: asked.set_options.get(name, option.default) for name, option in recipe.options.items()}
    options |= search.options
    train = to_dict(parse(Train, {**recipe.defaults.get("train", {}), **asked.set_train}, "train"))
    name = recipe.name if len(recipe.searches) == 1 else f"{recipe.name}-{search_name}"
    return Candidate(
        name=name.replace("_", "-"),
        recipe=recipe.name,
        options={name: value for name, value in options.items() if OPTIONS + name not in ranges},
        train={name: value for name, value in train.items() if value != to_dict(asked.train)[name]},
        ranges=ranges,
    )


def check_values(candidate: Candidate, train: Train) -> None:
    """Refuse ranges whose values contradict each other or the settings beside them: such jobs would only fail.

    All of a range's ends and choices are tried, with the last of every other range.

    Raises:
        InvalidConfig: for the first contradiction.
    """
    found = {name: each for name, each in candidate.ranges.items() if name in TUNABLE}
    last = {name: (each.choices or (each.max,))[-1] for name, each in found.items()}
    settings = {**to_dict(train), **candidate.train}
    for name, each in found.items():
        for value in each.choices or (each.min, each.max):
            try:
                check_training(parse(Train, {**settings, **last, name: value}, "train"))
            except InvalidConfig as error:
                setting = error.path.removeprefix("train.")
                where = f"tune.ranges.{setting}" if setting in found else error.path
                raise InvalidConfig(where, error.value, error.allowed, error.hint) from None
