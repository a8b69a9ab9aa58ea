"""What is shown of a model besides its score: whom it serves worse, what it looks at, what it withstands.

All of it is measured with the form that would be served, on held-out rows, evenly spread ones where there are
many; the same rows and the same draws each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contract.reports import Disturbed, Group
from training import attributions, fairness, optimise, originals, robustness
from training.data import Arrays
from training.evaluation import Inputs


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Asks a form, and says how good its answers are by the schema's metric."""

    session: onnxruntime.InferenceSession
    inputs: Inputs

    def score(self, rows: Arrays) -> float | None:
        """Return the metric of the form's answers to rows; None where these rows have none."""
        schema = self.inputs.manifest.schema
        answers = optimise.predict(self.session, rows, schema)
        with np.errstate(all="ignore"):
            value = self.inputs.recipe.metrics(answers, rows, schema)[schema.metric]
        return float(value) if math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found; empty where nothing was asked, or nothing can be measured."""

    groups: tuple[Group, ...] = ()
    importance: dict[str, float] = field(default_factory=dict)
    robustness: tuple[Disturbed, ...] = ()

    @property
    def gaps(self) -> dict[str, float]:
        """The largest difference of the metric between two groups of a column, by column."""
        found: dict[str, list[float]] = {}
        for group in self.groups:
            found.setdefault(group.column, []).append(group.metric)
        return {column: max(values) - min(values) for column, values in found.items()}


def gather(inputs: Inputs, onnx: bytes, answers: NDArray[np.float32]) -> Evidence:
    """Measure what the project asks for.

    Args:
        inputs: the rows, and what was asked.
        onnx: the form that would be served.
        answers: its answers to all held-out rows.
    """
    asked, schema = inputs.request.evaluate, inputs.manifest.schema
    groups = fairness.by_group(inputs, answers, originals.read(inputs.originals)) if asked.groups else ()
    if not asked.evidence_rows:
        return Evidence(groups=groups)
    rows = spread(inputs.rows, asked.evidence_rows)
    judge = Judge(session=optimise.open_session(onnx), inputs=inputs)
    whole = judge.score(rows)
    if whole is None:
        return Evidence(groups=groups)
    return Evidence(
        groups=groups,
        importance=attributions.importance(judge.score, rows, schema, whole),
        robustness=robustness.under_noise(judge.score, rows, schema, whole),
    )


def spread(rows: Arrays, count: int) -> Arrays:
    """Return at most ``count`` rows, evenly spread."""
    total = len(next(iter(rows.values())))
    if total <= count:
        return rows
    chosen = np.linspace(0, total - 1, count).astype(int)
    return {name: array[chosen] for name, array in rows.items()}
