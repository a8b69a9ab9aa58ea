"""What a training job of a tuning job runs: ``tandem_train.py`` at the root of the code archive, in script mode.

The API of tuning jobs has no entry point for training jobs, so AWS's image starts this program on every host, with the
hyperparameters as arguments. They are not read: ``training.train`` finds them where every training job does.
"""

from __future__ import annotations

import json
import os
import sys

from contract import keys, metrics, names
from training import launch
from training.container import Container


def main() -> int:
    """Train as an ordinary training job does; return the exit status for SageMaker."""
    # Jobs of one tuning job are given one place for checkpoints; none may resume from another's.
    os.environ[names.CHECKPOINT_FOLDER] = os.environ["TRAINING_JOB_NAME"]
    status = launch.main(["train"])
    if status == 0:
        _tell_kept_epoch(Container.here())
    return status


def _tell_kept_epoch(container: Container) -> None:
    """Log the epoch whose weights are the model: SageMaker takes the last value of the objective as the job's."""
    history = container.model / keys.MODEL_METRICS
    if not history.exists():  # not the host that writes the model
        return
    manifest = json.loads((container.model / keys.MODEL_MANIFEST).read_text())
    best = int(manifest["lineage"]["best_epoch"])
    (line,) = [each for each in map(json.loads, history.read_text().splitlines()) if each["epoch"] == best]
    print("kept " + metrics.line(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
