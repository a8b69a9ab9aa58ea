"""The daily sweep sends intake the events of what has arrived and was not begun, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contract import ledger, names
from functions import intake, sweep
from tests.functions.conftest import World
from tests.functions.test_intake import event


def swept(world: World, back: timedelta = sweep.LOOK_BACK) -> list[str]:
    """Have intake handle what the sweep finds in this world; return the runs."""
    found = [
        each
        for each in sweep.lost_events(world.data, datetime.now(UTC) - back)
        if each["detail"]["object"]["key"].startswith(f"{world.tenant}/")
    ]
    return sorted(intake.handler(each, None)["run"] for each in found)


def test_an_upload_whose_event_was_lost_gets_its_run_once(world: World) -> None:
    told, lost = world.upload("told.csv"), [world.upload("données 📈 100%.csv"), world.upload("b/manifest.json")]
    lost.append(world.upload("told.csv", b"a\n"))  # another version of it
    world.upload("b/part.csv")
    intake.handler(event(world, *told), None)
    assert swept(world) == sorted(names.run_for_upload(world.project, world.data, *each) for each in lost)
    assert swept(world) == []
    assert len(world.executions()) == 4
    intake.handler(event(world, *lost[0]), None)  # its event was only late
    assert len(world.executions()) == 4


def test_an_upload_that_intake_died_at_is_begun(world: World) -> None:
    key, version = world.upload("digits.csv")
    row = ledger.upload_key(world.data, key, version)
    item = {**{name: {"S": value} for name, value in row.items()}, "received": {"S": "2026-11-21T10:00:00+00:00"}}
    world.client("dynamodb").put_item(TableName=world.table, Item=item)
    (run,) = swept(world)
    assert world.row(row)["run"] == run


def test_what_was_deleted_and_what_is_old_is_left_alone(world: World) -> None:
    key, _ = world.upload("digits.csv")
    world.client("s3").delete_object(Bucket=world.data, Key=key)
    assert swept(world) == []
    world.upload("other.csv")
    assert swept(world, timedelta(0)) == []
    assert len(swept(world)) == 1


def test_what_intake_refused_is_not_sent_again_each_day(world: World) -> None:
    world.upload("digits.csv")
    world.remove_tenant()
    assert swept(world) == []
    world.add_tenant()
    assert len(swept(world)) == 1
