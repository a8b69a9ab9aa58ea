"""Layers that recipes share: raw inputs to normalised ones, inside the network.

Their constants are buffers, so they are saved with the weights and exported
to ONNX: whoever serves the model needs to know nothing of them.
"""

from __future__ import annotations

import torch
from torch import nn

CLIP = 10.0  # standard deviations; one absurd value must not decide alone


class Pixels(nn.Module):
    """Images uint8 [n, height, width, channels] to float32 [n, channels, height, width] of mean 0, deviation 1.

    Args:
        mean, std: of the training images' samples, from 0 to 255; a deviation of 0 counts as 1.
    """

    def __init__(self, *, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std or 1.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        return (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
