"""Handlers against the laptop cloud: real buckets, table, bus and executions, new for each test."""

from __future__ import annotations

import functools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from contract import attempts, keys, ledger, names
from contract.run import RUNNING
from functions import shared, table
from local.cloud import Cloud
from tests import definitions

MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Accept request",
    "States": {
        "Accept request": {"Type": "Pass", "Next": "Is it broken?"},
        "Is it broken?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $exists($states.input.broken) %}", "Next": "Fail training"}],
            "Default": "Settle run",
        },
        "Fail training": {"Type": "Fail", "Error": "TrainingFailed", "Cause": "{% $states.input.broken %}"},
        "Settle run": {"Type": "Succeed"},
    },
}


class Killed(Exception):
    """The function's process is gone."""


@functools.cache
def planning(cloud: Cloud) -> tuple[str, str]:
    """Return a machine of the pipeline's true definition, and an execution of it."""
    client = cloud.client("stepfunctions")

    def create(name: str, definition: dict[str, Any]) -> str:
        return client.create_state_machine(
            name=f"{name}-{uuid.uuid4().hex[:8]}",
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::123456789012:role/machine",
        )["stateMachineArn"]

    machine = create("story", definitions.run(deployment=create("deployment", definitions.deploy())))
    return machine, client.start_execution(stateMachineArn=machine, name="planned", input="{}")["executionArn"]


@dataclass
class World:
    """What surrounds the handlers."""

    cloud: Cloud
    data: str
    artifacts: str
    table: str
    machine: str
    queue: str
    tenant: str
    project: str = "digits"
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.clients.setdefault(service, self.cloud.client(service))

    def put(self, key: str, body: bytes, bucket: str | None = None) -> str:
        return self.client("s3").put_object(Bucket=bucket or self.data, Key=key, Body=body)["VersionId"]

    def upload(self, name: str, body: bytes = b"a,b\n1,2\n") -> tuple[str, str]:
        """Put an object into the inbox; return its key and version."""
        key = keys.inbox(self.tenant, self.project) + name
        return key, self.put(key, body)

    def document(self, path: str) -> Any:
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        return self.client("s3").get_object(Bucket=self.artifacts, Key=path)["Body"].read().decode()

    def keys(self, prefix: str) -> list[str]:
        found = self.client("s3").list_objects_v2(Bucket=self.artifacts, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def row(self, key: dict[str, str]) -> dict[str, Any]:
        item = self.client("dynamodb").get_item(TableName=self.table, Key={k: {"S": v} for k, v in key.items()})
        return {name: next(iter(value.values())) for name, value in item.get("Item", {}).items()}

    def eventually(self, look: Callable[[], Any], seconds: float = 20) -> Any:
        """Return the first true value that ``look`` returns."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.05)
        return found

    def planning(self, run: str = "digits-1f3a9c2b7d") -> dict[str, str]:
        """Make a run's row as Accept request does; return what Plan compute is told of its execution."""
        table.put(ledger.run_key(run), {"started": "2026-11-21T10:00:00Z", "status": RUNNING})
        return {"execution": planning(self.cloud)[1], "state": attempts.PLAN}

    def add_tenant(self) -> None:
        self.client("dynamodb").put_item(TableName=self.table, Item=self._tenant)

    def remove_tenant(self) -> None:
        self.client("dynamodb").delete_item(TableName=self.table, Key=self._tenant)

    @property
    def _tenant(self) -> dict[str, Any]:
        return {name: {"S": value} for name, value in ledger.tenant_key(self.tenant).items()}

    def run_row(self, run: str) -> dict[str, Any]:
        return self.row(ledger.run_key(run))

    def executions(self) -> list[dict[str, Any]]:
        return self.client("stepfunctions").list_executions(stateMachineArn=self.machine)["executions"]

    def execute(self, console: Any, name: str | None = None) -> dict[str, str]:
        """Run an execution to its end; return what the states see of it."""
        states, name = self.client("stepfunctions"), name or uuid.uuid4().hex[:12]
        arn = states.start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(console))["executionArn"]
        while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            self.cloud.stopping.wait(0.01)
        return {"id": arn, "name": name, "started": "2026-11-21T10:00:00.000Z"}

    def events(self, expected: int = 1) -> list[dict[str, Any]]:
        """Return the events that were put on the bus; delivery takes a moment, so wait for those expected, and more."""
        found = self._delivered()
        deadline = time.monotonic() + 10
        while len(found) < expected and time.monotonic() < deadline:
            time.sleep(0.05)
            found += self._delivered()
        time.sleep(0.2)
        return found + self._delivered()

    def _delivered(self) -> list[dict[str, Any]]:
        sqs, found = self.client("sqs"), []
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return [event for event in found if event["detail"].get("tenant") == self.tenant]


@pytest.fixture
def world(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    unique = uuid.uuid4().hex[:8]
    made = _make(cloud, unique)
    for name, value in {
        **cloud.environment,
        names.DATA_BUCKET: made.data,
        names.ARTIFACTS_BUCKET: made.artifacts,
        names.LEDGER_TABLE: made.table,
        names.TENANT_KEY: "arn:aws:kms:us-east-1:123456789012:alias/tandem/<tenant>",
        names.PIPELINE_ARN: made.machine,
        names.MONTHLY_USD: "200",
        names.SERVING_IMAGE_REPOSITORY: "123456789012.dkr.ecr.us-east-1.amazonaws.com/tandem-serving",
        names.SERVING_IMAGE_TAG: "0123abcd",
    }.items():
        monkeypatch.setenv(name, value)
    shared.environment.cache_clear()
    shared.client.cache_clear()
    yield made
    shared.environment.cache_clear()
    shared.client.cache_clear()


def _make(cloud: Cloud, unique: str) -> World:
    s3, bus, sqs = cloud.client("s3"), cloud.client("events"), cloud.client("sqs")
    data, artifacts, table = (f"{kind}-{unique}" for kind in ("data", "artifacts", "ledger"))
    for bucket in (data, artifacts):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    cloud.client("dynamodb").create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "sleep")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": ledger.BY_SLEEP,
                "KeySchema": [{"AttributeName": "sleep", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    machine = cloud.client("stepfunctions").create_state_machine(
        name=f"pipeline-{unique}", definition=json.dumps(MACHINE), roleArn="arn:aws:iam::123456789012:role/machine"
    )["stateMachineArn"]
    queue = sqs.create_queue(QueueName=f"told-{unique}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name=f"told-{unique}", EventPattern=json.dumps({"source": [names.EVENT_SOURCE]}))
    bus.put_targets(Rule=f"told-{unique}", Targets=[{"Id": "queue", "Arn": arn}])
    world = World(cloud, data, artifacts, table, machine, queue, tenant=f"t{unique}")
    world.add_tenant()
    return world


@pytest.fixture
def kill_at() -> Iterator[Callable[..., None]]:
    """Kill the handler at its n-th call of an operation, before it or after it reached AWS."""
    registered: list[tuple[Any, str, Any]] = []

    def kill(service: str, operation: str, *, call: int = 1, after: bool = False) -> None:
        client, count = shared.client(service), [0]

        def die(**_: Any) -> None:
            count[0] += 1
            if count[0] == call:
                raise Killed(f"{operation} #{call}")

        event = (
            f"{'after-call' if after else 'before-call'}.{client.meta.service_model.service_id.hyphenize()}.{operation}"
        )
        client.meta.events.register(event, die)
        registered.append((client, event, die))

    yield kill
    for client, event, die in registered:
        client.meta.events.unregister(event, die)


STATUS = "Status"
"""Where the lists of the fake tell a job's status, whatever its kind."""


class FakeSageMaker:
    """SageMaker's finished jobs, as its API describes them; the rest is the laptop cloud's."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.training: dict[str, dict[str, Any]] = {}
        self.processing: dict[str, dict[str, Any]] = {}
        self.searching: list[str] = []  # tuning jobs in progress
        self.stopped: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get_paginator(self, operation: str) -> Any:
        searching = [{"HyperParameterTuningJobName": name, STATUS: "InProgress"} for name in self.searching]
        training = [{**each, STATUS: each["TrainingJobStatus"]} for each in self.training.values()]
        processing = [{**each, STATUS: each["ProcessingJobStatus"]} for each in self.processing.values()]
        listed = {
            "list_hyper_parameter_tuning_jobs": ("HyperParameterTuningJobSummaries", searching),
            "list_training_jobs": ("TrainingJobSummaries", training),
            "list_processing_jobs": ("ProcessingJobSummaries", processing),
        }
        if operation not in listed:
            return self.real.get_paginator(operation)
        member, found = listed[operation]

        def paginate(_: object, **asked: str) -> Iterator[dict[str, Any]]:
            wanted = asked.get("StatusEquals")
            yield {member: [each for each in found if wanted in (None, each[STATUS])]}

        return type("Pages", (), {"paginate": paginate})()

    def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
        return self.training[TrainingJobName]

    def stop_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> None:
        self.searching.remove(HyperParameterTuningJobName)
        self.stopped.append(HyperParameterTuningJobName)

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:
        return self.processing[ProcessingJobName]


Fake = TypeVar("Fake", bound=FakeSageMaker)


def put_in_place(fake: Fake, patched: pytest.MonkeyPatch) -> Fake:
    """Have the functions ask ``fake`` in SageMaker's place; return it."""
    make = shared.session().create_client
    patched.setattr(
        shared.session(),
        "create_client",
        lambda service, **given: fake if service == "sagemaker" else make(service, **given),
    )
    shared.client.cache_clear()
    return fake


@pytest.fixture
def sagemaker(world: World, monkeypatch: pytest.MonkeyPatch) -> FakeSageMaker:
    return put_in_place(FakeSageMaker(world.cloud.client("sagemaker")), monkeypatch)
