"""Recipes: found by name, described for the other rooms, good enough by default."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from contract.errors import InvalidConfig
from contract.manifest import Feature, Schema, Tensor
from contract.recipes import load_recipes
from tests.training.builders import ROOT, run_prepare, train_here, training_job
from training import layers, metrics, optimise, recipes
from training.archive import read_manifest
from training.data import LABEL, Split
from training.recipes.__main__ import PATH, describe
from training.scaling import CLIP


def test_what_other_rooms_know_of_recipes_is_fresh() -> None:
    assert PATH.read_text() == describe(), "run: python -m training.recipes"


def test_recipes_are_found_by_the_names_of_their_files() -> None:
    files = {path.stem for path in (ROOT / "training/recipes").glob("*.py") if not path.stem.startswith("_")}
    assert set(recipes.names()) == files == set(load_recipes())
    assert recipes.load("image").name == "image"
    with pytest.raises(InvalidConfig, match="Did you mean 'tabular'"):
        recipes.load("tablular")


def test_every_recipe_was_measured() -> None:
    for recipe in load_recipes().values():
        assert recipe.throughput.samples_per_second > 0
        assert recipe.throughput.machine


def held_out_accuracy(out: Path, base: Path) -> float:
    """Train with the recipe's defaults; return the accuracy on the test rows."""
    train_here(training_job(base, out))
    manifest = read_manifest(base / "model")
    recipe, rows = recipes.load(manifest.recipe), Split(out / "dataset/test").everything()
    from safetensors.torch import load_file

    network = recipe.network(manifest.schema, recipe.parse_options(manifest.options))
    network.load_state_dict(load_file(base / "model/weights.safetensors"))
    answers = optimise.Answers(network, recipe, manifest.schema)
    return recipe.metrics(optimise.predict_with_torch(answers, rows, manifest.schema), rows, manifest.schema)[
        "accuracy"
    ]


def test_scanned_digits_are_learned_by_default(tmp_path: Path) -> None:
    content = (ROOT / "examples/digits/digits.zip").read_bytes()
    report, out = run_prepare(tmp_path / "a", {"digits.zip": content})
    assert report.accepted, report.reasons
    assert held_out_accuracy(out, tmp_path / "job") >= 0.98


def test_measured_penguins_are_learned_by_default(tmp_path: Path) -> None:
    content = (ROOT / "examples/penguins/penguins.csv").read_bytes()
    report, out = run_prepare(tmp_path / "a", {"penguins.csv": content}, {"prepare": {"target": "species"}})
    assert report.accepted, report.reasons
    assert held_out_accuracy(out, tmp_path / "job") >= 0.95


def images(side: int, channels: int, labels: int = 3) -> Schema:
    statistics = {"mean": 100.0, "std": 50.0, "min": 0.0, "max": 255.0, "missing": 0.0}
    return Schema(
        task="classification",
        inputs=(Tensor(name="image", dtype="uint8", shape=(-1, side, side, channels)),),
        features=(Feature(name="image", kind="image", statistics=statistics),),
        labels=tuple(str(number) for number in range(labels)),
        target="label",
    )


@pytest.mark.parametrize("side", [1, 3, 8, 13, 28, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_network_takes_any_size(side: int, channels: int) -> None:
    recipe = recipes.load("image")
    network = recipe.network(images(side, channels), recipe.parse_options({}))
    logits = network(torch.zeros((2, side, side, channels), dtype=torch.uint8))
    assert logits.shape == (2, 3)
    assert sum(parameter.numel() for parameter in network.parameters()) < 3_000_000


def test_missing_numbers_become_the_mean_and_are_told() -> None:
    statistics = [{"mean": 10.0, "std": 2.0, "missing": 0.5}, {"mean": 5.0, "std": 0.0, "missing": 0.0}]
    given = torch.tensor([[12.0, 5.0], [float("nan"), 7.0], [1e9, float("nan")]])
    expected = [[1.0, 0.0, 0.0], [0.0, 2.0, 1.0], [CLIP, 0.0, 0.0]]
    torch.testing.assert_close(layers.Standardise(statistics)(given), torch.tensor(expected))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1e-46), (0.1, 1e-17), (1e20, 3.0), (0.0, 0.0)])
def test_a_deviation_that_is_nothing_divides_nothing(mean: float, std: float) -> None:
    layer = layers.Standardise([{"mean": mean, "std": std, "missing": 0.0}])
    assert layer(torch.tensor([[mean], [torch.nan]])).abs().max() < 1e-6


def test_categories_share_a_table_and_no_code() -> None:
    embed = layers.Embed([3, 2], size=4)
    assert embed.width == 8
    with torch.no_grad():
        embed.table.weight.copy_(torch.arange(5.0)[:, None].expand(5, 4))
    given = embed(torch.tensor([[0, 0], [2, 1]]))
    assert given[:, ::4].tolist() == [[0.0, 3.0], [2.0, 4.0]]


def test_metrics_are_those_of_the_textbook() -> None:
    probabilities = np.array([[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0], [0.3, 0.7, 0.0]])
    labels = np.array([0, 1, 1, 1])
    found = metrics.classification(probabilities, labels)
    assert found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.9, 0.7]).mean())
    assert metrics.confusion(probabilities, labels).tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]


def split(folder: Path, labels: NDArray) -> Split:
    """Return a split of rows that have labels and nothing else."""
    folder.mkdir()
    save_file({LABEL: labels}, folder / "00000.safetensors")
    return Split(folder)


def test_the_baseline_of_classes_answers_the_most_frequent_one(tmp_path: Path) -> None:
    train, test = split(tmp_path / "train", np.array([0, 1, 1, 2])), {LABEL: np.array([0, 1, 1, 2, 1])}
    recipe, schema = recipes.load("tabular"), images(8, 1)
    assert recipe.metrics(recipe.baseline(train, test, schema), test, schema)["accuracy"] == 0.6
