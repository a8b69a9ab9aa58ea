"""The examples: settings that are accepted and affordable, data that is what the READMEs say."""

from __future__ import annotations

import csv
import importlib.util
import io
import tomllib
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from contract.reports import DatasetReport
from contract.request import RunRequest, Upload, build_request
from functions import plan
from functions.combinations import find_mistakes
from tests import definitions

EXAMPLES = Path(__file__).parents[1] / "examples"
DIGITS, PENGUINS = EXAMPLES / "digits", EXAMPLES / "penguins"
UPLOADS = {
    "departures": EXAMPLES / "departures/departures.csv",
    "diabetes": EXAMPLES / "diabetes/diabetes.csv",
    "digits": DIGITS / "digits.zip",
    "films": EXAMPLES / "films/ratings.csv",
    "keras": DIGITS / "digits.zip",
    "linear": EXAMPLES / "linear/line.csv",
    "penguins": PENGUINS / "penguins.csv",
    "pumps": EXAMPLES / "pumps/pumps.csv",
    "script": EXAMPLES / "script/line.csv",
    "tickets": EXAMPLES / "tickets/tickets.csv",
}


def request_of(example: str) -> RunRequest:
    data = UPLOADS[example]
    upload = Upload(bucket="data", key=f"acme/{example}/inbox/{data.name}", version_id="1", bytes=0, files=1)
    settings = tomllib.loads((EXAMPLES / example / "project.toml").read_text())
    console = {"tenant": "acme", "project": example}
    return build_request(run="run-1", console=console, project_toml=settings, upload=upload)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def maker(example: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"make_{example}", EXAMPLES / example / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_listed_and_has_its_parts() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and (path / "project.toml").exists()}
    assert folders == set(UPLOADS)
    for name in folders:
        assert f"]({name}/README.md)" in (EXAMPLES / "README.md").read_text()
        assert (
            "licen" in (EXAMPLES / name / "README.md").read_text()
            or "CC0" in (EXAMPLES / name / "README.md").read_text()
        )


@pytest.mark.parametrize("example", UPLOADS)
def test_the_settings_are_accepted_and_the_worst_case_is_within_the_budget(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan.table, "get", lambda key: None)  # an empty ledger
    monkeypatch.setattr(plan.machines.quotas, "of", lambda names, fresh=False: {})  # an account without quotas
    request = request_of(example)
    dataset = DatasetReport(run="run-1", accepted=True, rows={"train": 1300, "validation": 180, "test": 350})
    assert find_mistakes(request, dataset, prepared_in_job=True) == []
    worst = plan.estimate(request, definitions.parsed(definitions.run()))
    assert worst["accepted"], worst["reasons"]
    assert 0 < worst["worst_case"]["usd"] <= request.budget.max_usd_per_run


def test_digits_train_on_two_hosts_with_spot() -> None:
    train = request_of("digits").train
    assert (train.hosts, train.spot) == (2, True)
    assert train.fallback_instances


def test_the_zip_holds_all_scans_but_the_held_out_ones() -> None:
    with zipfile.ZipFile(UPLOADS["digits"]) as archive:
        names = archive.namelist()
        contents = {archive.read(name) for name in names}
    assert len(names) == len(set(names)) == 1797 - 10
    assert {name.split("/")[0] for name in names} == set("0123456789")
    held_out = sorted((DIGITS / "held_out").iterdir())
    assert [path.name for path in held_out] == [f"{digit}.png" for digit in range(10)]
    assert not contents & {path.read_bytes() for path in held_out}


def test_the_scans_are_small_grey_pictures_with_ink() -> None:
    with zipfile.ZipFile(UPLOADS["digits"]) as archive:
        for name in archive.namelist()[::200]:
            scan = Image.open(io.BytesIO(archive.read(name)))
            assert (scan.size, scan.mode) == ((8, 8), "L")
            assert min(scan.tobytes()) == 0
            assert max(scan.tobytes()) > 200


def test_the_table_has_categories_missing_values_and_three_species() -> None:
    table = rows(UPLOADS["penguins"])
    assert len(table) == 344 - 12
    assert Counter(row["species"] for row in table).keys() == {"Adelie", "Chinstrap", "Gentoo"}
    assert {row["island"] for row in table} == {"Biscoe", "Dream", "Torgersen"}
    assert any(row["sex"] == "NA" for row in table)


def test_the_held_out_rows_have_the_columns_that_the_model_sees_and_the_target() -> None:
    held_out, request = rows(PENGUINS / "held_out.csv"), request_of("penguins")
    columns = set(rows(UPLOADS["penguins"])[0]) - set(request.prepare.exclude)
    assert set(held_out[0]) == columns
    assert Counter(row["species"] for row in held_out) == {"Adelie": 4, "Chinstrap": 4, "Gentoo": 4}


def test_digits_are_made_again_the_same(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the example's data comes from scikit-learn; see its make.py")
    maker("digits").make(tmp_path)
    for path in ["digits.zip", *(f"held_out/{digit}.png" for digit in range(10))]:
        assert (tmp_path / path).read_bytes() == (DIGITS / path).read_bytes(), path


def test_penguins_are_made_again_the_same(tmp_path: Path) -> None:
    if importlib.util.find_spec("palmerpenguins") is None:
        pytest.skip("the example's data comes from the palmerpenguins package; see its make.py")
    maker("penguins").make(tmp_path)
    for name in ("penguins.csv", "held_out.csv"):
        assert (tmp_path / name).read_bytes() == (PENGUINS / name).read_bytes()


def test_the_line_is_made_again_the_same(tmp_path: Path) -> None:
    maker("linear").make(tmp_path)
    for name in ("line.csv", "held_out.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / "linear" / name).read_bytes()
    assert (EXAMPLES / "linear/project.toml").read_text() == 'recipe = "linear"\n'


def test_the_patients_are_made_again_the_same(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the example's data comes from scikit-learn; see its make.py")
    maker("diabetes").make(tmp_path)
    for name in ("diabetes.csv", "held_out.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / "diabetes" / name).read_bytes()
    assert len(rows(UPLOADS["diabetes"])) == 442 - 12


def test_all_examples_together_are_small() -> None:
    size = sum(
        path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    assert size < 1_500_000
