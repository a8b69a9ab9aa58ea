"""Smaller networks made of a trained one: pruned, or a student that learned from it.

Both are networks of the same recipe with fewer channels or units (``Recipe.narrower``), so they are smaller and faster
for any runtime, not only full of zeros. Evaluate makes them, on its one machine: what they cost is bounded by
``evaluate.max_minutes``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import nn

from contract.config import Train
from contract.manifest import Schema
from training import strategy
from training.config import TrainConfig
from training.data import LABEL, Split
from training.recipes import Recipe
from training.tasks import TASKS

PRUNED_RATE = 0.3  # of the training's learning rate: what is left is near where it should be
TEACHING = 0.5  # share of the teacher's answers in a student's loss; the rest is the labels'


class Smaller:
    """Makes smaller networks of a trained one.

    Args:
        network: the trained one, on the CPU.
        recipe, options, schema: what it was made by.
        rows: of the training split.
        train: how they learn: optimiser, learning rate, batch size, seed.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, options: object, *, schema: Schema, rows: Split, train: Train
    ) -> None:
        self._wide, self._recipe, self._options, self._schema, self._rows = network, recipe, options, schema, rows
        self._train = TrainConfig(**{**vars(train), "recipe": recipe.name})

    @property
    def prunes(self) -> bool:
        """Whether channels can be taken out of the network: whether its layers are one chain."""
        return self._recipe.prunes and getattr(self._options, "network", "") not in self._recipe.branched

    def pruned(self, share: float, epochs: int) -> nn.Module:
        """Return the network without ``share`` of the channels of each layer, trained again for some epochs."""
        network = self._narrow(share)
        remove_channels(self._wide, network)
        self._learn(network, epochs, rate=PRUNED_RATE * self._train.learning_rate, teacher=None)
        return network

    def student(self, share: float) -> nn.Module:
        """Return a network that lacks ``share`` of the channels, and learned what this one answers.

        It begins with this one's most important channels where they can be taken out, afresh elsewhere.
        """
        network = self._narrow(share)
        if self.prunes:
            remove_channels(self._wide, network)
        self._learn(network, self._train.epochs, rate=self._train.learning_rate, teacher=self._wide)
        return network

    def _narrow(self, share: float) -> nn.Module:
        torch.manual_seed(self._train.seed)
        return self._recipe.network(self._schema, self._recipe.narrower(self._options, share))

    def _learn(self, network: nn.Module, epochs: int, *, rate: float, teacher: nn.Module | None) -> None:
        """Train in this process; the learning rate falls to 0 along half a cosine."""
        optimiser = strategy.optimiser(network, self._train)
        updates = epochs * math.ceil(len(self._rows) / self._train.batch_size)
        network.train()
        for update, (inputs, labels) in enumerate(self._batches(epochs)):
            for group in optimiser.param_groups:
                group["lr"] = rate * (1 + math.cos(math.pi * update / updates)) / 2
            outputs = network(*inputs)
            loss = self._recipe.loss(outputs, labels, self._schema)
            if teacher is not None:
                with torch.no_grad():
                    taught = teacher(*inputs)
                imitation = TASKS[self._schema.task].imitation(outputs, taught)
                loss = (1 - TEACHING) * loss + TEACHING * imitation
            optimiser.zero_grad(set_to_none=True)
            loss.mean().backward()
            optimiser.step()
        network.eval()

    def _batches(self, epochs: int) -> Iterator[tuple[list[torch.Tensor], torch.Tensor]]:
        size = self._train.batch_size
        for epoch in range(epochs):
            order = self._rows.order(seed=self._train.seed, epoch=epoch)
            for first in range(0, len(self._rows), size):
                arrays = self._rows.take(order[first : first + size])
                inputs = [torch.from_numpy(arrays[tensor.name]) for tensor in self._schema.inputs]
                yield inputs, torch.from_numpy(arrays[LABEL])


def remove_channels(wide: nn.Module, narrow: nn.Module) -> None:
    """Fill a narrower network with the channels and units of a wide one that have the largest weights (L2).

    Both are a chain of the same layers, whatever stands before the first convolution or linear layer being equal. A
    channel's importance is the norm of the weights that make it. Source: Li et al., "Pruning Filters for Efficient
    ConvNets", ICLR 2017, section 3.1 (there with L1).
    """
    tensors = copy.copy(wide.state_dict())
    kept: torch.Tensor | None = None  # channels of the layer before that stay; None: all, as before the first layer
    channels = 0  # that the layer before had
    for (name, old), (_, new) in zip(_layers(wide), _layers(narrow), strict=True):
        weight = old.weight.detach()
        if kept is not None:
            each = weight.shape[1] // channels  # inputs that one channel is: its pixels, after Flatten
            weight = weight[:, (kept[:, None] * each + torch.arange(each)).flatten()]
        channels = weight.shape[0]
        norms = old.weight.detach().flatten(1).norm(dim=1)
        kept = norms.topk(new.weight.shape[0]).indices.sort().values
        tensors[f"{name}.weight"] = weight[kept]
        if old.bias is not None:
            tensors[f"{name}.bias"] = old.bias.detach()[kept]
    narrow.load_state_dict(tensors)


def _layers(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    return [(name, module) for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
