"""Retention: each kind of data goes when its time is over, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from contract import keys, names, retention
from contract.errors import InvalidConfig
from functions import retention as function
from tests.functions.conftest import World

RUN = keys.run_prefix("acme", "risks", "r-1")
PLACES = {
    (retention.DATA, keys.inbox("acme", "risks") + "rows.csv"): "uploads",
    (retention.DATA, keys.batch_file("acme", "risks", "july.csv")): "batch_files",
    (retention.DATA, keys.feedback("acme", "risks") + "late.csv"): "feedback",
    (retention.DATA, keys.project_config("acme", "risks")): "",
    (retention.DATA, keys.salt("acme")): "",
    (retention.ARTIFACTS, f"{RUN}{keys.UPLOAD}rows.csv"): "datasets",
    (retention.ARTIFACTS, f"{RUN}{keys.DATASET}train/0.npz"): "datasets",
    (retention.ARTIFACTS, f"{RUN}{keys.QUARANTINE}rows.jsonl"): "quarantine",
    (retention.ARTIFACTS, f"{RUN}{keys.CHECKPOINTS}1.safetensors"): "checkpoints",
    (retention.ARTIFACTS, RUN + keys.MODEL): "models",
    (retention.ARTIFACTS, RUN + keys.GOLDEN): "models",
    (retention.ARTIFACTS, RUN + keys.REPORT): "reports",
    (retention.ARTIFACTS, RUN + keys.UPLOAD_FILES): "reports",
    (retention.ARTIFACTS, keys.capture_prefix("acme", "risks") + "1.jsonl"): "capture",
    (retention.ARTIFACTS, keys.async_prefix("acme", "risks") + "answers/1.out"): "queued",
    (retention.ARTIFACTS, keys.golden_prefix("acme", "risks", "m") + "input/000.json"): "answers",
    (retention.ARTIFACTS, keys.edge_prefix("acme", "risks", 1) + keys.EDGE_BUNDLE): "models",
}


def test_every_place_has_its_kind() -> None:
    assert {place: retention.kind_of(*place) for place in PLACES} == PLACES


def test_an_installation_may_keep_some_kinds_longer_or_shorter() -> None:
    days = retention.parse('{"capture": 30, "datasets": 0}')
    assert (days["capture"], days["datasets"], days["uploads"], days["checkpoints"]) == (30, None, None, 30)
    assert retention.parse("") == {name: kind.days for name, kind in retention.KINDS.items()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "keep_days"), ("[]", "keep_days"), ('{"captures": 30}', "capture"), ('{"capture": 7}', "at least 30"),
        ('{"old_data": 0}', "at least 1"), ('{"capture": true}', "at least 30"), ('{"capture": "30"}', "at least 30"),
    ],
    ids=["json", "list", "kind", "short", "rule", "boolean", "text"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        retention.parse(text)


def fill(world: World) -> dict[str, str]:
    """Put an object everywhere; return the keys with their kinds."""
    buckets = {retention.DATA: world.data, retention.ARTIFACTS: world.artifacts}
    for bucket, key in PLACES:
        world.put(key, b"x", buckets[bucket])
    return {key: name for (_, key), name in PLACES.items()}


def left(world: World) -> set[str]:
    pages = (world.client("s3").list_objects_v2(Bucket=bucket) for bucket in (world.data, world.artifacts))
    return {each["Key"] for page in pages for each in page.get("Contents", ())}


def call(days: float, *, milliseconds: int = 900_000, **more: Any) -> dict[str, Any]:
    moment = (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)
    return function.handler({"time": moment, **more}, context)


def test_what_is_older_than_its_kind_is_kept_goes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = fill(world)
    monkeypatch.setenv(names.KEEP_DAYS, '{"capture": 60}')
    assert call(29.9)["deleted"] == {}
    assert left(world) == set(kinds)
    assert call(61, prefix="acme/other/")["deleted"] == {}
    assert call(61) == {"deleted": {"checkpoints": 1, "queued": 1, "capture": 1}, "finished": True}
    call(10_000)
    stays = {"uploads", "feedback", "models", "reports", ""}
    assert left(world) == {key for key, name in kinds.items() if name in stays}


def test_when_the_time_is_over_nothing_more_goes(world: World) -> None:
    kinds = fill(world)
    assert call(10_000, milliseconds=59_000) == {"deleted": {}, "finished": False}
    assert left(world) == set(kinds)


def test_what_one_day_has_no_time_for_another_day_has(world: World) -> None:
    for project in ("first", "last"):
        world.put(keys.inbox("acme", project) + "rows.csv", b"x", world.data)  # for good
    world.put(keys.capture_prefix("acme", "last") + "1.jsonl", b"x", world.artifacts)
    days = 0
    while len(left(world)) == 3:
        one_place = iter([900_000, 0])
        context = SimpleNamespace(get_remaining_time_in_millis=lambda told=one_place: next(told))
        told = function.handler({"time": (datetime.now(UTC) + timedelta(days=100)).isoformat()}, context)
        assert told["finished"] is False
        assert (days := days + 1) < 100, "each day begins with another project"
