"""Model archives: packed the same way each time, unpacked only when safe and unaltered."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from contract import archives, keys
from contract.errors import InvalidConfig, InvalidModel
from contract.manifest import ModelManifest

MAX_BYTES = 20 * 2**30


def sha256(path: Path) -> str:
    """Return a file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: bytes) -> str:
    """Return sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def pack(archive: Path, files: Mapping[str, bytes]) -> None:
    """Write a tar.gz whose bytes depend on nothing but the files' names and contents."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o644
            tar.addfile(info, io.BytesIO(files[name]))


def unpack(archive: Path, folder: Path) -> ModelManifest:
    """Extract a model archive into ``folder`` and check it; return its manifest.

    Raises:
        InvalidModel: when it is no archive, would write outside the folder, is
            a bomb, lacks its manifest, or a file is not as the manifest says.
    """
    archives.unpack(archive, folder, limit=MAX_BYTES)
    return read_manifest(folder)


def read_manifest(folder: Path) -> ModelManifest:
    """Return the manifest in a folder, after checking each file that it lists.

    Raises:
        InvalidModel: when it is missing, malformed, or a file differs from it.
    """
    path = folder / keys.MODEL_MANIFEST
    if not path.exists():
        raise InvalidModel(f"the model has no {keys.MODEL_MANIFEST}")
    try:
        manifest = ModelManifest.from_dict(json.loads(path.read_text()))
    except (InvalidConfig, ValueError) as error:
        raise InvalidModel(f"{keys.MODEL_MANIFEST} cannot be read: {error}") from error
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
            raise InvalidModel(f"the model lacks {name}, which its manifest lists")
        if sha256(file) != expected:
            raise InvalidModel(f"{name} is not the file that the manifest describes (its sha256 differs)")
    return manifest
