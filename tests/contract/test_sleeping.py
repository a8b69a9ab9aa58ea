"""Sleeping hours: over midnight, over a change of clocks, and what is done by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from contract import sleeping
from contract.sleeping import Hours

NIGHT = Hours.of("20:00-07:00", "UTC")
ROW = {"sleep": "20:00-07:00", "sleep_timezone": "Europe/Rome"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "asleep", "boundary"),
    [
        ("2026-11-21 19:59", False, "2026-11-21 20:00"),
        ("2026-11-21 20:00", True, "2026-11-22 07:00"),
        ("2026-11-22 03:00", True, "2026-11-22 07:00"),
        ("2026-11-22 07:00", False, "2026-11-22 20:00"),
    ],
)
def test_hours_go_over_midnight(now: str, asleep: bool, boundary: str) -> None:
    assert NIGHT.asleep(at(now)) is asleep
    assert NIGHT.boundary(at(now)) == at(boundary)


def test_hours_of_one_day_end_on_it() -> None:
    noon = Hours.of("12:00-13:30", "UTC")
    assert [noon.asleep(at(f"2026-11-21 {hour}")) for hour in ("11:59", "12:00", "13:29", "13:30")] == [
        False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(("now", "wakes"), [("2026-03-28 23:00", "05:00"), ("2026-10-24 23:00", "06:00")])
def test_they_follow_the_clock_of_their_place_over_its_changes(now: str, wakes: str) -> None:
    hours = sleeping.hours_of(ROW)
    assert hours
    assert hours.asleep(at(now))
    assert f"{hours.waking(at(now)):%H:%M}" == wakes, "07:00 in Rome, by UTC"


@pytest.mark.parametrize(
    ("row", "now", "wanted"),
    [
        ({}, "2026-11-21 21:00", None),
        (ROW, "2026-11-21 18:59", False),
        (ROW, "2026-11-21 19:00", True),
        ({**ROW, "held_until": "2026-11-22T06:00:00+00:00"}, "2026-11-22 05:59", None),
        ({**ROW, "held_until": "2026-11-22T06:00:00+00:00"}, "2026-11-22 06:00", False),
    ],
)
def test_the_hours_decide_unless_somebody_did_until_their_next_boundary(
    row: dict[str, Any], now: str, wanted: bool | None
) -> None:
    assert sleeping.wanted(row, at(now)) is wanted


def test_what_is_done_by_hand_holds_until_the_next_boundary() -> None:
    assert sleeping.held_until(NIGHT, at("2026-11-21 23:00")) == "2026-11-22T07:00:00+00:00"
    assert sleeping.held_until(NIGHT, at("2026-11-21 15:00")) == "2026-11-21T20:00:00+00:00"
    assert sleeping.held_until(None, at("2026-11-21 15:00")) == ""


def test_a_sleeping_model_says_until_when() -> None:
    by_hand = {**ROW, "held_until": "2026-11-21T19:00:00+00:00"}
    assert sleeping.told(by_hand, at("2026-11-21 15:00")) == "The model sleeps until 2026-11-22 07:00 (Europe/Rome)."
    assert sleeping.told({}, at("2026-11-21 15:00")) == "The model sleeps until somebody wakes it."
