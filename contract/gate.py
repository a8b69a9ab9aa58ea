"""The release decision: may the challenger take the champion's place?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contract.config import Gate
from contract.parsing import setting

DIGITS = 9  # decimals that are compared: 0.93 is 0.01 better than 0.92, though not in binary


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The decision and its reasons, in words a person can check against the numbers."""

    promote: bool = setting("Whether the challenger may be served.")
    reasons: tuple[str, ...] = setting("Every comparison that was made.")


def decide(
    gate: Gate,
    *,
    metric: str,
    higher_is_better: bool,
    challenger: float,
    baseline: float,
    champion: float | None,
    gaps: Mapping[str, float] | None = None,
) -> Verdict:
    """Compare the challenger with what is required, with the baseline, with the champion, and its groups among them.

    All values are of the same metric on the same held-out rows. Better than
    the champion means by more than ``gate.min_improvement``: a tie keeps the
    champion. Without a champion the challenger must beat the baseline.

    Args:
        gate: the project's thresholds.
        metric: name of the metric, for the reasons.
        higher_is_better: which way the metric is good.
        challenger: value of the new model.
        baseline: value of the recipe's baseline.
        champion: value of the version in service; None when there is none, or
            when it cannot read these rows.
        gaps: largest difference of the metric between two groups, by the column that makes them.
    """
    sign = 1 if higher_is_better else -1
    rival, value = ("the champion", champion) if champion is not None else ("the baseline", baseline)
    margin = gate.min_improvement if champion is not None else 0.0
    better = round(sign * (challenger - value) - margin, DIGITS) > 0
    needs = f" by more than {margin:g}" if margin else ""
    left, right = _shown(challenger, value)
    reasons = [f"{metric} {left} {'beats' if better else 'does not beat'} {rival}'s {right}{needs}"]
    promote = better
    if gate.required is not None:
        enough = round(sign * (challenger - gate.required), DIGITS) >= 0
        left, right = _shown(challenger, gate.required)
        reasons.append(f"{metric} {left} {'meets' if enough else 'misses'} the required {right}")
        promote = promote and enough
    for is_fair, reason in _fairness(gate, metric, gaps or {}):
        reasons.append(reason)
        promote = promote and is_fair
    return Verdict(promote=promote, reasons=tuple(reasons))


def _fairness(gate: Gate, metric: str, gaps: Mapping[str, float]) -> Iterator[tuple[bool, str]]:
    """Yield for each column whether its groups are served alike enough, and the reason."""
    if gate.max_group_gap is None:
        return
    for column, gap in gaps.items():
        left, right = _shown(gap, gate.max_group_gap)
        reason = f"{metric} differs by {left} between groups of {column!r}; {right} is allowed"
        yield round(gap - gate.max_group_gap, DIGITS) <= 0, reason


def _shown(first: float, second: float) -> tuple[str, str]:
    """Return both numbers with four digits, or with all where four would hide that they differ."""
    if first != second and f"{first:.4f}" == f"{second:.4f}":
        return repr(first), repr(second)
    return f"{first:.4f}", f"{second:.4f}"
