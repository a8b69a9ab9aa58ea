"""Model archives are unpacked without trusting them, by whoever reads one."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from contract.errors import InvalidModel

CHUNK = 2**20


def unpack(archive: Path, folder: Path, *, limit: int) -> None:
    """Extract a tar.gz into ``folder``.

    Args:
        archive: the file.
        folder: for its files; made if it is not there.
        limit: bytes of all files together.

    Raises:
        InvalidModel: when it is no archive, is damaged, would write outside the folder, or is larger than ``limit``.
    """
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            size = sum(member.size for member in tar)
            if size > limit:
                raise InvalidModel(f"{archive.name} would unpack to {size:,} bytes; at most {limit:,} are allowed")
            extract(tar, folder)
            while stream.read(CHUNK):  # gzip's checksum stands at the very end, where tar does not look
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InvalidModel(f"{archive.name} cannot be unpacked: {error}") from error


def extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Write the files and folders of an archive below ``folder``; no links, no devices, no modes, no owners.

    tarfile's own filter is not there in the Python 3.11.2 of Debian 12.

    Raises:
        tarfile.ExtractError: at a member that is neither, or that would be written outside.
    """
    for member in tar:
        parts = PurePosixPath(member.name.lstrip("/")).parts
        if ".." in parts:
            raise tarfile.ExtractError(f"{member.name!r} would be written outside the folder")
        target = folder.joinpath(*parts)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        elif member.isfile():
            target.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None  # only links and devices have none
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file, CHUNK)
        else:
            raise tarfile.ExtractError(f"{member.name!r} is neither a file nor a folder")
