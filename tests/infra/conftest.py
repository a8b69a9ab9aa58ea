"""The synthesised stacks: CDK starts Node, so once for all tests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import names
from infra import batch, deployment, nist, pipeline, sleep
from infra.steps.batch import BatchParts
from infra.steps.deployment_parts import DeploymentParts
from infra.steps.parts import Parts
from infra.steps.sleep import SleepParts

PACKS = {"AwsSolutions", nist.PACK}


@dataclasses.dataclass(frozen=True)
class Assembly:
    """A cloud assembly on disk."""

    folder: Path

    def template(self, stack: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{stack}.template.json").read_text())

    def stacks(self) -> list[dict[str, Any]]:
        """Return the properties of every stack."""
        artifacts = json.loads((self.folder / "manifest.json").read_text())["artifacts"]
        return [artifacts[name]["properties"] for name in names.STACKS]

    def resources(self, kind: str, *stacks: str) -> Iterator[dict[str, Any]]:
        """Yield the properties of every resource of a type, in all stacks or in some."""
        for stack in stacks or names.STACKS:
            for resource in self.template(stack)["Resources"].values():
                if resource["Type"] == kind:
                    yield resource.get("Properties", {})

    def one(self, kind: str, *stacks: str) -> dict[str, Any]:
        (found,) = self.resources(kind, *stacks)
        return found

    def findings(self) -> list[tuple[str, str]]:
        """Return cdk-nag's findings: rule and construct."""
        report = json.loads((self.folder / "validation-report.json").read_text())
        assert {plugin["pluginName"] for plugin in report["pluginReports"]} == PACKS
        return [
            (violation["ruleName"], construct["constructPath"])
            for plugin in report["pluginReports"]
            for violation in plugin["violations"]
            for construct in violation["violatingConstructs"]
        ]


def synthesise(folder: Path, **context: Any) -> Assembly:
    """Return the app, synthesised without wheels and looked at by cdk-nag."""
    from infra.app import NO_WHEELS, build

    return inspected(build(outdir=str(folder), context={**NO_WHEELS, **context}), folder)


def inspected(app: Any, folder: Path) -> Assembly:
    """Return an app, synthesised into a folder and looked at by cdk-nag."""
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

    Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    try:
        app.synth()
    except RuntimeError as error:  # findings fail the synthesis; the test of findings shows them
        if "ValidationFailed" not in str(error):
            raise
    return Assembly(folder)


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """What people deploy by default."""
    return synthesise(tmp_path_factory.mktemp("assembly"))


def listed(value: Any) -> list[Any]:
    """Return what IAM writes as one thing or as a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def _named(cls: type) -> Any:
    needed = [each for each in dataclasses.fields(cls) if each.default_factory is dataclasses.MISSING]
    return cls(**{each.name: f"<{each.name}>" for each in needed})


@pytest.fixture(scope="session")
def parts() -> Parts:
    return dataclasses.replace(
        _named(Parts),
        job_role="{% 'arn:aws:iam::123456789012:role/' & $run.tenant %}",
        data_bucket="data-bucket",
        artifacts_bucket="artifacts-bucket",
        code="s3://assets-bucket/code.gz",
        wheels="s3://assets-bucket/wheels.zip",
        key="{% 'arn:aws:kms:us-east-1:123456789012:alias/' & $run.tenant %}",
        cpu_image="registry/pytorch:cpu",
        gpu_image="registry/pytorch:gpu",
        tensorflow_cpu_image="registry/tensorflow:cpu",
        tensorflow_gpu_image="registry/tensorflow:gpu",
        deployment="arn:aws:states:us-east-1:123456789012:stateMachine:deployment",
        ledger="ledger-table",
    )


@pytest.fixture(scope="session")
def run_states(parts: Parts) -> dict[str, dict[str, Any]]:
    """The pipeline's states."""
    return pipeline.story(parts)["States"]


@pytest.fixture(scope="session")
def deployment_states() -> dict[str, dict[str, Any]]:
    """The deployment's states."""
    parts = dataclasses.replace(
        _named(DeploymentParts),
        model_role="arn:aws:iam::123456789012:role/model",
        transform_role="arn:aws:iam::123456789012:role/transform",
        artifacts_bucket="artifacts-bucket",
        ledger="ledger-table",
    )
    return deployment.story(parts)["States"]


@pytest.fixture(scope="session")
def batch_states() -> dict[str, dict[str, Any]]:
    """The batch's states."""
    parts = BatchParts(
        artifacts_bucket="artifacts-bucket",
        ledger="ledger-table",
        model_role="arn:aws:iam::123456789012:role/transform",
        key="arn:aws:kms:us-east-1:123456789012:key/1",
    )
    return batch.story(parts)["States"]


@pytest.fixture(scope="session")
def sleep_states() -> dict[str, dict[str, Any]]:
    """The states of sleep."""
    return sleep.story(SleepParts(plan="<plan>", ledger="ledger-table"))["States"]
