"""Checks a file before it is uploaded, as far as that needs no library of its own; nothing here calls AWS."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

from cli.errors import BadArgument
from contract import script
from contract.errors import InvalidUpload, nearest
from contract.parsing import parse_toml
from contract.recipes import Recipe
from contract.request import check_project
from contract.values import BOMS, DELIMITERS

PARQUET = b"PAR1"
SNIFFED = 65_536


def read_config(path: Path) -> dict[str, Any]:
    """Return a parsed project.toml.

    Raises:
        BadArgument: when it cannot be read.
        InvalidConfig: when it is not TOML.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise BadArgument(f"{path} cannot be read: {error.strerror}.") from error
    return parse_toml(body, str(path))


def check_there(path: Path) -> None:
    """Refuse what is no file.

    Raises:
        BadArgument: with what to give instead.
    """
    if path.is_dir():
        command = f"python -m zipfile -c {path.name or 'images'}.zip {path}/*"
        raise BadArgument(f"{path} is a folder; one file is uploaded.", f"Zip its class folders: {command}")
    if not path.is_file():
        fix = "Give a zip of class folders with images, a CSV or a Parquet file."
        raise BadArgument(f"There is no file {path}.", fix)


def check(path: Path, config: dict[str, Any]) -> Recipe:
    """Refuse an upload that cannot become a dataset; return the recipe that will read it.

    Args:
        path: the file to upload.
        config: the project's parsed project.toml; empty when there is none.

    Raises:
        BadArgument: when the file cannot be read.
        InvalidConfig: for a project.toml that cannot be used with such a file.
        InvalidUpload: for a file that the recipe cannot read.
    """
    check_there(path)
    suffix = path.suffix.lower()
    recipe = check_project(config, suffix)
    if recipe is script.RECIPE:  # it reads what it likes
        return recipe
    if suffix not in recipe.accepts:
        raise InvalidUpload(
            f"{path.name}: recipe {recipe.name!r} does not read {suffix or 'files without an ending'}; "
            f"expected {', '.join(recipe.accepts)}"
        )
    _check_content(path, suffix, config)
    return recipe


def _check_content(path: Path, suffix: str, config: dict[str, Any]) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(SNIFFED)
    except OSError as error:
        raise BadArgument(f"{path} cannot be read: {error.strerror}.") from error
    if not head:
        raise InvalidUpload(f"{path.name} is empty")
    if suffix == ".zip":
        _check_zip(path)
    elif suffix == ".parquet" and not head.startswith(PARQUET):
        raise InvalidUpload(f"{path.name} is not a Parquet file: it does not start with PAR1")
    elif suffix == ".csv":
        _check_csv(path, head, config.get("prepare", {}).get("target", ""))


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile as error:
        raise InvalidUpload(f"{path.name} is not a zip file: {error}") from error
    if not names:
        raise InvalidUpload(f"{path.name} holds no files; expected a folder of images for each class")


def _check_csv(path: Path, head: bytes, target: str) -> None:
    encoding = next((name for bom, name in BOMS.items() if head.startswith(bom)), "utf-8")
    try:
        headers = [_header(path, encoding, delimiter) for delimiter in DELIMITERS]
    except (UnicodeError, csv.Error) as error:
        raise InvalidUpload(f"{path.name} is not a CSV file in UTF-8: {error}") from error
    if target and not any(target in header for header in headers):
        header = max(headers, key=len)  # cut by the delimiter that it is most likely written with
        shown = ", ".join(header[:20]) + (", ..." if len(header) > 20 else "")
        hint = nearest(target, header)
        raise InvalidUpload(
            f"{path.name} has no column {target!r}, which prepare.target names; its header has {shown}. {hint}".rstrip()
        )


def _header(path: Path, encoding: str, delimiter: str) -> list[str]:
    with path.open(newline="", encoding=encoding) as file:
        return [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
