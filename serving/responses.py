"""Answers: which format the client accepts, and predictions in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import orjson

from contract.manifest import ModelManifest
from serving.errors import NotAcceptable, show

Probabilities = npt.NDArray[np.float32]


def to_json(probabilities: Probabilities, manifest: ModelManifest) -> bytes:
    """Return ``{"predictions": [{"label", "probabilities": {label: p}}], "model": {"run", "recipe", "form"}}``."""
    labels = manifest.schema.labels
    predictions = [
        {"label": labels[best], "probabilities": dict(zip(labels, row, strict=True))}
        for best, row in zip(probabilities.argmax(axis=1), probabilities.tolist(), strict=True)
    ]
    model = {"run": manifest.run, "recipe": manifest.recipe, "form": manifest.form}
    return orjson.dumps({"predictions": predictions, "model": model})


def to_csv(probabilities: Probabilities, manifest: ModelManifest) -> bytes:
    """Return a header, ``label`` and ``probability:<label>`` for each label, then one line a prediction."""
    labels = manifest.schema.labels
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["label", *(f"probability:{label}" for label in labels)])
    for best, row in zip(probabilities.argmax(axis=1), probabilities.tolist(), strict=True):
        writer.writerow([labels[best], *row])
    return text.getvalue().encode()


ENCODERS: dict[str, Callable[[Probabilities, ModelManifest], bytes]] = {
    "application/json": to_json,
    "text/csv": to_csv,
}


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
