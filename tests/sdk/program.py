"""What a person's notebook does with the SageMaker Python SDK v3; the environment says which cloud. Run by test_sdk.py.

    python tests/sdk/program.py BUCKET SOURCE_FOLDER

Prints one JSON object.
"""

import json
import sys

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import TrainingJob
from sagemaker.core.training.configs import MetricDefinition
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode, StoppingCondition

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"


def main() -> None:
    """Train on two hosts, then look at the job as a typed resource."""
    bucket, source = sys.argv[1:]
    trainer = ModelTrainer(
        sagemaker_session=Session(default_bucket=bucket),
        role="arn:aws:iam::123456789012:role/sagemaker",
        training_image=IMAGE,
        source_code=SourceCode(source_dir=source, entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=2),
        hyperparameters={"epochs": 4, "name": "plain words"},
        base_job_name="from-the-sdk",
        stopping_condition=StoppingCondition(max_runtime_in_seconds=300),
    ).with_metric_definitions([MetricDefinition(name="loss", regex="loss=([0-9.]+);")])
    trainer.train(input_data_config=[InputData(channel_name="train", data_source=f"s3://{bucket}/in/")], logs=False)
    (name,) = [job.training_job_name for job in TrainingJob.get_all()]
    job = TrainingJob.get(training_job_name=name)
    told = {
        "status": job.training_job_status,
        "model": job.model_artifacts.s3_model_artifacts,
        "metrics": {each.metric_name: each.value for each in job.final_metric_data_list},
        "steps": [each.status for each in job.secondary_status_transitions],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
