"""A run as a TensorBoard event file, beside its other artefacts: ``tensorboard --logdir`` shows it.

The file's name comes from the run, so that a run told twice has one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tensorboardX import SummaryWriter

from contract import names
from functions.shared import client, environment

if TYPE_CHECKING:
    from functions.track import Story

PREFIX = "events.out.tfevents."
"""What TensorBoard knows event files by."""


def write(prefix: str, story: Story) -> str:
    """Write a run's event file below ``prefix`` of the artifacts bucket; return its key."""
    key = f"{prefix}{PREFIX}{int(story.started)}.{story.name}"
    client("s3").put_object(Bucket=environment(names.ARTIFACTS_BUCKET), Key=key, Body=content(story))
    return key


def content(story: Story) -> bytes:
    """Return a run's event file: a curve a metric, its settings and results as text."""
    with tempfile.TemporaryDirectory() as folder:
        writer, moment = SummaryWriter(folder), story.started
        for epoch in story.epochs:
            moment += epoch.get("seconds", 0.0)
            for name, value in epoch.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(epoch["epoch"]), walltime=moment)
        for name, value in story.results.items():
            writer.add_scalar(f"results/{name}", value, 0, walltime=story.ended)
        for title, table in (("settings", story.parameters), ("run", story.tags)):
            lines = ["| name | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in table.items())]
            writer.add_text(title, "\n".join(lines), 0, walltime=story.ended)
        writer.close()
        (file,) = Path(folder).glob(f"{PREFIX}*")
        return file.read_bytes()
