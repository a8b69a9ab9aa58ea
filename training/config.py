"""TrainConfig: what a training job was asked to do, from SageMaker's hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.config import Train
from contract.parsing import from_strings, setting


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Train):
    """[train], and which recipe to train."""

    recipe: str = setting("The recipe.")
    options: dict[str, Any] = setting("The recipe's own settings.", default_factory=dict)

    @classmethod
    def from_hyperparameters(cls, strings: Mapping[str, str]) -> TrainConfig:
        """Parse hyperparameters.json; the toolkit's own ``sagemaker_*`` entries are not ours.

        Raises:
            InvalidConfig: for an unknown name or a value that cannot be meant.
        """
        own = {name: value for name, value in strings.items() if not name.startswith("sagemaker_")}
        return from_strings(cls, own, "hyperparameters")

    def learning(self) -> dict[str, Any]:
        """Return the settings that decide the trained weights; a checkpoint of others cannot be resumed."""
        decisive = (
            "recipe", "options", "epochs", "batch_size", "learning_rate", "weight_decay", "seed", "precision", "shuffle_mb"
        )  # fmt: skip
        return {name: value for name, value in dataclasses.asdict(self).items() if name in decisive}
