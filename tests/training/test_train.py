"""The training loop: what the weights depend on, and what they do not."""

from __future__ import annotations

import json
import math
import re
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contract import keys, metrics
from contract.errors import InvalidConfig, TrainingFailed
from contract.manifest import ModelManifest
from tests.training.builders import start, training_job
from training import progress
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.train import STOPPED, Trainer


def trainer(base: Path) -> Trainer:
    """Return a trainer in this process, alone."""
    container = Container(base=base)
    return Trainer(TrainConfig.from_hyperparameters(container.hyperparameters()), container, Cluster())


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_training_learns_and_writes_the_model(table: Path, tmp_path: Path) -> None:
    mine = trainer(training_job(tmp_path / "a", table, epochs=12, learning_rate=0.01))
    assert mine.run()
    mine.write_model()
    history = [json.loads(line) for line in (tmp_path / "a/model" / keys.MODEL_METRICS).read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, 13))
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert max(line["validation_accuracy"] for line in history) > 0.85
    assert all(line["samples_per_second"] > 0 for line in history)
    manifest = ModelManifest.from_dict(json.loads((tmp_path / "a/model" / keys.MODEL_MANIFEST).read_text()))
    assert (manifest.recipe, manifest.schema.labels) == ("tabular", ("high", "low"))
    assert load_file(tmp_path / "a/model" / keys.MODEL_WEIGHTS).keys() == mine.model.state_dict().keys()


def test_the_weights_kept_are_those_of_the_best_epoch(table: Path, tmp_path: Path) -> None:
    mine = trainer(training_job(tmp_path / "a", table, epochs=8, learning_rate=0.05))
    seen = []
    finish = mine.finish_epoch

    def remembering() -> None:
        finish()
        seen.append(weights(mine.model))

    mine.finish_epoch = remembering  # type: ignore[method-assign]
    mine.run()
    order = [(line["validation_accuracy"], -line["validation_loss"]) for line in mine.progress.history]
    assert equal(mine.best, seen[order.index(max(order))])


def test_log_lines_are_what_sagemakers_metric_definitions_read(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer(training_job(tmp_path / "a", table, epochs=2)).run()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch=")]
    assert len(lines) == 2
    definitions = {entry["Name"]: entry["Regex"] for entry in metrics.definitions()}
    for line in lines:
        found = {name: re.search(definitions[name], line) for name in metrics.parse_line(line)}
        assert {name: float(match[1]) for name, match in found.items() if match} == metrics.parse_line(line)
        assert found.keys() == {*metrics.COMMON, "validation_accuracy"}


def test_the_same_seed_gives_the_same_weights_and_another_one_others(table: Path, tmp_path: Path) -> None:
    trained = []
    for number, seed in enumerate((1, 1, 2)):
        mine = trainer(training_job(tmp_path / str(number), table, epochs=2, seed=seed))
        mine.run()
        trained.append(weights(mine.model))
    assert equal(trained[0], trained[1])
    assert not equal(trained[0], trained[2])


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(table: Path, tmp_path: Path) -> None:
    whole = trainer(training_job(tmp_path / "whole", table, epochs=5))
    whole.run()
    base = training_job(tmp_path / "cut", table, epochs=5)
    first = trainer(base)
    update, calls = first.update, 0

    def stopping(*args: object) -> tuple[float, bool]:
        nonlocal calls
        calls += 1
        first.cluster.stopping = calls == first.steps * 2 + 2  # in the middle of the third epoch
        return update(*args)  # type: ignore[arg-type]

    first.update = stopping  # type: ignore[method-assign, assignment]
    assert not first.run()
    torch.manual_seed(99)  # nothing of this process may matter
    second = trainer(base)
    assert (second.progress.epoch, second.progress.step) == (2, 2)
    assert equal(first.best, second.best)
    assert second.run()
    assert equal(weights(whole.model), weights(second.model))
    assert equal(whole.best, second.best)
    timeless = [
        [{k: v for k, v in line.items() if k not in ("seconds", "samples_per_second")} for line in t.progress.history]
        for t in (whole, second)
    ]
    assert timeless[0] == timeless[1]


def test_a_checkpoint_that_was_cut_short_is_passed_over(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = training_job(tmp_path / "a", table, epochs=3)
    trainer(base).run()
    newest = progress.checkpoints(base / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    (base / "checkpoints/.epoch-00009-step-0000000.safetensors.partial").write_bytes(b"cut")
    assert trainer(base).progress.epoch == 2
    assert "is damaged" in capsys.readouterr().out


def test_a_checkpoint_of_other_settings_is_refused(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, epochs=1)
    trainer(base).run()
    (base / "checkpoints").rename(tmp_path / "kept")
    training_job(base, table, epochs=1, seed=5)
    (tmp_path / "kept").rename(base / "checkpoints")
    with pytest.raises(TrainingFailed, match="other settings or other data"):
        trainer(base)


def test_checkpoints_hold_no_pickle_and_are_few(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, epochs=6, checkpoint_every=2)
    trainer(base).run()
    found = sorted((base / "checkpoints").iterdir())
    assert [path.name for path in found] == [
        "epoch-00004-step-0000000.safetensors",
        "epoch-00006-step-0000000.safetensors",
    ]
    assert all(load_file(path) for path in found), "they are what they are called"


def test_a_loss_that_is_no_number_stops_and_names_the_step(table: Path, tmp_path: Path) -> None:
    mine = trainer(training_job(tmp_path / "a", table, epochs=4, batch_size=50))
    update = mine.update

    def poisoned(*args: object) -> tuple[float, bool]:
        if (mine.progress.epoch, mine.progress.step) == (1, 2):
            with torch.no_grad():
                next(mine.model.parameters()).fill_(math.nan)
        return update(*args)  # type: ignore[arg-type]

    mine.update = poisoned  # type: ignore[method-assign, assignment]
    with pytest.raises(TrainingFailed, match=r"the loss is nan in epoch 2, step 3 of \d"):
        mine.run()


def test_a_validation_loss_that_is_no_number_stops_too(table: Path, tmp_path: Path) -> None:
    job = trainer(training_job(tmp_path / "a", table))
    for weight in job.model.parameters():
        weight.data.fill_(math.nan)
    job.progress.seconds = 1.0
    with pytest.raises(TrainingFailed, match=r"the validation loss is nan after epoch 1; try a train\.learning_rate"):
        job.finish_epoch()


def test_sigterm_writes_a_checkpoint_from_which_training_goes_on(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, epochs=5000, checkpoint_every=5000, batch_size=16)
    process = start(base, "-m", "training.train")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("epoch=1 "), first
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=20)[0]
    assert process.returncode == STOPPED, rest
    assert "the checkpoint is written" in rest
    assert not (base / "model").exists()
    assert trainer(base).progress.epoch >= 1


@pytest.mark.parametrize(
    ("settings", "path"),
    [({"epochs": "many"}, "hyperparameters.epochs"), ({"epohcs": "3"}, "epochs"), ({"recipe": "tabluar"}, "tabular")],
)
def test_a_wrong_hyperparameter_is_named(table: Path, tmp_path: Path, settings: dict[str, str], path: str) -> None:
    with pytest.raises(InvalidConfig, match=path):
        trainer(training_job(tmp_path / "a", table, **settings))
