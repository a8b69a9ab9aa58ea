"""Dates become numbers and come back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contract.dates import DATE_PARTS, DAYS, PARTS, SECONDS, from_parts, to_parts
from contract.values import category_code


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("1970-01-01", 0, 0),
        ("1969-12-31T23:59:59", -1, 86399),
        ("2026-01-31T08:00", 20484, 28800),
        ("2026-01-31 10:00:00+02:00", 20484, 28800),
        ("2026-01-31T08:00:00.123456Z", 20484, 28800),
        ("1000-01-01", -354285, 0),
        ("2999-12-31T23:59:59", 376199, 86399),
    ],
)
def test_days_and_seconds_are_whole_and_survive_float32(text: str, days: int, seconds: int) -> None:
    parts = to_parts(text)
    assert parts
    assert set(parts) == set(PARTS)
    kept = {name: float(np.float32(value)) for name, value in parts.items()}
    assert (kept[DAYS], kept[SECONDS]) == (days, seconds)
    assert to_parts(from_parts(kept)) == parts
    assert to_parts(from_parts({name: kept[name] for name in DATE_PARTS})) == to_parts(text[:10])


@pytest.mark.parametrize("text", ["", "9999-12-31", "9999-12-31 23:59:59.999", "0001-01-01T00:00:00"])
def test_dates_that_stand_for_none_are_missing(text: str) -> None:
    parts = to_parts(text)
    assert parts
    assert all(math.isnan(value) for value in parts.values())


@pytest.mark.parametrize("text", ["2026", "31.01.2026", "01/31/2026", "2026-02-30", "2026-01-31T25:00", "soon", "-1"])
def test_other_text_is_no_date(text: str) -> None:
    assert to_parts(text) is None


def test_december_is_next_to_january_and_sunday_to_monday() -> None:
    def apart(circle: str, one: str, other: str) -> float:
        first, second = to_parts(one), to_parts(other)
        assert first
        assert second
        return math.dist(*([each[f"{circle}_sin"], each[f"{circle}_cos"]] for each in (first, second)))

    assert apart("year", "2025-12-31", "2026-01-01") < 0.05 < 1.9 < apart("year", "2026-01-01", "2026-07-02")
    assert apart("week", "2026-01-04", "2026-01-11") < 1e-9 < 0.8 < apart("week", "2026-01-04", "2026-01-05")
    assert apart("day", "2026-01-04T23:59", "2026-01-05T00:00") < 0.01


def test_a_value_that_is_not_known_is_hashed_into_a_bucket() -> None:
    known = {"a": 1, "b": 2}
    assert [category_code(text, known, 0) for text in ("a", "b", "", "c")] == [1, 2, 0, 0]
    codes = [category_code(str(number), known, 8) for number in range(500)]
    assert set(codes) == set(range(3, 11))
    assert category_code("", known, 8) == 0
    assert category_code("c", known, 8) == category_code("c", known, 8)
    assert category_code("\ud800", known, 8) in range(3, 11)
