"""Zip uploads: what is in them, without ever extracting to disk.

Nothing is trusted: sizes are checked before anything is decompressed (zipfile
never inflates beyond the size in the directory), names before they are used.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.rejection import Rejected

MAX_MEMBERS = 5_000_000
MAX_MEMBER_BYTES = 256 * 2**20
MAX_RATIO = 200  # of inflated to packed size, for archives that inflate beyond FREE_BYTES
FREE_BYTES = 2**30
BROKEN = (
    zipfile.BadZipFile,
    ValueError,
    OSError,
    EOFError,
    IndexError,
    OverflowError,
    NotImplementedError,
    struct.error,
)
"""What zipfile raises for damaged directories, depending on where the damage is."""
IGNORED_FOLDERS = {"__MACOSX", ".git", ".ipynb_checkpoints"}
IGNORED_FILES = {"Thumbs.db", "desktop.ini"}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of a zip."""

    name: str  # with forward slashes
    info: zipfile.ZipInfo

    @property
    def folder(self) -> str:
        """Name of the folder right above it; empty at the top."""
        return PurePosixPath(self.name).parent.name


def members(path: Path, file: str) -> list[Member]:
    """Return the files of a zip, without folders and what desktops leave behind.

    Args:
        path: the zip.
        file: how to call it in reasons.

    Raises:
        Rejected: when it is no zip, encrypted, a bomb, or has names that would escape a folder.
    """
    if path.stat().st_size == 0:
        raise Rejected(f"{file} is empty (0 bytes)")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except BROKEN as error:
        raise Rejected(f"{file} is not a zip file, or is cut short ({error}); zip the class folders again") from error
    _check_safe(infos, path, file)
    found = [Member(name=_name(info), info=info) for info in infos]
    return [member for member in found if not _ignored(PurePosixPath(member.name))]


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/")


def _ignored(path: PurePosixPath) -> bool:
    hidden = path.name.startswith(".")  # .DS_Store, ._resource-forks
    return hidden or path.name in IGNORED_FILES or bool(IGNORED_FOLDERS & set(path.parts))


def _check_safe(infos: list[zipfile.ZipInfo], path: Path, file: str) -> None:
    for info in infos:
        name = PurePosixPath(_name(info))
        if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise Rejected(f"{file} holds the unsafe name {info.filename!r}; names must stay inside the archive")
        if info.flag_bits & 1:
            raise Rejected(f"{file} is encrypted ({info.filename!r}); zip it without a password")
    inflated = sum(info.file_size for info in infos)
    if len(infos) > MAX_MEMBERS:
        raise Rejected(f"{file} holds {len(infos):,} files; at most {MAX_MEMBERS:,} are read")
    if inflated > FREE_BYTES and inflated > MAX_RATIO * path.stat().st_size:
        raise Rejected(f"{file} would inflate to {inflated:,} bytes, over {MAX_RATIO} times its size: a zip bomb?")


def read(archive: zipfile.ZipFile, member: Member) -> bytes:
    """Return a member's content.

    Raises:
        ValueError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError: when it is too large or damaged.
    """
    if member.info.file_size > MAX_MEMBER_BYTES:
        raise ValueError(f"{member.info.file_size:,} bytes; at most {MAX_MEMBER_BYTES:,} are read")
    return archive.read(member.info)
