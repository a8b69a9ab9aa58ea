"""The network of the recipe ``recommend``: how generous a user is, how good an item is, how well the two match.

Matrix factorisation with biases: Y. Koren, R. Bell, C. Volinsky, "Matrix Factorization Techniques for Recommender
Systems", IEEE Computer 42(8), 2009, https://doi.org/10.1109/MC.2009.263.
"""

from __future__ import annotations

import torch
from torch import nn

SPREAD = 0.1  # of the first vectors: large enough to leave 0, small enough to begin at the biases
UNKNOWN_EVERY = 64  # rows of which one has its user hidden, and one its item
MIX = (7919, 104_729)  # primes, so that the rows are spread over users and items


class Factors(nn.Module):
    """Codes of user and item int64 [n, 2] to float32 [n, outputs].

    In training a fixed few of the rows have their user or their item hidden, so that code 0 is learned too: what is to
    be expected of one that is not known. Which rows depends on their codes alone: chance would make the result depend
    on the number of ranks.

    Args:
        users, items: how many are told apart.
        size: numbers that describe the taste of one.
        classes: whether the outputs are logits of no and yes, instead of one value.
    """

    def __init__(self, *, users: int, items: int, size: int, classes: bool) -> None:
        super().__init__()
        self.classes = classes
        self.generous, self.good = nn.Embedding(users + 1, 1), nn.Embedding(items + 1, 1)
        self.taste, self.style = nn.Embedding(users + 1, size), nn.Embedding(items + 1, size)
        for bias in (self.generous, self.good):
            nn.init.zeros_(bias.weight)
        for vector in (self.taste, self.style):
            nn.init.normal_(vector.weight, std=SPREAD)

    def forward(self, category: torch.Tensor) -> torch.Tensor:
        """Score."""
        user, item = category.unbind(dim=1)
        if self.training:
            user, item = self._hide(user, item)
        match = (self.taste(user) * self.style(item)).sum(dim=1, keepdim=True)
        score = self.generous(user) + self.good(item) + match
        return torch.cat([torch.zeros_like(score), score], dim=1) if self.classes else score

    def _hide(self, user: torch.Tensor, item: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lot = (user * MIX[0] + item * MIX[1]) % UNKNOWN_EVERY
        return user.masked_fill(lot == 0, 0), item.masked_fill(lot == 1, 0)
