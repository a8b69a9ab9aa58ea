"""What ``tandem predict`` shows of an answer."""

from __future__ import annotations

from rich.console import Console

from cli.commands.predict import _table, _upright


def test_labels_are_shown_with_their_probability_and_the_next_ones() -> None:
    heads, rows = _table([{"label": "b", "probabilities": {"a": 0.25, "b": 0.7, "c": 0.05}}])
    assert heads == ("row", "label", "probability", "next")
    assert rows == [(1, "b", "0.7000", "a 0.250, c 0.050")]


def test_values_are_shown_by_name() -> None:
    predictions = [{"values": {"rent": 812.5, "area": 0.000012}}, {"values": {"rent": 1234567.89, "area": -3}}]
    heads, rows = _table(predictions)
    assert heads == ("row", "rent", "area")
    assert rows == [(1, "812.5", "1.2e-05"), (2, "1,234,568", "-3")]


def test_many_values_stand_one_to_a_line_with_the_rows_beside_each_other() -> None:
    heads, rows = _table([{"values": {f"t+{step}": step + 100.0 * row for step in range(1, 25)}} for row in (1, 2)])
    console = Console(width=80)
    with console.capture() as capture:
        console.print(_upright(heads, rows))
    lines = [line.split() for line in capture.get().splitlines()]
    assert lines[:2] == [["row", "1", "2"], ["t+1", "101", "201"]]
    assert lines[-1] == ["t+24", "124", "224"]
