"""Script mode: a user's sources run as in AWS's images, because the same toolkit runs them."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.sagemaker import namespace
from tests.local import sagemaker as sm
from tests.local import scripts
from tests.local.test_images import built, project

GROUP = "/aws/sagemaker/TrainingJobs"
TELL = "import json, os, sys; json.dump({'env': dict(os.environ), 'argv': sys.argv, 'cwd': os.getcwd()}, open('/opt/ml/model/told', 'w'))"  # noqa: E501


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    return sm.bucket(cloud)


def model(cloud: Cloud, job: dict[str, Any]) -> dict[str, str]:
    """Return the files of a completed job's model."""
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    with tarfile.open(fileobj=io.BytesIO(sm.read(cloud, bucket, key))) as tar:
        return {
            each.name: (tar.extractfile(each) or io.BytesIO()).read().decode()
            for each in tar.getmembers()
            if each.isfile()
        }


@pytest.mark.skipif(namespace.unavailable() != "", reason=namespace.unavailable())
def test_a_script_is_told_everything_as_on_aws(cloud: Cloud, bucket: str) -> None:
    sm.put(cloud, bucket, d__train__x="1")
    values = {
        "batch-size": 64,
        "learning_rate": 1e-3,
        "use_cuda": True,
        "name": 'it\'s "né" $HOME',
        "layers": [16, "a"],
        "nothing": None,
        "k": "",
        "nested": {"a": 1},
    }
    request = scripts.job(
        cloud,
        bucket,
        {"src/train.py": f"import helper\n{TELL}", "src/helper.py": "", "setup.cfg": ""},
        program="src/train.py",
        hyperparameters=values,
        channels=[sm.channel("train", f"s3://{bucket}/d/train")],
    )
    told = json.loads(model(cloud, sm.train(cloud, request))["told"])
    env = told["env"]
    assert told["cwd"] == "/opt/ml/code"
    assert told["argv"] == [
        "src/train.py", "--batch-size", "64", "-k", "", "--layers", "[16, 'a']", "--learning_rate", "0.001",
        "--name", "it's \"né\" $HOME", "--nested", "a=1", "--nothing", "", "--use_cuda", "True",
    ]  # fmt: skip
    assert json.loads(env["SM_HPS"]) == values
    assert json.loads(env["SM_USER_ARGS"]) == told["argv"][1:]
    expected = {
        "SM_HP_BATCH-SIZE": "64", "SM_HP_USE_CUDA": "true", "SM_HP_NOTHING": "", "SM_HP_NAME": "it's \"né\" $HOME",
        "SM_MODEL_DIR": "/opt/ml/model", "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data", "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config", "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train", "SM_CHANNELS": '["code","train"]', "SM_NUM_GPUS": "0",
        "SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-1", "SM_CURRENT_INSTANCE_TYPE": "ml.c5.xlarge",
        "SM_MODULE_NAME": "src/train", "SM_USER_ENTRY_POINT": "src/train.py", "SM_MODULE_DIR": scripts.SOURCE,
        "SM_FRAMEWORK_MODULE": "sagemaker_pytorch_container.training:main", "MASTER_ADDR": "algo-1",
        "MASTER_PORT": "7777", "TRAINING_JOB_NAME": request["TrainingJobName"],
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
    }  # fmt: skip
    assert {name: env.get(name) for name in expected} == expected
    assert "AWS_ACCESS_KEY_ID" not in env  # isolated jobs have no credentials


def test_a_failing_script_gives_its_traceback_and_exit_status(cloud: Cloud, bucket: str) -> None:
    script = "import sys\nprint('loss: nan')\nraise FloatingPointError('loss is not a number')"
    reason = sm.train(cloud, scripts.job(cloud, bucket, {"train.py": script}))["FailureReason"]
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage")
    assert "FloatingPointError" in reason
    assert "loss is not a number" in reason
    assert reason.endswith('train.py", exit code: 1')


def test_a_shell_program_gets_its_arguments_and_its_failure_text_is_kept(cloud: Cloud, bucket: str) -> None:
    script = 'echo "$@"; printf "no rows for $2" > $SM_OUTPUT_DIR/failure; exit 7'
    request = scripts.job(
        cloud, bucket, {"run.sh": f"#!/bin/sh\n{script}"}, program="run.sh", hyperparameters={"year": "19 84"}
    )
    reason = sm.train(cloud, request)["FailureReason"]
    assert reason == "AlgorithmError: no rows for 19 84, exit code: 1"  # the toolkit's own status
    assert "--year 19 84" in sm.log(cloud, GROUP, request["TrainingJobName"])


def wheel() -> bytes:
    """Return a package ``tinypackage`` 1.0 as a wheel, with a console script."""
    info = "tinypackage-1.0.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("tinypackage.py", "def main(): print('tinypackage runs')\n")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntinyprogram = tinypackage:main\n")
        file.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def test_requirements_are_installed_for_the_job_alone(cloud: Cloud, bucket: str) -> None:
    name = "tinypackage-1.0-py3-none-any.whl"
    cloud.client("s3").put_object(Bucket=bucket, Key=f"wheels/{name}", Body=wheel())
    request = scripts.job(
        cloud,
        bucket,
        {
            "train.py": "import subprocess, numpy, tinypackage; subprocess.run(['tinyprogram'], check=True)",
            "requirements.txt": f"/opt/ml/input/data/wheels/{name}\nnumpy\n",
        },
        channels=[sm.channel("wheels", f"s3://{bucket}/wheels/")],
    )
    job = sm.train(cloud, request)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert "tinypackage runs" in sm.log(cloud, GROUP, request["TrainingJobName"])
    assert not list(Path(sys.prefix).rglob("tinypackage*"))


def test_requirements_that_an_isolated_job_cannot_reach_fail_it_by_name(cloud: Cloud, bucket: str) -> None:
    files = {"train.py": "", "requirements.txt": "no-such-package==1.0\n"}
    request = scripts.job(cloud, bucket, files, Environment={"PIP_RETRIES": "0"})
    reason = sm.train(cloud, request)["FailureReason"]
    assert "InstallRequirementsError" in reason
    assert any("no-such-package" in line for line in sm.log(cloud, GROUP, request["TrainingJobName"]))


def test_a_package_with_a_setup_is_installed_and_run_as_a_module(cloud: Cloud, bucket: str) -> None:
    files = {
        "setup.py": "from setuptools import setup; setup(name='mine', version='1', packages=['mine'])",
        "mine/__init__.py": "",
        "mine/__main__.py": "import mine, sys; print(f'ran {mine.__name__} {sys.argv[1:]}')",
    }
    # Without isolation pip builds with this environment's setuptools; else it would ask PyPI for one.
    environment = {"PIP_NO_BUILD_ISOLATION": "0"}
    request = scripts.job(cloud, bucket, files, program="mine", hyperparameters={"epochs": 1}, Environment=environment)
    job = sm.train(cloud, request)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert "ran mine ['--epochs', '1']" in sm.log(cloud, GROUP, request["TrainingJobName"])


def test_sources_in_s3_are_fetched_where_the_network_is_open(cloud: Cloud, bucket: str) -> None:
    script = "print('epoch 1 val_acc=0.25;'); print('epoch 2 val_acc=0.75;')"
    request = scripts.job(cloud, bucket, {"train.py": script}, EnableNetworkIsolation=False)
    code = next(each for each in request["InputDataConfig"] if each["ChannelName"] == "code")
    uri = f"{code['DataSource']['S3DataSource']['S3Uri']}/sourcedir.tar.gz"
    request["HyperParameters"]["sagemaker_submit_directory"] = json.dumps(uri)
    del request["InputDataConfig"]
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "val:acc", "Regex": "val_acc=(.*?);"}]
    job = sm.train(cloud, request)
    assert job["TrainingJobStatus"] == "Completed"  # though it wrote no model, as on AWS
    assert [(each["MetricName"], each["Value"]) for each in job["FinalMetricDataList"]] == [("val:acc", 0.75)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sagemaker_mpi_enabled", "MPI .*which torch_distributed replaces, is not emulated"),
        (
            "sagemaker_parameter_server_enabled",
            "parameter servers .*which multi_worker_mirrored_strategy replaces, is not",
        ),
    ],
)
def test_launchers_that_only_aws_has_are_refused_by_name(cloud: Cloud, bucket: str, name: str, told: str) -> None:
    request = scripts.job(cloud, bucket, {}, hyperparameters={name: True})
    with pytest.raises(ClientError, match=told):
        cloud.client("sagemaker").create_training_job(**request)


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is here")
def test_tensorflow_images_are_not_started_as_pytorchs_where_tensorflow_is_missing(cloud: Cloud, bucket: str) -> None:
    request = scripts.job(cloud, bucket, {"train.py": "print('never')"})
    image = request["AlgorithmSpecification"]["TrainingImage"].replace("pytorch", "tensorflow")
    request["AlgorithmSpecification"]["TrainingImage"] = image
    assert "laptop cloud whose Python lacks TensorFlow" in sm.train(cloud, request)["FailureReason"]


def test_arguments_without_an_entry_point_are_run_by_the_images_own(cloud: Cloud, bucket: str) -> None:
    request = scripts.job(cloud, bucket, {})
    request["AlgorithmSpecification"]["ContainerArguments"] = ["touch", "/opt/ml/model/$HOSTNAME_OF", "&&", "exit", "3"]
    assert sm.train(cloud, {**request, "Environment": {"HOSTNAME_OF": "x"}})["FailureReason"].endswith("exit code: 3")


TORCHRUN = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
print("sum", total.item(), "of", dist.get_world_size(), "from", os.environ["SM_CURRENT_HOST"])
open(os.path.join(os.environ["SM_MODEL_DIR"], f"rank-{dist.get_rank()}"), "w").write(str(total.item()))
dist.destroy_process_group()  # or gloo's threads may abort the interpreter on its way out
"""
BY_HOSTS = """
import argparse, json, os, torch, torch.distributed as dist
parser = argparse.ArgumentParser()
parser.add_argument("--backend", type=str, default=None)
parser.add_argument("--hosts", type=list, default=json.loads(os.environ["SM_HOSTS"]))
parser.add_argument("--current-host", type=str, default=os.environ["SM_CURRENT_HOST"])
parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
args = parser.parse_args()
os.environ["WORLD_SIZE"] = str(len(args.hosts))
os.environ["RANK"] = str(args.hosts.index(args.current_host))
dist.init_process_group(backend=args.backend, rank=int(os.environ["RANK"]), world_size=len(args.hosts))
total = torch.ones(1)
dist.all_reduce(total)
open(os.path.join(args.model_dir, args.current_host), "w").write(str(total.item()))
dist.destroy_process_group()  # or gloo's threads may abort the interpreter on its way out
"""


def test_hosts_meet_however_a_script_starts_them_and_jobs_do_not_meet_each_other(cloud: Cloud, bucket: str) -> None:
    """Both jobs share the machine's network, where AWS's fixed port would be taken by the first."""
    torchrun = scripts.job(
        cloud, bucket, {"train.py": TORCHRUN}, hosts=2, EnableNetworkIsolation=False,
        hyperparameters={"sagemaker_torch_distributed_enabled": True},
    )  # fmt: skip
    by_hosts = scripts.job(
        cloud, bucket, {"train.py": BY_HOSTS}, hosts=2, EnableNetworkIsolation=False,
        hyperparameters={"backend": "gloo"},
    )  # fmt: skip
    for request in (torchrun, by_hosts):
        cloud.client("sagemaker").create_training_job(**request)
    first = sm.trained(cloud, torchrun["TrainingJobName"], seconds=60)
    assert model(cloud, first) == {"rank-0": "3.0", "rank-1": "3.0"}
    second = sm.trained(cloud, by_hosts["TrainingJobName"], seconds=60)
    assert list(model(cloud, second).values()) == ["2.0", "2.0"]


def test_without_namespaces_a_script_finds_its_folders_by_variable(
    cloud: Cloud, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespace, "unavailable", lambda: "none in this test")
    script = "import os; open(os.path.join(os.environ['SM_MODEL_DIR'], 'weights'), 'w').write('w')"
    assert model(cloud, sm.train(cloud, scripts.job(cloud, bucket, {"train.py": script}))) == {"weights": "w"}


TRAIN = """#!/usr/bin/env python
import json, os, sys
with open("/opt/ml/input/config/hyperparameters.json") as file:
    assert json.load(file) == {"depth": "5"}
open("/opt/ml/model/told", "w").write(f"{sys.argv[1:]} in {os.getcwd()}")
"""


@pytest.mark.skipif(namespace.unavailable() != "", reason=namespace.unavailable())
def test_an_image_of_ones_own_is_run_as_train(cloud: Cloud, bucket: str) -> None:
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(
            "Dockerfile",
            'FROM python:3.12-slim\nENV PATH="/opt/program:${PATH}"\nCOPY program /opt/program\nWORKDIR /opt/program\n',
        )
        program = zipfile.ZipInfo("program/train")
        program.external_attr = 0o755 << 16
        archive.writestr(program, TRAIN)
    name, uri = project(cloud, source.getvalue())
    assert built(cloud, name)["buildStatus"] == "SUCCEEDED"
    request = scripts.job(cloud, bucket, {})
    request["AlgorithmSpecification"]["TrainingImage"] = f"{uri}:v1"
    request["HyperParameters"] = {"depth": "5"}
    assert model(cloud, sm.train(cloud, request)) == {"told": "[] in /opt/program"}
