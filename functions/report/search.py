"""The leaderboard: everything that a search tried, best first."""

from __future__ import annotations

from collections.abc import Sequence

from contract.leaderboard import Leaderboard, Trial
from contract.run import Run
from functions import causes
from functions.report import words
from functions.report.markup import Child, Markup, el, join
from functions.report.tables import folded, section, table

SHOWN = 15


def leaderboard(run: Run) -> Markup:
    """Return every training job of the search; nothing when there was none."""
    search = run.tuning
    if search is None or not search.trials:
        return join()
    names = list(dict.fromkeys(name for trial in search.trials for name in trial.values))
    heads = ("", "recipe", *names, f"validation {search.metric}", "status", "billed, each", "cost", "job")
    rows = [_row(number, trial, names, search) for number, trial in enumerate(search.trials, start=1)]
    first = 2 + len(names)
    numbers = (0, *range(2, first + 1), first + 2, first + 3)
    rest = rows[SHOWN:]
    more = folded(f"{len(rest)} more", table(heads, rest, numbers=numbers)) if rest else None
    return section(
        "Leaderboard",
        el("p", _summary(search)),
        table(heads, rows[:SHOWN], numbers=numbers),
        more,
        el("p", f"{search.note[0].upper()}{search.note[1:]}.", class_="note") if search.note else None,
        el("p", "Scores are of the validation rows, which the search has seen; the held-out rows are the verdict's."),
    )


def _summary(search: Leaderboard) -> str:
    finished = sum(trial.score is not None for trial in search.trials)
    tried = f"{words.plural(len(search.trials), 'training job')} of at most {search.jobs} ({search.strategy} search)"
    return f"{tried}, {finished} with a score. The best one's model is the model." if search.best else f"{tried}."


def _row(number: int, trial: Trial, names: Sequence[str], search: Leaderboard) -> tuple[Child, ...]:
    values = [_value(trial.values[name]) if name in trial.values else words.NOTHING for name in names]
    score: Child = words.metric(trial.score)
    return (
        str(number),
        trial.candidate,
        *values,
        el("strong", score) if trial.job == search.best else score,
        _status(trial),
        words.duration(trial.seconds),
        words.usd(trial.usd),
        el("span", trial.job, class_="job"),
    )


def _status(trial: Trial) -> Child:
    if not trial.failure:
        return trial.status
    return el("span", trial.status, el("span", causes.headline(trial.failure), class_="failed"))


def _value(text: str) -> str:
    """Return a value with as many digits as tell it from others."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
