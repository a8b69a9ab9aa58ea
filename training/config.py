"""TrainConfig: what a training job was asked to do, from SageMaker's hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.config import Train
from contract.parsing import from_strings, setting
from contract.training import check_training
from contract.tuning import join_options

DECISIVE = (
    "recipe", "options", "start", "epochs", "batch_size", "learning_rate", "weight_decay", "optimiser", "momentum",
    "clip_norm", "seed", "precision", "communication", "powersgd_rank", "patience", "shuffle_mb",
)  # fmt: skip

FOREIGN = ("sagemaker_", "_tuning_")
"""Hyperparameters of the toolkit, and of SageMaker's tuning, begin so."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Train):
    """[train], and which recipe to train."""

    recipe: str = setting("The recipe.")
    options: dict[str, Any] = setting("The recipe's own settings.", default_factory=dict)

    @classmethod
    def from_hyperparameters(cls, strings: Mapping[str, str]) -> TrainConfig:
        """Parse hyperparameters.json: of a training job, or of one that a tuning job made (``options.<name>``).

        Raises:
            InvalidConfig: for an unknown name or a value that cannot be meant.
        """
        own = {name: value for name, value in strings.items() if not name.startswith(FOREIGN)}
        config = from_strings(cls, join_options(own), "hyperparameters")
        check_training(config)
        return config

    def learning(self) -> dict[str, Any]:
        """Return the settings that decide the trained weights; a checkpoint of others cannot be resumed.

        Those that only say how ranks divide the work are not among them.
        """
        return {name: value for name, value in dataclasses.asdict(self).items() if name in DECISIVE}
