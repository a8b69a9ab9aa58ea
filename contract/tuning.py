"""What a tuning job may search: ranges of settings, and the candidates of an automatic search.

    [tune]
    jobs = 20

    [tune.ranges]
    learning_rate = { min = 1e-4, max = 1e-1, scale = "log" }
    batch_size = { choices = [16, 32, 64] }
    options.hidden = { min = 32, max = 256 }

A name is a setting of [train] that learning depends on, or an option of the recipe. The limits are those of
SageMaker's CreateHyperParameterTuningJob
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from contract.config import Train, Tune
from contract.errors import InvalidConfig, nearest
from contract.parsing import check, parse, setting
from contract.recipes import TYPES, Recipe, load_recipes

AUTO_JOBS = 12
"""Training jobs of recipe ``auto`` when tune.jobs does not say."""
MAX_JOBS = 750
MAX_RANGES = 30
MAX_CHOICES = 30
MAX_CANDIDATES = 10
OPTIONS = "options."
"""What a hyperparameter's name begins with that is an option of the recipe."""

TUNABLE = (
    "learning_rate", "batch_size", "epochs", "weight_decay", "optimiser", "momentum", "clip_norm",
)  # fmt: skip
"""Settings of [train] that may have a range; the others say on what machines, how safely or how repeatably it runs."""

INTEGER, CONTINUOUS, CATEGORICAL = "integer", "continuous", "categorical"


@dataclass(frozen=True, kw_only=True)
class Range:
    """The values of one setting that are searched: from ``min`` to ``max``, or ``choices``."""

    kind: str = setting("What the values are.", choices=(INTEGER, CONTINUOUS, CATEGORICAL))
    min: Any = setting("Smallest value.", default=None)
    max: Any = setting("Largest value.", default=None)
    scale: str = setting(
        "How values spread: evenly, evenly in their logarithm, or dense towards 1.",
        default="linear", choices=("linear", "log", "reverse_log"),
    )  # fmt: skip
    choices: tuple[Any, ...] = setting("The only values.", default=())


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to learn that a tuning job tries: a recipe, what of it is fixed, and what is searched."""

    name: str = setting("The training job definition's name.")
    recipe: str = setting("The recipe.")
    options: dict[str, Any] = setting("The recipe's options, as far as no range varies them.")
    train: dict[str, Any] = setting("Settings of [train] that differ from the run's.", default_factory=dict)
    ranges: dict[str, Range] = setting("What is searched, by hyperparameter.")


def text(value: Any) -> str:
    """Return a hyperparameter's value as SageMaker carries it; contract.parsing.from_strings reads it back."""
    return value if isinstance(value, str) else json.dumps(value)


def join_options(hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """Return hyperparameters with one ``options`` (JSON) in place of each ``options.<name>`` that a search made."""
    own = {name: value for name, value in hyperparameters.items() if not name.startswith(OPTIONS)}
    recipe = load_recipes().get(own.get("recipe", ""))
    found = {}
    for name, value in hyperparameters.items():
        option = name.removeprefix(OPTIONS)
        if option != name:
            words = recipe is None or option not in recipe.options or recipe.options[option].type == "str"
            found[option] = value if words else json.loads(value)
    return {**own, "options": json.dumps(found)} if found else own


def parse_ranges(given: Mapping[str, Any], recipe: Recipe, path: str = "tune.ranges") -> dict[str, Range]:
    """Return the checked ranges by hyperparameter.

    Raises:
        InvalidConfig: for a name that cannot be tuned, or a range that cannot be meant.
    """
    found: dict[str, Range] = {}
    for name, entry in _flat(given, path):
        if name in found:
            raise InvalidConfig(f"{path}.{name}", name, "one range for each setting", "It is given twice.")
        found[name] = _range(entry, *_setting(name, recipe, path), f"{path}.{name}")
    if len(found) > MAX_RANGES:
        raise InvalidConfig(path, len(found), f"at most {MAX_RANGES} ranges, as SageMaker allows")
    return found


def _flat(given: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield names and entries; TOML reads ``options.width = ...`` as a table ``options``."""
    for name, entry in given.items():
        if name != OPTIONS.rstrip("."):
            yield name, entry
        elif not isinstance(entry, Mapping):
            raise InvalidConfig(f"{path}.{name}", entry, "a table of the recipe's options and their ranges")
        else:
            yield from ((OPTIONS + option, each) for option, each in entry.items())


def _setting(name: str, recipe: Recipe, path: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the type and the limits of a setting that may be tuned."""
    fields = {field.name: field for field in dataclasses.fields(Train)}
    options = {OPTIONS + option: entry for option, entry in recipe.options.items()}
    if name in TUNABLE:
        return get_type_hints(Train)[name], fields[name].metadata
    if name.removeprefix(OPTIONS) in recipe.read_options:
        fix = "The upload is prepared with it, once for all jobs; set it in [recipe]."
    elif name in options:
        return TYPES[options[name].type], vars(options[name])
    elif name in fields:
        fix = "It says how a job runs, not what is learned; set it in [train]."
    elif name in recipe.options:
        fix = f"Options of the recipe are written {OPTIONS}{name}."
    else:
        fix = nearest(name, [*TUNABLE, *options])
    tunable = [*TUNABLE, *(option for option in options if option.removeprefix(OPTIONS) not in recipe.read_options)]
    raise InvalidConfig(path, name, "one of " + ", ".join(tunable), fix)


def _range(entry: Any, hint: type, limits: Mapping[str, Any], path: str) -> Range:
    if not isinstance(entry, Mapping):
        raise InvalidConfig(path, entry, "{ min = ..., max = ... } or { choices = [...] }")
    if entry.get("kind") in (INTEGER, CONTINUOUS, CATEGORICAL):  # a range that was checked before
        return parse(Range, entry, path)
    allowed = ("min", "max", "scale", "choices")
    for key in entry:
        if key not in allowed:
            raise InvalidConfig(path, key, "one of " + ", ".join(allowed), nearest(str(key), allowed))
    if "choices" in entry:
        return _choices(entry, hint, limits, path)
    return _bounds(entry, hint, limits, path)


def _choices(entry: Mapping[str, Any], hint: type, limits: Mapping[str, Any], path: str) -> Range:
    others = [key for key in entry if key != "choices"]
    if others:
        raise InvalidConfig(f"{path}.{others[0]}", entry[others[0]], "nothing beside choices")
    given = entry["choices"]
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_CHOICES:
        raise InvalidConfig(f"{path}.choices", given, f"a list of 1 to {MAX_CHOICES} values")
    values = tuple(check(value, hint, limits, f"{path}.choices[{i}]") for i, value in enumerate(given))
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise InvalidConfig(f"{path}.choices", twice[0], "each value once")
    return Range(kind=CATEGORICAL, choices=values)


def _bounds(entry: Mapping[str, Any], hint: type, limits: Mapping[str, Any], path: str) -> Range:
    if hint not in (int, float):
        raise InvalidConfig(path, dict(entry), "{ choices = [...] }", "Only numbers have a range from min to max.")
    for key in ("min", "max"):
        if key not in entry:
            raise InvalidConfig(f"{path}.{key}", None, "a number", "A range needs both min and max.")
    low, high = (check(entry[key], hint, limits, f"{path}.{key}") for key in ("min", "max"))
    if low >= high:
        raise InvalidConfig(f"{path}.min", low, f"less than max, {high}")
    found = Range(kind=INTEGER if hint is int else CONTINUOUS, min=low, max=high, scale="linear")
    found = parse(Range, {**vars(found), "scale": entry.get("scale", "linear")}, path)
    if found.scale == "log" and low <= 0:
        raise InvalidConfig(f"{path}.min", low, 'more than 0 with scale = "log"')
    if found.scale == "reverse_log" and (hint is int or not 0 <= low < high < 1):
        raise InvalidConfig(f"{path}.scale", found.scale, '"linear" or "log", or numbers from 0 to below 1')
    return found


def check_search(tune: Tune, candidates: tuple[Candidate, ...], *, auto: bool) -> None:
    """Refuse a search that SageMaker would not make, or that could not mean what it says.

    Raises:
        InvalidConfig: with the reason.
    """
    if tune.max_minutes == 1:
        raise InvalidConfig("tune.max_minutes", 1, "0 (no limit), or at least 2, as SageMaker requires")
    if tune.parallel > tune.jobs:
        raise InvalidConfig("tune.parallel", tune.parallel, f"at most tune.jobs = {tune.jobs}")
    if tune.jobs < len(candidates):
        names = ", ".join(candidate.name for candidate in candidates)
        raise InvalidConfig("tune.jobs", tune.jobs, f"at least {len(candidates)}, one for each candidate ({names})")
    if auto:
        _check_auto(tune)
    if tune.strategy == "hyperband":
        _check_hyperband(tune, candidates)
    if tune.strategy == "grid":
        _check_grid(tune, candidates[0])


def _check_auto(tune: Tune) -> None:
    why = "Several recipes are several training job definitions; SageMaker has it for a single one only."
    for name in ("warm_start", "early_stopping"):
        if getattr(tune, name):
            raise InvalidConfig(f"tune.{name}", True, "false with recipe 'auto'", why)
    if tune.strategy in ("grid", "hyperband"):
        why = {
            "grid": "Grid tries every combination of choices, and recipes search continuous ranges.",
            "hyperband": "Hyperband measures all jobs in the same epochs, and recipes differ in theirs.",
        }[tune.strategy]
        raise InvalidConfig("tune.strategy", tune.strategy, "'bayesian' or 'random' with recipe 'auto'", why)


def _check_hyperband(tune: Tune, candidates: tuple[Candidate, ...]) -> None:
    if tune.early_stopping:
        raise InvalidConfig("tune.early_stopping", True, "false with hyperband", "Hyperband stops weak jobs itself.")
    if any("epochs" in candidate.ranges for candidate in candidates):
        raise InvalidConfig(
            "tune.ranges", "epochs", "other settings with hyperband", "Hyperband itself decides how long a job trains."
        )


def _check_grid(tune: Tune, candidate: Candidate) -> None:
    for name, found in candidate.ranges.items():
        if found.kind != CATEGORICAL:
            raise InvalidConfig(
                f"tune.ranges.{name}", {"min": found.min, "max": found.max}, "{ choices = [...] } with grid",
                "Grid tries every combination of choices.",
            )  # fmt: skip
    counts = [len(found.choices) for found in candidate.ranges.values()]
    combinations = math.prod(counts)
    product = " x ".join(map(str, counts)) + (f" = {combinations}" if len(counts) > 1 else "")
    if combinations > MAX_JOBS:
        raise InvalidConfig("tune.ranges", combinations, f"at most {MAX_JOBS} combinations ({product})")
    if tune.jobs != combinations:
        raise InvalidConfig("tune.jobs", tune.jobs, f"{product}, the number of combinations")
    if tune.warm_start:
        raise InvalidConfig("tune.warm_start", True, "false with grid", "A grid learns nothing from earlier jobs.")
