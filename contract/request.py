"""RunRequest: everything one run was asked to do, with every default filled in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from contract import candidates, frameworks, keys, names, optimising, script, tuning
from contract.config import SECTIONS, Budget, Deploy, Evaluate, Gate, Optimise, Prepare, Privacy, Train, Tune
from contract.deploying import check_deploying
from contract.errors import InvalidConfig, nearest
from contract.parsing import parse, setting, to_dict
from contract.recipes import AUTO, SCRIPT, Recipe, choose_recipe, load_recipes
from contract.training import check_training
from contract.tuning import Candidate


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The object (or the manifest naming objects) whose arrival started the run, pinned to a version."""

    bucket: str = setting("Bucket of the upload.")
    key: str = setting("Key of the file, or of manifest.json.")
    version_id: str = setting("Version of that object.")
    bytes: int = setting("Size of the data, in bytes, over all files.", minimum=0)
    files: int = setting("Number of data files.", minimum=0)

    @property
    def uri(self) -> str:
        """The object's address."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class RecipeChoice:
    """Which recipe, and its own options."""

    name: str = setting("The recipe; with auto the one that reads the upload, and after tuning the best.")
    options: dict[str, Any] = setting("Settings that only this recipe has.", default_factory=dict)
    auto: bool = setting("Whether all recipes that fit are tried.", default=False)


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """One run, fully specified. In the state machine it is ``$run``."""

    run: str = setting("The run's id, at most 20 characters.")
    tenant: str = setting("The team.")
    project: str = setting("The line of models.")
    prefix: str = setting("Prefix of everything the run writes in the artifacts bucket; ends with a slash.")
    upload: Upload = setting("What started it.")
    recipe: RecipeChoice = setting("What to learn and how.")
    prepare: Prepare = setting("How the upload becomes a dataset.")
    train: Train = setting("How the model learns.")
    tune: Tune = setting("How settings are searched for.")
    evaluate: Evaluate = setting("How it is measured.")
    gate: Gate = setting("When it may take the champion's place.")
    optimise: Optimise = setting("How it is made smaller.")
    deploy: Deploy = setting("Where it is served.")
    privacy: Privacy = setting("What happens to personal data.")
    budget: Budget = setting("What the run may cost.")
    script: script.ScriptJob | None = setting("What a script's training job is asked; null otherwise.", default=None)
    candidates: tuple[Candidate, ...] = setting("What the search tries; empty when nothing is tuned.", default=())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRequest:
        """Parse ``$run`` or request.json."""
        return parse(cls, data, "run")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data; :meth:`from_dict` reads it back."""
        return to_dict(self)


CONSOLE_KEYS = ("tenant", "project", "upload", "version_id", "recipe", *SECTIONS)
"""What an execution's input may hold. ``upload`` is ``s3://<data bucket>/<tenant>/<project>/...``; ``version_id``
is the version of that object, by default the newest when the run starts; the rest overrides project.toml."""


REPLAYABLE = ("table", "text", "images")
"""Formats of datasets whose rows stand for themselves, so that some of them can be learned again."""


def build_request(
    *, run: str, console: Mapping[str, Any], project_toml: Mapping[str, Any], upload: Upload, suffix: str = ""
) -> RunRequest:
    """Fill in every default: recipe's, then project.toml's, then the execution input's.

    Args:
        run: the run's id.
        console: the execution's input; ``tenant``, ``project`` and ``upload`` at least.
        project_toml: the parsed project.toml, empty when there is none.
        upload: the pinned upload.
        suffix: ending of the data files, when the upload is a manifest.

    Raises:
        InvalidConfig: for anything that cannot be meant.
    """
    _check_keys(console, CONSOLE_KEYS, "(input)")
    _check_keys(project_toml, ("recipe", *SECTIONS), "project.toml")
    tenant = names.check_name("tenant", console.get("tenant"))
    project = names.check_name("project", console.get("project"))
    table = {**_recipe_table(project_toml.get("recipe")), **_recipe_table(console.get("recipe"))}
    suffix = suffix or PurePosixPath(upload.key).suffix
    recipe, options = _choose(table, suffix)
    auto = table.get("name") == AUTO
    sections = {name: _section(name, recipe, project_toml, console) for name in SECTIONS}
    if not auto:
        _check_search_is_meant({**project_toml.get("tune", {}), **console.get("tune", {})})
    if auto and not sections["tune"].jobs:
        sections["tune"] = dataclasses.replace(sections["tune"], jobs=tuning.AUTO_JOBS)
    asked = candidates.Asked(
        recipe=recipe,
        suffix=suffix.lower(),
        options=options,
        tune=sections["tune"],
        train=sections["train"],
        set_options={name: value for name, value in table.items() if name != "name"},
        set_train={**project_toml.get("train", {}), **console.get("train", {})},
    )
    request = RunRequest(
        run=run,
        tenant=tenant,
        project=project,
        prefix=keys.run_prefix(tenant, project, run),
        upload=upload,
        recipe=RecipeChoice(name=recipe.name, options=options, auto=auto),
        script=script.job(script.read(table), sections["train"]) if recipe is script.RECIPE else None,
        candidates=_candidates(asked, auto),
        **sections,
    )
    _check_together(request, recipe)
    return request


def is_script(console: Mapping[str, Any], project_toml: Mapping[str, Any]) -> bool:
    """Say whether a run of these would be one of the user's own script."""
    table = {**_recipe_table(project_toml.get("recipe")), **_recipe_table(console.get("recipe"))}
    return table.get("name") == SCRIPT


def _choose(table: Mapping[str, Any], suffix: str) -> tuple[Recipe, dict[str, Any]]:
    if table.get("name") != SCRIPT:
        return choose_recipe(table, suffix)
    return script.RECIPE, to_dict(script.read(table))


def check_project(project_toml: Mapping[str, Any], suffix: str) -> Recipe:
    """Refuse a project.toml that no upload ending with ``suffix`` could use; return its recipe; for the command line.

    Raises:
        InvalidConfig: as :func:`build_request` does.
    """
    upload = Upload(bucket="check", key=f"check{suffix}", version_id="check", bytes=0, files=1)
    request = build_request(
        run="check", console={"tenant": "check", "project": "check"}, project_toml=project_toml, upload=upload
    )
    return script.RECIPE if request.script else load_recipes()[request.recipe.name]


def _check_search_is_meant(given: Mapping[str, Any]) -> None:
    """Refuse settings of a search that was neither turned on nor off: a person who gives ranges waits for one."""
    if given and "jobs" not in given:
        raise InvalidConfig(
            "tune.jobs", None, "the number of training jobs of the search", "0 keeps the settings for later."
        )


def _candidates(asked: candidates.Asked, auto: bool) -> tuple[Candidate, ...]:
    if asked.tune.jobs and asked.recipe is script.RECIPE:
        raise InvalidConfig("tune.jobs", asked.tune.jobs, "0 with recipe 'script'", "Its ranges are the script's own.")
    if not asked.tune.jobs:
        tuning.parse_ranges(asked.tune.ranges, asked.recipe)  # a mistake is told even while the search is off
        return ()
    found = candidates.of_reader(asked) if auto else (candidates.of_recipe(asked),)
    tuning.check_search(asked.tune, found, auto=auto)
    for candidate in found:
        candidates.check_values(candidate, asked.train)
    if asked.train.groups:
        fix = "A search takes its machines from a list of types: train.instance and train.fallback_instances."
        raise InvalidConfig("train.groups", asked.train.groups, "nothing while tune.jobs > 0", fix)
    return found


def _recipe_table(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidConfig("recipe", value, "a recipe's name, or a table with its name and options")


def _section(name: str, recipe: Recipe, project_toml: Mapping[str, Any], console: Mapping[str, Any]) -> Any:
    merged: dict[str, Any] = {}
    for source in (recipe.defaults, project_toml, console):
        table = source.get(name, {})
        if not isinstance(table, Mapping):
            raise InvalidConfig(name, table, "a table of settings")
        merged |= table
    return parse(SECTIONS[name], merged, name)


def _check_keys(given: Mapping[str, Any], allowed: tuple[str, ...], path: str) -> None:
    for key in given:
        if key not in allowed:
            raise InvalidConfig(path, key, "one of " + ", ".join(allowed), nearest(str(key), allowed))


def _check_engine(prepare: Prepare, recipe: Recipe) -> None:
    if prepare.engine == "embedded":
        if prepare.hosts > 1:
            raise InvalidConfig("prepare.hosts", prepare.hosts, "1 with prepare.engine 'embedded'", "Take 'spark'.")
        if prepare.isolation == "off":
            raise InvalidConfig(
                "prepare.isolation", "off", "'on' with prepare.engine 'embedded', which needs no network"
            )
    elif recipe.reader != "table":
        raise InvalidConfig(
            "prepare.engine", "spark", f"'embedded' for what recipe {recipe.name!r} reads; Spark takes tables"
        )
    elif prepare.isolation == "on":
        fix = "Its machines must reach each other, which isolated ones cannot."
        raise InvalidConfig("prepare.isolation", "on", "'off' with prepare.engine 'spark'", fix)


def _check_replay(prepare: Prepare, recipe: Recipe) -> None:
    if not prepare.replay:
        return
    if recipe.reader not in REPLAYABLE:
        fix = f"Recipe {recipe.name!r} learns from {recipe.reader}: upload the earlier rows again, with the new ones."
        raise InvalidConfig("prepare.replay", prepare.replay, "0 with this recipe", fix)
    if prepare.engine == "spark":
        fix = "A sample is drawn by one machine: take 'embedded'."
        raise InvalidConfig("prepare.replay", prepare.replay, "0 with prepare.engine 'spark'", fix)


def _check_together(request: RunRequest, recipe: Recipe) -> None:
    prepare = request.prepare
    _check_engine(prepare, recipe)
    _check_replay(prepare, recipe)
    if recipe.needs_target and not prepare.target:
        raise InvalidConfig("prepare.target", "", "the name of a column", f"Recipe {recipe.name!r} needs it.")
    if prepare.validation_fraction + prepare.test_fraction >= 0.9:
        held = prepare.validation_fraction + prepare.test_fraction
        raise InvalidConfig(
            "prepare", held, "validation_fraction + test_fraction below 0.9, to leave rows to learn from"
        )
    check_deploying(request.deploy)
    if request.evaluate.groups and recipe.reader != "table":
        fix = f"Recipe {recipe.name!r} learns from {recipe.reader}, which has no columns to group by."
        raise InvalidConfig("evaluate.groups", request.evaluate.groups[0], "nothing with this recipe", fix)
    check_training(request.train)
    frameworks.check(request.train, recipe.framework)
    optimising.check(request.optimise, request.deploy, _trained(request, recipe))
    _check_columns(request, recipe)


def _trained(request: RunRequest, recipe: Recipe) -> Sequence[tuple[Recipe, Mapping[str, Any]]]:
    """Return what the run may train, each with its options."""
    known = load_recipes()
    searched = [(known[each.recipe], {**request.recipe.options, **each.options}) for each in request.candidates]
    return searched or [(recipe, request.recipe.options)]


def _check_columns(request: RunRequest, recipe: Recipe) -> None:
    """Refuse a column that two settings contradict each other about, and columns where there is no table."""
    prepare, privacy = request.prepare, request.privacy
    lists = {
        "prepare.exclude": prepare.exclude,
        "privacy.drop": privacy.drop,
        "privacy.hash": privacy.hash,
        "privacy.generalise": tuple(privacy.generalise),
    }
    if not recipe.reads_columns:
        for path, columns in {"prepare.target": (prepare.target,) * bool(prepare.target), **lists}.items():
            if columns:
                raise InvalidConfig(path, columns[0], "nothing", f"Recipe {recipe.name!r} reads no columns.")
    for path, columns in lists.items():
        if prepare.target in columns:
            raise InvalidConfig(path, prepare.target, "columns other than prepare.target")
    for path, other in (
        ("privacy.hash", "privacy.drop"),
        ("privacy.generalise", "privacy.drop"),
        ("privacy.generalise", "privacy.hash"),
    ):
        twice = sorted(set(lists[path]) & set(lists[other]))
        if twice:
            raise InvalidConfig(path, twice[0], f"columns that {other} does not name")


def settings(section: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a section by name; for documents and the template of project.toml."""
    return {field.name: field for field in dataclasses.fields(section)}
