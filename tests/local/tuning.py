"""An image with a ``train`` program, and small tuning jobs over it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from local import dockerfile, images
from local.cloud import Cloud
from tests.local import sagemaker as sm

DOCKERFILE = """\
FROM python:3.12-slim
COPY train.py /srv/train.py
ENTRYPOINT ["python3", "-S", "/srv/train.py"]
"""
# What the training jobs do is told by the hyperparameter ``script``. The first process of a container gets no signal
# that it does not handle.
TRAIN = """\
import json, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
hp = json.load(open("/opt/ml/input/config/hyperparameters.json"))
pathlib.Path("/opt/ml/model/hp.json").write_text(json.dumps(hp))
exec(hp["script"])
"""
SLOW = "[(print('score=%s;' % hp['x'], flush=True), time.sleep(0.2)) for _ in range(150)]"
SCORE = "print('score=%s;' % hp['x'])"
METRICS = [{"Name": "score", "Regex": "score=([-0-9.e]+);"}]
X = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
CHOICES = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "3", "4"]}]}
MAXIMISE = {"Type": "Maximize", "MetricName": "score"}


def push_image(cloud: Cloud) -> str:
    """Return the URI of an image with its own entry point."""
    repository = sm.unique("tuned")
    uri = str(cloud.client("ecr").create_repository(repositoryName=repository)["repository"]["repositoryUri"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE)
        (Path(folder) / "train.py").write_text(TRAIN)
        digest = dockerfile.build(
            dockerfile=Path(folder) / "Dockerfile",
            context=Path(folder),
            store=cloud.root / "images",
            say=lambda line: None,
        )
    uri = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}"
    images.push(cloud, digest, uri, "1")
    return f"{uri}:1"


def definition(image: str, bucket: str, script: str = SCORE, **more: Any) -> dict[str, Any]:
    """Return a training job definition."""
    return {
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File", "MetricDefinitions": METRICS},
        "RoleArn": sm.ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/tuned"},
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "StaticHyperParameters": {"script": script},
        **more,
    }


def tuning(one: dict[str, Any], *, jobs: int | None = 4, parallel: int = 2, **config: Any) -> dict[str, Any]:
    """Return a CreateHyperParameterTuningJob over one definition; ``config`` is of HyperParameterTuningJobConfig."""
    limits = {"MaxParallelTrainingJobs": parallel, **({"MaxNumberOfTrainingJobs": jobs} if jobs else {})}
    return {
        "HyperParameterTuningJobName": sm.unique("tune"),
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": MAXIMISE,
            "ResourceLimits": limits,
            "ParameterRanges": X,
            "RandomSeed": 1,
            **config,
        },
        "TrainingJobDefinition": one,
    }


def several(ones: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Return a CreateHyperParameterTuningJob over several definitions."""
    request = tuning(ones[0], **options)
    del request["TrainingJobDefinition"]
    for member in ("HyperParameterTuningJobObjective", "ParameterRanges"):
        del request["HyperParameterTuningJobConfig"][member]
    return {**request, "TrainingJobDefinitions": ones}


def tune(cloud: Cloud, request: dict[str, Any]) -> Any:
    """Run a tuning job to its end; return its description."""
    cloud.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    return tuned(cloud, request["HyperParameterTuningJobName"])


def tuned(cloud: Cloud, name: str, seconds: float = 30) -> Any:
    """Return the description of a tuning job that has ended."""
    client = cloud.client("sagemaker")
    return sm.wait(
        lambda: client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        "HyperParameterTuningJobStatus",
        while_in=("InProgress", "Stopping"),
        seconds=seconds,
    )


def trained(cloud: Cloud, name: str, **query: Any) -> list[dict[str, Any]]:
    """Return the summaries of a tuning job's training jobs, by name."""
    found: list[dict[str, Any]] = cloud.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **query
    )["TrainingJobSummaries"]
    return found


def wait_for_output(cloud: Cloud, prefix: str, *, jobs: int) -> None:
    """Wait until so many training jobs have printed something: their programs handle SIGTERM from then on."""
    logs, query = cloud.client("logs"), {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": prefix}

    def described() -> dict[str, Any]:
        try:
            return {"streams": str(len(logs.describe_log_streams(**query)["logStreams"]))}
        except logs.exceptions.ResourceNotFoundException:  # nothing was logged yet
            return {"streams": "0"}

    sm.wait(described, "streams", while_in=tuple(str(few) for few in range(jobs)))
