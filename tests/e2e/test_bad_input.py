"""Each bad upload ends in a state that a person understands, with the upload intact."""

from __future__ import annotations

import csv
import io
import random

import pytest

from contract import keys
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import images, table, table_toml

ONE_CLASS = b"income,age,region,risk\n" + b"1.0,30,north,low\n" * 60
ALL_MISSING = b"income,age,region,risk\n" + b",,,low\n,,,high\n" * 60


def wide(columns: int) -> bytes:
    """Return a table with that many number columns, the first of which decides the target."""
    source, text = random.Random(0), io.StringIO()
    writer = csv.writer(text)
    writer.writerow([f"c{i}" for i in range(columns)] + ["risk"])
    for _ in range(80):
        values = [source.gauss(0, 1) for _ in range(columns)]
        writer.writerow([f"{value:.2f}" for value in values] + ["high" if values[0] > 0 else "low"])
    return text.getvalue().encode()


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("empty.csv", b"", "empty"),
        ("no-target.csv", table().replace(b"risk", b"rsik"), "rsik"),
        ("one-class.csv", ONE_CLASS, "class"),
        ("all-missing.csv", ALL_MISSING, "missing"),
        ("not-a-table.parquet", b"\x89PNG not parquet", "parquet"),
        ("header-only.csv", b"income,age,region,risk\n", "row"),
    ],
)
def test_a_bad_table_is_rejected_with_the_reason(app: App, name: str, body: bytes, says: str) -> None:
    project = app.project()
    app.configure(project, table_toml())
    run = app.settled(app.upload(project, name, body))
    assert run["outcome"] == Outcome.REJECTED, run
    assert says in " ".join(run["reasons"]).lower()
    kept = app.s3.get_object(Bucket=app.data, Key=keys.inbox("acme", project) + name)["Body"].read()
    assert kept == body


@pytest.mark.parametrize("body", [b"", b"not a zip", images(0), images(0, extra={"a.png": b"x"})])
def test_a_bad_zip_is_rejected_with_the_reason(app: App, body: bytes) -> None:
    run = app.settled(app.upload(app.project(), "pictures.zip", body))
    assert run["outcome"] == Outcome.REJECTED, run
    assert run["reasons"]


def test_one_corrupt_image_among_many_goes_to_quarantine(app: App) -> None:
    project = app.project()
    app.configure(
        project, 'recipe = "image"\n[train]\nepochs = 3\nhosts = 1\nspot = false\ninstance = "ml.m5.xlarge"\n'
    )
    run = app.settled(app.upload(project, "pictures.zip", images(extra={"left/broken.png": b"\x89PNG broken"})))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert run["dataset"]["rejected_rows"] == 1
    prefix = keys.run_prefix("acme", project, run["run"]) + keys.QUARANTINE
    assert any("broken" in app.read(key).decode(errors="replace") or "broken" in key for key in app.listing(prefix))


def test_a_few_ragged_rows_go_to_quarantine(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    run = app.settled(app.upload(project, "rows.csv", table() + b"1,2,3\n1,2,3,4,5,6\n"))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert run["dataset"]["rejected_rows"] == 2


@pytest.mark.more
def test_ten_thousand_columns_end_in_a_named_outcome(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(epochs=2))
    run = app.settled(app.upload(project, "wide.csv", wide(10_000)), seconds=240)
    assert run["outcome"] in (Outcome.DEPLOYED, Outcome.KEPT_CHAMPION, Outcome.REJECTED), run


def test_unicode_quotes_and_escapes_in_keys_names_and_values_survive(app: App) -> None:
    project, name = app.project(), 'it\'s "données" 📈 a b+c%20 100%.csv'
    text = table().decode().replace("income", '"in""come, €"').replace("north", '"nørth ""1"""')
    app.configure(project, table_toml(epochs=3))
    run = app.settled(app.upload(project, name, text.encode()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert run["request"]["upload"]["key"].endswith(name)
    assert 'in"come, €' in [feature["name"] for feature in run["dataset"]["features"]]


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"files": ["gone.csv"]}',
        b'{"files": ["s3://another-bucket/rows.csv"]}',
        b'{"files": ["../../../rival/digits/inbox/rows.csv"]}',
        b'{"files": []}',
        b"not json",
    ],
)
def test_a_bad_manifest_is_rejected_with_the_reason(app: App, manifest: bytes) -> None:
    project = app.project()
    app.configure(project, table_toml())
    run = app.settled(app.upload(project, "batch/manifest.json", manifest))
    assert run["outcome"] in (Outcome.REJECTED, Outcome.REFUSED), run
    assert run["reasons"]


def test_a_manifest_cannot_name_another_tenants_object(app: App) -> None:
    app.upload("digits", "batch/rows.csv", table(), tenant="rival")
    project = app.project()
    app.configure(project, table_toml())
    body = f'{{"files": ["s3://{app.data}/rival/digits/inbox/batch/rows.csv"]}}'.encode()
    run = app.settled(app.upload(project, "batch/manifest.json", body))
    assert run["outcome"] == Outcome.REJECTED, run
    assert "rival" in " ".join(run["reasons"])


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[train]\nepohcs = 3", "epochs"),
        ("[train]\nepochs = 'many'", "train.epochs"),
        ("[train", "line"),
        ("recipe = 'imgae'", "image"),
    ],
)
def test_a_mistake_in_project_toml_is_refused_with_the_fix(app: App, toml: str, says: str) -> None:
    project = app.project()
    app.configure(project, toml)
    run = app.settled(app.upload(project, "pictures.zip", images()))
    assert run["outcome"] == Outcome.REFUSED, run
    assert says in " ".join(run["reasons"])
    assert not run["jobs"]


def test_a_run_over_budget_is_refused_before_anything_is_billed(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(more="[budget]\nmax_usd_per_run = 0.01"))
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.REFUSED
    assert not run["jobs"]


def test_a_folder_marker_starts_nothing(app: App) -> None:
    project = app.project()
    run = app.upload(project, "folder/", b"")
    later = app.upload(project, "rows.csv", b"")
    app.settled(later)
    assert app.row(run) == {}


def test_an_upload_overwritten_under_its_run_changes_nothing(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    first = app.upload(project, "rows.csv", table(seed=1))
    second = app.upload(project, "rows.csv", table(300, seed=2))
    assert sum(app.settled(first)["dataset"]["rows"].values()) == 240
    assert sum(app.settled(second)["dataset"]["rows"].values()) == 300
