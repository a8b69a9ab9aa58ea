"""The metric for groups of people or things: whom the model serves worse.

Groups are made by a column of the rows as they were uploaded, also by one that the model may not see: that a
model does not see a column does not make it fair to its groups.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from contract.metrics import METRICS
from contract.reports import Group
from training.evaluation import Inputs

FEWEST_ROWS = 20
"""A smaller group's metric is chance."""
MOST_GROUPS = 20
BINS = 4
"""Groups of a column of numbers: quarters, as many rows in each."""


def by_group(inputs: Inputs, answers: NDArray[np.float32], uploaded: Iterable[bytes]) -> tuple[Group, ...]:
    """Return the metric of every group of ``evaluate.groups`` that has enough rows, the worst of a column first.

    Args:
        inputs: what was asked, and the held-out rows.
        answers: the form's answers to them.
        uploaded: the same rows as they were uploaded, JSON objects.
    """
    columns = inputs.request.evaluate.groups
    cells = [json.loads(row) for row in uploaded]
    return tuple(
        group for name in columns for group in _of_column(inputs, answers, name, [row.get(name) or "" for row in cells])
    )


def _of_column(inputs: Inputs, answers: NDArray[np.float32], column: str, cells: Sequence[str]) -> list[Group]:
    schema, found = inputs.manifest.schema, []
    values = np.array(_bins(cells) or cells)
    for value, count in Counter(values.tolist()).most_common(MOST_GROUPS):
        if count < FEWEST_ROWS:
            break
        chosen = values == value
        rows = {name: array[chosen] for name, array in inputs.rows.items()}
        metric = inputs.recipe.metrics(answers[chosen], rows, schema)[schema.metric]
        if math.isfinite(metric):
            found.append(Group(column=column, value=value or "(missing)", rows=count, metric=metric))
    return sorted(found, key=lambda group: group.metric, reverse=not METRICS[schema.metric].higher_is_better)


def _bins(cells: Sequence[str]) -> list[str]:
    """Return the quarter that each number is in, in words; empty when the column holds words, or few numbers."""
    try:
        numbers = np.array([float(cell) if cell else math.nan for cell in cells])
    except ValueError:
        return []
    known = numbers[np.isfinite(numbers)]
    if len(np.unique(known)) <= BINS:
        return []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    names = [f"below {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges))]
    names.append(f"{edges[-1]:g} and more")
    return ["" if math.isnan(number) else names[int(np.searchsorted(edges, number, "right"))] for number in numbers]
