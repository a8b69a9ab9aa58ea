"""What ranks learn together is what one process learns alone, however they divide the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from contract import keys
from tests.training import ranks
from tests.training.builders import pictures, run_prepare, training_job, zipped
from training import progress
from training.cluster import Cluster
from training.train import Trainer

ROWS = 7
WIDE = {"options": json.dumps({"hidden": 1024, "layers": 3})}  # layers of a million parameters, which fsdp divides
GRADIENTS: dict[str, dict[str, Any]] = {
    "equal": {},
    "uneven": {"shares": [5, 1, 2]},
    "no-rows": {"shares": [1000, 1, 1]},
    "accumulated": {"shares": [4, 1, 1], "accumulation": 3},
    "clipped": {"shares": [2, 1, 1], "clip_norm": 0.01},
    "measured": {"rebalance": True},
    "fsdp": {"strategy": "fsdp", "shares": [2, 1, 1]},
    "fsdp-accumulated": {"strategy": "fsdp", "shares": [5, 1, 1], "accumulation": 4},
    "fsdp-clipped": {"strategy": "fsdp", "shares": [1000, 1, 1], "clip_norm": 0.01},
    "fsdp-layers": {"strategy": "fsdp", "accumulation": 2, **WIDE},
}
SIZE = 50  # of batches: the last one is short
TRAININGS: dict[str, dict[str, Any]] = {
    "ddp": {},
    "shares": {"shares": [1, 3]},
    "accumulation": {"accumulation": 3, "shares": [3, 1]},
    "rebalance": {"rebalance": True, "batch_size": 20},
    "fsdp": {"strategy": "fsdp"},
    "sgd": {"optimiser": "sgd", "momentum": 0.9, "clip_norm": 0.5, "strategy": "fsdp"},
    "fp16": {"communication": "fp16"},
    "powersgd": {"communication": "powersgd", "powersgd_rank": 2, "batch_size": 10},
}
COMPRESSED = ("fp16", "powersgd")
PICTURED: dict[str, dict[str, Any]] = {
    "ddp": {},
    "fsdp": {"strategy": "fsdp"},
    "powersgd": {"communication": "powersgd"},
}


def _ways(name: str) -> dict[str, Any]:
    return {"epochs": 3, "batch_size": SIZE, "learning_rate": 0.01, **TRAININGS[name]}


def alone(base: Path, table: Path, **settings: Any) -> Trainer:
    """Return a trainer in this process; the settings are those of one rank."""
    own = {name: value for name, value in settings.items() if name not in ("shares", "strategy", "accumulation")}
    return ranks.trainer(training_job(base, table, **own), Cluster())


@pytest.fixture(scope="module")
def gradients(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three ranks compute one batch's gradient in every way."""
    folder = tmp_path_factory.mktemp("gradients")
    cases = {name: {"do": "gradient", "rows": ROWS, "settings": way} for name, way in GRADIENTS.items()}
    ranks.run_cases(folder, table, cases, size=3)
    return folder


@pytest.fixture(scope="module")
def trainings(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks train to the end in every way, and once more, stopped in the middle of an epoch."""
    folder = tmp_path_factory.mktemp("trainings")
    cases: dict[str, dict[str, Any]] = {}
    for name in TRAININGS:
        cases[name] = {"do": "training", "settings": _ways(name)}
        stop = 5 if _ways(name)["batch_size"] == SIZE else 20
        cases[f"{name}-stopped"] = {"do": "interrupted", "stop": stop, "settings": _ways(name)}
    ranks.run_cases(folder, table, cases, size=2)
    return folder


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks train on coloured pictures in every strategy; ddp's is stopped, and goes on, once more."""
    folder = tmp_path_factory.mktemp("pictured")
    report, data = run_prepare(folder / "data", {"p.zip": zipped(pictures(60, mode="RGB"))})
    assert report.accepted
    settings: dict[str, Any] = {"epochs": 2, "options": json.dumps({"width": 8})}
    cases: dict[str, dict[str, Any]] = {
        name: {"do": "training", "settings": settings | way} for name, way in PICTURED.items()
    }
    cases["ddp-stopped"] = {"do": "interrupted", "stop": 2, "settings": settings}
    ranks.run_cases(folder, data, cases, size=2)
    return folder


def test_a_resumed_run_on_images_equals_an_uninterrupted_one_bit_for_bit(pictured: Path) -> None:
    """The weights of convolutions, and what the optimiser knows of them, lie in memory as the CPU likes them best."""
    whole, resumed = ranks.result(pictured, "ddp"), ranks.result(pictured, "ddp-stopped")
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


@pytest.mark.parametrize(("name", "near"), [("fsdp", 1e-5), ("powersgd", 0.05)])
def test_images_are_learned_alike_however_weights_lie_in_memory(name: str, near: float, pictured: Path) -> None:
    expected, found = ranks.result(pictured, "ddp"), ranks.result(pictured, name)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=near, atol=near)


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_gradient_of_a_batch_is_that_of_one_process(
    name: str, gradients: Path, table: Path, tmp_path: Path
) -> None:
    mine = alone(tmp_path / "alone", table, **GRADIENTS[name])
    expected = ranks.gradient(mine, {"rows": ROWS})
    found = ranks.result(gradients, name)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6)
    assert sum(float(value.square().sum()) for value in found.values()) > 1e-5  # there is a gradient


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in COMPRESSED])
def test_two_ranks_learn_what_one_learns(name: str, trainings: Path, table: Path, tmp_path: Path) -> None:
    mine = alone(tmp_path / "alone", table, **_ways(name))
    expected = ranks.training(mine, {})
    found = ranks.result(trainings, name)
    for key, value in mine.model.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["history"], expected["history"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "rebalance"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(name: str, trainings: Path) -> None:
    whole, resumed = ranks.result(trainings, name), ranks.result(trainings, f"{name}-stopped")
    assert whole.keys() == resumed.keys()
    for key, value in whole.items():
        assert torch.equal(resumed[key], value), key


def test_measured_shares_survive_a_resume(trainings: Path) -> None:
    """Of a measured run only rounding differs: rows are divided as the machines happened to compute."""
    whole, resumed = ranks.result(trainings, "rebalance"), ranks.result(trainings, "rebalance-stopped")
    torch.testing.assert_close(resumed["history"], whole["history"], rtol=1e-4, atol=1e-6)
    reached = progress.read_progress(progress.newest(trainings / "rebalance-stopped/checkpoints"))
    assert sum(reached.shares) == pytest.approx(1)
    assert reached.shares != [0.5, 0.5]


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_gradients_learn_nearly_the_same(name: str, trainings: Path, table: Path, tmp_path: Path) -> None:
    way = {key: value for key, value in _ways(name).items() if key != "communication" and key != "powersgd_rank"}
    expected = ranks.training(alone(tmp_path / "alone", table, **way), {})["history"]
    found = ranks.result(trainings, name)["history"]
    assert not torch.equal(found, expected)  # something was compressed
    torch.testing.assert_close(found[:, :2], expected[:, :2], rtol=0.1, atol=0.02)


@pytest.mark.parametrize("name", ["fsdp", "powersgd", "sgd"])
def test_the_model_of_every_strategy_is_the_same_archive(
    name: str, trainings: Path, table: Path, tmp_path: Path
) -> None:
    expected = ranks.trainer(training_job(tmp_path / "a", table), Cluster()).model.state_dict()
    weights = load_file(trainings / name / "model" / keys.MODEL_WEIGHTS)
    assert {key: value.shape for key, value in weights.items()} == {key: v.shape for key, v in expected.items()}
    best = ranks.result(trainings, name)
    assert all(torch.equal(value, best[f"best.{key}"]) for key, value in weights.items())


@pytest.mark.parametrize("name", ["fsdp", "shares", "powersgd"])
def test_one_process_goes_on_from_a_checkpoint_of_two(
    name: str, trainings: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = training_job(tmp_path / "a", table, **_ways(name) | {"shares": [], "strategy": "ddp"})
    newest = progress.checkpoints(trainings / name / "checkpoints")[0]  # after the last epoch but one
    (base / "checkpoints").mkdir()
    (base / "checkpoints" / newest.name).write_bytes(newest.read_bytes())
    mine = ranks.trainer(base, Cluster())
    assert mine.progress.epoch == 2
    found = ranks.training(mine, {})
    expected = ranks.result(trainings, name)
    tolerance = 0.05 if name == "powersgd" else 1e-4
    torch.testing.assert_close(found["history"], expected["history"], rtol=tolerance, atol=tolerance)
