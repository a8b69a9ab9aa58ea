"""Networks for images: the ones of the papers, of any size, whose rows do not touch each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.builders import ROOT, run_prepare, train_here, training_job
from training import optimise, recipes, vision
from training.archive import read_manifest
from training.data import Split


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_resnet18_has_as_many_parameters_as_the_papers_network() -> None:
    # torchvision.models.resnet18 has 11,689,512 (1,000 classes); its common form for 32 x 32 pixels 11,173,962.
    assert parameters(vision.resnet18(side=224, channels=3, classes=1000, width=64)) == 11_689_512
    assert parameters(vision.resnet18(side=32, channels=3, classes=10, width=64)) == 11_173_962


def test_the_small_network_is_two_blocks_and_128_units() -> None:
    layers = [type(layer).__name__ for layer in vision.small(side=8, channels=1, classes=10, width=32)]
    assert layers == [
        "Conv2d",
        "ReLU",
        "MaxPool2d",
        "Conv2d",
        "ReLU",
        "MaxPool2d",
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]
    network = vision.small(side=8, channels=1, classes=10, width=32)
    assert [layer.out_features for layer in network if isinstance(layer, nn.Linear)] == [128, 10]


@pytest.mark.parametrize("name", sorted(vision.NETWORKS))
@pytest.mark.parametrize("side", [1, 7, 8, 65])
def test_any_size_is_taken_and_no_row_depends_on_another(name: str, side: int) -> None:
    torch.manual_seed(0)
    network = vision.NETWORKS[name][0](side=side, channels=3, classes=5, width=16)
    images = torch.rand(4, 3, side, side)
    together = network(images)
    assert together.shape == (4, 5)
    torch.testing.assert_close(network(images[1:2]), together[1:2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "options", "epochs", "enough"),
    [("small", {}, 8, 0.96), ("resnet18", {"width": 8}, 5, 0.94)],
    ids=["small", "resnet18"],
)
def test_digits_are_learned(tmp_path: Path, network: str, options: dict[str, int], epochs: int, enough: float) -> None:
    chosen = {"recipe": {"name": "image", "network": network, **options}}
    _, out = run_prepare(tmp_path / "a", {"d.zip": (ROOT / "examples/digits/digits.zip").read_bytes()}, chosen)
    base = training_job(tmp_path / "job", out, epochs=epochs)
    train_here(base)
    manifest = read_manifest(base / "model")
    recipe, rows = recipes.load("image"), Split(out / "dataset/test").everything()
    learned = recipe.network(manifest.schema, recipe.parse_options(manifest.options))
    learned.load_state_dict(load_file(base / "model/weights.safetensors"))
    answers = optimise.Answers(learned, recipe, manifest.schema)
    session = optimise.open_session(optimise.export(answers, manifest.schema, {k: v[:2] for k, v in rows.items()}))
    served = optimise.predict(session, rows, manifest.schema)
    assert recipe.metrics(served, rows, manifest.schema)["accuracy"] >= enough
    np.testing.assert_allclose(served, optimise.predict_with_torch(answers, rows, manifest.schema), atol=1e-5)
