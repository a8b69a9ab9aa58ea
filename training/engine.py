"""Where the parts of an upload are read: here, or on the machines of a Spark cluster (training.spark).

What is done to rows is defined once, by the sources. An engine only decides which process does it to which part,
and gives back what they found in the order of the parts; so the dataset is the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Engine(Protocol):
    """A way to do something to every part."""

    elsewhere: bool  # whether other processes do it, whose memory is not ours

    def map(self, function: Callable[[int], T], parts: int) -> Iterator[T]:
        """Yield ``function(part)`` for each part, in order."""


class Embedded:
    """In this process, one part after another: each block of rows is read by Python or DuckDB when it is asked for."""

    elsewhere = False

    def map(self, function: Callable[[int], T], parts: int) -> Iterator[T]:
        """Yield ``function(part)`` for each part, in order."""
        return map(function, range(parts))
