"""Which split a row belongs to: decided by its content, so it is the same in every run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from contract.keys import SPLITS

TRAIN, VALIDATION, TEST = range(len(SPLITS))


@dataclass(frozen=True, kw_only=True)
class Splitter:
    """Splits rows by a salted hash of what the model sees of them.

    A row never moves between training and test from run to run, whatever else
    is uploaded, and equal rows stay together, so that no test row was learned.
    The salt makes the split of one project tell nothing of another's.
    """

    salt: str
    validation_fraction: float
    test_fraction: float

    def digest(self, content: bytes) -> bytes:
        """Return the salted digest of a row's content."""
        return hashlib.blake2b(content, digest_size=16, key=hashlib.sha256(self.salt.encode()).digest()).digest()

    def split(self, digest: bytes) -> int:
        """Return the split of a row with this digest: an index into SPLITS."""
        share = int.from_bytes(digest[:8], "big") / 2**64
        if share < self.test_fraction:
            return TEST
        return VALIDATION if share < self.test_fraction + self.validation_fraction else TRAIN
