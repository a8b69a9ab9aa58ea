"""Replay: what is kept of earlier uploads, and how it is learned again."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from contract import keys
from contract.errors import InvalidConfig
from contract.reports import DatasetReport
from tests.training.builders import SALT, csv, pictures, request, zipped
from tests.training.test_start import continued_from, trained_from
from training import recipes
from training.prepare import prepare
from training.replay import Item, Sample

REPLAY = {"prepare": {"target": "risk", "replay": 1.0}}


def item(number: int, size: int = 10) -> Item:
    return Item(random.Random(number).randbytes(16), bytes(size))


def prepared(
    folder: Path, files: Mapping[str, str | bytes], before: Path | None, settings: Mapping[str, Any] = REPLAY
) -> tuple[DatasetReport, Path]:
    """Prepare an upload as a run does whose champion's run left its results in ``before``."""
    upload, out = folder / "upload", folder / "out"
    upload.mkdir(parents=True)
    out.mkdir()
    for name, content in files.items():
        (upload / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for kept in (before / keys.REPLAY).iterdir() if before else ():
        shutil.copy(kept, upload)
    asked = request(settings, key=next(iter(files)))
    report = prepare(asked, upload=upload, salt=SALT, out=out)
    (out / keys.REQUEST).write_text(json.dumps(asked.to_dict()))
    return report, out


def lines(out: Path) -> list[str]:
    return (out / keys.REPLAY / "_replay.csv").read_text().splitlines()


def incomes(out: Path, split: str) -> set[float]:
    parts = [load_file(path)["numeric"][:, 0] for path in (out / keys.DATASET / split).glob("*.safetensors")]
    return set(np.concatenate(parts).tolist())


def test_a_sample_is_bounded_and_does_not_depend_on_order_or_on_repetition() -> None:
    items = [item(number) for number in range(500)]
    taken = []
    for order in (items, items[::-1], [*items, *items[:300]]):
        sample = Sample(rows=50)
        for each in order:
            sample.add(each)
        taken.append(sample.items)
    assert taken[0] == sorted(items)[:50]
    assert taken[1] == taken[0]
    assert taken[2] == taken[0]


def test_a_sample_of_bytes_is_the_same_in_any_order() -> None:
    items = [item(number, size=random.Random(number).randrange(1, 200)) for number in range(400)]
    taken = []
    for seed in range(5):
        sample = Sample(size=3000)
        for each in random.Random(seed).sample(items, len(items)):
            sample.add(each)
        taken.append(sample.items)
    assert all(each == taken[0] for each in taken)
    assert taken[0] == sorted(items)[: len(taken[0])]
    assert 2700 < sum(len(each.content) for each in taken[0]) <= 3000


def test_a_small_row_does_not_slip_in_behind_a_larger_one_that_was_left_out() -> None:
    items = [Item(b"\1", bytes(60)), Item(b"\2", bytes(60)), Item(b"\3", bytes(30))]
    for order in (items, items[::-1]):
        sample = Sample(size=100)
        for each in order:
            sample.add(each)
        assert sample.items == items[:1]


def test_a_sample_of_samples_is_uniform_over_all_uploads() -> None:
    whole, handed_on = Sample(rows=300), Sample(rows=300)
    for upload in range(4):
        following = Sample(rows=300)
        for each in [*handed_on.items, *(item(upload * 1000 + row) for row in range(1000))]:
            following.add(each)
        for row in range(1000):
            whole.add(item(upload * 1000 + row))
        handed_on = following
    assert handed_on.items == whole.items
    of_upload = {item(number).digest: number // 1000 for number in range(4000)}
    counts = np.bincount([of_upload[each.digest] for each in handed_on.items])
    assert counts.min() > 50  # 75 each, on average
    assert counts.max() < 100


def test_earlier_rows_are_learned_again_each_in_the_split_that_it_had(tmp_path: Path) -> None:
    first, before = prepared(tmp_path / "1", {"a.csv": csv(seed=1)}, None)
    assert first.replayed == 0
    assert "no earlier rows are replayed: no version in service has kept any" in first.reasons
    assert sorted(lines(before)[1:]) == sorted(csv(seed=1).splitlines()[1:])
    second, out = prepared(tmp_path / "2", {"b.csv": csv(rows=120, seed=2)}, before)
    assert (second.replayed, sum(second.rows.values())) == (120, 240)
    assert second.reasons[0] == "120 rows of earlier uploads are replayed with 120 new ones"
    assert len(lines(out)) == 1 + 240 + 120  # the next run can replay from both
    for split in keys.SPLITS:
        for other in set(keys.SPLITS) - {split}:
            assert not incomes(before, split) & incomes(out, other)
        assert incomes(before, split) & incomes(out, split)
    again, _ = prepared(tmp_path / "3", {"b.csv": csv(rows=120, seed=2)}, before)
    assert again.fingerprint == second.fingerprint


def test_rows_that_come_again_are_not_learned_twice(tmp_path: Path) -> None:
    _, before = prepared(tmp_path / "1", {"a.csv": csv(seed=1)}, None)
    header, *rows = csv(seed=1).splitlines()
    report, out = prepared(tmp_path / "2", {"b.csv": "\n".join([header, *rows[:200]])}, before)
    assert report.replayed == 40
    assert report.duplicate_rows == 0
    assert len(lines(out)) == 241


def test_other_columns_end_the_replay_and_are_named(tmp_path: Path) -> None:
    _, before = prepared(tmp_path / "1", {"a.csv": csv(seed=1)}, None)
    report, out = prepared(tmp_path / "2", {"b.csv": csv(seed=2).replace("age", "years")}, before)
    assert report.accepted
    assert report.replayed == 0
    note = "no earlier rows are replayed: they have other columns (new 'years'; gone 'age')"
    assert report.reasons[0] == note
    assert lines(out)[0] == "income,years,region,risk"
    assert len(lines(out)) == 241


def test_columns_in_another_order_are_the_same_columns(tmp_path: Path) -> None:
    _, before = prepared(tmp_path / "1", {"a.csv": csv(seed=1)}, None)
    turned = "\n".join(",".join(line.split(",")[::-1]) for line in csv(seed=2).splitlines())
    report, out = prepared(tmp_path / "2", {"b.csv": turned}, before)
    assert (report.replayed, sum(report.rows.values())) == (240, 480)
    assert lines(out)[0] == "risk,region,age,income"
    assert all(line.startswith(("high,", "low,")) for line in lines(out)[1:])


def test_what_is_kept_is_as_uploaded_and_is_anonymised_once_when_it_is_learned_again(tmp_path: Path) -> None:
    settings = REPLAY | {"privacy": {"hash": ["region"], "drop": ["age"]}}
    _, before = prepared(tmp_path / "1", {"a.csv": csv(seed=1)}, None, settings)
    assert any("south" in line for line in lines(before))
    report, out = prepared(tmp_path / "2", {"b.csv": csv(seed=2)}, before, settings)
    assert report.replayed == 240
    schema = json.loads((out / keys.DATASET_SCHEMA).read_text())
    hashed = {f["name"]: f for f in json.loads((before / keys.DATASET_SCHEMA).read_text())["features"]}["region"]
    (region,) = [feature for feature in schema["features"] if feature["name"] == "region"]
    assert set(region["vocabulary"]) == set(hashed["vocabulary"])
    assert [feature["name"] for feature in schema["features"]] == ["income", "region"]


def test_without_replay_nothing_is_kept(tmp_path: Path) -> None:
    _, out = prepared(tmp_path, {"a.csv": csv()}, None, {})
    assert not (out / keys.REPLAY).exists()


def test_pictures_are_kept_in_their_class_folders(tmp_path: Path) -> None:
    settings = {"prepare": {"replay": 0.5}}
    _, before = prepared(tmp_path / "1", {"a.zip": zipped(pictures(each=40))}, None, settings)
    dark = {f"dark/{n}.png": content for n, content in enumerate(list(pictures(each=61).values())[80:])}
    report, out = prepared(tmp_path / "2", {"b.zip": zipped(dark)}, before, settings)
    assert report.replayed == 21
    assert set(report.labels) == {"dark", "left", "right"}
    with zipfile.ZipFile(io.BytesIO((out / keys.REPLAY / "_replay.zip").read_bytes())) as kept:
        folders = [name.split("/")[0] for name in kept.namelist()]
    assert {name: folders.count(name) for name in folders} == {"left": 40, "right": 40, "dark": 42}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"recipe": {"name": "forecast"}, "prepare": {"target": "y", "replay": 1}},
            "Recipe 'forecast' learns from series",
        ),
        ({"prepare": {"engine": "spark", "isolation": "off", "replay": 1}}, "take 'embedded'"),
        ({"recipe": {"name": "recommend"}, "prepare": {"target": "", "replay": 1}}, "'recommend' learns from ratings"),
    ],
    ids=["series", "spark", "ratings"],
)
def test_what_cannot_be_replayed_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidConfig, match=r"prepare\.replay") as raised:
        request(settings)
    assert why in str(raised.value)


def halves(rows: int, *, sides: tuple[int, ...], seed: int) -> str:
    """Return a table in which ``side`` turns around what ``x`` says of the class; both are numbers."""
    source, text = random.Random(seed), ["x,side,risk"]
    for _ in range(rows):
        x, side = source.uniform(-1, 1), source.choice(sides)
        text.append(f"{x:.5f},{side + source.uniform(-0.2, 0.2):.5f},{'high' if (x > 0) == (side > 0) else 'low'}")
    return "\n".join(text)


def test_a_model_that_goes_on_with_new_rows_alone_forgets_and_with_replay_it_does_not(tmp_path: Path) -> None:
    settings = {"recipe": {"name": "tabular", "hidden": 32}, "prepare": {"target": "risk", "replay": 1.0}}
    _, before = prepared(tmp_path / "1", {"a.csv": halves(600, sides=(-1, 1), seed=1)}, None, settings)
    champion = trained_from(tmp_path / "champion", before, epochs=25, learning_rate=0.01)
    new = {"b.csv": halves(600, sides=(1,), seed=2)}
    asked = [line.split(",") for line in halves(300, sides=(-1,), seed=3).splitlines()[1:]]
    originals = [json.dumps({"x": x, "side": side}).encode() for x, side, _ in asked]
    right = {}
    for name, kept in (("alone", None), ("replayed", before)):
        _, out = prepared(tmp_path / name, new, kept, settings)
        mine = continued_from(tmp_path / f"{name}-job", out, champion, epochs=25, learning_rate=0.01)
        mine.run()
        arrays = recipes.load("tabular").encode(originals, mine.schema)
        with torch.no_grad():
            codes = mine.model.eval()(torch.from_numpy(arrays["numeric"])).argmax(1).tolist()
        right[name] = sum(mine.schema.labels[code] == row[2] for code, row in zip(codes, asked, strict=True)) / 300
    assert right["replayed"] > 0.93
    assert right["alone"] < right["replayed"] - 0.1
