"""Every place where a version can be served, as data: how it gets there, and how it is asked.

tests/e2e/test_targets.py holds the answers of all places against ONNX Runtime's own; benchmarks/targets.py measures
them. The models are of grey images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.places import deployed, exported
from benchmarks.places.version import Served, Version

TOLERANCE = 1e-5
"""Largest difference of a probability, of a float32 form, between a place and ONNX Runtime by itself."""


def instances(scans: NDArray[np.uint8]) -> bytes:
    """Return a request for images [n, height, width], as the server has it."""
    return json.dumps({"instances": [{"image": scan} for scan in scans.tolist()]}).encode()


def predictions(answer: bytes, labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the probabilities [n, labels] in an answer."""
    rows = json.loads(answer)["predictions"]
    return np.array([[row["probabilities"][label] for label in labels] for row in rows])


def tensor(scans: NDArray[np.uint8]) -> bytes:
    """Return a request for images [n, height, width] in the Open Inference Protocol (V2)."""
    given = {"name": "image", "datatype": "UINT8", "shape": [*scans.shape, 1], "data": scans.ravel().tolist()}
    return json.dumps({"inputs": [given]}).encode()


def output(answer: bytes, labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the probabilities [n, labels] in an answer of that protocol."""
    (only,) = json.loads(answer)["outputs"]
    return np.array(only["data"]).reshape(-1, len(labels))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place.

    Args:
        open: has a version served there, under settings.
        settings: of ``[deploy]``; none where it is exported.
        encode: makes a request.
        decode: reads an answer.
    """

    open: Callable[[Version, Mapping[str, Any]], AbstractContextManager[Served]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    encode: Callable[[NDArray[np.uint8]], bytes] = instances
    decode: Callable[[bytes, tuple[str, ...]], NDArray[np.float64]] = predictions


KSERVE = partial(exported.container, kind="kserve", path="/v2/models/{project}/infer")
PLACES = {
    "docker": Place(open=partial(exported.container, kind="docker", path="/invocations")),
    "kserve": Place(open=KSERVE, encode=tensor, decode=output),
    "serverless": Place(open=deployed.endpoint, settings={"target": "serverless"}),
    "lambda": Place(open=deployed.function, settings={"target": "lambda"}),
    "realtime": Place(open=deployed.endpoint, settings={"target": "realtime"}),
    "async": Place(open=deployed.queue, settings={"target": "async"}),
    "batch": Place(open=deployed.files, settings={"target": "batch"}),
    "edge": Place(open=exported.device, settings={"target": "edge"}),
}
