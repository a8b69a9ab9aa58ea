"""Which rows of a batch each rank computes: in proportion to its lambda.

A rank gets the share lambda / sum(lambda) of every batch, without padding: a slow host has
fewer rows, and all end together. The gradient does not depend on it, because
losses are summed over rows and divided by the rows of the whole batch.

Lambda comes from the settings (a number for each host, which its ranks divide equally), or
is measured: the rows that a rank computes in a second of its own work, waiting for others not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from contract.errors import InvalidConfig

Rows = NDArray[np.int64]
FIRST_WINDOW, LAST_WINDOW = 4, 64  # updates that are measured before shares change; each window is twice the last one


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The lambda of each rank, adding up to 1.

    Only sums of Python floats in one order decide how a batch is cut: ranks on different kinds of
    processors must not come to different ends.
    """

    weights: tuple[float, ...]

    @classmethod
    def of(cls, weights: Sequence[float]) -> Shares:
        """Return shares in proportion to positive numbers, one a rank."""
        total = math.fsum(weights)
        return cls(weights=tuple(weight / total for weight in weights))

    @classmethod
    def of_hosts(cls, shares: Sequence[float], host_of_rank: Sequence[int]) -> Shares:
        """Return what the ranks get of their hosts' shares; without any, all ranks get the same.

        Raises:
            InvalidConfig: when there are not as many shares as hosts.
        """
        if not shares:
            return cls.of([1.0] * len(host_of_rank))
        hosts = len(set(host_of_rank))
        if len(shares) != hosts:
            raise InvalidConfig("train.shares", list(shares), f"one number for each of the {hosts} hosts of this job")
        return cls.of([shares[host] / host_of_rank.count(host) for host in host_of_rank])

    def counts(self, rows: int) -> list[int]:
        """Return how many of a batch's rows each rank computes; each within 1 of its exact share."""
        ends = [round(rows * end) for end in accumulate(self.weights)]
        return [last - first for first, last in pairwise([0, *ends[:-1], rows])]

    def part(self, rows: Rows, rank: int) -> tuple[Rows, float]:
        """Return the rows of one rank, and their weight: 1.

        A rank without any computes one row at weight 0, because it must take part in what ranks do together, and not
        every layer takes an empty batch.
        """
        counts = self.counts(len(rows))
        first = sum(counts[:rank])
        mine = rows[first : first + counts[rank]]
        return (mine, 1.0) if len(mine) else (rows[:1], 0.0)

    def micro_batches(self, rows: Rows, rank: int, accumulation: int) -> list[tuple[Rows, float]]:
        """Cut the rows of one rank into as many nearly equal parts as all ranks take, each with its weight.

        Every rank takes as many: under FSDP each forward pass is a meeting of all.
        """
        mine, weight = self.part(rows, rank)
        number = min(accumulation, max(self.counts(len(rows))))
        parts = np.array_split(mine, number) if number > 1 else [mine]
        return [(part, weight) if len(part) else (mine[:1], 0.0) for part in parts]


class Rebalancer:
    """Turns measured times into shares, alike on every rank.

    Args:
        shares: to begin with.
    """

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self._window = FIRST_WINDOW
        self._clear()

    def _clear(self) -> None:
        self._updates = 0
        self._row_seconds: list[list[float]] = [[] for _ in self.shares.weights]

    def note(self, seconds: Sequence[float], rows: Sequence[int]) -> None:
        """Take what each rank needed for its rows of one update; at the end of a window, change the shares."""
        self._updates += 1
        for mine, taken, count in zip(self._row_seconds, seconds, rows, strict=True):
            if count and taken > 0:
                mine.append(taken / count)
        if self._updates == self._window:
            self.shares = self._measured()
            self._window = min(2 * self._window, LAST_WINDOW)
            self._clear()

    def _measured(self) -> Shares:
        """Return shares by speed: the median, because other work on a machine comes and goes.

        A rank that computed nothing keeps its share relative to the others.
        """
        old = self.shares.weights
        speed = {rank: 1 / median(each) for rank, each in enumerate(self._row_seconds) if each}
        if not speed:
            return self.shares
        scale = math.fsum(speed.values()) / math.fsum(old[rank] for rank in speed)
        return Shares.of([speed.get(rank, weight * scale) for rank, weight in enumerate(old)])
