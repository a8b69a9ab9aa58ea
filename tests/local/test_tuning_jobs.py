"""Tuning jobs run training jobs, learn from them, and end as SageMaker says they end."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sagemaker.models import sagemaker_backends

from local.chaos.faults import KilledRank, MissingCapacity
from local.chaos.lab import LAB
from local.cloud import Cloud
from local.sagemaker import api
from tests.local import machines
from tests.local import sagemaker as sm
from tests.local import tuning as tn

EPOCHS = "[(print('score=%f;' % (float(hp['x']) * e), flush=True), time.sleep(0.1)) for e in range(1, 5)]"


@pytest.fixture(scope="module")
def image(cloud: Cloud) -> str:
    return tn.push_image(cloud)


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    return sm.bucket(cloud)


@pytest.fixture(scope="module")
def finished(cloud: Cloud, image: str, bucket: str) -> Any:
    """A tuning job of four training jobs that went well."""
    request = tn.tuning(tn.definition(image, bucket), Strategy="Random")
    return tn.tune(cloud, {**request, "Tags": [{"Key": "team", "Value": "acme"}]})


class TestTraining:
    def test_its_training_jobs_are_listed_with_values_and_objectives(self, cloud: Cloud, finished: Any) -> None:
        name = finished["HyperParameterTuningJobName"]
        jobs = tn.trained(cloud, name)
        for number, each in enumerate(jobs, 1):
            assert re.fullmatch(rf"{name}-{number:03d}-[0-9a-f]{{8}}", each["TrainingJobName"])
        assert len(jobs) == 4
        for each in jobs:
            assert each["TrainingJobStatus"] == "Completed"
            assert each["ObjectiveStatus"] == "Succeeded"
            final = each["FinalHyperParameterTuningJobObjectiveMetric"]
            assert (final["Type"], final["MetricName"]) == ("Maximize", "score")
            assert final["Value"] == pytest.approx(float(each["TunedHyperParameters"]["x"]))
            assert each["TrainingStartTime"] <= each["TrainingEndTime"]

    def test_the_best_is_in_the_description(self, cloud: Cloud, finished: Any) -> None:
        jobs = tn.trained(cloud, finished["HyperParameterTuningJobName"])
        best = max(jobs, key=lambda each: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
        assert finished["BestTrainingJob"] == best
        assert "OverallBestTrainingJob" not in finished
        assert finished["HyperParameterTuningJobStatus"] == "Completed"
        assert finished["TrainingJobStatusCounters"] == {
            "Completed": 4, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0,
        }  # fmt: skip
        assert finished["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
        assert finished["HyperParameterTuningEndTime"] >= finished["CreationTime"]
        assert finished["TrainingJobDefinition"]["StaticHyperParameters"]["_tuning_objective_metric"] == "score"

    def test_its_training_jobs_can_be_sorted_by_objective_and_paged(self, cloud: Cloud, finished: Any) -> None:
        name = finished["HyperParameterTuningJobName"]
        query = {"SortBy": "FinalObjectiveMetricValue", "SortOrder": "Descending"}
        ranked = [float(each["TunedHyperParameters"]["x"]) for each in tn.trained(cloud, name, **query)]
        assert ranked == sorted(ranked, reverse=True)
        assert len(tn.trained(cloud, name, MaxResults=3)) == 3
        assert tn.trained(cloud, name, StatusEquals="Failed") == []

    def test_a_training_job_gets_static_and_tuned_values_and_the_objectives_name(
        self, cloud: Cloud, bucket: str, finished: Any
    ) -> None:
        best = finished["BestTrainingJob"]
        job = cloud.client("sagemaker").describe_training_job(TrainingJobName=best["TrainingJobName"])
        given = {"_tuning_objective_metric": "score", "script": tn.SCORE, **best["TunedHyperParameters"]}
        assert job["HyperParameters"] == given
        assert job["TuningJobArn"] == finished["HyperParameterTuningJobArn"]
        model = sm.read(cloud, bucket, job["ModelArtifacts"]["S3ModelArtifacts"].split("/", 3)[3])
        with tarfile.open(fileobj=io.BytesIO(model)) as archive:
            assert json.load(archive.extractfile("hp.json") or io.BytesIO()) == given

    def test_its_tags_are_its_training_jobs_too(self, cloud: Cloud, finished: Any) -> None:
        client = cloud.client("sagemaker")
        for arn in (finished["HyperParameterTuningJobArn"], finished["BestTrainingJob"]["TrainingJobArn"]):
            assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "acme"}]

    def test_training_jobs_run_in_parallel_up_to_the_limit(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(tn.definition(image, bucket, f"{tn.SCORE}; time.sleep(1)"), jobs=4, parallel=2)
        began = time.monotonic()
        tn.tune(cloud, request)
        assert 2.0 <= time.monotonic() - began < 3.8
        jobs = tn.trained(cloud, request["HyperParameterTuningJobName"])
        moments = [(each["CreationTime"], 1) for each in jobs] + [(each["TrainingEndTime"], -1) for each in jobs]
        running = [sum(step for _, step in sorted(moments)[: i + 1]) for i in range(len(moments))]
        assert max(running) == 2

    def test_each_training_job_has_checkpoints_of_its_own(self, cloud: Cloud, image: str, bucket: str) -> None:
        one = tn.definition(
            image,
            bucket,
            f"c = pathlib.Path('/opt/ml/checkpoints/step'); assert not c.exists(); c.write_text('1'); {tn.SCORE}",
            CheckpointConfig={"S3Uri": f"s3://{bucket}/checkpoints/"},
        )
        described = tn.tune(cloud, tn.tuning(one, jobs=2, parallel=1))
        assert described["TrainingJobStatusCounters"]["Completed"] == 2
        names = [each["TrainingJobName"] for each in tn.trained(cloud, described["HyperParameterTuningJobName"])]
        assert sm.keys(cloud, bucket, "checkpoints/") == [f"checkpoints/{name}/step" for name in names]

    def test_the_next_instance_type_is_taken_where_the_first_has_no_capacity(
        self, cloud: Cloud, image: str, bucket: str
    ) -> None:
        one = tn.definition(image, bucket)
        del one["ResourceConfig"]
        one["HyperParameterTuningResourceConfig"] = {
            "AllocationStrategy": "Prioritized",
            "InstanceConfigs": [
                {"InstanceType": kind, "InstanceCount": 1, "VolumeSizeInGB": 10}
                for kind in ("ml.c5.xlarge", "ml.m5.xlarge")
            ],
        }
        request = tn.tuning(one, jobs=1, parallel=1)
        with LAB.inject(MissingCapacity(job=f"{request['HyperParameterTuningJobName']}-*", instance="ml.c5.xlarge")):
            best = tn.tune(cloud, request)["BestTrainingJob"]
        job = cloud.client("sagemaker").describe_training_job(TrainingJobName=best["TrainingJobName"])
        assert job["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"


class TestStrategies:
    def test_a_grid_trains_every_combination(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(tn.definition(image, bucket), jobs=None, Strategy="Grid", ParameterRanges=tn.CHOICES)
        described = tn.tune(cloud, request)
        jobs = tn.trained(cloud, request["HyperParameterTuningJobName"])
        assert sorted(each["TunedHyperParameters"]["x"] for each in jobs) == ["1", "2", "3", "4"]
        assert described["BestTrainingJob"]["TunedHyperParameters"] == {"x": "4"}

    def test_early_stopping_ends_a_job_that_falls_behind(self, cloud: Cloud, image: str, bucket: str) -> None:
        ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "3"]}]}
        request = tn.tuning(
            tn.definition(image, bucket, EPOCHS),
            jobs=8, parallel=1, Strategy="Random", ParameterRanges=ranges, TrainingJobEarlyStoppingType="Auto",
        )  # fmt: skip
        client = cloud.client("sagemaker")
        client.create_hyper_parameter_tuning_job(**request)
        name = request["HyperParameterTuningJobName"]
        described = tn.tuned(cloud, name)
        jobs = tn.trained(cloud, name)
        stopped = [each for each in jobs if each["TrainingJobStatus"] == "Stopped"]
        assert described["TrainingJobStatusCounters"]["Stopped"] == len(stopped) >= 1
        assert all(each["ObjectiveStatus"] == "Succeeded" for each in jobs)
        assert "1" in {each["TunedHyperParameters"]["x"] for each in stopped}
        assert described["BestTrainingJob"]["TrainingJobStatus"] == "Completed"

    def test_hyperband_stops_the_worse_jobs(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(
            tn.definition(image, bucket, EPOCHS), jobs=6, Strategy="Hyperband",
            StrategyConfig={"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 4}},
        )  # fmt: skip
        described = tn.tune(cloud, request)
        counters = described["TrainingJobStatusCounters"]
        assert counters["Stopped"] >= 1
        assert counters["Stopped"] + counters["Completed"] == 6
        assert described["BestTrainingJob"]["TrainingJobStatus"] == "Completed"

    def test_several_definitions_share_the_training_jobs(self, cloud: Cloud, image: str, bucket: str) -> None:
        ones = [
            tn.definition(
                image, bucket, script, DefinitionName=name, TuningObjective=tn.MAXIMISE, HyperParameterRanges=ranges
            )
            for name, script, ranges in (
                ("linear", tn.SCORE, tn.X),
                (
                    "tree",
                    "print('score=5;')",
                    {"CategoricalParameterRanges": [{"Name": "depth", "Values": ["2", "3"]}]},
                ),
            )
        ]
        described = tn.tune(cloud, tn.several(ones, jobs=6, parallel=3, RandomSeed=2))
        jobs = tn.trained(cloud, described["HyperParameterTuningJobName"])
        tuned = {each["TrainingJobDefinitionName"]: set(each["TunedHyperParameters"]) for each in jobs}
        assert tuned == {"linear": {"x"}, "tree": {"depth"}}
        assert described["BestTrainingJob"]["TrainingJobDefinitionName"] == "tree"
        assert [each["DefinitionName"] for each in described["TrainingJobDefinitions"]] == ["linear", "tree"]

    def test_a_warm_start_knows_the_best_of_its_parents(
        self, cloud: Cloud, image: str, bucket: str, finished: Any
    ) -> None:
        parent = finished["HyperParameterTuningJobName"]
        request = tn.tuning(
            tn.definition(image, bucket),
            jobs=1,
            parallel=1,
            ParameterRanges={"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "0.01"}]},
        )
        warm = {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": parent}],
            "WarmStartType": "IdenticalDataAndAlgorithm",
        }
        described = tn.tune(cloud, {**request, "WarmStartConfig": warm})
        assert described["OverallBestTrainingJob"] == {**finished["BestTrainingJob"], "TuningJobName": parent}
        assert described["BestTrainingJob"]["TrainingJobName"].startswith(request["HyperParameterTuningJobName"])
        assert described["WarmStartConfig"] == warm


class TestEnds:
    def test_a_training_job_that_fails_does_not_end_it(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(tn.definition(image, bucket, f"{tn.SCORE}; time.sleep(0.3)"))
        fault = KilledRank(job=f"{request['HyperParameterTuningJobName']}-002-*", when="score")
        with LAB.inject(fault):
            described = tn.tune(cloud, request)
        assert described["HyperParameterTuningJobStatus"] == "Completed"
        assert described["TrainingJobStatusCounters"]["NonRetryableError"] == 1
        assert described["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 1}
        failed = tn.trained(cloud, request["HyperParameterTuningJobName"], StatusEquals="Failed")
        assert [each["ObjectiveStatus"] for each in failed] == ["Failed"]
        assert "exit code: 137" in failed[0]["FailureReason"]
        assert "FinalHyperParameterTuningJobObjectiveMetric" not in failed[0]

    @pytest.mark.parametrize(
        ("script", "jobs", "reason"),
        [
            ("sys.exit(3)", 2, "All training jobs failed. "),
            ("sys.exit(3)", 9, "No training job succeeded after 5 attempts. "),
            ("print('nothing')", 9, "No objective metrics found after running 5 training jobs. "),
        ],
    )
    def test_without_any_objective_it_fails_and_says_why(
        self, cloud: Cloud, image: str, bucket: str, script: str, jobs: int, reason: str
    ) -> None:
        described = tn.tune(cloud, tn.tuning(tn.definition(image, bucket, script), jobs=jobs, parallel=1))
        assert described["HyperParameterTuningJobStatus"] == "Failed"
        assert described["FailureReason"].startswith(reason)
        assert "BestTrainingJob" not in described
        assert described["ObjectiveStatusCounters"]["Failed"] == min(jobs, 5)

    def test_stopping_it_stops_its_training_jobs_and_keeps_the_best(
        self, cloud: Cloud, image: str, bucket: str
    ) -> None:
        client = cloud.client("sagemaker")
        request = tn.tuning(tn.definition(image, bucket, tn.SLOW), jobs=4, parallel=2)
        name = request["HyperParameterTuningJobName"]
        client.create_hyper_parameter_tuning_job(**request)
        at_once = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        assert at_once["TrainingJobStatusCounters"]["Completed"] == 0
        tn.wait_for_output(cloud, name, jobs=2)
        client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        described = tn.tuned(cloud, name)
        assert described["HyperParameterTuningJobStatus"] == "Stopped"
        assert described["TrainingJobStatusCounters"]["Stopped"] == 2
        assert described["BestTrainingJob"]["ObjectiveStatus"] == "Succeeded"
        with pytest.raises(ClientError, match="is in status Stopped"):
            client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    def test_it_is_complete_when_a_target_is_reached(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(
            tn.definition(image, bucket), jobs=50, TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 0.01}
        )
        described = tn.tune(cloud, request)
        assert described["HyperParameterTuningJobStatus"] == "Completed"
        assert sum(described["TrainingJobStatusCounters"].values()) <= 4

    def test_it_is_complete_when_its_time_is_over(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(tn.definition(image, bucket, tn.SLOW), jobs=9)
        config = request["HyperParameterTuningJobConfig"]
        config["ResourceLimits"]["MaxRuntimeInSeconds"] = 2  # AWS takes 120 and more, so this goes past its check
        create = api.handler("CreateHyperParameterTuningJob")
        create(sagemaker_backends[cloud.account][cloud.region], request)
        described = tn.tuned(cloud, request["HyperParameterTuningJobName"])
        assert described["HyperParameterTuningJobStatus"] == "Completed"
        assert described["TrainingJobStatusCounters"]["Stopped"] == 2
        assert 2 <= described["ConsumedResources"]["RuntimeInSeconds"] <= 5

    def test_it_is_complete_when_nothing_improves(self, cloud: Cloud, image: str, bucket: str) -> None:
        criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
        request = tn.tuning(
            tn.definition(image, bucket, "print('score=1;')"), jobs=50, TuningJobCompletionCriteria=criteria
        )
        described = tn.tune(cloud, request)
        assert described["HyperParameterTuningJobStatus"] == "Completed"
        assert 4 <= sum(described["TrainingJobStatusCounters"].values()) <= 6
        assert described["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] >= 3


class TestStateMachines:
    def definition(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync"
        return {"Tune": {"Type": "Task", "Resource": resource, "Arguments": request, "End": True}}

    def test_sync_gives_the_description(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(tn.definition(image, bucket), jobs=2)
        ended = machines.run(cloud, self.definition(request))
        assert ended.status == "SUCCEEDED"
        assert ended.output["HyperParameterTuningJobStatus"] == "Completed"
        assert ended.output["BestTrainingJob"]["TrainingJobName"].startswith(request["HyperParameterTuningJobName"])

    def test_sync_fails_with_the_description_as_cause(self, cloud: Cloud, image: str, bucket: str) -> None:
        ended = machines.run(cloud, self.definition(tn.tuning(tn.definition(image, bucket, "sys.exit(1)"), jobs=2)))
        error, cause = ended.failure
        assert error == "States.TaskFailed"
        assert json.loads(cause or "")["FailureReason"].startswith("All training jobs failed")

    def test_stopping_the_execution_stops_the_tuning_job(self, cloud: Cloud, image: str, bucket: str) -> None:
        request = tn.tuning(tn.definition(image, bucket, tn.SLOW), jobs=4)
        execution = machines.start(cloud, machines.create(cloud, self.definition(request)))
        machines.wait_for(cloud, execution, "TaskSubmitted")
        tn.wait_for_output(cloud, request["HyperParameterTuningJobName"], jobs=2)
        cloud.client("stepfunctions").stop_execution(executionArn=execution)
        described = tn.tuned(cloud, request["HyperParameterTuningJobName"])
        assert described["HyperParameterTuningJobStatus"] == "Stopped"


def test_every_change_of_status_is_an_event(cloud: Cloud, image: str, bucket: str) -> None:
    events, sqs = cloud.client("events"), cloud.client("sqs")
    request = tn.tuning(tn.definition(image, bucket), jobs=1, parallel=1)
    name = request["HyperParameterTuningJobName"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker HyperParameter Tuning Job State Change"],
        "detail": {"HyperParameterTuningJobName": [name]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}"}])
    arn = tn.tune(cloud, request)["HyperParameterTuningJobArn"]
    heard: list[dict[str, Any]] = []
    deadline = time.monotonic() + 10
    while len(heard) < 2 and time.monotonic() < deadline:
        found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", [])
        heard += [json.loads(each["Body"]) for each in found]
    assert {each["detail"]["HyperParameterTuningJobStatus"] for each in heard} == {"InProgress", "Completed"}
    assert all(each["resources"] == [arn] for each in heard)
    assert all(isinstance(each["detail"]["CreationTime"], int) for each in heard)
