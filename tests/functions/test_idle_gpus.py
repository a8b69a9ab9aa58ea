"""Training jobs whose GPUs do nothing are stopped with their reason; every other job is left alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import gpus, keys, ledger, names
from contract.errors import TrainingFailed
from contract.prices import load_prices
from functions import halt, idle_gpus, table
from tests.functions.conftest import FakeSageMaker, World, put_in_place

NOW = datetime.now(UTC).replace(microsecond=0)
ONE, FOUR, NONE = "ml.g5.xlarge", "ml.g5.12xlarge", "ml.m5.xlarge"


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


class SageMaker(FakeSageMaker):
    """Training jobs in progress, one to a page of their list."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.throttled: set[str] = set()
        self.ended: set[str] = set()

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_training_jobs"
        return self

    def paginate(self, *, StatusEquals: str) -> Iterator[dict[str, Any]]:
        for name, job in self.training.items():
            if job["TrainingJobStatus"] == StatusEquals:
                yield {"TrainingJobSummaries": [{"TrainingJobName": name}]}

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        if TrainingJobName in self.throttled:
            raise refusal("ThrottlingException")
        return self.training[TrainingJobName]

    def stop_training_job(self, TrainingJobName: str) -> None:
        if TrainingJobName in self.ended:
            raise refusal("ValidationException")
        self.training[TrainingJobName]["TrainingJobStatus"] = "Stopping"
        self.stopped.append(TrainingJobName)


@pytest.fixture
def sagemaker(world: World, monkeypatch: pytest.MonkeyPatch) -> SageMaker:
    return put_in_place(SageMaker(world.client("sagemaker")), monkeypatch)


class Jobs:
    """Makes training jobs, and what CloudWatch knows of them."""

    def __init__(self, world: World, sagemaker: SageMaker) -> None:
        self.world, self.sagemaker, self._numbers = world, sagemaker, itertools.count()

    def job(
        self,
        *used: float,
        instance: str = ONE,
        age: float = 60,
        status: str = "Training",
        told: int = 30,
        floor: str = "1",
        minutes: str = "30",
    ) -> str:
        """Make a job that trains for ``age`` minutes; ``used`` is each host's GPUUtilization in ``told`` minutes."""
        run = f"r{next(self._numbers)}"
        name = f"{run}-{self.world.tenant}-train-0-0-0"
        table.put(ledger.run_key(run), {"run": run})
        prefix = keys.run_prefix(self.world.tenant, "digits", run)
        steps = [("Downloading", NOW - timedelta(days=1)), (status, NOW - timedelta(minutes=age))]
        self.sagemaker.training[name] = {
            "TrainingJobName": name,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": status,
            "SecondaryStatusTransitions": [{"Status": step, "StartTime": moment} for step, moment in steps],
            "ResourceConfig": {"InstanceType": instance, "InstanceCount": max(1, len(used))},
            "OutputDataConfig": {"S3OutputPath": f"s3://artifacts/{prefix}train"},
            "Environment": {names.MIN_GPU_PERCENT: floor, names.IDLE_GPU_MINUTES: minutes},
        }
        for number, value in enumerate(used, start=1):
            self.tell(name, number, *[value] * told)
        return name

    def tell(self, job: str, number: int, *values: float) -> None:
        """Have CloudWatch know a host's values of the last minutes, the latest last."""
        data = [
            {
                "MetricName": "GPUUtilization",
                "Dimensions": [{"Name": "Host", "Value": f"{job}/algo-{number}"}],
                "Value": value,
                "Unit": "Percent",
                "Timestamp": NOW - timedelta(minutes=ago),
            }
            for ago, value in enumerate(reversed(values), start=1)
        ]
        self.world.client("cloudwatch").put_metric_data(Namespace="/aws/sagemaker/TrainingJobs", MetricData=data)

    def looked(self, now: datetime = NOW) -> list[str]:
        """Return the jobs that a look stops."""
        return list(idle_gpus.handler({"time": f"{now:%Y-%m-%dT%H:%M:%SZ}"}, None)["stopped"])


@pytest.fixture
def jobs(world: World, sagemaker: SageMaker) -> Jobs:
    return Jobs(world, sagemaker)


def test_a_job_is_stopped_when_no_host_of_it_does_anything(jobs: Jobs) -> None:
    idle = [jobs.job(0.0), jobs.job(0.0, 0.9), jobs.job(3.6, instance=FOUR)]
    jobs.job(0.0, 1.0)  # one host works
    jobs.job(4.0, instance=FOUR)
    burst = jobs.job(0.0)
    jobs.tell(burst, 1, 5.0, *[0.0] * 20)  # one minute did
    before = jobs.job(0.0)
    jobs.tell(before, 1, 90.0, *[0.0] * 40)  # it worked until forty minutes ago
    patient = jobs.job(0.0, told=60, minutes="60", age=90)
    assert jobs.looked() == [*idle, before, patient]
    assert jobs.looked() == [], "those are being stopped already"


def test_jobs_that_cannot_be_judged_and_those_that_may_wait_are_left_alone(jobs: Jobs) -> None:
    jobs.job(0.0, age=29)  # young, though its download took long
    jobs.job(0.0, status="Interrupted")
    jobs.job(0.0, floor="0")
    jobs.job(0.0, age=100, minutes="60")
    jobs.job(0.0, instance=NONE)
    jobs.job()  # CloudWatch knows nothing of it
    jobs.job(0.0, told=10)  # and is behind here
    half = jobs.job(0.0, 0.0)
    jobs.sagemaker.training[half]["ResourceConfig"]["InstanceCount"] = 3  # of one host
    theirs = jobs.job(0.0)
    for part in ("Environment", "ResourceConfig", "OutputDataConfig"):  # not of this application, and without machines
        del jobs.sagemaker.training[theirs][part]
    assert jobs.looked() == []
    assert jobs.sagemaker.stopped == []


def test_of_several_types_and_of_a_ladder_the_machines_that_it_got_count(jobs: Jobs) -> None:
    mixed, works, chosen = jobs.job(0.9, 0.9), jobs.job(2.0, 0.0), jobs.job(3.6)
    groups = [{"InstanceType": each, "InstanceCount": 1, "InstanceGroupName": each} for each in (FOUR, ONE)]
    for each in (mixed, works):  # which host is which is not told: the one with a single GPU may have used 2 %
        jobs.sagemaker.training[each]["ResourceConfig"] = {"InstanceGroups": groups}
    ladder = {"InstancePreferences": [{"InstanceType": ONE, "InstanceCount": 1}]}
    got = {"SelectedInstanceType": FOUR, "SelectedInstanceCount": 1}
    jobs.sagemaker.training[chosen]["ResourceConfig"] = {**ladder, **got}
    assert jobs.looked() == [mixed, chosen]


def test_what_came_after_a_late_tick_counts(jobs: Jobs) -> None:
    late = NOW - timedelta(minutes=20)
    job = jobs.job(0.0, told=60, age=90)
    jobs.tell(job, 1, 90.0)
    assert jobs.looked(late) == []


def test_more_hosts_than_one_call_may_ask_for_are_asked_in_several(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_gpus, "QUERIES", 2)
    idle, works = jobs.job(0.0, 0.0, 0.0), jobs.job(0.0, 0.0, 50.0)
    assert jobs.looked() == [idle]
    assert works not in jobs.sagemaker.stopped


def test_a_job_that_cannot_be_looked_at_keeps_no_other_from_being_stopped(jobs: Jobs) -> None:
    throttled, idle = jobs.job(0.0), jobs.job(0.0)
    jobs.sagemaker.throttled.add(throttled)
    with pytest.raises(RuntimeError, match=f"{throttled}.*ThrottlingException"):
        jobs.looked()
    assert jobs.sagemaker.stopped == [idle]
    jobs.sagemaker.throttled.clear()
    assert jobs.looked() == [throttled], "the next look makes it good"


def test_a_job_that_has_just_ended_is_not_said_to_have_been_stopped(jobs: Jobs) -> None:
    job = jobs.job(0.0)
    jobs.sagemaker.ended.add(job)
    assert jobs.looked() == []
    assert jobs.world.events(expected=0) == []


def test_the_run_and_the_audit_trail_are_told_why(jobs: Jobs) -> None:
    job = jobs.job(0.16, floor="2.5")
    run = job.partition("-")[0]
    jobs.looked()
    told = (
        "its GPUs did nothing for 30 minutes: 0.16 % in the busiest of them, and less than train.min_gpu_percent = 2.5 "
        f"stops a job after train.idle_gpu_minutes = 30. `tandem resume {run}` goes on from the last checkpoint"
    )
    (event,) = jobs.world.events()
    assert event["detail-type"] == names.EVENT_JOB_STOPPED
    assert (event["detail"]["run"], event["detail"]["job"]) == (run, job)
    assert event["detail"]["why"].startswith(told)
    ended = {"run": run, "error": "TrainingStopped", "failed_in": 0, "redrives": 0}
    with pytest.raises(TrainingFailed) as stopped:
        halt.handler({**ended, "cause": f"The training job {job} was Stopped: Stopped"}, None)
    assert str(stopped.value).startswith(f"The training job {job} was Stopped: Stopped: {told}")
    with pytest.raises(TrainingFailed) as other:  # after a resume, stopped by a person
        halt.handler({**ended, "cause": "The training job another was Stopped: Stopped"}, None)
    assert str(other.value) == "The training job another was Stopped: Stopped"


def test_every_type_with_a_price_has_a_number_of_gpus() -> None:
    known = {name: gpus.count(name) for name in load_prices().training}
    large = {name for name in known if name.endswith((".12xlarge", ".24xlarge", ".48xlarge"))}
    assert {name for name, count in known.items() if count > 1} == large
    assert {count for name, count in known.items() if name.startswith(("ml.m", "ml.c"))} == {0}
    assert (known["ml.g5.16xlarge"], known["ml.g5.24xlarge"], known["ml.p5.48xlarge"]) == (1, 4, 8)
