"""Layers that recipes share: raw inputs to normalised ones, inside the network.

Their constants are buffers, so they are saved with the weights and exported
to ONNX: whoever serves the model needs to know nothing of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from contract.manifest import Schema
from training.scaling import CLIP, deviation


class Pixels(nn.Module):
    """Images uint8 [n, height, width, channels] to float32 [n, channels, height, width] of mean 0, deviation 1.

    Args:
        mean, std: of the training images' samples, from 0 to 255; a deviation of 0 counts as 1.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, *, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std or 1.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        channels_first = image.permute(0, 3, 1, 2).float().clone(memory_format=torch.contiguous_format)
        return (channels_first - self.mean) / self.std


class Standardise(nn.Module):
    """Numbers float32 [n, k], NaN where missing, to mean 0 and deviation 1; missing ones become the mean.

    For each column in which training rows miss values, a further column says
    where (1.0), because that a value is missing often means something.

    Args:
        statistics: mean, std and missing of each column's training rows.
        clip: deviations from the mean at which numbers end.
    """

    mean: torch.Tensor
    std: torch.Tensor
    gaps: torch.Tensor

    def __init__(self, statistics: Sequence[Mapping[str, float]], *, clip: float = CLIP) -> None:
        super().__init__()
        self._clip = clip
        gaps = [place for place, column in enumerate(statistics) if column["missing"] > 0]
        self.width, self.tells_gaps = len(statistics) + len(gaps), bool(gaps)
        self.register_buffer("mean", torch.tensor([column["mean"] for column in statistics]))
        self.register_buffer("std", torch.tensor([deviation(column) for column in statistics]))
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.int64))

    def forward(self, numeric: torch.Tensor) -> torch.Tensor:
        """Impute, standardise, clip."""
        missing = torch.isnan(numeric)
        filled = torch.where(missing, self.mean, numeric)
        scaled = ((filled - self.mean) / self.std).clamp(-self._clip, self._clip)
        if not self.tells_gaps:
            return scaled
        return torch.cat([scaled, missing.index_select(1, self.gaps).float()], dim=1)


class Embed(nn.Module):
    """Codes int64 [n, m] to learned vectors, float32 [n, m x size]; one table for all columns.

    Args:
        codes: how many codes each column has (0, missing or unknown, among them).
        size: numbers that describe one code.
    """

    first: torch.Tensor

    def __init__(self, codes: Sequence[int], size: int) -> None:
        super().__init__()
        first = [sum(codes[:place]) for place in range(len(codes))]
        self.register_buffer("first", torch.tensor(first, dtype=torch.int64))
        self.table = nn.Embedding(sum(codes), size)
        self.width = len(codes) * size

    def forward(self, category: torch.Tensor) -> torch.Tensor:
        """Look up."""
        return self.table(category + self.first).flatten(1)


class Columns(nn.Module):
    """The columns of a table, side by side, float32 [n, width]."""

    def __init__(self, numbers: Standardise | None, categories: Embed | None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for part in (numbers, categories) if part is not None)
        self.width = sum(part.width for part in (numbers, categories) if part is not None)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Take the inputs that there are, numbers first."""
        return torch.cat([part(values) for part, values in zip(self.parts, inputs, strict=True)], dim=1)


def table(schema: Schema) -> tuple[list[Mapping[str, float]], list[int]]:
    """Return the statistics of a table's columns of numbers, and how many codes each category has."""
    numbers = [feature.statistics for feature in schema.features if feature.kind != "category"]
    return list(numbers), [feature.codes for feature in schema.features if feature.kind == "category"]


def columns(schema: Schema, *, embedding: int) -> Columns:
    """Return the first part of a network over a table's rows.

    Args:
        schema: the table's.
        embedding: numbers that describe one code of a category.
    """
    numbers, codes = table(schema)
    return Columns(Standardise(numbers) if numbers else None, Embed(codes, embedding) if codes else None)


class Additive(nn.Module):
    """A linear function of a table's columns, float32 [n, outputs]: a weight a number, and one a code of a category.

    All begin at 0. Numbers are divided by the root of their count, so that a step that suits one column suits many.

    Args:
        numbers: standardises them, if there are any.
        codes: how many codes each category has.
        outputs: columns of the answer.
    """

    def __init__(self, numbers: Standardise | None, codes: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.numbers, self._outputs = numbers, outputs
        self.weights = nn.Linear(numbers.width, outputs, bias=False) if numbers else None
        self.categories = Embed(codes, outputs) if codes else None
        self.bias = nn.Parameter(torch.zeros(outputs))
        for layer in (self.weights, self.categories and self.categories.table):
            if layer:
                nn.init.zeros_(layer.weight)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Add up; numbers come first."""
        parts = []
        if self.numbers and self.weights:
            parts.append(self.weights(self.numbers(inputs[0])) / math.sqrt(self.numbers.width))
        if self.categories:
            parts.append(self.categories(inputs[-1]).unflatten(1, (-1, self._outputs)).sum(dim=1))
        return sum(parts, self.bias)


class Front(nn.Module):
    """A first part that takes several inputs, then a second that takes one."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Run both."""
        return self.second(self.first(*inputs))
