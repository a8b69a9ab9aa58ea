"""golden.json: held-out rows with the answers that the evaluated model gave, asked again before any traffic.

The server answers ``/invocations`` with one prediction a row, in order:

    {"predictions": [{"label": "3", "probabilities": {"0": 0.01, "3": 0.99}}]}    classification
    {"predictions": [{"values": {"price": 3.2}}]}                                 regression
"""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import GoldenSamplesDiffer
from contract.parsing import parse, setting, to_dict


@dataclass(frozen=True, kw_only=True)
class GoldenSample:
    """One request of one row, and what it must be answered with."""

    name: str = setting("Which row it is, for people: 'row 17'.")
    content_type: str = setting("Content-Type of the request: application/json, text/csv or image/png.")
    body: str = setting("The request's body: text, or base64 for an image.")
    base64: bool = setting("Whether the body is base64.", default=False)
    outputs: dict[str, float] = setting("Probability of each class, or each value that is predicted, as evaluated.")

    def request_body(self) -> bytes:
        """Return the request's body as it is sent."""
        return b64decode(self.body) if self.base64 else self.body.encode()

    def check(self, answer: bytes, tolerance: float) -> float:
        """Compare an answer of the server with what was evaluated; return the largest difference of an output.

        Raises:
            GoldenSamplesDiffer: when it is more than ``tolerance``, or the answer has other labels.
        """
        got = _outputs(answer)
        if got.keys() != self.outputs.keys():
            raise GoldenSamplesDiffer(f"{self.name}: expected labels {sorted(self.outputs)}, got {sorted(got)}")
        differences = {label: _difference(got[label], value) for label, value in self.outputs.items()}
        worst = max(differences, key=lambda label: differences[label])
        if differences[worst] > tolerance:
            raise GoldenSamplesDiffer(
                f"{self.name}: expected {self.outputs[worst]:.7g} of {worst!r}, got {got[worst]:.7g};"
                f" the difference is more than {tolerance:g}. Expected {_short(self.outputs)}, got {_short(got)}"
            )
        return differences[worst]


@dataclass(frozen=True, kw_only=True)
class Golden:
    """The whole document."""

    run: str = setting("The run whose model answered.")
    tolerance: float = setting(
        "Largest difference allowed of any output: [deploy] golden_tolerance, times the schema's scale.", minimum=0.0
    )
    samples: tuple[GoldenSample, ...] = setting("The rows.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Golden:
        """Parse golden.json."""
        return parse(cls, data, "golden")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return to_dict(self)


def _outputs(answer: bytes) -> dict[str, float]:
    """Return the outputs in an answer: probabilities, or values; NaN where JSON has null."""
    (prediction,) = json.loads(answer)["predictions"]
    found = prediction["values"] if "values" in prediction else prediction["probabilities"]
    return {str(label): math.nan if value is None else float(value) for label, value in found.items()}


def _difference(got: float, expected: float) -> float:
    return abs(got - expected) if math.isfinite(got) else math.inf


def _short(outputs: Mapping[str, float]) -> str:
    """Return the three largest outputs: of classes, the most probable ones."""
    best = sorted(outputs.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{label}: {value:.5g}" for label, value in best)
