"""Training jobs run their containers, and end as SageMaker says they end."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.chaos.faults import FullDisk, KilledRank, MissingCapacity, SpotInterruption
from local.chaos.lab import LAB
from local.cloud import Cloud
from tests.local import sagemaker as sm

GROUP = "/aws/sagemaker/TrainingJobs"


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in tar.getmembers()}


def secondaries(description: dict[str, Any]) -> list[str]:
    return [each["Status"] for each in description["SecondaryStatusTransitions"]]


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    return sm.bucket(cloud)


class TestHosts:
    def test_the_model_of_a_job_is_in_s3_and_the_way_there_in_its_description(self, cloud: Cloud, bucket: str) -> None:
        sm.put(cloud, bucket, data__train__part="seven")
        script = "cp /opt/ml/input/data/train/part /opt/ml/model/weights; echo more > /opt/ml/output/data/curve"
        request = sm.training(
            bucket, script, InputDataConfig=[sm.channel("train", f"s3://{bucket}/data/train")], Tags=[]
        )
        job = sm.train(cloud, request)
        assert job["TrainingJobStatus"] == "Completed"
        assert secondaries(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
        assert all("EndTime" in each for each in job["SecondaryStatusTransitions"][:-1])
        output = f"train/{request['TrainingJobName']}/output"
        assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/{output}/model.tar.gz"
        assert members(sm.read(cloud, bucket, f"{output}/model.tar.gz")) == {"weights": b"seven"}
        assert members(sm.read(cloud, bucket, f"{output}/output.tar.gz")) == {"curve": b"more\n"}
        assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
        assert job["TrainingStartTime"] <= job["TrainingEndTime"]

    def test_a_host_finds_its_configuration_as_sagemaker_writes_it(self, cloud: Cloud, bucket: str) -> None:
        script = (
            "cd /opt/ml/input/config; cp hyperparameters.json resourceconfig.json inputdataconfig.json /opt/ml/model"
        )
        sm.put(cloud, bucket, d__x="1")
        request = sm.training(
            bucket,
            script,
            HyperParameters={"epochs": "3"},
            InputDataConfig=[sm.channel("train", f"s3://{bucket}/d/")],
        )
        job = sm.train(cloud, request)
        files = members(sm.read(cloud, bucket, job["ModelArtifacts"]["S3ModelArtifacts"].split("/", 3)[3]))
        assert json.loads(files["hyperparameters.json"]) == {"epochs": "3"}
        resources = json.loads(files["resourceconfig.json"])
        assert resources["current_host"] == "algo-1"
        assert resources["hosts"] == ["algo-1"]
        assert resources["current_instance_type"] == "ml.c5.xlarge"
        assert json.loads(files["inputdataconfig.json"])["train"]["TrainingInputMode"] == "File"

    def test_hosts_have_their_own_opt_ml_names_and_addresses(self, cloud: Cloud, bucket: str) -> None:
        script = (
            "set -e; name=$(hostname); echo $name > /opt/ml/model/$name; test $$ = 1; "
            "test $(ls /opt/ml/model | wc -l) = 1; "
            "test $(getent hosts algo-1 | cut -d' ' -f1) != $(getent hosts algo-2 | cut -d' ' -f1); "
            "test $SAGEMAKER_BASE_DIR/model/$name -ef /opt/ml/model/$name"
        )
        job = sm.train(cloud, sm.training(bucket, script, hosts=2))
        assert job["TrainingJobStatus"] == "Completed", job
        files = members(sm.read(cloud, bucket, f"train/{job['TrainingJobName']}/output/model.tar.gz"))
        assert files == {"algo-1": b"algo-1\n", "algo-2": b"algo-2\n"}

    def test_hosts_reach_each_other_by_name_although_isolated(self, cloud: Cloud, bucket: str) -> None:
        python = (
            "import socket,os,time\n"
            "if os.environ['CURRENT_HOST']=='algo-1':\n"
            " s=socket.create_server(('algo-1',29500)); c,a=s.accept(); print('heard '+c.recv(9).decode())\n"
            "else:\n"
            " for i in range(100):\n"
            "  try: socket.create_connection(('algo-1',29500)).send(b'hello'); break\n"
            "  except OSError: time.sleep(.05)\n"
        )
        sm.put(cloud, bucket, code__talk=python)
        request = sm.training(
            bucket,
            "exec python3 /opt/ml/input/data/code/talk",
            hosts=2,
            InputDataConfig=[sm.channel("code", f"s3://{bucket}/code/")],
        )
        assert sm.train(cloud, request)["TrainingJobStatus"] == "Completed"
        assert "heard hello" in sm.log(cloud, GROUP, request["TrainingJobName"])

    def test_an_isolated_host_reaches_no_network_and_has_no_credentials(self, cloud: Cloud, bucket: str) -> None:
        port = cloud.url.rpartition(":")[2]
        script = (
            f"env | grep -E 'AWS_(ACCESS|SECRET|ENDPOINT)' && exit 8; ! (echo > /dev/tcp/127.0.0.1/{port}) 2>/dev/null"
        )
        assert sm.train(cloud, sm.training(bucket, script))["TrainingJobStatus"] == "Completed"

    def test_without_isolation_a_host_reaches_the_cloud(self, cloud: Cloud, bucket: str) -> None:
        script = 'python3 -c "import boto3; print(boto3.client(\\"sts\\").get_caller_identity()[\\"Account\\"])"'
        request = sm.training(bucket, script, EnableNetworkIsolation=False)
        assert sm.train(cloud, request)["TrainingJobStatus"] == "Completed"
        assert "123456789012" in sm.log(cloud, GROUP, request["TrainingJobName"])

    def test_shards_are_dealt_to_the_hosts_and_replicas_are_whole(self, cloud: Cloud, bucket: str) -> None:
        sm.put(cloud, bucket, d__a="a", d__b="b", d__c="c")
        config = [
            sm.channel("dealt", f"s3://{bucket}/d", S3DataDistributionType="ShardedByS3Key"),
            sm.channel("whole", f"s3://{bucket}/d"),
        ]
        script = "for c in dealt whole; do echo $c $CURRENT_HOST $(ls /opt/ml/input/data/$c); done"
        request = sm.training(bucket, script, hosts=2, InputDataConfig=config)
        sm.train(cloud, request)
        lines = set(sm.log(cloud, GROUP, request["TrainingJobName"]))
        assert lines == {"dealt algo-1 a c", "dealt algo-2 b", "whole algo-1 a b c", "whole algo-2 a b c"}

    def test_a_manifest_names_the_objects_of_a_channel(self, cloud: Cloud, bucket: str) -> None:
        sm.put(cloud, bucket, d__a="a", d__deep__b="b", d__c="c")
        sm.put(cloud, bucket, manifest=json.dumps([{"prefix": f"s3://{bucket}/d/"}, "a", "deep/b"]))
        channel = sm.channel("train", f"s3://{bucket}/manifest", S3DataType="ManifestFile")
        request = sm.training(bucket, "cd /opt/ml/input/data/train; find . -type f | sort", InputDataConfig=[channel])
        sm.train(cloud, request)
        assert sm.log(cloud, GROUP, request["TrainingJobName"]) == ["./a", "./deep/b"]


class TestEnds:
    def test_a_failed_host_tells_why_and_stops_the_others(self, cloud: Cloud, bucket: str) -> None:
        script = 'if [ $CURRENT_HOST = algo-2 ]; then echo "no cats" > /opt/ml/output/failure; exit 4; fi; sleep 60'
        began = time.monotonic()
        job = sm.train(cloud, sm.training(bucket, script, hosts=2))
        assert time.monotonic() - began < 20
        assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
        assert job["FailureReason"] == "AlgorithmError: no cats\n, exit code: 4"
        assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]

    def test_a_failure_keeps_its_first_1024_characters(self, cloud: Cloud, bucket: str) -> None:
        script = "head -c 3000 /dev/zero | tr '\\0' x > /opt/ml/output/failure; exit 1"
        reason = sm.train(cloud, sm.training(bucket, script))["FailureReason"]
        assert reason == f"AlgorithmError: {'x' * 1024}, exit code: 1"

    def test_stopping_sends_sigterm_and_keeps_the_model(self, cloud: Cloud, bucket: str) -> None:
        script = "trap 'echo saved > /opt/ml/model/m; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
        request = sm.training(bucket, script)
        client, name = cloud.client("sagemaker"), request["TrainingJobName"]
        client.create_training_job(**request)
        wait_for_line(cloud, name, "ready")
        client.stop_training_job(TrainingJobName=name)
        job = sm.trained(cloud, name)
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
        assert "Stopping" in secondaries(job)
        assert members(sm.read(cloud, bucket, f"train/{name}/output/model.tar.gz")) == {"m": b"saved\n"}

    def test_a_job_that_ignores_sigterm_is_killed_in_the_end(
        self, cloud: Cloud, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("local.sagemaker.jobs.STOP_SECONDS", 0.3)
        request = sm.training(bucket, "echo ready; while :; do sleep 0.05; done")
        client, name = cloud.client("sagemaker"), request["TrainingJobName"]
        client.create_training_job(**request)
        wait_for_line(cloud, name, "ready")
        began = time.monotonic()
        client.stop_training_job(TrainingJobName=name)
        assert sm.trained(cloud, name)["TrainingJobStatus"] == "Stopped"
        assert time.monotonic() - began < 10

    def test_a_job_out_of_time_is_stopped_and_its_model_kept(self, cloud: Cloud, bucket: str) -> None:
        script = "trap 'exit 0' TERM; echo half > /opt/ml/model/m; while :; do sleep 0.05; done"
        request = sm.training(bucket, script, StoppingCondition={"MaxRuntimeInSeconds": 1})
        job = sm.train(cloud, request)
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
        assert sm.keys(cloud, bucket) == [f"train/{request['TrainingJobName']}/output/model.tar.gz"]

    def test_completed_without_a_model_stores_none(self, cloud: Cloud, bucket: str) -> None:
        assert sm.train(cloud, sm.training(bucket, "true"))["TrainingJobStatus"] == "Completed"
        assert sm.keys(cloud, bucket) == []

    def test_a_missing_input_fails_the_job_by_name(self, cloud: Cloud, bucket: str) -> None:
        uri = f"s3://{bucket}/nowhere/"
        job = sm.train(cloud, sm.training(bucket, "true", InputDataConfig=[sm.channel("train", uri)]))
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith("ClientError: Data download failed: No S3 objects found under S3 URL")
        assert uri in job["FailureReason"]

    def test_an_image_that_only_aws_can_run_fails_the_job_by_name(self, cloud: Cloud, bucket: str) -> None:
        request = sm.training(bucket, "true")
        request["AlgorithmSpecification"]["TrainingImage"] = "683313688378.dkr.ecr.us-east-1.amazonaws.com/xgboost:1.7"
        assert "xgboost:1.7 can only run on AWS" in sm.train(cloud, request)["FailureReason"]


class TestTelemetry:
    def test_lines_are_in_cloudwatch_while_the_job_runs(self, cloud: Cloud, bucket: str) -> None:
        request = sm.training(bucket, "echo first; trap 'exit 0' TERM; while :; do sleep 0.05; done")
        cloud.client("sagemaker").create_training_job(**request)
        wait_for_line(cloud, request["TrainingJobName"], "first")
        cloud.client("sagemaker").stop_training_job(TrainingJobName=request["TrainingJobName"])
        sm.trained(cloud, request["TrainingJobName"])

    def test_metrics_are_read_from_lines(self, cloud: Cloud, bucket: str) -> None:
        request = sm.training(bucket, "echo epoch=1 loss=0.5; echo epoch=2 loss=2.5e-1; echo loss=nan")
        request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": r"loss=(\S+)"}]
        job = sm.train(cloud, request)
        assert [(each["MetricName"], each["Value"]) for each in job["FinalMetricDataList"]] == [("loss", 0.25)]
        found = cloud.client("cloudwatch").list_metrics(Namespace=GROUP, MetricName="loss")["Metrics"]
        assert [{"Name": "TrainingJobName", "Value": request["TrainingJobName"]}] in [
            each["Dimensions"] for each in found
        ]


class TestFaults:
    def test_missing_capacity_fails_the_job_as_aws_says_it(self, cloud: Cloud, bucket: str) -> None:
        request = sm.training(bucket, "true")
        with LAB.inject(MissingCapacity(job=request["TrainingJobName"])):
            job = sm.train(cloud, request)
        assert job["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute capacity")
        assert "TrainingStartTime" not in job

    def test_preferences_fall_through_to_the_type_that_is_to_be_had(self, cloud: Cloud, bucket: str) -> None:
        preferences = [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.g4dn.xlarge"}]
        resources = {"InstancePreferences": preferences, "InstanceCount": 1, "VolumeSizeInGB": 10}
        request = sm.training(bucket, "cat /opt/ml/input/config/resourceconfig.json", ResourceConfig=resources)
        with LAB.inject(MissingCapacity(job=request["TrainingJobName"], instance="ml.g5.*")):
            job = sm.train(cloud, request)
        assert job["ResourceConfig"]["SelectedInstanceType"] == "ml.g4dn.xlarge"
        assert "ml.g4dn.xlarge" in sm.log(cloud, GROUP, request["TrainingJobName"])[0]

    def test_an_interrupted_spot_job_starts_again_from_its_checkpoint(self, cloud: Cloud, bucket: str) -> None:
        script = (
            "cd /opt/ml/checkpoints; if [ -f step ]; then echo resumed $(cat step); cp step /opt/ml/model; exit 0; fi; "
            "trap 'exit 0' TERM; echo 7 > t; mv t step; echo epoch 7; while :; do sleep 0.05; done"
        )
        request = spot(sm.training(bucket, script, CheckpointConfig={"S3Uri": f"s3://{bucket}/checkpoints"}), wait=60)
        with LAB.inject(SpotInterruption(job=request["TrainingJobName"], when="epoch 7")):
            job = sm.train(cloud, request)
        assert job["TrainingJobStatus"] == "Completed"
        assert secondaries(job) == [
            "Starting", "Downloading", "Training", "Interrupted",
            "Starting", "Downloading", "Training", "Uploading", "Completed",
        ]  # fmt: skip
        assert "resumed 7" in sm.log(cloud, GROUP, request["TrainingJobName"])
        assert sm.read(cloud, bucket, "checkpoints/step") == b"7\n"

    def test_an_interruption_beyond_the_longest_wait_stops_the_job(self, cloud: Cloud, bucket: str) -> None:
        script = "trap 'sleep 1.2; exit 0' TERM; echo go; while :; do sleep 0.05; done"
        request = spot(sm.training(bucket, script, StoppingCondition={"MaxRuntimeInSeconds": 1}), wait=1)
        with LAB.inject(SpotInterruption(job=request["TrainingJobName"], when="go")):
            job = sm.train(cloud, request)
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")

    def test_a_killed_rank_is_a_failure_of_the_program(self, cloud: Cloud, bucket: str) -> None:
        script = "sleep 61 & echo rank up; wait $!; code=$?; echo rank died with $code; exit $code"
        request = sm.training(bucket, script)
        with LAB.inject(KilledRank(job=request["TrainingJobName"], process="^sleep 61", when="rank up")):
            job = sm.train(cloud, request)
        assert job["FailureReason"] == "AlgorithmError: , exit code: 137"

    def test_a_full_disk_is_a_failure_of_the_program(self, cloud: Cloud, bucket: str) -> None:
        script = "echo begins; sleep 1.7; echo more > /opt/ml/model/file || exit 9"
        request = sm.training(bucket, script)
        with LAB.inject(FullDisk(job=request["TrainingJobName"], process="bash|sh", when="begins")):
            job = sm.train(cloud, request)
        assert job["FailureReason"] == "AlgorithmError: , exit code: 9"
        assert any("No space left on device" in line for line in sm.log(cloud, GROUP, request["TrainingJobName"]))

    def test_checkpoints_are_uploaded_while_the_job_runs(self, cloud: Cloud, bucket: str) -> None:
        script = "echo 1 > /opt/ml/checkpoints/one; trap 'exit 0' TERM; while :; do sleep 0.05; done"
        request = sm.training(bucket, script, CheckpointConfig={"S3Uri": f"s3://{bucket}/c"})
        cloud.client("sagemaker").create_training_job(**request)
        deadline = time.monotonic() + 15
        while not sm.keys(cloud, bucket, "c/") and time.monotonic() < deadline:
            time.sleep(0.05)
        cloud.client("sagemaker").stop_training_job(TrainingJobName=request["TrainingJobName"])
        sm.trained(cloud, request["TrainingJobName"])
        assert sm.keys(cloud, bucket, "c/") == ["c/one"]

    def test_a_checkpoint_that_the_container_deletes_is_deleted_in_s3(self, cloud: Cloud, bucket: str) -> None:
        cloud.client("s3").put_object(Bucket=bucket, Key="d/earlier", Body=b"0")
        script = "cd /opt/ml/checkpoints; echo 1 > one; sleep 1.2; rm earlier one; echo 2 > two"
        sm.train(cloud, sm.training(bucket, script, CheckpointConfig={"S3Uri": f"s3://{bucket}/d"}))
        assert sm.keys(cloud, bucket, "d/") == ["d/two"]


class TestLists:
    def test_jobs_are_listed_by_name_and_status_in_pages(self, cloud: Cloud, bucket: str) -> None:
        client, stem = cloud.client("sagemaker"), sm.unique("list")
        names = [f"{stem}-{number}" for number in range(3)]
        for name in names:
            sm.train(cloud, {**sm.training(bucket, "true"), "TrainingJobName": name})
        query = {"NameContains": stem, "SortBy": "Name", "SortOrder": "Ascending"}
        page = client.list_training_jobs(**query, MaxResults=2)
        rest = client.list_training_jobs(**query, MaxResults=2, NextToken=page["NextToken"])
        listed = [each["TrainingJobName"] for each in page["TrainingJobSummaries"] + rest["TrainingJobSummaries"]]
        assert listed == names
        assert client.list_training_jobs(NameContains=stem, StatusEquals="Failed")["TrainingJobSummaries"] == []

    def test_stopping_what_has_ended_or_never_was_is_refused(self, cloud: Cloud, bucket: str) -> None:
        job = sm.train(cloud, sm.training(bucket, "true"))
        with pytest.raises(ClientError, match="Completed") as ended:
            cloud.client("sagemaker").stop_training_job(TrainingJobName=job["TrainingJobName"])
        assert ended.value.response["Error"]["Code"] == "ValidationException"
        with pytest.raises(ClientError) as missing:
            cloud.client("sagemaker").stop_training_job(TrainingJobName="never-was")
        assert missing.value.response["Error"]["Code"] == "ResourceNotFound"


def spot(request: dict[str, Any], *, wait: int) -> dict[str, Any]:
    condition = {**request["StoppingCondition"], "MaxWaitTimeInSeconds": wait}
    return {**request, "EnableManagedSpotTraining": True, "StoppingCondition": condition}


def wait_for_line(cloud: Cloud, name: str, line: str) -> None:
    deadline = time.monotonic() + 20
    groups = cloud.client("logs").describe_log_groups
    while time.monotonic() < deadline:
        if groups(logGroupNamePrefix=GROUP)["logGroups"] and line in sm.log(cloud, GROUP, name):
            return
        time.sleep(0.03)
    raise AssertionError(f"{name} has not said {line!r}")


def test_a_cluster_of_several_types_tells_each_host_its_group(cloud: Cloud, bucket: str) -> None:
    groups = [
        {"InstanceGroupName": "big", "InstanceType": "ml.c5.2xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "small", "InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
    ]
    script = "cp /opt/ml/input/config/resourceconfig.json $SAGEMAKER_BASE_DIR/model/$CURRENT_HOST.json"
    request = sm.training(bucket, script.replace("/opt/ml", "$SAGEMAKER_BASE_DIR"))
    job = sm.train(cloud, request | {"ResourceConfig": {"InstanceGroups": groups, "VolumeSizeInGB": 1}})
    assert job["TrainingJobStatus"] == "Completed", job
    body = sm.read(cloud, bucket, job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{bucket}/"))
    told = {Path(name).stem: json.loads(content) for name, content in members(body).items() if content}
    hosts = ["algo-1", "algo-2", "algo-3"]
    assert sorted(told) == hosts
    assert [told[host]["current_group_name"] for host in hosts] == ["big", "small", "small"]
    assert [told[host]["current_instance_type"] for host in hosts] == ["ml.c5.2xlarge", "ml.c5.xlarge", "ml.c5.xlarge"]
    assert told["algo-3"]["instance_groups"] == [
        {"instance_group_name": "big", "instance_type": "ml.c5.2xlarge", "hosts": ["algo-1"]},
        {"instance_group_name": "small", "instance_type": "ml.c5.xlarge", "hosts": ["algo-2", "algo-3"]},
    ]
