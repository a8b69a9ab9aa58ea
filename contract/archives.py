"""Model archives are unpacked without trusting them, by whoever reads one."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

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
            tar.extractall(folder, filter="data")
            while stream.read(CHUNK):  # gzip's checksum stands at the very end, where tar does not look
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InvalidModel(f"{archive.name} cannot be unpacked: {error}") from error
