"""A function's code zip, unpacked once per content under the cloud's root."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path

_lock = threading.Lock()


def unpack(code: bytes, folder: Path) -> Path:
    """Unpack ``code`` under ``folder``/<sha256> unless it is there; return that task root.

    Raises:
        ValueError: when ``code`` is not a zip.
    """
    root = folder / hashlib.sha256(code).hexdigest()[:32]
    with _lock:
        if not root.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _unpack_atomically(code, root)
    return root


def _unpack_atomically(code: bytes, root: Path) -> None:
    partial = Path(tempfile.mkdtemp(dir=root.parent))
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            for member in archive.infolist():
                _extract(archive, member, partial)
        partial.rename(root)
    except zipfile.BadZipFile as error:
        raise ValueError("Could not unzip uploaded file. Please check your file, then try to upload again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Extract one member with its execute bits, which ``extractall`` drops."""
    path = archive.extract(member, folder)
    if (member.external_attr >> 16) & 0o111 and not member.is_dir():
        os.chmod(path, 0o755)
