"""The laptop cloud's folder: one cloud at a time, and nothing of an earlier one.

A cloud's state is in memory, so what an earlier one left (files of jobs,
functions, endpoints, images) belongs to nothing any more. All of it lies in one
folder that only clouds make, so that ``--root .`` cannot cost a person a file.
"""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO

FILES, LOCK = "cloud", "lock"


def hold(root: Path) -> IO[bytes]:
    """Take ``root`` until the returned file is closed or this process ends; ``root/cloud`` is then empty.

    Raises:
        OSError: when another cloud has it, it cannot be written, or ``root/cloud`` is somebody else's.
    """
    folder = root / FILES
    if folder.exists() and not (folder / LOCK).is_file() and any(folder.iterdir()):
        raise OSError(f"{folder} is not a laptop cloud's")
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise OSError("another laptop cloud uses it") from error
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
    return lock
