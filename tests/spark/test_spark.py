"""Preparation on Spark: the same dataset, to the byte, as in one process. Needs pyspark and Java: `make test-spark`."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")

from pyspark.sql import SparkSession

from contract import keys
from contract.reports import DatasetReport
from tests.training.builders import ROOT, SALT, csv, request
from training import rows
from training.prepare import prepare
from training.spark import Spark

pytestmark = [  # pyspark leaves its sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyspark"),
]
FILES = 5
SETTINGS: dict[str, dict[str, Any]] = {
    "prepare": {"max_rejected_fraction": 0.5, "validation_fraction": 0.2},
    "privacy": {"hash": ["name"], "generalise": {"age": 10.0}},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Spark]:
    """Two executors' threads on this machine."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    address = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}
    builder = SparkSession.builder.master("local[2]").config(map=address)
    session = builder.getOrCreate()
    yield Spark(session)
    session.stop()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PART_BYTES", 1)


def upload(folder: Path, files: int = FILES) -> Path:
    """Write tables of five columns; one row in forty is bad in some way."""
    folder.mkdir(parents=True)
    for number in range(files):
        header, *lines = csv(200, seed=number).splitlines()
        lines = [f"{line},2026-0{1 + row % 9}-01,user{row % 20}" for row, line in enumerate(lines)]
        lines[7] = lines[7].replace(lines[7].split(",")[0], "much", 1)
        lines[90] += ",one too many"
        lines[91] = f'"{lines[91]}'
        head = ",".join([*header.split(",")[:3], "risk", "day", "name"])
        (folder / f"{number}.csv").write_text("\n".join([head, *lines]) + "\n")
    return folder


def prepared(folder: Path, files: Path, engine: Spark | None, settings: dict[str, Any]) -> tuple[DatasetReport, Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    asked = request(settings, key="0.csv")
    return prepare(asked, upload=files, salt=SALT, out=folder, engine=engine), folder


def told(report: DatasetReport) -> dict[str, Any]:
    return {name: value for name, value in report.to_dict().items() if name != "seconds"}


@pytest.mark.parametrize("target", ["risk", "income"])
def test_both_engines_prepare_the_same_dataset_to_the_byte(engine: Spark, tmp_path: Path, target: str) -> None:
    files = upload(tmp_path / "upload")
    settings = {**SETTINGS, "prepare": {**SETTINGS["prepare"], "target": target}}
    one, here = prepared(tmp_path / "here", files, None, settings)
    two, there = prepared(tmp_path / "there", files, engine, settings)
    assert one.accepted, one.reasons
    assert one.rejected_rows >= 3 * FILES
    assert told(one) == told(two)
    names = sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file())
    assert sum(name.startswith(f"{keys.DATASET}train/") for name in names) == FILES  # a shard a part
    same, different, broken = filecmp.cmpfiles(here, there, names, shallow=False)
    assert (different, broken) == ([keys.DATASET_REPORT], [])  # it tells the seconds
    assert len(same) == len(names) - 1


def test_what_is_wrong_with_a_part_rejects_the_upload_with_its_reasons(engine: Spark, tmp_path: Path) -> None:
    files = upload(tmp_path / "upload", 3)
    settings = {**SETTINGS, "prepare": {**SETTINGS["prepare"], "max_rejected_fraction": 0.0}}
    one, _ = prepared(tmp_path / "here", files, None, settings)
    two, there = prepared(tmp_path / "there", files, engine, settings)
    assert not two.accepted
    assert told(one) == told(two)
    assert not (there / keys.DATASET).exists()
    lines = (there / keys.QUARANTINE / "rows.jsonl").read_text().splitlines()
    assert len(lines) == two.rejected_rows
    assert {json.loads(line)["file"] for line in lines} == {"0.csv", "1.csv", "2.csv"}


def test_too_many_classes_in_one_part_are_a_rejection_not_a_failed_task(engine: Spark, tmp_path: Path) -> None:
    files = tmp_path / "upload"
    files.mkdir()
    (files / "0.csv").write_text("x,risk\n" + "".join(f"{row},a\n" for row in range(50)))
    (files / "1.csv").write_text("x,risk\n" + "".join(f"{row},class {row}\n" for row in range(12_000)))
    report, _ = prepared(tmp_path / "there", files, engine, {})
    assert not report.accepted
    assert "risk" in report.reasons[0]
