"""A person's view of the deployed application: upload, wait, look."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

import cli.tenants
from cli.aws import Account
from contract import keys, ledger, names
from contract.run import RUNNING

T = TypeVar("T")
_PROJECTS: collections.Counter[str] = collections.Counter()
"""Projects that each test has."""


class AnyCloud(Protocol):
    """A laptop cloud, in this process or in a program of its own."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point a client at it."""

    def client(self, service: Any) -> Any:
        """Return a boto3 client."""


@contextlib.contextmanager
def signed_in(cloud: AnyCloud) -> Iterator[Account]:
    """Be a person of the cloud's account, as far as the code and the programs of this process are asked."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in cloud.environment.items():
            patched.setenv(name, value)
        yield Account()


class App:
    """The application in a laptop cloud."""

    def __init__(self, cloud: AnyCloud) -> None:
        self.cloud = cloud
        stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
        outputs = {out["OutputKey"]: out["OutputValue"] for stack in stacks for out in stack.get("Outputs", [])}
        self.outputs = outputs
        self.data = outputs[names.OUTPUT_DATA_BUCKET]
        self.artifacts = outputs[names.OUTPUT_ARTIFACTS_BUCKET]
        self.table = outputs[names.OUTPUT_LEDGER_TABLE]
        self.pipeline = outputs[names.OUTPUT_PIPELINE_ARN]
        self.deployment = outputs[names.OUTPUT_DEPLOYMENT_ARN]
        self.s3 = cloud.client("s3")
        self.states = cloud.client("stepfunctions")
        self.dynamodb = cloud.client("dynamodb")

    def add_tenants(self, *tenants: str) -> None:
        """Add tenants as `tandem tenant add` does."""
        with signed_in(self.cloud) as account:
            for tenant in tenants:
                cli.tenants.add(account, tenant)

    @staticmethod
    def project() -> str:
        """Return the name of a project that no other test uses; rows are split by it, so each time it is the same."""
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        _PROJECTS[test] += 1
        return f"p{hashlib.sha256(f'{test} {_PROJECTS[test]}'.encode()).hexdigest()[:8]}"

    def configure(self, project: str, toml: str, tenant: str = "acme") -> None:
        """Write project.toml."""
        self.s3.put_object(Bucket=self.data, Key=keys.project_config(tenant, project), Body=toml.encode())

    def upload(self, project: str, name: str, body: bytes, tenant: str = "acme") -> str:
        """Put an object into the inbox; return the id of the run that it starts."""
        key = keys.inbox(tenant, project) + name
        version = self.s3.put_object(Bucket=self.data, Key=key, Body=body)["VersionId"]
        return names.run_for_upload(project, self.data, key, version)

    def row(self, run: str) -> dict[str, Any]:
        """Return a run's row in the ledger, as plain data; empty before it starts."""
        item = self.dynamodb.get_item(TableName=self.table, Key=_typed(ledger.run_key(run))).get("Item", {})
        return {name: next(iter(value.values())) for name, value in item.items()}

    def settled(self, run: str, seconds: float = 120) -> dict[str, Any]:
        """Wait until the run is settled and its end announced, the last change of its row; return run.json.

        Raises:
            TimeoutError: with what is known of the run, when it is not settled in time.
        """
        deadline = time.monotonic() + seconds
        while (row := self.row(run)).get("status", RUNNING) == RUNNING or not row.get("announced"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"run {run} is not settled: {row}, {self.executions()[:3]}")
            time.sleep(0.2)
        tenant, project = row["project"].split("/")
        return self.document(tenant, project, run, keys.RUN_DOCUMENT)

    def document(self, tenant: str, project: str, run: str, name: str) -> Any:
        """Return a JSON document of a run."""
        return json.loads(self.read(keys.run_prefix(tenant, project, run) + name))

    def read(self, key: str) -> bytes:
        """Return an object of the artifacts bucket."""
        return self.s3.get_object(Bucket=self.artifacts, Key=key)["Body"].read()

    def listing(self, prefix: str) -> list[str]:
        """Return the keys below a prefix of the artifacts bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.artifacts, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def training(self, run: str, seconds: float = 60) -> str:
        """Wait until a training job of a run has trained an epoch; return its name.

        Before that, no program is there that could hear SIGTERM: the job would be killed after its two minutes of
        grace.
        """
        logs, deadline = self.cloud.client("logs"), time.monotonic() + seconds
        while time.monotonic() < deadline:
            for job in self.cloud.client("sagemaker").list_training_jobs(NameContains=run)["TrainingJobSummaries"]:
                name = job["TrainingJobName"]
                with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
                    group = {"logGroupName": names.TRAINING_LOGS}
                    streams = logs.describe_log_streams(**group, logStreamNamePrefix=f"{name}/")["logStreams"]
                    for stream in streams:
                        lines = logs.get_log_events(**group, logStreamName=stream["logStreamName"], startFromHead=True)
                        if any(event["message"].startswith("epoch=") for event in lines["events"]):
                            return name
            time.sleep(0.2)
        raise TimeoutError(f"run {run} does not train: {self.row(run)}")

    def executions(self, machine: str = "") -> list[dict[str, Any]]:
        """Return the executions of the pipeline, newest first."""
        return self.states.list_executions(stateMachineArn=machine or self.pipeline)["executions"]

    def visited(self, run: dict[str, Any]) -> list[str]:
        """Return the states that a settled run went through, in order."""
        return [state["name"] for state in run["states"]]

    def champion(self, project: str, tenant: str = "acme") -> dict[str, Any]:
        """Return the row of the version in service; empty when there is none."""
        return self.item(ledger.champion_key(tenant, project))

    def function(self, handler: str) -> str:
        """Return the name of the application's function with a handler; the cloud may hold others of that handler."""
        stacks, functions = self.cloud.client("cloudformation"), self.cloud.client("lambda")
        for stack in stacks.describe_stacks()["Stacks"]:
            for resource in stacks.describe_stack_resources(StackName=stack["StackName"])["StackResources"]:
                if resource["ResourceType"] == "AWS::Lambda::Function":
                    name = resource["PhysicalResourceId"]
                    if functions.get_function_configuration(FunctionName=name).get("Handler") == handler:
                        return name
        raise LookupError(f"no stack has a function {handler}")

    def item(self, key: dict[str, str]) -> dict[str, Any]:
        """Return a row of the ledger; empty when there is none."""
        item = self.dynamodb.get_item(TableName=self.table, Key=_typed(key)).get("Item", {})
        return {name: next(iter(value.values())) for name, value in item.items()}

    def deploy(self, project: str, package_arn: str, tenant: str = "acme", **more: Any) -> dict[str, Any]:
        """Run the deployment machine, as `tandem rollback` does with ``at_once``; return the ended execution."""
        return self.ended(self.start_deployment(project, package_arn, tenant, **more))

    def start_deployment(self, project: str, package_arn: str, tenant: str = "acme", **more: Any) -> str:
        """Start the deployment machine; return the execution's ARN."""
        request = {"tenant": tenant, "project": project, "run": "rollback", "package_arn": package_arn, **more}
        started = self.states.start_execution(stateMachineArn=self.deployment, input=json.dumps(request))
        return str(started["executionArn"])

    def reaches(self, arn: str, state: str) -> None:
        """Wait until an execution enters a state."""

        def entered() -> bool:
            events = self.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
            return any(event.get("stateEnteredEventDetails", {}).get("name") == state for event in events)

        self.eventually(entered)

    def submitted(self, arn: str) -> dict[str, Any]:
        """Wait until an execution waits for what a task has started; return the answer to that."""

        def answers() -> list[dict[str, Any]]:
            events = self.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
            return [event["taskSubmittedEventDetails"] for event in events if "taskSubmittedEventDetails" in event]

        told: dict[str, Any] = json.loads(self.eventually(answers)[-1]["output"])
        return told

    @staticmethod
    def eventually(look: Callable[[], T], seconds: float = 90) -> T:
        """Return the first true value that ``look`` returns."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"it never came: {look}")
            time.sleep(0.1)
        return found

    def ended(self, arn: str, seconds: float = 90) -> dict[str, Any]:
        """Wait until an execution ends; return its description."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            execution = self.states.describe_execution(executionArn=arn)
            if execution["status"] != RUNNING:
                return execution
            time.sleep(0.2)
        raise TimeoutError(f"{arn} does not end")

    def endpoints(self, project: str, tenant: str = "acme") -> list[str]:
        """Return the names of a project's endpoints."""
        found = self.cloud.client("sagemaker").list_endpoints(NameContains=f"{tenant}--{project}--")["Endpoints"]
        return sorted(endpoint["EndpointName"] for endpoint in found)

    def predict(self, project: str, body: bytes, content_type: str = "application/json") -> Any:
        """Ask the model in service."""
        endpoint = self.champion(project)["endpoint"]
        runtime = self.cloud.client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType=content_type, Body=body)
        return json.loads(answer["Body"].read())


@contextlib.contextmanager
def held(app: App, project: str, tenant: str = "acme") -> Iterator[None]:
    """Hold a project's lease, as another deployment does."""
    lease, expires = _typed(ledger.lease_key(tenant, project)), {"N": str(int(time.time()) + 600)}
    app.dynamodb.put_item(TableName=app.table, Item={**lease, "holder": {"S": "another"}, "expires": expires})
    try:
        yield
    finally:
        app.dynamodb.delete_item(TableName=app.table, Key=lease)


def subscriber(app: App, queue: str, said: str) -> Callable[[], str]:
    """Subscribe a new queue to the notifications; return what waits for the message that has ``said`` in it."""
    sqs, topic = app.cloud.client("sqs"), app.outputs[names.OUTPUT_TOPIC_ARN]
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    app.cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def message() -> str:
        for _ in range(60):
            for received in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
                text = str(json.loads(received["Body"])["Message"])
                if said in text:
                    return text
        raise TimeoutError(f"nobody was told: {said}")

    return message


def _typed(key: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in key.items()}
