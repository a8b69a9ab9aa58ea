"""The release decision: may the challenger take the champion's place?"""

from __future__ import annotations

from dataclasses import dataclass

from contract.config import Gate
from contract.parsing import setting


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
) -> Verdict:
    """Compare the challenger with what is required, with the baseline and with the champion.

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
    """
    sign = 1 if higher_is_better else -1
    rival, value = ("the champion", champion) if champion is not None else ("the baseline", baseline)
    margin = gate.min_improvement if champion is not None else 0.0
    better = sign * (challenger - value) > margin
    needs = f" by more than {margin:g}" if margin else ""
    reasons = [f"{metric} {challenger:.4f} {'beats' if better else 'does not beat'} {rival}'s {value:.4f}{needs}"]
    enough = gate.required is None or sign * (challenger - gate.required) >= 0
    if gate.required is not None:
        reasons.append(f"{metric} {challenger:.4f} {'meets' if enough else 'misses'} the required {gate.required:.4f}")
    return Verdict(promote=better and enough, reasons=tuple(reasons))
