"""Networks that tell images apart, from the smallest to ResNet-18.

Each takes images uint8 [n, side, side, channels] and returns logits, float32 [n, classes].
None has a layer whose result depends on the other rows of a batch (batch normalisation):
so a batch may be divided among ranks in any way.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

GROUPS = 16  # channels that are normalised together; the fewest that Wu and He found to be as good as a batch's
DENSE = 128
SMALL_IMAGE = 64  # from this side on, ResNet's own stem, which sees a quarter of the pixels, loses nothing


def small(*, side: int, channels: int, classes: int, width: int) -> nn.Sequential:
    """Two blocks of convolution and pooling, then a hidden layer of 128 units."""
    left = -(-side // 4)  # an odd row of pixels is kept
    return nn.Sequential(
        *_halving(channels, width, odd=True),
        *_halving(width, 2 * width, odd=True),
        nn.Flatten(),
        nn.Linear(2 * width * left * left, DENSE),
        nn.ReLU(),
        nn.Linear(DENSE, classes),
    )


def deep(*, side: int, channels: int, classes: int, width: int) -> nn.Sequential:
    """Blocks of convolution and pooling until 2 or 3 pixels are left, each with twice the filters (at most 8 x)."""
    blocks: list[nn.Module] = []
    filters = width
    while side > 3:
        blocks += _halving(channels, filters)
        channels, filters, side = filters, min(2 * filters, 8 * width), side // 2
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(channels * side * side, classes))


def resnet18(*, side: int, channels: int, classes: int, width: int) -> nn.Sequential:
    """ResNet-18 with group normalisation, and for images below 64 pixels the stem of a single 3 x 3 convolution.

    Sources: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1 and, for the stem of small
    images, section 4.2; Wu and He, "Group Normalization", ECCV 2018.
    """
    stem: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False), _norm(width), nn.ReLU()]
    if side >= SMALL_IMAGE:
        stem = [nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False), _norm(width), nn.ReLU()]
        stem.append(nn.MaxPool2d(3, stride=2, padding=1))
    blocks: list[nn.Module] = []
    entering = width
    for stage in range(4):
        leaving = width * 2**stage
        blocks += [Residual(entering, leaving, stride=1 if stage == 0 else 2), Residual(leaving, leaving, stride=1)]
        entering = leaving
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(entering, classes))


class Norm(nn.GroupNorm):
    """Group normalisation without the check of the batch's size, which the ONNX exporter cannot trace."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        return torch.group_norm(image, self.num_groups, self.weight, self.bias, self.eps)


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input goes too; float32 [n, entering, h, w] to [n, leaving, h', w'].

    Args:
        entering, leaving: channels.
        stride: 2 halves height and width.
    """

    def __init__(self, entering: int, leaving: int, *, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(entering, leaving, 3, stride=stride, padding=1, bias=False),
            _norm(leaving),
            nn.ReLU(),
            nn.Conv2d(leaving, leaving, 3, padding=1, bias=False),
            _norm(leaving),
        )
        self.around: nn.Module = nn.Identity()
        if stride != 1 or entering != leaving:
            self.around = nn.Sequential(nn.Conv2d(entering, leaving, 1, stride=stride, bias=False), _norm(leaving))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Add the residual."""
        return torch.relu(self.convolutions(image) + self.around(image))


def _halving(entering: int, leaving: int, *, odd: bool = False) -> list[nn.Module]:
    return [nn.Conv2d(entering, leaving, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=odd)]


def _norm(channels: int) -> Norm:
    """Normalise groups of 16 channels, or all together where 16 do not divide them."""
    return Norm(channels // GROUPS if channels % GROUPS == 0 else 1, channels)


NETWORKS: dict[str, tuple[Callable[..., nn.Sequential], int]] = {
    "small": (small, 32),
    "deep": (deep, 32),
    "resnet18": (resnet18, 64),
}
"""By name: what makes it, and the filters of its first block."""
