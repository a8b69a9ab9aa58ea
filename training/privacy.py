"""[privacy]: what happens to personal data before anything is computed from it."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contract.config import Privacy
from contract.errors import TandemError, nearest
from contract.values import HASH_DIGITS, round_down, to_number
from training.rejection import Rejected


class PreparationFailed(Exception):
    """A mistake of ours; the stack tells where it is."""


@contextmanager
def unquoted() -> Iterator[None]:
    """Keep the text of an unexpected error out of logs and histories, because it may quote a value of a row.

    What a person can mend quotes none, nor does what the system says of memory and disks.

    Raises:
        PreparationFailed: in its place, with its class and its stack.
    """
    try:
        yield
    except (TandemError, MemoryError, OSError):
        raise
    except Exception as error:
        kind = type(error).__name__
        failed = PreparationFailed(f"{kind}; what it says is withheld, because it may quote a value of the upload")
        raise failed.with_traceback(error.__traceback__) from None


class Anonymiser:
    """Drops, hashes and generalises the cells of one table.

    - ``drop``: the column is gone.
    - ``hash``: HMAC-SHA256 of the text with the tenant's salt: equal values stay
      equal, nobody without the salt can try values.
    - ``generalise``: numbers are rounded down to a multiple.

    Args:
        privacy: the project's settings.
        columns: the table's columns.
        salt: the tenant's.

    Raises:
        Rejected: for a column that the table has not.
    """

    def __init__(self, privacy: Privacy, columns: Sequence[str], salt: bytes) -> None:
        self._salt, self._steps = salt, privacy.generalise
        self.words = frozenset(privacy.hash)  # columns whose values are no numbers any more
        check_columns("privacy.drop", privacy.drop, columns)
        check_columns("privacy.hash", privacy.hash, columns)
        check_columns("privacy.generalise", list(privacy.generalise), columns)
        self._kept = [number for number, name in enumerate(columns) if name not in privacy.drop]
        self.columns = [columns[number] for number in self._kept]
        self._marked = [(i, name) for i, name in enumerate(self.columns) if name in self.words or name in self._steps]
        self.done = dict.fromkeys(privacy.drop, "dropped")
        self.done |= dict.fromkeys(privacy.hash, "hashed with the tenant's salt")
        self.done |= {name: f"rounded down to a multiple of {step:g}" for name, step in self._steps.items()}

    def apply(self, cells: Sequence[str]) -> tuple[list[str], str]:
        """Return a row's anonymised cells, and what is wrong with it (never quoting a marked value)."""
        kept = [cells[number] for number in self._kept]
        for number, name in self._marked:
            if not kept[number]:
                continue
            if name in self.words:
                kept[number] = self._hash(kept[number])
            else:
                value = to_number(kept[number])
                if math.isnan(value):
                    return kept, f"the value of {name!r} is no number, and [privacy] generalises it"
                kept[number] = _text(round_down(value, self._steps[name]))
        return kept, ""

    def _hash(self, text: str) -> str:
        return hmac.new(self._salt, text.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _text(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def check_columns(path: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse names in a setting that are no columns.

    Raises:
        Rejected: with the nearest column.
    """
    for name in names:
        if name not in set(columns):
            hint = nearest(name, columns)
            raise Rejected(f"{path} names {name!r}, which is no column of the upload. {hint}".strip())
