"""A script's model against the last version, by the script's own metric."""

from __future__ import annotations

import contextlib

import pytest
from botocore.exceptions import ClientError

from contract import names
from contract.config import Gate
from contract.reports import Champion
from contract.script import read
from functions.judge import last_version, verdict
from tests.functions import examples
from tests.functions.conftest import World


@pytest.mark.parametrize(
    ("direction", "value", "rival", "required", "promote"),
    [
        ("maximise", 0.9, None, None, True),
        ("maximise", 0.9, None, 0.95, False),
        ("minimise", 0.9, None, 0.95, True),
        ("maximise", 0.9, 0.8, None, True),
        ("minimise", 0.9, 0.8, None, False),
        ("maximise", 0.9, 0.9, None, False),
        ("maximise", 1 / 3, 0.333333, None, False),  # recorded with six digits: the same
    ],
)
def test_the_verdict_compares_with_the_last_version(
    direction: str, value: float, rival: float | None, required: float | None, promote: bool
) -> None:
    script = read({"metric": "acc", "regex": "acc=([0-9.]+)", "direction": direction})
    last = None if rival is None else Champion(package_arn="arn", version=3, metrics={"acc": rival})
    told = verdict(Gate(required=required), script, value, last)
    assert told.promote is promote
    assert ("no earlier version" in told.reasons[0]) == (rival is None)


def register(world: World, run: str, properties: dict[str, str]) -> str:
    sagemaker, group = world.client("sagemaker"), names.model_group(world.tenant, "digits")
    with contextlib.suppress(ClientError):  # it is there already
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    arn: str = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        InferenceSpecification={"Containers": [{"Image": "image:1", "ModelDataUrl": "s3://b/model.tar.gz"}]},
        CustomerMetadataProperties={"run": run, **properties},
    )["ModelPackageArn"]
    return arn


def test_the_rival_is_the_last_version_of_another_run_with_this_metric(world: World) -> None:
    """A retry finds the version that its own run has registered, and a project may change its metric."""
    request = examples.request(world.tenant, run="mine")
    assert last_version(request, "acc") is None
    register(world, "first", {"metric.acc": "0.7"})
    rival = register(world, "second", {"metric.acc": "0.8"})
    register(world, "third", {"metric.f1": "0.9"})
    register(world, "mine", {"metric.acc": "0.95"})
    assert last_version(request, "acc") == Champion(package_arn=rival, version=2, metrics={"acc": 0.8})
