"""Networks that tell texts apart: a bag of words, and a small transformer.

Each takes word codes int64 [n, length] (contract.values.word_codes; 0 where the text has ended) and
returns logits, float32 [n, classes]. No row depends on another.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

AWAY = -1e4  # added to the attention that a place without a word would get; not infinite: a text may have no word


class Bag(nn.Module):
    """The mean of the words' vectors, then a hidden layer. The order of the words is not seen.

    Args:
        codes: how many word codes there are.
        classes: of the answer.
        width: numbers that describe a word.
    """

    def __init__(self, *, codes: int, classes: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(codes, width)
        self.answer = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Average and classify."""
        return self.answer(mean_of_words(self.words(text), text))


class Transformer(nn.Module):
    """An encoder with normalisation before each part (Xiong et al., ICML 2020), then the mean over the words.

    Args:
        codes, classes, width: as of Bag.
        length: words of a text.
        layers: of attention and a hidden layer each.
        heads: of each attention; a divisor of ``width``.
    """

    def __init__(self, *, codes: int, classes: int, width: int, length: int, layers: int, heads: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(codes, width), nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm, self.answer = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Read and classify."""
        seen = self.words(text) + self.places
        hidden = (text == 0).unsqueeze(1).unsqueeze(1).float() * AWAY
        for layer in self.layers:
            seen = layer(seen, hidden)
        return self.answer(mean_of_words(self.norm(seen), text))


class Layer(nn.Module):
    """Self-attention and a hidden layer of four times the width, each added to what comes in, [n, length, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, seen: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Attend to the places that are not hidden, float32 [n, 1, 1, length] to add."""
        parts = self.ask(self.before(seen)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=hidden)
        seen = seen + self.join(attended.transpose(1, 2).flatten(2))
        return seen + self.think(self.between(seen))


def mean_of_words(vectors: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Return the mean of vectors [n, length, width] where ``text`` [n, length] has a word; 0 of none."""
    there = (text > 0).unsqueeze(-1).float()
    return (vectors * there).sum(dim=1) / there.sum(dim=1).clamp(min=1.0)
