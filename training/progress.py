"""How far training is, and the files that tell: the part of checkpoints that every framework shares."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from contract.errors import TrainingFailed

KEPT = 2  # the newest, and one more in case the newest was cut short on its way to S3
PROGRESS = "progress"  # of a checkpoint's header: the progress, as JSON


@dataclass(kw_only=True)
class Progress:
    """How far training is.

    The first ``step`` updates of ``epoch`` are done (both count from 0); the sums
    are over them. ``best`` is the history's line of the weights kept as best;
    ``shares`` are the ranks' lambdas where they were measured.
    """

    learning: dict[str, Any]
    fingerprint: str
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, even after a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return sorted(folder.glob("epoch-*.safetensors"))


def newest(folder: Path) -> bytes:
    """Return the newest whole checkpoint's content, or ``b""`` when there is none.

    One that was cut short is reported and passed over: the one before it is
    exact too, only older.

    Raises:
        TrainingFailed: when there are some and all of them are damaged.
    """
    paths = checkpoints(folder)
    for path in reversed(paths):
        try:
            with safe_open(path, "numpy") as file:
                file.keys()
        except SafetensorError as error:
            print(f"checkpoint {path.name} is damaged ({error}); trying the one before", flush=True)
            continue
        return path.read_bytes()
    if paths:
        names = ", ".join(path.name for path in paths)
        raise TrainingFailed(f"every checkpoint in {folder} is damaged ({names}): delete them, to begin anew")
    return b""


def read_progress(content: bytes) -> Progress:
    """Return the progress in a checkpoint's header (https://github.com/huggingface/safetensors#format).

    Raises:
        TrainingFailed: when it is a file of another kind, or of another version.
    """
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    try:
        return Progress(**json.loads(metadata[PROGRESS]))
    except (KeyError, TypeError) as error:
        raise TrainingFailed(f"the checkpoint is not one that this program wrote ({error!r}): delete it") from error


def drop_old(folder: Path) -> None:
    """Delete all checkpoints but the newest."""
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def checkpoint_path(folder: Path, progress: Progress) -> Path:
    """Return where the checkpoint of this moment goes; names sort by time."""
    return folder / f"epoch-{progress.epoch:05}-step-{progress.step:07}.safetensors"
