"""What a model withstands: its metric when rows come a little worse than those that were uploaded.

Each disturbance is one that happens to real requests: sensors drift, fields are left empty, cameras are noisy
and rooms dark, words are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Schema
from contract.reports import Disturbed
from training.attributions import Score
from training.data import Arrays

SEED = 0
SHARE = 0.1
"""Of the cells that are emptied or the words that are left out, and of a column's deviation that is added as noise."""
PIXEL_NOISE, DARKER = 16.0, 0.7


def under_noise(score: Score, rows: Arrays, schema: Schema, whole: float) -> tuple[Disturbed, ...]:
    """Return the metric under each disturbance that can happen to such rows, after that of the rows as they are.

    Args:
        score: the metric of the form's answers to rows.
        rows: held-out rows.
        schema: what the form is asked.
        whole: the metric when nothing is disturbed.
    """
    found = [Disturbed(name="rows as they are", metric=whole)]
    for name, disturbed in _disturbances({tensor.name: rows[tensor.name] for tensor in schema.inputs}):
        value = score({**rows, **disturbed})
        if value is not None:
            found.append(Disturbed(name=name, metric=value))
    return tuple(found) if len(found) > 1 else ()


def _disturbances(inputs: Arrays) -> Iterator[tuple[str, Arrays]]:
    """Yield a disturbance in words, and the inputs that it changes."""
    random = np.random.default_rng(SEED)
    for name in ("numeric", "history"):
        if name in inputs:
            yield f"noise of {SHARE:.0%} of each deviation", {name: _noisy(inputs[name], random)}
    tables = {name: inputs[name] for name in ("numeric", "category", "history") if name in inputs}
    if tables:
        yield f"{SHARE:.0%} of the cells empty", {name: _emptied(array, random) for name, array in tables.items()}
    if "image" in inputs:
        image = inputs["image"].astype(np.float32)
        noise = random.normal(0, PIXEL_NOISE, image.shape)
        yield f"noise of {PIXEL_NOISE:g} of 255 on each pixel", {"image": _pixels(image + noise)}
        yield f"light at {DARKER:.0%}", {"image": _pixels(image * DARKER)}
    if "text" in inputs:
        yield f"{SHARE:.0%} of the words left out", {"text": _emptied(inputs["text"], random)}


def _noisy(values: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    deviation = np.nanstd(values, axis=0, keepdims=True)
    return (values + random.normal(0, 1, values.shape) * SHARE * np.nan_to_num(deviation)).astype(values.dtype)


def _emptied(values: NDArray, random: np.random.Generator) -> NDArray:
    """Return values of which some are missing: NaN of numbers, the code 0 of words and categories."""
    missing = np.nan if np.issubdtype(values.dtype, np.floating) else 0
    return np.where(random.random(values.shape) < SHARE, np.asarray(missing, values.dtype), values)


def _pixels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
