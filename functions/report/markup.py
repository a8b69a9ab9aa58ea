"""HTML and SVG built from elements, so that text is always escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | float | Markup | None | Iterable["Child"]
VOID = frozenset({"meta", "br", "hr", "col"})


def el(tag: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element.

    Args:
        tag: name of the element.
        children: text (escaped), elements, lists of them; None is nothing.
        attributes: ``class_`` is ``class``, ``data_tip`` is ``data-tip``; None and False are left out.
    """
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    written = "".join(
        f" {key}" if value is True else f' {key}="{escape(_text(value))}"'
        for key, value in pairs
        if value is not None and value is not False
    )
    inner = join(*children)
    return Markup(f"<{tag}{written}>" if tag in VOID else f"<{tag}{written}>{inner}</{tag}>")


def join(*children: Child) -> Markup:
    """Return children one after the other."""
    return Markup("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return escape(_text(child))
    return "".join(_child(each) for each in child)


def _text(value: str | int | float) -> str:
    """Return a number short enough for a coordinate, or the text without what no HTML may hold."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(value))


def svg(width: float, height: float, label: str, *children: Child, class_: str = "chart") -> Markup:
    """Return a drawing that scales with its column; ``label`` tells readers of the screen what it shows."""
    return el("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=class_)
