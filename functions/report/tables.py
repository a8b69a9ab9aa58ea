"""Tables and lists of the report."""

from __future__ import annotations

from collections.abc import Sequence

from functions.report.markup import Child, Markup, el, join


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], *, numbers: Sequence[int] = ()) -> Markup:
    """Return a table; the columns in ``numbers`` are set to the right."""
    if not rows:
        return join()
    kind = ["number" if i in numbers else None for i in range(len(heads))]
    head = el("tr", [el("th", text, class_=kind[i], scope="col") for i, text in enumerate(heads)])
    body = [el("tr", [el("td", cell, class_=kind[i]) for i, cell in enumerate(row)]) for row in rows]
    return el("div", el("table", el("thead", head), el("tbody", body)), class_="scroll")


def facts(pairs: Sequence[tuple[str, Child]]) -> Markup:
    """Return names and values; those without a value are left out."""
    kept = [(name, value) for name, value in pairs if value not in (None, "")]
    return el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in kept], class_="facts")


def section(title: str, *children: Child) -> Markup:
    """Return a section, or nothing when it would be empty."""
    inner = join(*children)
    return el("section", el("h2", title), inner) if inner else inner


def folded(title: str, *children: Child, open_: bool = False) -> Markup:
    """Return something that is shown on demand."""
    return el("details", el("summary", title), *children, open_=open_)


def code(text: str) -> Markup:
    """Return a name as it stands in a machine."""
    return el("code", text)
