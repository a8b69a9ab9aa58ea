"""The release decision, and the reasons it gives."""

from __future__ import annotations

from typing import Any

import pytest

from contract.config import Gate
from contract.gate import Verdict, decide


def verdict(challenger: float, champion: float | None = None, *, baseline: float = 0.5, **gate: Any) -> Verdict:
    lower = gate.pop("lower", False)
    return decide(
        Gate(**gate),
        metric="accuracy",
        higher_is_better=not lower,
        challenger=challenger,
        baseline=baseline,
        champion=champion,
    )


@pytest.mark.parametrize(
    ("challenger", "champion", "gate", "promote"),
    [
        (0.9, None, {}, True),
        (0.5, None, {}, False),  # a tie with the baseline
        (0.4, None, {}, False),
        (0.9, 0.8, {}, True),
        (0.8, 0.8, {}, False),  # a tie keeps the champion
        (0.7, 0.8, {}, False),
        (0.4, 0.3, {"baseline": 0.9}, True),  # with a champion, the baseline does not matter
        (0.93, 0.92, {"min_improvement": 0.01}, False),  # exactly the margin is not more
        (0.9301, 0.92, {"min_improvement": 0.01}, True),
        (0.51, None, {"min_improvement": 0.1}, True),  # the margin is about champions
        (0.9, 0.8, {"required": 0.9}, True),
        (0.1 + 0.2, None, {"required": 0.3, "baseline": 0.2}, True),
        (0.89, 0.8, {"required": 0.9}, False),
        (0.89, None, {"required": 0.9}, False),
        (0.2, 0.3, {"lower": True}, True),
        (0.3, 0.2, {"lower": True}, False),
        (0.2, 0.2, {"lower": True}, False),
        (0.2, None, {"lower": True, "required": 0.1}, False),
        (0.05, None, {"lower": True, "required": 0.1}, True),
        (0.18, 0.2, {"lower": True, "min_improvement": 0.02}, False),
        (float("nan"), None, {}, False),
        (float("nan"), 0.5, {"required": 0.1}, False),
    ],
)
def test_only_a_better_model_is_promoted(
    challenger: float, champion: float | None, gate: dict[str, Any], promote: bool
) -> None:
    assert verdict(challenger, champion, **gate).promote is promote


@pytest.mark.parametrize(
    ("made", "reasons"),
    [
        (verdict(0.9), ("accuracy 0.9000 beats the baseline's 0.5000",)),
        (verdict(0.8, 0.8), ("accuracy 0.8000 does not beat the champion's 0.8000",)),
        (
            verdict(0.85, 0.8, min_improvement=0.1),
            ("accuracy 0.8500 does not beat the champion's 0.8000 by more than 0.1",),
        ),
        (
            verdict(0.85, 0.8, required=0.9),
            ("accuracy 0.8500 beats the champion's 0.8000", "accuracy 0.8500 misses the required 0.9000"),
        ),
        (verdict(0.80001, 0.80002), ("accuracy 0.80001 does not beat the champion's 0.80002",)),
    ],
)
def test_the_reasons_can_be_checked_against_the_numbers(made: Verdict, reasons: tuple[str, ...]) -> None:
    assert made.reasons == reasons
