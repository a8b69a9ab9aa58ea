"""How numbers are standardised, whatever framework computes it."""

from __future__ import annotations

from collections.abc import Mapping

SMALLEST, ROUNDING = 1e-30, 1e-12  # deviations that tell nothing, as they are and relative to the mean
CLIP = 10.0  # standard deviations; one absurd value must not decide alone


def deviation(column: Mapping[str, float]) -> float:
    """Return a column's deviation; 1 where it is nothing but rounding, or too small for float32."""
    return column["std"] if column["std"] > max(SMALLEST, ROUNDING * abs(column["mean"])) else 1.0
