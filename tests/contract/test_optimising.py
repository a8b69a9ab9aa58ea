"""Smaller forms that cannot be made are refused before a run starts."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import InvalidConfig
from contract.forms import FLOAT32, INT8
from contract.request import RunRequest, Upload, build_request

UPLOAD = Upload(bucket="data", key="acme/demo/inbox/rows.csv", version_id="v1", bytes=1, files=1)


def build(recipe: dict[str, Any], **sections: Any) -> RunRequest:
    needed = {} if recipe["name"] in ("image", "script") else {"prepare": {"target": "y"}}
    toml = {"recipe": recipe, **needed, **sections}
    return build_request(run="r", console={"tenant": "acme", "project": "demo"}, project_toml=toml, upload=UPLOAD)


@pytest.mark.parametrize(
    "recipe",
    [{"name": "tabular"}, {"name": "image", "network": "small"}, {"name": "anomaly"}],
    ids=lambda recipe: str(recipe["name"]),
)
def test_networks_of_one_chain_can_be_pruned(recipe: dict[str, Any]) -> None:
    assert build(recipe, optimise={"prune": 0.5, "distil": 0.5}).optimise.prune == 0.5


@pytest.mark.parametrize(
    ("recipe", "asked", "said"),
    [
        ({"name": "linear"}, {"prune": 0.5}, "0 with recipe 'linear'.*anomaly, image, tabular"),
        ({"name": "image", "network": "resnet18"}, {"prune": 0.5}, "0 with recipe 'image' and its network 'resnet18'"),
        ({"name": "keras_tabular"}, {"distil": 0.5}, "0 with recipe 'keras_tabular'.*students: .*forecast"),
        ({"name": "linear"}, {"distil": 0.25}, "0 with recipe 'linear'"),
        ({"name": "tabular"}, {"forms": ["onnx-int4"]}, "optimise.forms.*onnx-int8"),
        ({"name": "tabular"}, {"forms": []}, "optimise.forms"),
        ({"name": "tabular"}, {"forms": [FLOAT32, "onnx-float16"]}, "other forms where no GPU serves"),
        ({"name": "auto"}, {"prune": 0.5}, "0 with recipe 'linear'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)) + str(value.get("name", "")),
)
def test_what_cannot_be_made_is_refused_with_what_can(recipe: dict[str, Any], asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig, match=said):
        build(recipe, optimise=asked)


def test_float16_is_for_targets_with_a_gpu() -> None:
    serving = {"target": "realtime", "instance": "ml.g5.xlarge"}
    assert build({"name": "tabular"}, optimise={"forms": ["onnx-float16"]}, deploy=serving)
    with pytest.raises(InvalidConfig, match="no GPU serves"):
        build({"name": "tabular"}, optimise={"forms": ["onnx-float16"]}, deploy={**serving, "target": "serverless"})


def test_by_default_float32_and_int8_are_tried() -> None:
    assert build({"name": "tabular"}).optimise.forms == (FLOAT32, INT8)
