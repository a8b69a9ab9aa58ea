"""Plots: lines over epochs, horizontal bars, the confusion matrix, predicted against true values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from functions.report import words
from functions.report.markup import Markup, el, join, svg

WIDTH, HEIGHT = 480.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 12.0, 44.0
MAX_MARKS = 60


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series: a name, and points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Where a value is on the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def line_chart(lines: Sequence[Line], *, x_label: str, y_label: str, title: str) -> Markup:
    """Return a figure of lines with axes, a legend and a tooltip at every point; what is no number is left out."""
    lines = [Line(name=line.name, points=[p for p in line.points if math.isfinite(p[1])]) for line in lines]
    lines = [line for line in lines if line.points]
    if not lines:
        return join()
    xs, ys = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    margin = (max(ys) - min(ys)) * 0.06 or abs(max(ys)) * 0.05 or 1.0
    x = _Scale(low=min(xs), high=max(xs), start=LEFT, end=WIDTH - RIGHT)
    y = _Scale(low=min(ys) - margin, high=max(ys) + margin, start=HEIGHT - BOTTOM, end=TOP)
    drawn = [_series(index, line, x, y, x_label) for index, line in enumerate(lines)]
    body = svg(WIDTH, HEIGHT, title, _axes(x, y, x_label, y_label), drawn)
    return el("figure", el("figcaption", title, _legend(lines)), body)


def _legend(lines: Sequence[Line]) -> Markup:
    keys = [el("span", el("i", class_=f"swatch s{i}"), line.name, class_="key") for i, line in enumerate(lines)]
    return el("span", keys, class_="legend")


def _axes(x: _Scale, y: _Scale, x_label: str, y_label: str, *, whole: bool = True) -> Markup:
    bottom, parts = HEIGHT - BOTTOM, []
    for value in words.ticks(y.low, y.high):
        parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(el("text", f"{value:g}", x=LEFT - 7, y=y(value) + 4, text_anchor="end"))
    for value in words.ticks(x.low, x.high, 8):
        if not whole or value == int(value):
            parts.append(el("text", f"{value:g}", x=x(value), y=bottom + 17, text_anchor="middle"))
    parts.append(el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    middle = (TOP + bottom) / 2
    parts.append(el("text", x_label, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 7, text_anchor="middle", class_="label"))
    turned = f"rotate(-90 13 {middle:g})"
    parts.append(el("text", y_label, x=13, y=middle, text_anchor="middle", transform=turned, class_="label"))
    return join(parts)


def _series(index: int, line: Line, x: _Scale, y: _Scale, x_label: str) -> Markup:
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
    step = max(1, math.ceil(len(line.points) / MAX_MARKS))
    marks = []
    for a, b in [*line.points[:-1:step], line.points[-1]]:
        tip = f"{x_label} {a:g}: {line.name} {words.metric(b)}"
        dot = el("circle", cx=x(a), cy=y(b), r=2.6, class_="dot")
        marks.append(el("g", dot, el("circle", cx=x(a), cy=y(b), r=9, class_="hit", data_tip=tip)))
    return el("g", el("polyline", points=path, class_="line"), marks, class_=f"s{index}")


def scatter(points: Sequence[tuple[float, ...]], *, title: str) -> Markup:
    """Return a figure of (true, predicted) values on equal axes, with the line on which both are equal."""
    points = [point for point in points if all(map(math.isfinite, point))]
    if not points:
        return join()
    low, high = (bound(value for point in points for value in point) for bound in (min, max))
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    x = _Scale(low=low - margin, high=high + margin, start=LEFT, end=WIDTH - RIGHT)
    y = _Scale(low=low - margin, high=high + margin, start=HEIGHT - BOTTOM, end=TOP)
    ideal = el("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="axis")
    dots = [_point(true, predicted, x, y) for true, predicted in points]
    axes = _axes(x, y, "true value", "predicted value", whole=False)
    unit = el("span", f"{words.plural(len(points), 'held-out value')}; on the line both are equal", class_="unit")
    return el(
        "figure", el("figcaption", title, unit), svg(WIDTH, HEIGHT, title, axes, ideal, el("g", dots, class_="s0"))
    )


def _point(true: float, predicted: float, x: _Scale, y: _Scale) -> Markup:
    tip = f"true {words.metric(true)}, predicted {words.metric(predicted)}"
    place = {"cx": x(true), "cy": y(predicted)}
    return el("g", el("circle", **place, r=2.6, class_="dot"), el("circle", **place, r=6, class_="hit", data_tip=tip))


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One horizontal bar."""

    name: str
    value: float
    shown: str
    tip: str = ""
    style: str = "s0"


def bars(items: Sequence[Bar], *, title: str, unit: str, low: float = 0.0, high: float | None = None) -> Markup:
    """Return a figure of horizontal bars from ``low`` (0 unless told) to the largest value or ``high``."""
    if not items:
        return join()
    top = high if high is not None else max(item.value for item in items) or 1.0
    rows = [
        el(
            "div",
            el("span", item.name, class_="name", title=item.name),
            el("span", el("i", style=_width(item.value, low, top), class_=item.style), class_="track"),
            el("span", item.shown, class_="shown"),
            class_="bar",
            data_tip=item.tip or f"{item.name}: {item.shown}",
        )
        for item in items
    ]
    return el("figure", el("figcaption", title, el("span", unit, class_="unit")), el("div", rows, class_="bars"))


def _width(value: float, low: float, high: float) -> str:
    share = (value - low) / ((high - low) or 1.0)
    return f"width:{min(max(share, 0.0), 1.0) * 100:.2f}%"


CELLS = 400.0
MAX_CELL = 56.0
MAX_NUMBERED = 14
MAX_NAMED = 40


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]], title: str) -> Markup:
    """Return a figure of the confusion matrix: a row for each true class, a column for each predicted one.

    Cells are shaded by their share of the true class. Up to 14 classes carry
    their counts, up to 40 their names; beyond, the tooltips tell.
    """
    n = len(matrix)
    named = n <= MAX_NAMED
    cell = min(CELLS / n, MAX_CELL)
    longest = max(len(words.shorten(label, 14)) for label in labels) if named else 0
    font = min(12.0, cell * 0.8)
    left, top = 30 + longest * font * 0.6, 30 + (longest * font * 0.6 if longest > 2 else font)
    parts = [_cell(labels, matrix, i, j, left, top, cell) for i in range(n) for j in range(n)]
    if named:
        parts += [_names(labels, left, top, cell, font, turned=longest > 2)]
    side = cell * n
    parts.append(el("text", "predicted class", x=left + side / 2, y=14, text_anchor="middle", class_="label"))
    place = f"rotate(-90 13 {top + side / 2:g})"
    parts.append(
        el("text", "true class", x=13, y=top + side / 2, text_anchor="middle", transform=place, class_="label")
    )
    width, height = left + side + 4, top + side + 4
    # Few classes make a small drawing: it may grow, but not to poster size.
    body = el("div", svg(width, height, title, parts, class_="chart matrix"), style=f"max-width:{width * 1.2:.0f}px")
    return el("figure", el("figcaption", title, el("span", "rows", class_="unit")), body)


def _cell(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], i: int, j: int, left: float, top: float, cell: float
) -> Markup:
    rows, total = matrix[i][j], sum(matrix[i])
    share = rows / total if total else 0.0
    x, y = left + j * cell, top + i * cell
    tip = f"true {labels[i]}, predicted {labels[j]}: {words.plural(rows, 'row')} ({words.percent(share)} of the class)"
    kind = "hit right" if i == j else "wrong"
    gap = 1.0 if cell > 8 else 0.0
    # A single wrong row must be seen among thousands: the eye needs some colour to start from.
    strength = 0.0 if rows == 0 else 0.16 + 0.84 * share
    base = el("rect", x=x, y=y, width=cell - gap, height=cell - gap, class_="cell", rx=2 if gap else None)
    tint = el(
        "rect", x=x, y=y, width=cell - gap, height=cell - gap, class_=kind.split()[-1], opacity=f"{strength:.3f}",
        rx=2 if gap else None, data_tip=tip,
    )  # fmt: skip
    number = None
    if len(matrix) <= MAX_NUMBERED and rows:
        ink = "on" if strength > 0.55 else "off"
        number = el("text", words.count(rows), x=x + cell / 2, y=y + cell / 2 + 4, text_anchor="middle", class_=ink)
    return join(base, tint, number)


def _names(labels: Sequence[str], left: float, top: float, cell: float, font: float, *, turned: bool) -> Markup:
    parts, size = [], f"font-size:{font:.1f}px"
    for i, label in enumerate(labels):
        text, middle = words.shorten(label, 14), i * cell + cell / 2
        x, y = left + middle, top - 6
        parts.append(el("text", text, x=left - 6, y=top + middle + font * 0.35, text_anchor="end", style=size))
        if turned:
            place = f"rotate(-90 {x + font * 0.35:.1f} {y:g})"
            parts.append(el("text", text, x=x + font * 0.35, y=y, text_anchor="start", transform=place, style=size))
        else:
            parts.append(el("text", text, x=x, y=y, text_anchor="middle", style=size))
    return join(parts)
