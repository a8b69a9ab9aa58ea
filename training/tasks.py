"""What can be learned, classes or values: how it is scored, answered, and what it must beat.

These are the defaults of :class:`training.recipes.Recipe`; a recipe overrides what it does otherwise.
Importing this needs no torch: preparation imports the recipes, in Lambda.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Schema
from training import metrics
from training.data import LABEL, Split

if TYPE_CHECKING:
    import torch


TEMPERATURE = 2.0  # of a teacher's probabilities


class Task(ABC):
    """One kind of target."""

    baseline_name: str

    @abstractmethod
    def loss(self, outputs: torch.Tensor, labels: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Return the loss of each row, float32 [n], of the network's raw outputs [n, labels]."""

    @abstractmethod
    def answer(self, outputs: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Return what the served model answers, float32 [n, labels], from the network's raw outputs."""

    @abstractmethod
    def imitation(self, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Return how far each row's raw outputs [n, labels] are from a teacher's, float32 [n]."""

    @abstractmethod
    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """Return the metrics of answers to rows, of which ``label`` is the truth."""

    @abstractmethod
    def baseline(self, train: Split, rows: Mapping[str, NDArray], schema: Schema) -> NDArray[np.floating]:
        """Return what answering rows without learning says."""


class Classification(Task):
    """Labels are class codes, int64 [n]; outputs are logits, answers probabilities."""

    baseline_name = "always answering with the classes' shares of the training rows"

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Cross entropy."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.float(), labels, reduction="none")

    def answer(self, outputs: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Softmax."""
        return outputs.float().softmax(dim=-1)

    def imitation(self, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Cross entropy with the teacher's probabilities, both at a temperature at which small ones are seen.

        Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2.
        """
        from torch.nn import functional

        wanted = (taught.float() / TEMPERATURE).softmax(dim=-1)
        return functional.cross_entropy(outputs.float() / TEMPERATURE, wanted, reduction="none") * TEMPERATURE**2

    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """Accuracy, macro F1, log loss. A champion's answers may have more columns than we have classes."""
        return metrics.classification(answers, rows[LABEL])

    def baseline(self, train: Split, rows: Mapping[str, NDArray], schema: Schema) -> NDArray[np.floating]:
        """The training rows' class shares."""
        shares = np.bincount(train.labels, minlength=len(schema.labels)) / len(train)
        return np.tile(shares, (len(rows[LABEL]), 1))


class Regression(Task):
    """Labels are float32 [n, labels] in the target's units; outputs are standardised, answers in the target's units."""

    baseline_name = "always answering with the training rows' mean"

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Squared error of standardised values, the mean over the columns."""
        wanted = ((labels.double() - schema.statistics["mean"]) / schema.scale).float()
        return (outputs.float() - wanted).square().mean(dim=1)

    def answer(self, outputs: torch.Tensor, schema: Schema) -> torch.Tensor:
        """Scale back."""
        return outputs.float() * schema.scale + schema.statistics["mean"]

    def imitation(self, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Squared error, the mean over the columns."""
        return (outputs.float() - taught.float()).square().mean(dim=1)

    def metrics(self, answers: NDArray[np.floating], rows: Mapping[str, NDArray], schema: Schema) -> dict[str, float]:
        """RMSE, MAE, R2."""
        return metrics.regression(answers, rows[LABEL])

    def baseline(self, train: Split, rows: Mapping[str, NDArray], schema: Schema) -> NDArray[np.floating]:
        """The mean of each column."""
        return np.tile(train.labels.mean(axis=0, dtype=np.float64), (len(rows[LABEL]), 1))


TASKS: dict[str, Task] = {"classification": Classification(), "regression": Regression()}
