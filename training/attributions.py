"""What a model looks at: how much worse it answers when one thing is hidden from it.

For a table this is permutation importance (Breiman, "Random Forests", 2001, section 10): a column's values are
given to other rows, so that each is possible and tells nothing. Of an image, one square of a grid is made the
mean of its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from contract.manifest import Schema
from contract.metrics import METRICS
from training.data import Arrays

Score = Callable[[Arrays], float | None]

SEED = 0
GRID = 4
MOST = 50
"""Features that are shown, those that matter most."""


def importance(score: Score, rows: Arrays, schema: Schema, whole: float) -> dict[str, float]:
    """Return how much worse the metric is without each feature, the largest first; below 0: better without it.

    Args:
        score: the metric of the form's answers to rows.
        rows: held-out rows.
        schema: what the form is asked.
        whole: the metric when nothing is hidden.
    """
    sign = 1 if METRICS[schema.metric].higher_is_better else -1
    lost = {}
    for name, hidden in _hidden(rows, schema):
        value = score(hidden)
        if value is not None:
            lost[name] = round(sign * (whole - value), 6)
    return dict(sorted(lost.items(), key=lambda item: -item[1])[:MOST])


def columns(schema: Schema) -> dict[str, list[tuple[str, int]]]:
    """Return where each feature of a table is: its tensor and column; a date fills several."""
    places: dict[str, list[tuple[str, int]]] = {}
    filled = {"numeric": 0, "category": 0}
    for feature in schema.features:
        tensor = {"number": "numeric", "date": "numeric", "category": "category"}.get(feature.kind)
        if tensor:
            places.setdefault(feature.name, []).append((tensor, filled[tensor]))
            filled[tensor] += 1
    return places


def _hidden(rows: Arrays, schema: Schema) -> Iterator[tuple[str, Arrays]]:
    """Yield each feature's name, and the rows without what it tells."""
    places = columns(schema)
    order = np.random.default_rng(SEED).permutation(len(next(iter(rows.values()))))
    if len(places) > 1:  # of one thing alone there is nothing to compare
        for name, cells in places.items():
            changed = {tensor: rows[tensor].copy() for tensor, _ in cells}
            for tensor, column in cells:
                changed[tensor][:, column] = rows[tensor][order, column]
            yield name, {**rows, **changed}
    if "image" in rows:
        yield from _squares(rows)


def _squares(rows: Arrays) -> Iterator[tuple[str, Arrays]]:
    image = rows["image"]
    tall, wide = np.array_split(np.arange(image.shape[1]), GRID), np.array_split(np.arange(image.shape[2]), GRID)
    for i, down in enumerate(tall):
        for j, across in enumerate(wide):
            if not len(down) or not len(across):
                continue
            covered = image.copy()
            square = np.s_[:, down[0] : down[-1] + 1, across[0] : across[-1] + 1]
            covered[square] = image[square].mean(axis=(1, 2), keepdims=True).astype(image.dtype)
            yield f"square {i + 1}, {j + 1} of {len(tall)} x {len(wide)}", {**rows, "image": covered}
