"""How things look: in a terminal, in a file, and as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from contract.run import RUNNING, Outcome

STYLES = {
    Outcome.DEPLOYED: "bold green",
    Outcome.REGISTERED: "bold green",
    Outcome.KEPT_CHAMPION: "green",
    Outcome.REJECTED: "yellow",
    Outcome.REFUSED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.STOPPED: "red",
    RUNNING: "cyan",
}


FILE_WIDTH = 160  # of tables that go to a file or a pipe


class Output:
    """Where a command's words go.

    For people, results go to stdout and errors to stderr. With ``json``, stdout
    carries one document only, and what is said on the way goes to stderr.

    Args:
        json: whether the reader is a program.
    """

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.console = _console(stderr=json)
        self._errors = _console(stderr=True)

    @property
    def live(self) -> bool:
        """Whether a person watches, so that lines may be redrawn."""
        return self.console.is_terminal and not self.json

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line on the way to the result."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def show(self, *renderables: RenderableType) -> None:
        """Print (part of) the result for people; nothing with ``json``."""
        if not self.json:
            for item in renderables:
                self.console.print(Text(item) if isinstance(item, str) else item, soft_wrap=isinstance(item, str))

    def document(self, data: Any) -> None:
        """Print the result for programs, on one line; nothing without ``json``."""
        if self.json:
            print(json.dumps(data, default=_plain, ensure_ascii=False), flush=True)

    def error(self, message: str, fix: str = "", *, code: int) -> None:
        """Print what went wrong and how to fix it."""
        if self.json:
            self.document({"error": {"message": message, "fix": fix, "exit_code": int(code)}})
            return
        sys.stdout.flush()
        self._errors.print(Text.assemble(("Error: ", "bold red"), message.rstrip()), soft_wrap=True)
        if fix:
            self._errors.print(Text(fix), soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    return console


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def table(
    headers: Sequence[str], rows: Iterable[Iterable[Any]], *, title: str | None = None, cut: bool = False
) -> Table:
    """Return a plain table whose last column may wrap, or is ``cut``; None becomes a dash, empty headers nothing."""
    *names, last = headers
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_edge=False)
    made.show_header = any(headers)
    for header in names:
        made.add_column(header, no_wrap=True)
    made.add_column(last, overflow="fold")
    for row in rows:
        *cells, end = (_cell(value) for value in row)
        if cut:  # only the cells: a column that never wraps would narrow the others
            end.no_wrap, end.overflow = True, "ellipsis"
        made.add_row(*cells, end)
    return made


def _cell(value: Any) -> Text:
    if value is None or value == "":
        return Text("-", style="dim")
    return value if isinstance(value, Text) else Text(str(value))


def outcome(name: str) -> Text:
    """Return an outcome (or RUNNING) in its colour."""
    return Text(name, style=STYLES.get(name, ""))


def seconds(value: float | None) -> str:
    """Return a duration: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if value is None:
        return "-"
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def dollars(value: float | None) -> str:
    """Return an amount: ``$0.0031``, ``$12.40``."""
    if value is None:
        return "-"
    return f"${value:.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def size(count: float) -> str:
    """Return a number of bytes: ``312 B``, ``4.1 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
