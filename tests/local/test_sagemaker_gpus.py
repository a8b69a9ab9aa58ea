"""What CloudWatch is told of a training job's GPUs: how busy the ranks of each host are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local.functions import eventually

SCRIPT = 'trap exit TERM; if [ "$CURRENT_HOST" = algo-1 ]; then LOCAL_RANK=0 sleep 60 & fi; while :; do :; done'
"""The first host's rank waits, whatever else computes there; on the other nothing is a rank, and all of it computes."""


def used(cloud: Cloud, job: str, host: str) -> float | None:
    """Return how busy a host's GPUs were at most; None where CloudWatch knows nothing."""
    now = datetime.now(UTC)
    points = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="GPUUtilization",
        Dimensions=[{"Name": "Host", "Value": f"{job}/{host}"}],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((point["Maximum"] for point in points), default=None)


def test_each_minute_tells_how_busy_each_hosts_gpus_are(cloud: Cloud) -> None:
    kinds = {"one": "ml.g5.xlarge", "four": "ml.g5.12xlarge", "none": "ml.c5.xlarge"}
    groups = [{"InstanceGroupName": name, "InstanceType": kind, "InstanceCount": 1} for name, kind in kinds.items()]
    resources = {"InstanceGroups": groups, "VolumeSizeInGB": 10}
    request = sm.training(
        sm.bucket(cloud), SCRIPT, ResourceConfig=resources, StoppingCondition={"MaxRuntimeInSeconds": 30}
    )
    client, name = cloud.client("sagemaker"), request["TrainingJobName"]
    client.create_training_job(**request)
    try:
        assert eventually(lambda: (used(cloud, name, "algo-2") or 0) > 20)
        waits = used(cloud, name, "algo-1")
        assert waits is not None
        assert waits < 1
        assert used(cloud, name, "algo-2") <= 400  # type: ignore[operator]
        assert used(cloud, name, "algo-3") is None
    finally:
        client.stop_training_job(TrainingJobName=name)
        sm.trained(cloud, name)
