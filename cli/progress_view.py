"""Draws a run's progress: as a picture that is redrawn, or as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.follow import Progress, Search, Step
from cli.render import dollars, seconds

EPOCHS_SHOWN = 5
_SPINNER = Spinner("dots", style="cyan")


def epoch_text(values: Mapping[str, float], wanted: int | None) -> str:
    """Return one epoch in a line: ``epoch 3/15  loss 0.1234  validation accuracy 0.9712``."""
    count = f"{values['epoch']:.0f}/{wanted}" if wanted else f"{values['epoch']:.0f}"
    parts = [f"epoch {count}"]
    if "train_loss" in values:
        parts.append(f"loss {values['train_loss']:.4f}")
    parts += [
        f"{name.replace('_', ' ')} {value:.4f}" for name, value in values.items() if name.startswith("validation_")
    ]
    if "samples_per_second" in values:
        parts.append(f"{values['samples_per_second']:,.0f} rows/s")
    return "  ".join(parts)


def search_text(search: Search) -> str:
    """Return a search in a line: ``job 5 of 12, 3 done, 1 failed; best validation accuracy 0.9712 (width 32)``."""
    parts = [f"job {search.started} of {search.wanted}", f"{search.finished} done"]
    parts += [f"{search.failed} failed"] * bool(search.failed)
    if search.best is None:
        return ", ".join(parts)
    values = [f"{name.removeprefix('options.')} {value:.6}" for name, value in search.values.items()]
    shown = ", ".join([search.candidate] * bool(search.candidate) + values)
    return f"{', '.join(parts)}; best validation {search.metric.replace('_', ' ')} {search.best:.4f} ({shown})"


def cost_text(progress: Progress) -> str:
    """Return what the run would take and cost on AWS, once that is planned."""
    if not progress.expected:
        return ""
    expected, worst = progress.expected, progress.worst_case.get("usd")
    about = f"on AWS about {seconds(expected.get('seconds'))} and {dollars(expected.get('usd'))}"
    return f"{about}, at most {dollars(worst)}" if worst is not None else about


def training_left(progress: Progress) -> float | None:
    """Return the seconds that training still needs at its pace so far; None before the first epoch."""
    paces = [values["seconds"] for values in progress.epochs if "seconds" in values]
    if not paces or progress.epochs_wanted is None or progress.finished:
        return None
    return max(0.0, progress.epochs_wanted - progress.epochs[-1]["epoch"]) * sum(paces) / len(paces)


def elapsed(progress: Progress) -> float:
    """Return the seconds since the start, up to the end or now."""
    if progress.started is None:
        return 0.0
    return ((progress.ended or datetime.now(UTC)) - progress.started).total_seconds()


def picture(progress: Progress, title: str) -> RenderableType:
    """Return the whole progress as it is now."""
    parts: list[RenderableType] = [Text(title, style="bold"), _steps_table(progress)]
    if progress.search:
        parts += [Text(), Text(search_text(progress.search))]
    if progress.epochs:
        parts += [Text(), _epochs_table(progress)]
    parts += [Text(), _foot(progress)]
    return Group(*parts)


def _steps_table(progress: Progress) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(min_width=34)
    grid.add_column(justify="right", min_width=10)
    grid.add_column()
    for step in progress.steps():
        grid.add_row(*_step_row(step))
    return grid


def _step_row(step: Step) -> tuple[RenderableType, ...]:
    mark: RenderableType = Text("✓", style="green")
    if step.error:
        mark = Text("→", style="yellow") if step.caught else Text("✗", style="red")
    elif step.left is None:
        mark = _SPINNER
    name = Text("  " * step.depth + step.name, style="bold" if step.left is None else "dim" if step.depth else "")
    took = step.seconds if step.seconds is not None else (datetime.now(UTC) - step.entered).total_seconds()
    again = f"x{step.visits}" if step.visits > 1 else ""
    return mark, name, Text(seconds(took)), Text(" ".join(part for part in (again, step.error) if part), style="dim")


def _epochs_table(progress: Progress) -> RenderableType:
    metric = [name for name in progress.epochs[-1] if name.startswith("validation_") and name != "validation_loss"]
    columns = ["train_loss", "validation_loss", *metric]
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for header in ["epoch", *columns, "samples_per_second"]:
        made.add_column(header.replace("samples_per_second", "rows/s").replace("_", " "), justify="right")
    wanted = f"/{progress.epochs_wanted}" if progress.epochs_wanted else ""
    for values in progress.epochs[-EPOCHS_SHOWN:]:
        numbers = [f"{values[name]:.4f}" if name in values else "-" for name in columns]
        made.add_row(f"{values['epoch']:.0f}{wanted}", *numbers, f"{values.get('samples_per_second', 0):,.0f}")
    return made


def _foot(progress: Progress) -> RenderableType:
    parts = [f"{seconds(elapsed(progress))} elapsed", cost_text(progress)]
    left = training_left(progress)
    if left:
        parts.insert(1, f"about {seconds(left)} of training left")
    return Text("; ".join(part for part in parts if part))


class Lines:
    """Says each thing once, in plain lines, for a log file or a pipe."""

    def __init__(self) -> None:
        self._visits: set[tuple[int, str]] = set()
        self._epochs = 0
        self._planned = False
        self._search: Search | None = None

    def news(self, progress: Progress) -> Iterator[str]:
        """Yield the lines that ``progress`` adds to what was said before."""
        for step in progress.steps():
            if (step.depth, step.name) not in self._visits:
                self._visits.add((step.depth, step.name))
                since = (step.entered - (progress.started or step.entered)).total_seconds()
                yield f"{seconds(since):>12}  {'  ' * step.depth}{step.name}"
        if not self._planned and progress.expected:
            self._planned = True
            yield f"{'':>12}    {cost_text(progress)}"
        if progress.search and progress.search != self._search:
            self._search = progress.search
            yield f"{'':>12}    {search_text(progress.search)}"
        for values in progress.epochs[self._epochs :]:
            yield f"{'':>12}    {epoch_text(values, progress.epochs_wanted)}"
        self._epochs = max(self._epochs, len(progress.epochs))
