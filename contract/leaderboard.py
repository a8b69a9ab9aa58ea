"""What a search tried and what came of it: every training job of a tuning job, best first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training job of a search."""

    job: str
    recipe: str
    candidate: str  # the training job definition's name; a recipe can have several
    values: dict[str, str]  # what was searched, by hyperparameter
    status: str
    score: float | None  # the objective's value, on the validation rows
    seconds: float = 0.0  # billed, of each host
    usd: float | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """A search."""

    job: str  # the tuning job
    status: str
    strategy: str
    metric: str
    higher_is_better: bool
    jobs: int  # at most so many are tried
    best: str | None  # the training job whose model is the run's
    note: str = ""  # of a warm start
    trials: list[Trial] = field(default_factory=list)


def ranked(trials: Iterable[Trial], *, higher_is_better: bool) -> list[Trial]:
    """Return trials, best first; those without a score come last, in their own order."""
    sign = -1 if higher_is_better else 1
    return sorted(trials, key=lambda trial: (trial.score is None, sign * (trial.score or 0.0)))


def best(trials: Iterable[Trial], *, higher_is_better: bool) -> Trial | None:
    """Return the best trial that has a model: one that was stopped may have none."""
    finished = [trial for trial in trials if trial.status == "Completed" and trial.score is not None]
    return next(iter(ranked(finished, higher_is_better=higher_is_better)), None)
