"""Recipe script: what is asked of SageMaker for a user's own program, and what cannot be meant."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from contract.errors import InvalidConfig
from contract.request import RunRequest, Upload, build_request

METRIC = {"metric": "acc", "regex": "acc=([0-9.]+)"}


def request(recipe: dict[str, Any], **sections: Any) -> RunRequest:
    upload = Upload(bucket="data", key="acme/p/inbox/x.bin", version_id="1", bytes=9, files=1)
    toml = {"recipe": {"name": "script", **METRIC, **recipe}, **sections}
    return build_request(run="r", console={"tenant": "acme", "project": "p"}, project_toml=toml, upload=upload)


def test_hyperparameters_of_every_type_travel_as_json() -> None:
    values = {"i": 1, "f": 0.5, "b": True, "s": "it's", "l": [1, "x"], "t": {"a": 1}}
    asked = request({"hyperparameters": values, "program": "src/run.sh", "torch_distributed": True})
    assert asked.script
    told = {name: json.loads(value) for name, value in asked.script.hyperparameters.items()}
    assert {name: told[name] for name in values} == values
    assert told["sagemaker_program"] == "src/run.sh"
    assert told["sagemaker_torch_distributed_enabled"] is True
    assert RunRequest.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked


def test_only_isolated_jobs_install_from_the_sources_own_wheels() -> None:
    isolated, open_ = request({}).script, request({}, train={"isolation": "off"}).script
    assert isolated
    assert isolated.environment["PIP_FIND_LINKS"] == "/opt/ml/code/wheels"
    assert open_
    assert open_.environment == {}


@pytest.mark.parametrize(
    ("recipe", "sections", "said"),
    [
        ({"metric": ""}, {}, "recipe.metric"),
        ({"regex": "acc=[0-9.]+"}, {}, "with a group"),
        ({"regex": "("}, {}, "a regular expression"),
        ({"program": "/bin/rm"}, {}, "recipe.program"),
        ({"direction": "up"}, {}, "one of 'maximise', 'minimise'"),
        ({"hyperparameters": {"sagemaker_program": "x"}}, {}, "does not start with sagemaker_"),
        ({"hyperparameters": {"day": datetime.date(2026, 1, 2)}}, {}, "a value that JSON has. Write dates as text"),
        ({"hyperparameters": {"nan": float("nan")}}, {}, "a value that JSON has"),
        ({"hyperparameters": {"long": "x" * 2500}}, {}, "at most 2500 characters"),
        ({"hyperparameters": {f"k{n}": n for n in range(98)}}, {}, "at most 96 hyperparameters"),
        ({"channels": {"code": ""}}, {}, "not 'code'"),
        ({"channels": {"train": "../other"}}, {}, "without '.' and '..'"),
        ({"channels": {}}, {}, "1 to 19 channels"),
        ({"epochs": 3}, {}, "recipe: 'epochs' is not allowed"),
        ({}, {"train": {"epochs": 3}}, "train.epochs"),
        ({}, {"prepare": {"target": "y"}}, "reads no columns"),
        ({}, {"tune": {"jobs": 4}}, "0 with recipe 'script'"),
    ],
)
def test_what_cannot_be_meant_is_refused(recipe: dict[str, Any], sections: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig, match=said.replace("(", r"\(")):
        request(recipe, **sections)
