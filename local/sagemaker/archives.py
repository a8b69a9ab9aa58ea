"""Unpacks model archives without trusting them."""

from __future__ import annotations

import tarfile
from pathlib import Path

from contract.archives import extract


class BadArchive(Exception):
    """An archive that is not a tar.gz, or would write outside its folder."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a model.tar.gz below ``folder``: files and folders only, never outside it; raises BadArchive."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as members:
            extract(members, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BadArchive(f"{type(error).__name__}: {error}") from error
