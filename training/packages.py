"""The ``wheels`` input: the few packages that a container image may lack, installed without a network."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*==\s*(?P<version>[^\s;#]+)")
REQUIREMENTS = "requirements.txt"


class CannotInstall(Exception):
    """The container lacks packages that the ``wheels`` input does not bring."""


def install_missing(wheels: Path, target: Path, lists: Sequence[str] = (REQUIREMENTS,)) -> bool:
    """Install into ``target`` what the lists pin and this interpreter has not.

    Args:
        wheels: the input's folder: lists and wheels, or a zip of them.
        target: a folder of the job, for PYTHONPATH; untouched when nothing is missing.
        lists: files of exact pins, those that this job needs.

    Returns:
        Whether anything was installed.

    Raises:
        CannotInstall: when pip cannot, or a line is no exact pin.
    """
    folder = _unzipped(wheels, target.with_name("wheels"))
    missing = [pin for name in lists for pin in _pins(folder / name) if not _satisfied(*pin)]
    if not missing:
        return False
    wanted = [f"{name}=={version}" for name, version in missing]
    print("installing " + ", ".join(wanted), flush=True)
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-index", "--no-deps",  # the pins are complete; with --target pip would want even what the image has
        "--find-links", str(folder), "--target", str(target), *wanted,
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CannotInstall(
            f"the image lacks {', '.join(wanted)} and the wheels input does not bring them: "
            f"{done.stdout.strip()[-400:]}"
        )
    return True


def _unzipped(wheels: Path, into: Path) -> Path:
    """Return the folder with requirements.txt: the input itself, or what its only zip holds."""
    if (wheels / REQUIREMENTS).exists():
        return wheels
    zips = sorted(wheels.glob("*.zip"))
    if len(zips) != 1:
        there = ", ".join(sorted(path.name for path in wheels.glob("*"))) or "nothing"
        raise CannotInstall(f"expected {REQUIREMENTS} or one zip in {wheels}, found {there}")
    with zipfile.ZipFile(zips[0]) as archive:
        archive.extractall(into)
    return into


def _pins(requirements: Path) -> list[tuple[str, str]]:
    if not requirements.exists():
        raise CannotInstall(f"there is no {requirements.name} among the wheels")
    lines = [line.split("#")[0].strip() for line in requirements.read_text().splitlines()]
    pins = []
    for line in filter(None, lines):
        match = PIN.match(line)
        if not match:
            raise CannotInstall(f"{requirements.name} says {line!r}; expected an exact pin: name==version")
        pins.append((match["name"], match["version"]))
    return pins


def _satisfied(name: str, version: str) -> bool:
    """Whether the installed version is the pinned one; a build's local part (``+cpu``) does not count."""
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return installed.split("+")[0] == version.split("+")[0]
