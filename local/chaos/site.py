"""The deployed application, as the fault lab sees it: where things are, what runs, how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from contract import keys, ledger, names
from contract.run import RUNNING

T = TypeVar("T")
SWEEP = "Sweep"  # in the name of the function that looks for uploads whose event was lost
FIRST_LOOK, LAST_LOOK = 0.1, 1.0  # laptop seconds between two looks


class Stuck(Exception):
    """Something did not come to its end in time."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How an execution ended.

    Args:
        name: an outcome of a run; the last state of another machine; ``FAILED``, ``ABORTED`` or ``TIMED_OUT``.
        status: of the execution.
        state: the last state that it entered.
        error: its error, or "".
        cause: of the error, or "".
    """

    name: str
    status: str
    state: str
    error: str = ""
    cause: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.error}" if self.error else self.name


@dataclass(frozen=True)
class Site:
    """The application behind an AWS endpoint.

    Args:
        client: makes the boto3 client of a service.
        tenant: whose projects it is about.
    """

    client: Callable[[str], Any]
    tenant: str = "chaos"
    _handlers: dict[str, str] = field(default_factory=dict)
    _inputs: dict[str, str] = field(default_factory=dict)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stacks' outputs."""
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        return {out["OutputKey"]: out["OutputValue"] for stack in stacks for out in stack.get("Outputs", [])}

    @property
    def data(self) -> str:
        """The bucket of people's data."""
        return self.outputs[names.OUTPUT_DATA_BUCKET]

    @property
    def artifacts(self) -> str:
        """The pipeline's bucket."""
        return self.outputs[names.OUTPUT_ARTIFACTS_BUCKET]

    @property
    def machines(self) -> dict[str, str]:
        """The ARNs of the state machines by their short names."""
        return {
            "pipeline": self.outputs[names.OUTPUT_PIPELINE_ARN],
            "deployment": self.outputs[names.OUTPUT_DEPLOYMENT_ARN],
            "batch": self.outputs[names.OUTPUT_BATCH_ARN],
            "sleep": self.outputs[names.OUTPUT_SLEEP_ARN],
        }

    def states(self, machine: str) -> dict[str, Any]:
        """Return the states of a machine as it is deployed, those within a Map or a Parallel, too."""
        described = self.client("stepfunctions").describe_state_machine(stateMachineArn=self.machines[machine])
        return dict(every_state(json.loads(described["definition"])))

    def handler(self, function: str) -> str:
        """Return the handler of the function with this ARN."""
        if function not in self._handlers:
            found = self.client("lambda").get_function_configuration(FunctionName=function)
            self._handlers[function] = found.get("Handler", "")
        return self._handlers[function]

    def row(self, key: Mapping[str, str]) -> dict[str, Any]:
        """Return a row of the ledger as plain data; empty when there is none."""
        typed = {name: {"S": value} for name, value in key.items()}
        table = self.outputs[names.OUTPUT_LEDGER_TABLE]
        item = self.client("dynamodb").get_item(TableName=table, Key=typed, ConsistentRead=True).get("Item", {})
        return {name: next(iter(value.values())) for name, value in item.items()}

    def runs(self, project: str) -> list[dict[str, Any]]:
        """Return the rows of a project's runs."""
        found = self.client("dynamodb").query(
            TableName=self.outputs[names.OUTPUT_LEDGER_TABLE],
            IndexName=ledger.BY_PROJECT,
            KeyConditionExpression="#project = :project",
            ExpressionAttributeNames={"#project": "project"},
            ExpressionAttributeValues={":project": {"S": f"{self.tenant}/{project}"}},
        )["Items"]
        return [{name: next(iter(value.values())) for name, value in item.items()} for item in found]

    def configure(self, project: str, toml: str) -> None:
        """Write project.toml."""
        key = keys.project_config(self.tenant, project)
        self.client("s3").put_object(Bucket=self.data, Key=key, Body=toml.encode())

    def upload(self, project: str, name: str, body: bytes) -> str:
        """Put an object into the inbox; return the run that it starts."""
        key = keys.inbox(self.tenant, project) + name
        version = self.client("s3").put_object(Bucket=self.data, Key=key, Body=body)["VersionId"]
        return names.run_for_upload(project, self.data, key, version)

    def start(self, machine: str, name: str, value: Any) -> str:
        """Start an execution; return its ARN."""
        answer = self.client("stepfunctions").start_execution(
            stateMachineArn=self.machines[machine], name=name, input=json.dumps(value)
        )
        return str(answer["executionArn"])

    def executions(self, machine: str, project: str, status: str = "") -> Iterator[dict[str, Any]]:
        """Yield the executions of a project: by their name, or their input where an event started them."""
        states, chosen = self.client("stepfunctions"), {"statusFilter": status} if status else {}
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=self.machines[machine], **chosen)
        for listed in (each for page in pages for each in page["executions"]):
            if listed["name"].startswith(project):
                yield listed
            elif listed["name"].count("-") == 4 and len(listed["name"]) == 36:
                given = self._input(listed["executionArn"])
                if f'"{project}' in given or f"/{project}/" in given or f"{project}-" in given:
                    yield listed

    def _input(self, execution: str) -> str:
        if execution not in self._inputs:
            described = self.client("stepfunctions").describe_execution(executionArn=execution)
            self._inputs[execution] = described["input"]
        return self._inputs[execution]

    def endpoint(self, name: str) -> dict[str, Any]:
        """Return what SageMaker says of an endpoint; empty when there is none."""
        sagemaker = self.client("sagemaker")
        try:
            found: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        except sagemaker.exceptions.ClientError as error:
            if "Could not find" not in str(error):
                raise
            return {}
        return found

    def running(self, project: str) -> list[str]:
        """Return the ARNs of a project's executions that run."""
        return [
            each["executionArn"] for machine in self.machines for each in self.executions(machine, project, RUNNING)
        ]

    def ended(self, execution: str, seconds: float) -> End:
        """Wait for an execution's end, as long as something happens in it.

        Raises:
            Stuck: when nothing happened for so many seconds.
        """
        states = self.client("stepfunctions")

        def look() -> dict[str, Any] | None:
            described: dict[str, Any] = states.describe_execution(executionArn=execution)
            return described if described["status"] != RUNNING else None

        described = self.eventually(look, seconds, execution, progress=lambda: self.progress(execution))
        state = self.visited(execution)[-1]
        name, output = described["status"], json.loads(described.get("output") or "null")
        if name == "SUCCEEDED":
            name = output["outcome"] if isinstance(output, dict) and "outcome" in output else state
        error, cause = described.get("error") or "", described.get("cause") or ""
        return End(name=name, status=described["status"], state=state, error=error, cause=cause)

    def progress(self, execution: str) -> int:
        """Return the number of the last event of an execution."""
        history = self.client("stepfunctions").get_execution_history
        return int(history(executionArn=execution, reverseOrder=True, maxResults=1)["events"][0]["id"])

    def tick(self) -> None:
        """Do what the daily schedule does."""
        functions = self.client("lambda")
        pages = functions.get_paginator("list_functions").paginate()
        (name,) = [
            each["FunctionName"] for page in pages for each in page["Functions"] if SWEEP in each["FunctionName"]
        ]
        functions.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")

    def visited(self, execution: str) -> list[str]:
        """Return the states that an execution entered, in order."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        return [
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        ]

    @staticmethod
    def eventually(
        look: Callable[[], T | None], seconds: float, what: str, *, progress: Callable[[], Any] = lambda: None
    ) -> T:
        """Return the first true value of ``look``.

        A loaded machine is slow, and not stuck: the time begins anew whenever ``progress`` tells something else.

        Raises:
            Stuck: when none comes in time.
        """
        told, deadline, pause = progress(), time.monotonic() + seconds, FIRST_LOOK
        while not (found := look()):
            if time.monotonic() > deadline:
                if (now := progress()) == told:
                    raise Stuck(f"{what}: nothing has happened for {seconds:.0f} s")
                told, deadline = now, time.monotonic() + seconds
            time.sleep(pause)
            pause = min(pause * 1.3, LAST_LOOK)
        return found


def every_state(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the states of a definition with their names, in the order of its story."""
    for name, state in definition["States"].items():
        yield name, state
        for inner in (state.get("ItemProcessor"), *state.get("Branches", ())):
            if inner:
                yield from every_state(inner)
