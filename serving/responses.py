"""Answers: which format the client accepts, and predictions in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import orjson

from contract.manifest import ModelManifest
from serving.errors import NotAcceptable, show

Answers = npt.NDArray[np.float32]  # [rows, labels]: probabilities, or values


def to_json(answers: Answers, manifest: ModelManifest) -> bytes:
    """Return ``{"predictions": [...], "model": {"run", "recipe", "form"}}``.

    A prediction is ``{"label", "probabilities": {label: p}}``, or ``{"values": {label: value}}``.
    """
    labels = manifest.schema.labels
    rows = [dict(zip(labels, row, strict=True)) for row in answers.tolist()]
    if manifest.schema.task == "regression":
        predictions = [{"values": row} for row in rows]
    else:
        best = answers.argmax(axis=1).tolist()
        predictions = [{"label": labels[i], "probabilities": row} for i, row in zip(best, rows, strict=True)]
    model = {"run": manifest.run, "recipe": manifest.recipe, "form": manifest.form}
    return orjson.dumps({"predictions": predictions, "model": model})


def to_csv(answers: Answers, manifest: ModelManifest) -> bytes:
    """Return a header, then one line a prediction.

    The columns are ``label`` and ``probability:<label>`` for each label; of values, their names.
    """
    labels = manifest.schema.labels
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if manifest.schema.task == "regression":
        writer.writerow(labels)
        writer.writerows(answers.tolist())
    else:
        writer.writerow(["label", *(f"probability:{label}" for label in labels)])
        for best, row in zip(answers.argmax(axis=1), answers.tolist(), strict=True):
            writer.writerow([labels[best], *row])
    return text.getvalue().encode()


ENCODERS: dict[str, Callable[[Answers, ModelManifest], bytes]] = {
    "application/json": to_json,
    "text/csv": to_csv,
}


@lru_cache(maxsize=256)
def choose(accept: str) -> str:
    """Return the content type of the answer for an ``Accept`` header (RFC 9110, 12.5.1).

    Raises:
        NotAcceptable: when the header allows none of them.
    """
    if not accept.strip():
        return "application/json"
    ranges = [_media_range(part) for part in accept.split(",")]
    weights = {offer: _weight(offer, ranges) for offer in ENCODERS}
    best = max(weights, key=lambda offer: weights[offer])  # the first of equals: JSON
    if weights[best] == 0:
        raise NotAcceptable(f"Accept {show(accept)} allows no format of the answer; it can be {', '.join(ENCODERS)}")
    return best


def _media_range(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return media, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return media, 0.0


def _weight(offer: str, ranges: list[tuple[str, float]]) -> float:
    """Return the quality that the most specific matching range gives to ``offer``."""
    for pattern in (offer, offer.split("/")[0] + "/*", "*/*"):
        matching = [quality for media, quality in ranges if media == pattern]
        if matching:
            return max(matching)
    return 0.0
