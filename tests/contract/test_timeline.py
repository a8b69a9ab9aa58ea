"""Times and steps: what preparation and the server must read alike."""

from __future__ import annotations

import pytest

from contract.timeline import Step, find_step, to_seconds, to_text


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01", "2026-01-01T00:00"),
        ("2026-01-31", "2026-01-31T00:00"),
        ("2026-01-31T08:00", "2026-01-31T08:00"),
        ("2026-01-31 08:00:30", "2026-01-31T08:00:30"),
        ("2026-01-31 08:00:00.000000", "2026-01-31T08:00"),
        ("2026-01-31T08:00+01:00", "2026-01-31T07:00"),
        ("2026-01-31 00:30:00.000+01", "2026-01-30T23:30"),
        ("2026-01-31T08:00Z", "2026-01-31T08:00"),
        ("1066-10-14", "1066-10-14T00:00"),
    ],
)
def test_times_are_read_and_written_again(text: str, time: str) -> None:
    seconds = to_seconds(text)
    assert seconds is not None
    assert to_text(seconds) == time
    assert to_seconds(time) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "2026", "20260131", "31.01.2026", "2026-13-01", "2026-02-30", "2026-01-31T25:00", "2026-01-31T08:00:00.5",
     "9999-12-31", "0001-01-01", "2026-01-31T08:00 ", "٢٠٢٦-01-01", "1767225600"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert to_seconds(text) is None


def times(*texts: str) -> list[int]:
    found = [to_seconds(text) for text in texts]
    assert None not in found
    return [seconds for seconds in found if seconds is not None]


@pytest.mark.parametrize(
    ("series", "name"),
    [
        ([times("2026-01-01", "2026-01-02", "2026-01-05")], "day"),
        ([times("2026-01-01T00:00", "2026-01-01T00:15", "2026-01-01T00:45", "2026-01-01T01:00")], "15 minutes"),
        ([times("2026-01-01"), times("2026-01-05T00:00", "2026-01-05T01:00")], "hour"),
        ([times("1949-01", "1949-02", "1949-03", "1949-05")], "month"),
        ([times("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")], "month"),
        ([times("2026-01-01", "2026-01-29", "2026-02-26", "2026-03-26")], "4 weeks"),
        ([times("2026-01-01", "2026-04-01", "2026-07-01")], "3 months"),
        ([times("2019-01-01", "2020-01-01", "2021-01-01")], "year"),
    ],
    ids=["days", "quarters of an hour", "hours", "months", "ends of months", "weeks", "quarters", "years"],
)
def test_the_step_is_the_most_frequent_distance(series: list[list[int]], name: str) -> None:
    assert str(find_step(series)) == name


def test_a_single_time_has_no_step() -> None:
    assert find_step([times("2026-01-01")]) is None
    assert find_step([]) is None


def test_numbers_follow_the_step_and_lead_back() -> None:
    hours = Step(seconds=3600, phase=900)
    first, later = times("2026-01-01T00:15", "2026-01-01T05:15")
    number = hours.number(first)
    assert number is not None
    assert hours.number(later) == number + 5
    assert hours.time(number + 5) == later
    assert hours.number(first + 60) is None


def test_months_are_counted_whatever_their_day() -> None:
    quarters = find_step([times("2026-02-01", "2026-05-01", "2026-08-01")])
    assert quarters is not None
    places = [quarters.number(seconds) for seconds in times("2026-02-28", "2027-02-17", "2027-01-17")]
    assert places[1] is not None
    assert places[0] == places[1] - 4
    assert places[2] is None
    assert to_text(quarters.time(places[1])) == "2027-02-01T00:00"


def test_a_step_is_kept_in_a_feature() -> None:
    for step in (Step(seconds=300, phase=60), Step(months=3, phase=2)):
        assert Step.of(step.statistics()) == step


def test_lengths_are_said_as_people_say_them() -> None:
    assert Step(seconds=3600).describe(168) == "168 steps (1 week)"
    assert Step(seconds=1800).describe(1) == "1 step (30 minutes)"
    assert Step(months=1).describe(12) == "12 steps (1 year)"
    assert Step(months=1).describe(24) == "24 steps (24 months)"
