"""The hyperparameters that a tuning job searches, as SageMaker writes them and as Optuna samples them.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

AUTO_LOGARITHMIC = 100.0  # ScalingType Auto is logarithmic when the highest is this many times the lowest
KINDS = {
    "IntegerParameterRanges": "Integer",
    "ContinuousParameterRanges": "Continuous",
    "CategoricalParameterRanges": "Categorical",
}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One hyperparameter to tune.

    Args:
        name: as the training job gets it.
        kind: ``Integer``, ``Continuous`` or ``Categorical``.
        low, high: both included; not of a categorical one.
        scaling: ``Auto``, ``Linear``, ``Logarithmic`` or ``ReverseLogarithmic``.
        values: what a categorical one can be.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    scaling: str = "Auto"
    values: tuple[str, ...] = ()

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna samples; of a reverse logarithmic one that is 1 minus the value."""
        if self.kind == "Categorical":
            return CategoricalDistribution(self.values)
        if self.kind == "Integer":
            return IntDistribution(int(self.low), int(self.high), log=self._logarithmic)
        if self.scaling == "ReverseLogarithmic":
            return FloatDistribution(1 - self.high, 1 - self.low, log=True)
        return FloatDistribution(self.low, self.high, log=self._logarithmic)

    def suggest(self, trial: Trial, name: str) -> str:
        """Sample a value, which Optuna knows by ``name``; return the hyperparameter's text."""
        distribution = self.distribution
        if isinstance(distribution, IntDistribution):
            return str(trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log))
        if isinstance(distribution, FloatDistribution):
            value = trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
            return str(1 - value if self.scaling == "ReverseLogarithmic" else value)
        return trial.suggest_categorical(name, self.values)

    def sampled(self, text: str) -> str | float | None:
        """Return what Optuna would have sampled for a hyperparameter's text; None if it is outside the range."""
        if self.kind == "Categorical":
            return text if text in self.values else None
        value = number(text, self.kind)
        if value is None or not self.low <= value <= self.high:
            return None
        if self.kind == "Integer":
            return int(value)
        return 1 - value if self.scaling == "ReverseLogarithmic" else value

    @property
    def _logarithmic(self) -> bool:
        if self.scaling == "Auto":
            return self.low > 0 and self.high / self.low >= AUTO_LOGARITHMIC
        return self.scaling == "Logarithmic"


def parameters(ranges: dict[str, Any]) -> list[Parameter]:
    """Return the hyperparameters of valid ``ParameterRanges``."""
    found = []
    for member, kind in KINDS.items():
        for each in ranges.get(member, []):
            if kind == "Categorical":
                found.append(Parameter(name=each["Name"], kind=kind, values=tuple(each["Values"])))
            else:
                low, high = float(each["MinValue"]), float(each["MaxValue"])
                scaling = each.get("ScalingType", "Auto")
                found.append(Parameter(name=each["Name"], kind=kind, low=low, high=high, scaling=scaling))
    return found


def number(text: str, kind: str) -> float | None:
    """Return the number that a MinValue, a MaxValue or a tuned value tells; None if it is none of this kind."""
    try:
        value = float(int(text)) if kind == "Integer" else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
