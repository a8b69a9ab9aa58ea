"""Script-mode jobs for tests: a folder of sources becomes a training job, as the SageMaker Python SDK sends one."""

from __future__ import annotations

import json
from typing import Any

from local.chaos.scenes import archive
from local.cloud import Cloud
from tests.local import sagemaker as sm

SOURCE = "/opt/ml/input/data/code/sourcedir.tar.gz"


def job(
    cloud: Cloud, bucket: str, files: dict[str, str], *, program: str = "train.py", hosts: int = 1,
    hyperparameters: dict[str, Any] | None = None, channels: list[dict[str, Any]] | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return a CreateTrainingJob in script mode whose sources are in its ``code`` channel.

    Args:
        hyperparameters: Python values; they travel as JSON, as the SDK sends them.
        channels: InputDataConfig beside ``code``.
    """
    request = sm.training(bucket, "", hosts=hosts, **more)
    key = f"{request['TrainingJobName']}/source"
    cloud.client("s3").put_object(Bucket=bucket, Key=f"{key}/sourcedir.tar.gz", Body=archive(files))
    values = {"sagemaker_program": program, "sagemaker_submit_directory": SOURCE, **(hyperparameters or {})}
    del request["AlgorithmSpecification"]["ContainerEntrypoint"], request["Environment"]
    return {
        **request,
        "HyperParameters": {name: json.dumps(value) for name, value in values.items()},
        "InputDataConfig": [*(channels or []), sm.channel("code", f"s3://{bucket}/{key}")],
        **more,
    }
