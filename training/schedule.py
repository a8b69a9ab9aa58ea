"""What a trainer decides between its updates, whatever framework computes them."""

from __future__ import annotations

import math
from functools import reduce
from pathlib import Path

from contract.errors import InvalidConfig, TrainingFailed
from contract.metrics import METRICS
from training import failures
from training.config import TrainConfig
from training.progress import Progress

WARM_UP = 0.1  # share of all updates in which the learning rate rises
GAIN = 1e-4  # of a value: less is none, as in torch's ReduceLROnPlateau; what converges gains a little for ever


def learning_rate(progress: Progress, config: TrainConfig, steps: int) -> float:
    """Return the next update's: up over the first tenth of all updates, then down along a cosine to 0."""
    done = (progress.epoch * steps + progress.step + 1) / (config.epochs * steps + 1)
    factor = done / WARM_UP if done < WARM_UP else (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
    return config.learning_rate * factor


def is_over(progress: Progress, config: TrainConfig, metric: str) -> bool:
    """Whether all epochs are done, or the last ``patience`` of them gained nothing.

    Told by the history, whichever weights are kept: some recipes keep the last ones.
    """
    if progress.epoch >= config.epochs or not (config.patience and progress.history):
        return progress.epoch >= config.epochs
    gained = reduce(lambda best, line: line if _gains(line, best, metric) else best, progress.history)
    return progress.epoch - int(gained["epoch"]) >= config.patience


def _gains(line: dict[str, float], best: dict[str, float], metric: str) -> bool:
    """Whether an epoch's line is better by GAIN: by the metric, or by the loss where the metric is as good."""
    sign = 1 if METRICS[metric].higher_is_better else -1
    for name, direction in ((f"validation_{metric}", sign), ("validation_loss", -1)):
        gain = direction * (line[name] - best[name])
        if abs(gain) > GAIN * abs(best[name]):
            return gain > 0
    return False


def line(progress: Progress, *, rows: int, loss: float, metric: str, value: float) -> dict[str, float]:
    """Return what is logged of an epoch that is done.

    Args:
        progress: of the epoch's last update.
        rows: of the training split.
        loss: mean, over the validation rows.
        metric: what is compared.
        value: its value on the validation rows.
    """
    return {
        "epoch": progress.epoch + 1,
        "train_loss": progress.loss_sum / rows,
        "validation_loss": loss,
        f"validation_{metric}": value,
        "samples_per_second": rows / progress.seconds,
        "seconds": progress.seconds,
    }


def is_better(mine: dict[str, float], best: dict[str, float], metric: str) -> bool:
    """Whether an epoch's line is better by the metric than another: the lower loss, then the later, where equal."""
    sign, name = (1 if METRICS[metric].higher_is_better else -1), f"validation_{metric}"
    one, other = ((sign * entry[name], -entry["validation_loss"], entry["epoch"]) for entry in (mine, best))
    return one > other


def check_ranks(config: TrainConfig, *, ranks: int, rows: int) -> None:
    """Refuse a cluster of which a device would have nothing to do.

    Raises:
        InvalidConfig: when batch or split have fewer rows than there are ranks.
    """
    if config.batch_size < ranks:
        allowed = f"at least {ranks}, a row for each of the ranks"
        raise InvalidConfig("train.batch_size", config.batch_size, allowed)
    if rows < ranks:
        raise InvalidConfig("train.hosts", ranks, f"at most {rows} ranks, the number of training rows")


def check_resumable(found: Progress, ours: Progress, folder: Path) -> None:
    """Refuse a checkpoint that cannot be gone on from.

    Raises:
        TrainingFailed: naming the settings in which it differs.
    """
    if (found.learning, found.fingerprint) != (ours.learning, ours.fingerprint):
        differs = failures.differences(found.learning, ours.learning) or "the rows or the network differ"
        raise TrainingFailed(f"the checkpoint in {folder} is of other settings or other data: {differs}")
