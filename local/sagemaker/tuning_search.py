"""What a tuning job tries next, and which training jobs it stops early: SageMaker's strategies by Optuna.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-how-it-works.html
https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-early-stopping.html
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import Trial, TrialState, create_trial

from local.sagemaker.tuning_space import Parameter

DEFINITION = "definition"  # Optuna's name for the choice between several training job definitions
MOST_RANDOM = 10  # training jobs of a Bayesian search that only explore; a third of a small search
T = TypeVar("T")
Spaces = Mapping[str, list[Parameter]]
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What Hyperband gives a training job: at least ``least``, at most ``most`` values of the objective metric."""

    least: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What to train next.

    Args:
        number: by which ``report`` and ``tell`` know it; later proposals have higher ones.
        definition: the name of its training job definition.
        values: the tuned hyperparameters.
    """

    number: int
    definition: str
    values: dict[str, str]


class Search:
    """One search. Not thread-safe: a tuning job asks and tells it from one thread.

    Args:
        name: the tuning job's.
        strategy: ``Bayesian``, ``Random``, ``Grid`` or ``Hyperband``.
        spaces: definition name -> its hyperparameters.
        maximise: whether a higher objective is better.
        jobs: how many training jobs there will be at most.
        seed: RandomSeed; None for another search each time.
        resource: of Hyperband.
        median_rule: stop training jobs that are worse than the median of the earlier ones.
    """

    def __init__(
        self,
        *,
        name: str,
        strategy: str,
        spaces: Spaces,
        maximise: bool,
        jobs: int,
        seed: int | None = None,
        resource: Resource | None = None,
        median_rule: bool = False,
    ) -> None:
        self.spaces, self.maximise, self.resource, self.median_rule = spaces, maximise, resource, median_rule
        self._curves: dict[int, list[float]] = {}
        self._trials: dict[int, Trial] = {}
        self._study = optuna.create_study(
            study_name=name,  # Hyperband draws a training job's bracket by it
            direction="maximize" if maximise else "minimize",
            sampler=_sampler(strategy, jobs, seed),
            pruner=_pruner(resource),
        )
        if strategy == "Grid":
            for definition, values in combinations(spaces):
                self._study.enqueue_trial({DEFINITION: definition, **_named(definition, values)})
        elif len(spaces) > 1:
            for definition in spaces:  # each is tried once before the search chooses among them
                self._study.enqueue_trial({DEFINITION: definition})

    def observe(self, definition: str, hyperparameters: Mapping[str, str], objective: float) -> bool:
        """Learn from a training job of an earlier tuning job; False if it is outside today's ranges."""
        space = self.spaces[definition]
        sampled = {each.name: each.sampled(hyperparameters.get(each.name, "")) for each in space}
        if any(value is None for value in sampled.values()):
            return False
        self._study.add_trial(
            create_trial(
                params={DEFINITION: definition, **_named(definition, sampled)},
                distributions={
                    DEFINITION: CategoricalDistribution(tuple(self.spaces)),
                    **_named(definition, {each.name: each.distribution for each in space}),
                },
                value=objective,
            )
        )
        return True

    def propose(self) -> Proposal:
        """Return what to train next."""
        trial = self._study.ask()
        self._trials[trial.number], self._curves[trial.number] = trial, []
        definition = trial.suggest_categorical(DEFINITION, tuple(self.spaces))
        values = {each.name: each.suggest(trial, f"{definition}/{each.name}") for each in self.spaces[definition]}
        return Proposal(number=trial.number, definition=definition, values=values)

    def report(self, number: int, value: float) -> bool:
        """Take the next value of a running training job's objective; return whether to stop it."""
        curve = self._curves[number]
        curve.append(value)
        self._trials[number].report(value, len(curve))
        if self.resource:
            if len(curve) >= self.resource.most:
                # A job that needs no more than its resource ends by itself, with its model.
                return len(curve) > self.resource.most
            return self._trials[number].should_prune()
        return self.median_rule and self._below_median(number)

    def tell(self, number: int, objective: float | None, *, stopped: bool) -> None:
        """Take the end of a training job: its objective, None if it has none, and whether it was stopped."""
        trial = self._trials[number]
        if objective is None:
            self._curves[number] = []
            self._study.tell(trial, state=TrialState.FAIL)
        elif stopped:
            self._study.tell(trial, state=TrialState.PRUNED)  # its value is the last that was reported
        else:
            self._study.tell(trial, objective)

    def better(self, one: float, other: float) -> bool:
        """Return whether ``one`` is the better objective."""
        return one > other if self.maximise else one < other

    def _below_median(self, number: int) -> bool:
        """AWS: worse than the median of the earlier jobs' running averages up to the same epoch."""
        epoch = len(self._curves[number])
        averages = [
            statistics.fmean(curve[:epoch])
            for earlier, curve in self._curves.items()
            if earlier < number and len(curve) >= epoch
        ]
        return bool(averages) and self.better(statistics.median(averages), self._curves[number][-1])


def combinations(spaces: Spaces) -> list[tuple[str, dict[str, str]]]:
    """Return what a grid search tries: each combination of categorical values of each definition."""
    return [
        (definition, dict(zip((each.name for each in space), values, strict=True)))
        for definition, space in spaces.items()
        for values in itertools.product(*(each.values for each in space))
    ]


def _named(definition: str, values: Mapping[str, T]) -> dict[str, T]:
    return {f"{definition}/{name}": value for name, value in values.items()}


def _sampler(strategy: str, jobs: int, seed: int | None) -> optuna.samplers.BaseSampler:
    if strategy in ("Random", "Grid"):
        return optuna.samplers.RandomSampler(seed=seed)
    # Running jobs count as bad ones (constant liar), so that parallel jobs try different values.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(MOST_RANDOM, max(jobs // 3, 1)))


def _pruner(resource: Resource | None) -> optuna.pruners.BasePruner:
    if resource is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.HyperbandPruner(min_resource=resource.least, max_resource=resource.most)
