"""Recipe ``script``: a user's own SageMaker script-mode sources, run unmodified.

Such a run has no dataset of rows: the files of the upload are the training job's channels, as they are. What the
pipeline knows of the model is the one metric that the script prints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract import names
from contract.config import Train
from contract.errors import InvalidConfig
from contract.frameworks import SCRIPT
from contract.parsing import parse, setting
from contract.recipes import Recipe, Throughput

PROGRAM = r"[A-Za-z0-9._][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)*"  # as the sagemaker-training toolkit takes it
CHANNEL = r"[A-Za-z0-9.\-_]{1,64}"
CODE = "code"
ARCHIVE = "sourcedir.tar.gz"
WHEELS = "wheels"  # folder of the sources whose packages requirements.txt is installed from
MAX_HYPERPARAMETERS, MAX_VALUE, MAX_CHANNELS = 100, 2500, 20

RECIPE = Recipe(
    name=SCRIPT,
    summary="Runs your own SageMaker training script, unmodified.",
    accepts=(),
    needs_target=False,
    reader=SCRIPT,
    default_for=(),
    framework=SCRIPT,
    metric={},
    baseline={},
    when="A script for SageMaker's PyTorch containers exists already, or no other recipe learns what you need.",
    examples="script",
    throughput=Throughput(samples_per_second=0.0, machine="none", measured=""),
)


@dataclass(frozen=True, kw_only=True)
class Script:
    """Options of the recipe: what to run, and the metric that it prints."""

    metric: str = setting("Name of the metric that versions are compared by.", pattern=r".{1,255}")
    regex: str = setting("Finds the metric in a line of the log: its first group is the value.", pattern=r".{1,500}")
    direction: str = setting("Which way it is good.", default="maximise", choices=("maximise", "minimise"))
    source: str = setting(
        "The sources as tar.gz: a path below the project in the data bucket, or an s3:// address below the tenant.",
        default="source/source.tar.gz",
    )
    program: str = setting(
        "What to run in them: a .py file, a shell script, or a package that the sources' setup.py installs.",
        default="train.py", pattern=PROGRAM,
    )  # fmt: skip
    hyperparameters: dict[str, Any] = setting("Passed to the program as --name value.", default_factory=dict)
    channels: dict[str, str] = setting(
        "Input channels, each with the folder of the upload that it holds; '' is the whole upload.",
        default_factory=lambda: {"training": ""},
    )
    torch_distributed: bool = setting("Start the program with torchrun, a process a GPU, on every host.", default=False)

    def __post_init__(self) -> None:
        for check in (_check_regex, _check_hyperparameters, _check_channels):
            check(self)

    @property
    def higher_is_better(self) -> bool:
        """Which way the metric is good."""
        return self.direction == "maximise"


@dataclass(frozen=True, kw_only=True)
class ScriptJob:
    """The parts of CreateTrainingJob that a script decides."""

    hyperparameters: dict[str, str] = setting("Every value as JSON, as the toolkit expects it.")
    metrics: tuple[dict[str, str], ...] = setting("MetricDefinitions.")
    channels: tuple[dict[str, str], ...] = setting("name and path (below the upload) of each.")
    environment: dict[str, str] = setting("Variables of the container.")


def read(table: Mapping[str, Any]) -> Script:
    """Return the options in ``[recipe]``.

    Raises:
        InvalidConfig: for anything that cannot be meant.
    """
    return parse(Script, {name: value for name, value in table.items() if name != "name"}, "recipe")


def job(script: Script, train: Train) -> ScriptJob:
    """Return what to ask SageMaker for.

    An isolated container reaches no package index, so pip looks into the sources' own wheels, and builds with what the
    image has.
    """
    isolated = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{names.DEFAULT_BASE_DIR}/{CODE}/{WHEELS}",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: yes, without
    }
    return ScriptJob(
        hyperparameters=_texts(script),
        metrics=({"Name": script.metric, "Regex": script.regex},),
        channels=tuple({"name": name, "path": _folder(path)} for name, path in script.channels.items()),
        environment=isolated if train.isolation == "on" else {},
    )


def _texts(script: Script) -> dict[str, str]:
    own = {
        "sagemaker_program": script.program,
        "sagemaker_submit_directory": f"{names.DEFAULT_BASE_DIR}/{names.TRAINING_INPUTS}/{CODE}/{ARCHIVE}",
        "sagemaker_container_log_level": 20,
    }
    if script.torch_distributed:
        own["sagemaker_torch_distributed_enabled"] = True
    return {name: json.dumps(value, allow_nan=False) for name, value in {**script.hyperparameters, **own}.items()}


def _folder(path: str) -> str:
    return f"{path.strip('/')}/" if path.strip("/") else ""


def _check_regex(script: Script) -> None:
    try:
        groups = re.compile(script.regex).groups
    except re.error as error:
        raise InvalidConfig("recipe.regex", script.regex, "a regular expression", f"{error}.") from error
    if groups < 1:
        fix = "Put the number in parentheses: 'val_acc=([0-9.]+)'."
        raise InvalidConfig("recipe.regex", script.regex, "an expression with a group, which is the value", fix)


def _check_hyperparameters(script: Script) -> None:
    path = "recipe.hyperparameters"
    for name, value in script.hyperparameters.items():
        if name.startswith("sagemaker_") or not re.fullmatch(r".{1,256}", name):
            allowed = "a name of 1 to 256 characters that does not start with sagemaker_"
            raise InvalidConfig(path, name, allowed, "Tandem sets SageMaker's own.")
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            fix = "Write dates as text."
            raise InvalidConfig(f"{path}.{name}", value, "a value that JSON has", fix) from error
        if len(text) > MAX_VALUE:
            raise InvalidConfig(f"{path}.{name}", value, f"at most {MAX_VALUE} characters as JSON")
    if len(_texts(script)) > MAX_HYPERPARAMETERS:
        raise InvalidConfig(path, len(script.hyperparameters), f"at most {MAX_HYPERPARAMETERS - 4} hyperparameters")


def _check_channels(script: Script) -> None:
    for name, path in script.channels.items():
        if name == CODE or not re.fullmatch(CHANNEL, name):
            allowed = "1 to 64 letters, digits, '.', '-' and '_'; not 'code', which holds the sources"
            raise InvalidConfig("recipe.channels", name, allowed)
        if any(part in (".", "..") for part in path.split("/")):
            raise InvalidConfig(f"recipe.channels.{name}", path, "a folder of the upload, without '.' and '..'")
    if not 1 <= len(script.channels) < MAX_CHANNELS:
        raise InvalidConfig("recipe.channels", len(script.channels), f"1 to {MAX_CHANNELS - 1} channels")
