"""Choices and what was not chosen: the rows that a recommender learns from and is ranked by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.split import TRAIN

RIVALS = 99  # items that a held-out choice is ranked among
JUDGED = 1000  # held-out choices of a split that are ranked
BLOCK = 50_000  # choices in memory at a time, with all that is made up for them
ROUNDS = 20  # of drawing another item for one that was chosen


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some rows: codes int64 [n], labels 1 where chosen, and the place of the choice that each row belongs to."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    labels: NDArray[np.int64]
    places: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """All choices of an upload, each once: codes int64 [n] (0 for a user or an item that is not told apart)."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    split: NDArray[np.int8]
    places: NDArray[np.int64]  # in the upload

    def learned(self, *, items: int, negatives: int, source: np.random.Generator) -> Iterator[Part]:
        """Yield the training choices, each followed by items that its user is not seen to choose among them.

        Items are drawn alike often. Where a user chose nearly all of them, fewer come. Choices of items that are not
        told apart are left out: such an item is never drawn, so code 0 would be learned as what is always chosen, and
        a held-out choice of one would rank first unseen.
        """
        mine = np.flatnonzero((self.split == TRAIN) & (self.items > 0))
        chosen = np.unique(self._pairs(items, mine))
        for first in range(0, len(mine), BLOCK):
            part = mine[first : first + BLOCK]
            users = np.repeat(self.users[part], negatives)
            drawn = source.integers(1, items + 1, len(users))
            for _ in range(ROUNDS):
                again = np.isin(users * (items + 1) + drawn, chosen)
                if not again.any():
                    break
                drawn[again] = source.integers(1, items + 1, int(again.sum()))
            good = ~np.isin(users * (items + 1) + drawn, chosen)
            yield Part(
                users=np.concatenate([self.users[part], users[good]]),
                items=np.concatenate([self.items[part], drawn[good]]),
                labels=np.concatenate([np.ones(len(part), np.int64), np.zeros(int(good.sum()), np.int64)]),
                places=np.concatenate([self.places[part], np.repeat(self.places[part], negatives)[good]]),
            )

    def ranked(self, split: int, *, items: int, source: np.random.Generator) -> Iterator[Part]:
        """Yield held-out choices, each followed by its rivals: items that its user never chose, each once."""
        mine = np.flatnonzero(self.split == split)
        if len(mine) > JUDGED:
            mine = np.sort(source.choice(mine, JUDGED, replace=False))
        order = np.argsort(self.users, kind="stable")
        sorted_users = self.users[order]
        for index in mine:
            user = self.users[index]
            first, last = np.searchsorted(sorted_users, [user, user + 1])
            chosen = self.items[order[first:last]] if user else self.items[index : index + 1]
            drawn = 1 + source.choice(items, min(items, RIVALS + len(chosen)), replace=False)
            rivals = drawn[~np.isin(drawn, chosen)][:RIVALS]
            yield Part(
                users=np.full(1 + len(rivals), user),
                items=np.concatenate([self.items[index : index + 1], rivals]),
                labels=np.concatenate([[1], np.zeros(len(rivals), np.int64)]),
                places=np.full(1 + len(rivals), self.places[index]),
            )

    def _pairs(self, items: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.users[rows] * (items + 1) + self.items[rows]


def ranking(scores: NDArray[np.floating], labels: NDArray[np.int64], groups: NDArray[np.int64]) -> dict[str, float]:
    """Return ndcg_at_10 and recall_at_10 (the hit rate) of the choice in each group; a tie counts half its rivals.

    Args:
        scores: [n], higher is better.
        labels: [n], 1 for the choice.
        groups: [n], which choice a row is ranked with.
    """
    _, group = np.unique(groups, return_inverse=True)
    own = np.full(group.max() + 1, -np.inf)
    own[group[labels == 1]] = scores[labels == 1]
    rival = labels == 0
    above = np.bincount(group[rival], scores[rival] > own[group[rival]], minlength=len(own))
    equal = np.bincount(group[rival], scores[rival] == own[group[rival]], minlength=len(own))
    rank = 1 + above + equal / 2
    hit = rank <= 10
    return {
        "ndcg_at_10": float(np.where(hit, 1 / np.log2(rank + 1), 0.0).mean()),
        "recall_at_10": float(hit.mean()),
    }
