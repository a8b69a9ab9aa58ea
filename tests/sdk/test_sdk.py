"""The SageMaker Python SDK v3 is a client of the laptop cloud like any other: docs/how-to/sagemaker-sdk.md."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clock import Clock
from local.cloud import Cloud
from tests.local import sagemaker as sm

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-sdk/bin/python"
SCRIPT = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--name")
args = parser.parse_args()
assert args.name == "plain words"
assert os.listdir(os.environ["SM_CHANNEL_TRAIN"]) == ["x.csv"]
print(f"loss={1 / args.epochs};", flush=True)
host = os.environ["SM_CURRENT_HOST"]
open(os.path.join(os.environ["SM_MODEL_DIR"], host), "w").write("weights")
"""
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no SageMaker Python SDK here: make test-sdk has it")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud of its own, because the SDK lists all jobs."""
    with Cloud(root=tmp_path / "cloud", clock=Clock(scale=0.02)) as running:
        yield running


def test_a_model_trainer_trains_and_typed_resources_describe_the_job(fresh: Cloud, tmp_path: Path) -> None:
    bucket, source = sm.bucket(fresh), tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    fresh.client("s3").put_object(Bucket=bucket, Key="in/x.csv", Body=b"1")
    done = subprocess.run(
        [PYTHON, ROOT / "tests/sdk/program.py", bucket, source],
        env={**os.environ, **fresh.environment, "SAGEMAKER_VALIDATE_ROLE": "false", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == "Completed"
    assert told["metrics"] == {"loss": 0.25}
    assert told["steps"] == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert told["model"].startswith(f"s3://{bucket}/from-the-sdk/")
