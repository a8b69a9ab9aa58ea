"""golden.json: held-out rows with the answers that the evaluated model gave, asked again before any traffic.

The server answers ``/invocations`` with one prediction a row, in order:

    {"predictions": [{"label": "3", "probabilities": {"0": 0.01, "3": 0.99}}]}    classification
    {"predictions": [{"values": {"price": 3.2}}]}                                 regression
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.parsing import parse, setting, to_dict


@dataclass(frozen=True, kw_only=True)
class GoldenSample:
    """One request of one row, and what it must be answered with."""

    name: str = setting("Which row it is, for people: 'row 17'.")
    content_type: str = setting("Content-Type of the request: application/json, text/csv or image/png.")
    body: str = setting("The request's body: text, or base64 for an image.")
    base64: bool = setting("Whether the body is base64.", default=False)
    outputs: dict[str, float] = setting("Probability of each class, or each value that is predicted, as evaluated.")


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
