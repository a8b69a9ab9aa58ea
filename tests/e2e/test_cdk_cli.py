"""The real CDK command line deploys the application, with a private network, into the laptop cloud; an upload runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.e2e.program import RunningCloud

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_cloud(tmp_path: Path) -> Iterator[RunningCloud]:
    """A laptop cloud in a program of its own, with nothing in it: not even CDK's bootstrap."""
    with RunningCloud(tmp_path / "cloud", clock_scale=0.02) as running:
        yield running


def test_cdk_bootstrap_and_deploy_then_an_upload_runs_in_the_private_network(
    bare_cloud: RunningCloud, tmp_path: Path
) -> None:
    subprocess.run(["make", "cdk", "ARGS="], cwd=ROOT, check=True)  # not the ARGS of a `make test` around it
    tools = f"{Path(sys.executable).parent}:{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"
    environment = {**os.environ, **bare_cloud.environment, "PATH": tools}
    flags = ["--app", f"{sys.executable} -m infra.app --no-wheels", "--output", str(tmp_path / "out"), "--ci"]
    flags += ["--context", "tandem:vpc=private"]
    for command in (["bootstrap"], ["deploy", "--all", "--require-approval", "never"]):
        done = subprocess.run(
            ["cdk", *command, *flags],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    app = App(bare_cloud)
    app.add_tenants("acme")
    project = app.project()
    app.configure(project, table_toml(more='[deploy]\ntarget = "realtime"'))
    run = app.settled(app.upload(project, "rows.csv", table()))
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert {frozenset(each) for each in subnets_of_what_runs(bare_cloud)} == {frozenset(private_subnets(bare_cloud))}


def private_subnets(cloud: RunningCloud) -> list[str]:
    """Return the subnets that the application made, in no VPC that was there before."""
    ec2 = cloud.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    return [subnet["SubnetId"] for subnet in subnets]


def subnets_of_what_runs(cloud: RunningCloud) -> Iterator[list[str]]:
    """Yield the subnets of every training job, processing job, model and function."""
    sagemaker, functions = cloud.client("sagemaker"), cloud.client("lambda")
    for job in sagemaker.list_training_jobs()["TrainingJobSummaries"]:
        yield sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])["VpcConfig"]["Subnets"]
    for job in sagemaker.list_processing_jobs()["ProcessingJobSummaries"]:
        network = sagemaker.describe_processing_job(ProcessingJobName=job["ProcessingJobName"])["NetworkConfig"]
        yield network["VpcConfig"]["Subnets"]
    for model in sagemaker.list_models()["Models"]:
        yield sagemaker.describe_model(ModelName=model["ModelName"])["VpcConfig"]["Subnets"]
    for function in functions.list_functions()["Functions"]:
        yield function["VpcConfig"]["SubnetIds"]
