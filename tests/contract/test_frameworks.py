"""Settings that a recipe's framework cannot follow are refused before a run begins."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import InvalidConfig
from contract.frameworks import FRAMEWORKS, TENSORFLOW
from contract.recipes import load_recipes
from contract.request import RunRequest, Upload, build_request

OTHERWISE: dict[str, Any] = {
    "start": "champion",
    "accumulation": 2,
    "compile": True,
    "strategy": "fsdp",
    "communication": "fp16",
    "shares": [2.0, 1.0],
    "rebalance": True,
    "groups": {"ml.m5.xlarge": 1, "ml.c5.xlarge": 1},
}


def request(recipe: str, **train: Any) -> RunRequest:
    upload = Upload(bucket="data", key="acme/demo/inbox/p.zip", version_id="1", bytes=1, files=1)
    toml = {"recipe": recipe, "train": {"hosts": 2, "instance": "ml.g5.xlarge", **train}}
    return build_request(run="run-1", console={"tenant": "acme", "project": "demo"}, project_toml=toml, upload=upload)


@pytest.mark.parametrize("setting", FRAMEWORKS[TENSORFLOW].unsupported)
def test_a_keras_recipe_refuses_what_tensorflow_cannot_follow(setting: str) -> None:
    together: dict[str, Any] = {"fallback_instances": []} | ({"hosts": 1} if setting == "groups" else {})
    with pytest.raises(InvalidConfig) as raised:
        request("keras", **{setting: OTHERWISE[setting]}, **together)
    assert raised.value.path.startswith("train.")
    if setting != "groups":  # which excludes instance, and is refused for that first
        assert raised.value.path == f"train.{setting}"
        assert "TensorFlow" in str(raised.value)


def test_a_keras_recipe_takes_the_other_settings() -> None:
    train = request("keras", optimiser="sgd", momentum=0.9, clip_norm=1.0, precision="bf16", patience=3).train
    assert (train.optimiser, train.clip_norm, train.patience) == ("sgd", 1.0, 3)


def test_a_keras_recipe_is_taken_only_when_it_is_named() -> None:
    keras = [recipe for recipe in load_recipes().values() if recipe.framework == TENSORFLOW]
    assert {recipe.name for recipe in keras} == {"keras", "keras_tabular"}
    assert not any(recipe.default_for or recipe.searches for recipe in keras)
