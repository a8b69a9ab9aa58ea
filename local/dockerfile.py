"""Builds a process image from the part of the Dockerfile language that our images use.

FROM (``python:*-slim*`` only), LABEL, ENV, WORKDIR, COPY, RUN pip install,
EXPOSE, USER, ENTRYPOINT and CMD in exec form. Anything else fails with its line.

``FROM python`` stands for this Python environment, whatever its version, so
``RUN pip install`` installs nothing: it fails unless every requirement is met
here. USER is noted and not obeyed (the container's root is the laptop's user).
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.metadata
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

BASE = "python:*-slim*"
PIP = (["pip", "install"], ["pip3", "install"], ["python", "-m", "pip", "install"], ["python3", "-m", "pip", "install"])
PIP_FLAGS = {"--no-cache-dir", "--no-deps", "--upgrade", "-U", "--quiet", "-q", "--no-compile", "--require-hashes"}
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}  # of FROM python


class BuildFailed(Exception):
    """A Dockerfile that cannot be built here; the message has its line."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: its line number, its word in capitals, the rest."""

    line: int
    word: str
    rest: str


@dataclass(kw_only=True)
class _Building:
    context: Path
    files: Path
    say: Callable[[str], None]
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)

    def inside(self, path: str) -> PurePosixPath:
        """Return a path of the image, absolute."""
        return PurePosixPath(self.folder) / path

    def outside(self, path: str) -> Path:
        """Return where a path of the image is on the laptop."""
        return self.files / str(self.inside(path)).lstrip("/")

    def expand(self, text: str) -> str:
        """Replace ``$NAME`` by ENV's values."""
        known = {**BASE_ENVIRONMENT, **self.environment}
        return VARIABLE.sub(lambda match: known.get(match[1] or match[2], ""), text)


def build(*, dockerfile: Path, context: Path, store: Path, say: Callable[[str], None]) -> str:
    """Build an image into ``store/<digest>``; return ``sha256:<digest>``.

    Args:
        say: called with what is done, line by line.

    Raises BuildFailed.
    """
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix="build-") as scratch:
        files = Path(scratch, "files")
        files.mkdir()
        building = _Building(context=context.resolve(), files=files, say=say)
        instructions = list(parse(dockerfile.read_text()))
        if not instructions or instructions[0].word != "FROM":
            raise BuildFailed(f"{dockerfile.name}: the first instruction must be FROM")
        for number, instruction in enumerate(instructions):
            say(f"Step {number + 1}/{len(instructions)} : {instruction.word} {instruction.rest}")
            _obey(building, instruction, first=number == 0)
        told = {
            "entrypoint": building.entrypoint,
            "cmd": building.cmd,
            "environment": building.environment,
            "folder": building.folder,
            "labels": building.labels,
        }
        digest = _digest(told, files)
        Path(scratch, "image.json").write_text(json.dumps(told, sort_keys=True))
        target = store / digest
        if not target.exists():
            target.mkdir()
            shutil.move(files, target / "files")
            shutil.move(Path(scratch, "image.json"), target / "image.json")
    return f"sha256:{digest}"


def parse(text: str) -> Iterator[Instruction]:
    """Yield the instructions; comments and continuation lines are put away."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        start = start or number
        pending += line.strip()
        if pending.endswith("\\"):
            pending = pending[:-1].rstrip() + " "
            continue
        word, _, rest = pending.partition(" ")
        yield Instruction(line=start, word=word.upper(), rest=rest.strip())
        pending, start = "", 0
    if pending:
        raise BuildFailed(f"line {start}: the last line ends with a backslash")


def unmet(requirements: list[str]) -> list[str]:
    """Return the requirements that this environment does not meet, each with what is here instead."""
    missing = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            here = importlib.metadata.version(canonicalize_name(requirement.name))
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{text} (not installed here)")
            continue
        if not requirement.specifier.contains(here, prereleases=True):
            missing.append(f"{text} (here: {here})")
    return missing


def _obey(building: _Building, instruction: Instruction, *, first: bool) -> None:
    known: dict[str, Callable[[_Building, str], None]] = {
        "FROM": _from,
        "LABEL": lambda image, rest: image.labels.update(_pairs(image, rest)),
        "ENV": lambda image, rest: image.environment.update(_pairs(image, rest)),
        "WORKDIR": _workdir,
        "COPY": _copy,
        "RUN": _run,
        "EXPOSE": lambda image, rest: None,
        "USER": lambda image, rest: image.say(f"USER {rest} is noted: here the container runs as you"),
        "ENTRYPOINT": lambda image, rest: setattr(image, "entrypoint", _exec_form(rest)),
        "CMD": lambda image, rest: setattr(image, "cmd", _exec_form(rest)),
    }
    try:
        if instruction.word not in known:
            raise BuildFailed(f"this instruction is not emulated by the laptop cloud; known are {', '.join(known)}")
        if instruction.word == "FROM" and not first:
            raise BuildFailed("several build stages are not emulated by the laptop cloud")
        known[instruction.word](building, instruction.rest)
    except (BuildFailed, OSError, ValueError) as error:
        raise BuildFailed(f"line {instruction.line}: {instruction.word} {instruction.rest}: {error}") from error


def _from(image: _Building, rest: str) -> None:
    if not fnmatch.fnmatch(rest.rpartition("/")[2], BASE) or " " in rest:
        raise BuildFailed(f"only FROM {BASE} can stand for this Python environment")


def _pairs(image: _Building, rest: str) -> dict[str, str]:
    words = shlex.split(rest)
    if any("=" not in word for word in words):
        raise BuildFailed("expected name=value")
    return {name: image.expand(value) for name, _, value in (word.partition("=") for word in words)}


def _workdir(image: _Building, rest: str) -> None:
    image.folder = str(image.inside(image.expand(rest)))
    image.outside(".").mkdir(parents=True, exist_ok=True)


def _copy(image: _Building, rest: str) -> None:
    words = [image.expand(word) for word in (json.loads(rest) if rest.startswith("[") else shlex.split(rest))]
    flags = [word for word in words if word.startswith("--")]
    if any(not flag.startswith(("--chown=", "--chmod=")) for flag in flags):
        raise BuildFailed(f"{' '.join(flags)} is not emulated by the laptop cloud")
    *sources, target = [word for word in words if word not in flags]
    found = [path for source in sources for path in _sources(image.context, source)]
    as_folder = target.endswith("/") or len(found) > 1 or image.outside(target).is_dir()
    for path in found:
        if path.is_dir():
            shutil.copytree(
                path, image.outside(target), dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            file = image.outside(target) / path.name if as_folder else image.outside(target)
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, file)


def _sources(context: Path, source: str) -> list[Path]:
    paths = sorted(context.glob(source.strip("/"))) if source.strip("/.") else [context]
    if not paths:
        raise BuildFailed(f"{source} is not in the build context")
    if any(not path.resolve().is_relative_to(context) for path in paths):
        raise BuildFailed(f"{source} is outside the build context")
    return paths


def _run(image: _Building, rest: str) -> None:
    words = shlex.split(image.expand(rest))
    start = next((start for start in PIP if words[: len(start)] == start), None)
    if start is None or "&&" in words or ";" in rest:
        raise BuildFailed("only RUN pip install is emulated by the laptop cloud")
    requirements = list(_requirements(image, words[len(start) :]))
    missing = unmet(requirements)
    if missing:
        raise BuildFailed(f"this environment does not meet: {', '.join(missing)}")
    image.say(f"this environment meets {len(requirements)} requirements")


def _requirements(image: _Building, words: list[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in ("-r", "--requirement"):
            yield from _read_requirements(image.outside(next(rest)))
        elif word.startswith("-") and word not in PIP_FLAGS:
            raise BuildFailed(f"pip's {word} is not emulated by the laptop cloud")
        elif not word.startswith("-"):
            yield _checked(word)


def _read_requirements(path: Path) -> Iterator[str]:
    for line in path.read_text().replace("\\\n", " ").splitlines():
        text = re.split(r"(?:^|\s)#|\s--hash", line)[0].strip()
        if text:
            yield _checked(text)


def _checked(text: str) -> str:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        raise BuildFailed(f"{text!r} is not a requirement that can be checked here: {error}") from error
    return text


def _exec_form(rest: str) -> list[str]:
    words: Any = json.loads(rest) if rest.startswith("[") else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BuildFailed('expected exec form, ["program", "argument"]: in shell form no SIGTERM reaches the program')
    return words


def _digest(told: dict[str, Any], files: Path) -> str:
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for path in sorted(files.rglob("*")):
        digest.update(f"{path.relative_to(files)}\0{path.is_dir()}\0".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
