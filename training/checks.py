"""Whether prepared rows are enough to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from contract.manifest import Schema
from training.rejection import Quarantine, Rejected

MIN_ROWS = {"train": 10, "validation": 1, "test": 5}
MIN_ROWS_PER_CLASS = 5
MAX_CLASSES = 1000
FLOAT32 = 1e-5  # spread, relative to the values, below which rounding to float32 (6e-8) is a part of it
NAMED = 5  # how many classes a reason lists

Labels = Mapping[str, Counter[int]]  # rows by class code, of each split


def check_quarantine(quarantine: Quarantine, *, good: int, allowed: float) -> None:
    """Refuse an upload with too many bad rows.

    Raises:
        Rejected: when more than the share ``allowed`` is bad, or there is no row at all.
    """
    rows = good + quarantine.rows
    if not rows:
        raise Rejected("the upload holds no row")
    share = quarantine.rows / rows
    if share > allowed:
        raise Rejected(
            f"{quarantine.rows} of {rows} rows are bad ({share:.1%}); "
            f"prepare.max_rejected_fraction allows {allowed:.1%}"
        )


def check_classes(count: int, target: str) -> None:
    """Refuse a target of too many classes; as soon as they are seen, because each takes memory.

    Raises:
        Rejected: when there are more than can be learned.
    """
    if count > MAX_CLASSES:
        raise Rejected(
            f"{target!r} has more than {MAX_CLASSES:,} classes, which is more than are learned; "
            'is it a quantity? Then set recipe.task = "regression"'
        )


def check_rows(rows: Mapping[str, int], labels: Labels, schema: Schema) -> None:
    """Refuse rows that are too few, whose target is always the same, or of a class that cannot be learned.

    Args:
        rows: how many each split has.
        labels: how many each split has of each class (classification).
        schema: how they look.

    Raises:
        Rejected: with every such reason.
    """
    reasons = _classes(labels, schema) if schema.task == "classification" else _values(schema)
    reasons = [*_small_splits(rows), *reasons]
    if reasons:
        raise Rejected(*reasons)


def _values(schema: Schema) -> list[str]:
    """Return why these values cannot be learned."""
    lowest, highest = schema.statistics["min"], schema.statistics["max"]
    if lowest == highest:
        return [f"every training row has the same value, {lowest:g}, in {schema.target!r}: nothing is to be learned"]
    largest = max(abs(lowest), abs(highest))
    if schema.statistics["std"] < FLOAT32 * largest:
        return [
            f"the values of {schema.target!r} differ by {schema.statistics['std']:.3g} around {largest:.3g}, which "
            "float32 hardly tells apart: subtract a constant from them"
        ]
    return []


def _classes(labels: Labels, schema: Schema) -> list[str]:
    """Return why these classes cannot be learned.

    Raises:
        Rejected: when nothing else needs to be said.
    """
    of_class: Counter[int] = sum(labels.values(), Counter())
    if len(of_class) < 2:
        only = f" ({schema.labels[next(iter(of_class))]!r})" if of_class else ""
        raise Rejected(f"there is only one class{only} in {schema.target!r}; at least two are needed to tell apart")
    check_classes(len(schema.labels), schema.target)
    return _small_classes(of_class, labels, schema)


def _small_splits(rows: Mapping[str, int]) -> list[str]:
    return [
        f"{name} got {rows[name]} of {sum(rows.values())} rows, at least {least} are needed: add rows"
        for name, least in MIN_ROWS.items()
        if rows[name] < least
    ]


def _small_classes(of_class: Counter[int], labels: Labels, schema: Schema) -> list[str]:
    codes = range(len(schema.labels))
    small = [code for code in codes if of_class[code] < MIN_ROWS_PER_CLASS]
    unseen = [code for code in codes if code not in small and not labels["train"][code]]
    reasons = []
    if small:
        named = _named([f"{schema.labels[code]!r} ({of_class[code]})" for code in small])
        reasons.append(
            f"{len(small)} classes have fewer than {MIN_ROWS_PER_CLASS} good rows: {named}; "
            "add rows or remove the class"
        )
    if unseen:
        reasons.append(f"no training row has the class {_named([repr(schema.labels[c]) for c in unseen])}: add rows")
    return reasons


def _named(things: Sequence[str]) -> str:
    more = f" and {len(things) - NAMED} more" if len(things) > NAMED else ""
    return ", ".join(things[:NAMED]) + more
