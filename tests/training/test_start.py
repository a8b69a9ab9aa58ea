"""Continuing from the version in service: weights by meaning, or afresh with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from contract import keys
from contract.errors import InvalidModel
from tests.training import ranks
from tests.training.builders import csv, pictures, run_prepare, training_job, zipped
from training import archive
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.train import Trainer

SMALL = {"recipe": {"name": "tabular", "hidden": 16, "layers": 1, "embedding": 3}}


def trainer(base: Path) -> Trainer:
    container = Container(base=base)
    return Trainer(TrainConfig.from_hyperparameters(container.hyperparameters()), container, Cluster())


def serve(base: Path, package: Path, run: str = "run-1") -> None:
    """Pack what a training job left as Evaluate does."""
    model = base / "model"
    manifest = json.loads((model / keys.MODEL_MANIFEST).read_text()) | {"run": run}
    weights = (model / keys.MODEL_WEIGHTS).read_bytes()
    manifest["files"] = {keys.MODEL_WEIGHTS: archive.digest(weights)}
    archive.pack(package, {keys.MODEL_WEIGHTS: weights, keys.MODEL_MANIFEST: json.dumps(manifest).encode()})


def trained(folder: Path, upload: Mapping[str, Any], settings: Mapping[str, Any], **train: Any) -> Path:
    """Train a champion; return its archive."""
    _, out = run_prepare(folder / "prepared", upload, settings)
    return trained_from(folder, out, **train)


def trained_from(folder: Path, out: Path, **train: Any) -> Path:
    """Train a champion on a prepared dataset; return its archive."""
    base = training_job(folder / "job", out, **train)
    mine = trainer(base)
    mine.run()
    mine.write_model()
    serve(base, folder / "model.tar.gz")
    return folder / "model.tar.gz"


def continued(
    folder: Path, champion: Path | None, upload: Mapping[str, Any], settings: Mapping[str, Any], **train: Any
) -> Trainer:
    """Return a trainer that was asked to begin with the champion."""
    _, out = run_prepare(folder / "prepared", upload, settings)
    return continued_from(folder, out, champion, **train)


def continued_from(folder: Path, out: Path, champion: Path | None, **train: Any) -> Trainer:
    """Return a trainer of a prepared dataset that was asked to begin with the champion."""
    base = training_job(folder / "job", out, start="champion", **train)
    if champion:
        channel = Container(base=base).channel("champion")
        channel.mkdir()
        (channel / "model.tar.gz").write_bytes(champion.read_bytes())
    return trainer(base)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("champion"), {"rows.csv": csv()}, SMALL, epochs=15, learning_rate=0.02)


def weights_of(package: Path, folder: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    manifest = archive.unpack(package, folder)
    return manifest, load_file(folder / keys.MODEL_WEIGHTS)


def test_a_continued_model_begins_where_the_champion_ended(champion: Path, tmp_path: Path) -> None:
    mine = continued(tmp_path, champion, {"rows.csv": csv(seed=5)}, SMALL, epochs=2)
    _, theirs = weights_of(champion, tmp_path / "unpacked")
    state = mine.model.state_dict()
    assert state.keys() == theirs.keys()
    assert [name for name in state if not torch.equal(state[name], theirs[name])] in (
        [],
        ["first.parts.1.table.weight"],
    )
    fresh = continued(tmp_path / "fresh", None, {"rows.csv": csv(seed=5)}, SMALL, epochs=2)
    assert "no version of this project is in service" in fresh.start.note
    assert mine.validate()[0] < 0.7 * fresh.validate()[0]
    assert mine.start.note == "continues run run-1"


def test_the_manifest_says_what_it_began_with(champion: Path, tmp_path: Path) -> None:
    mine = continued(tmp_path, champion, {"rows.csv": csv(seed=5)}, SMALL, epochs=1)
    mine.run()
    mine.write_model()
    manifest = json.loads((tmp_path / "job/model" / keys.MODEL_MANIFEST).read_text())
    assert manifest["lineage"]["started_from"] == "run-1"
    assert manifest["lineage"]["start_note"] == "continues run run-1"


def test_words_and_classes_keep_their_weights_wherever_they_stand_now(champion: Path, tmp_path: Path) -> None:
    extreme = "".join(f"{row},30.0,south,extreme\n" for row in range(40))
    table = csv(seed=5).replace("north", "zone 9") + extreme
    mine = continued(tmp_path, champion, {"rows.csv": table}, SMALL, epochs=1)
    manifest, theirs = weights_of(champion, tmp_path / "unpacked")
    (then,) = [feature for feature in manifest.schema.features if feature.kind == "category"]
    (now,) = [feature for feature in mine.schema.features if feature.kind == "category"]
    assert "zone 9" in now.vocabulary
    assert "zone 9" not in then.vocabulary
    state = mine.model.state_dict()
    table_name = next(name for name in state if name.endswith("table.weight"))
    for word in ("south", "east"):
        here, there = now.vocabulary.index(word) + 1, then.vocabulary.index(word) + 1
        assert torch.equal(state[table_name][here], theirs[table_name][there])
    last = list(state)[-2:]
    for label in ("high", "low"):
        here, there = mine.schema.labels.index(label), manifest.schema.labels.index(label)
        assert all(torch.equal(state[name][here], theirs[name][there]) for name in last)
    assert mine.start.note == "continues run run-1; new classes: 'extreme'; 1 new word"


@pytest.mark.parametrize(
    ("change", "settings", "why"),
    [
        (lambda t: t.replace("age", "years"), {}, "other columns: new 'years'; gone 'age'"),
        (lambda t: t.replace(",high", ",yes").replace(",low", ",no"), {}, "none of them is here: 'no', 'yes'"),
        (lambda t: t, {"recipe": {"name": "tabular", "hidden": 32}}, "option 'hidden' was 16, and is 32 now"),
        (lambda t: t, {"recipe": {"name": "anomaly"}}, "learned with recipe 'tabular', this model with 'anomaly'"),
        (lambda t: t, SMALL | {"privacy": {"generalise": {"age": 10}}}, "'age' is anonymised otherwise"),
    ],
    ids=["columns", "classes", "options", "recipe", "privacy"],
)
def test_what_looks_otherwise_is_trained_afresh_and_says_why(
    champion: Path, tmp_path: Path, change: Any, settings: dict[str, Any], why: str
) -> None:
    mine = continued(tmp_path, champion, {"rows.csv": change(csv(seed=5))}, settings or SMALL, epochs=1)
    assert mine.start.note.startswith("was trained afresh, not from the champion (run run-1): ")
    assert why in mine.start.note
    assert not mine.start.run


def test_a_resumed_job_goes_on_from_its_checkpoint_and_not_from_the_champion(champion: Path, tmp_path: Path) -> None:
    mine = continued(tmp_path, champion, {"rows.csv": csv(seed=5)}, SMALL, epochs=2)
    mine.run()
    again = trainer(tmp_path / "job")
    assert again.progress.epoch == 2
    assert all(torch.equal(a, b) for a, b in zip(mine.model.parameters(), again.model.parameters(), strict=True))
    assert again.start.run == "run-1"


def test_a_damaged_champion_fails_the_job_and_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "model.tar.gz"
    broken.write_bytes(b"not a model")
    with pytest.raises(InvalidModel, match=r"model\.tar\.gz cannot be unpacked"):
        continued(tmp_path / "job", broken, {"rows.csv": csv()}, SMALL, epochs=1)


def test_numbers_keep_the_champions_scale_and_so_do_predicted_values(tmp_path: Path) -> None:
    settings = {"recipe": {"name": "linear"}, "prepare": {"target": "y"}}
    low = "x,y\n" + "".join(f"{x / 10},{x / 5 + 1}\n" for x in range(200))
    high = "x,y\n" + "".join(f"{x / 10},{x / 5 + 1}\n" for x in range(200, 400))
    package = trained(tmp_path / "champion", {"rows.csv": low}, settings, epochs=30)
    mine = continued(tmp_path, package, {"rows.csv": high}, settings, epochs=1)
    assert mine.start.run == "run-1"
    assert mine.schema.statistics["mean"] < 25 < mine.schema.statistics["min"] + 1
    assert mine.validate()[1] < 1.0  # the line goes on: nothing is to be learned


def test_pictures_of_another_size_are_learned_afresh(tmp_path: Path) -> None:
    settings = {"recipe": {"name": "image", "network": "small", "width": 4}}
    package = trained(tmp_path / "champion", {"a.zip": zipped(pictures(size=8))}, settings, epochs=1)
    same = continued(tmp_path / "same", package, {"a.zip": zipped(pictures(size=8))}, settings, epochs=1)
    assert same.start.run
    other = continued(tmp_path / "other", package, {"a.zip": zipped(pictures(size=12))}, settings, epochs=1)
    assert "its inputs have other sizes: image [8, 8, 1]" in other.start.note


def test_ranks_continue_as_one_process_does_whatever_they_divide(champion: Path, tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "prepared", {"rows.csv": csv(seed=5)}, SMALL)
    settings = {"epochs": 2, "batch_size": 50, "learning_rate": 0.01}
    alone = continued_from(tmp_path / "alone", out, champion, **settings)
    alone.run()
    cases = {
        name: {"do": "training", "settings": {**settings, "start": "champion", "strategy": name}}
        for name in ("ddp", "fsdp")
    }
    ranks.run_cases(tmp_path / "ranks", out, cases, size=2, champion=champion)
    for name in cases:
        found = ranks.result(tmp_path / "ranks", name)
        for parameter, value in alone.model.state_dict().items():
            assert torch.allclose(found[parameter], value, atol=1e-4), (name, parameter)
        manifest = json.loads((tmp_path / "ranks" / name / "model" / keys.MODEL_MANIFEST).read_text())
        assert manifest["lineage"]["started_from"] == "run-1"


def test_a_recommendation_continues_by_user_and_by_item(tmp_path: Path) -> None:
    ratings = "user,item,stars\n" + "".join(f"u{n % 23},i{n * 7 % 31},{1 + n % 5}\n" for n in range(400))
    settings = {"recipe": {"name": "recommend", "user": "user", "item": "item"}, "prepare": {"target": "stars"}}
    package = trained(tmp_path / "champion", {"rows.csv": ratings}, settings, epochs=2)
    more = ratings + "".join(f"new{n % 3},i{n % 31},{1 + n % 4}\n" for n in range(60))
    mine = continued(tmp_path / "more", package, {"rows.csv": more}, settings, epochs=1)
    assert mine.start.note == "continues run run-1; 3 new words"
    manifest, theirs = weights_of(package, tmp_path / "unpacked")
    for feature, now, weights in zip(
        manifest.schema.features, mine.schema.features, ("taste.weight", "style.weight"), strict=True
    ):
        here, there = (1 + each.vocabulary.index(feature.vocabulary[0]) for each in (now, feature))
        assert torch.equal(mine.model.state_dict()[weights][here], theirs[weights][there])
