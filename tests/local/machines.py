"""Running small state machines in tests, on the laptop cloud or on vanilla moto."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/machine"


class Endpoint(Protocol):
    """The laptop cloud or vanilla moto."""

    def client(self, service: str) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an execution ended: DescribeExecution's answer and the history."""

    described: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def status(self) -> str:
        return str(self.described["status"])

    @property
    def output(self) -> Any:
        return json.loads(self.described["output"])

    @property
    def failure(self) -> tuple[str | None, str | None]:
        return self.described.get("error"), self.described.get("cause")

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [event for event in self.history if event["type"] in kinds]


def machine(states: dict[str, Any], **fields: Any) -> str:
    """A JSONata definition that starts at its first state."""
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **fields})


def create(endpoint: Endpoint, states: dict[str, Any], **fields: Any) -> str:
    """Create a machine of a new name and return its ARN."""
    sfn = endpoint.client("stepfunctions")
    name = f"test-{uuid.uuid4().hex[:12]}"
    return str(
        sfn.create_state_machine(name=name, definition=machine(states, **fields), roleArn=ROLE)["stateMachineArn"]
    )


def start(endpoint: Endpoint, arn: str, value: Any = None) -> str:
    """Start an execution and return its ARN."""
    sfn = endpoint.client("stepfunctions")
    answer = sfn.start_execution(stateMachineArn=arn, name=uuid.uuid4().hex, input=json.dumps(value or {}))
    return str(answer["executionArn"])


def ended(endpoint: Endpoint, execution: str, seconds: float = 20) -> Ended:
    """Wait for the end of an execution."""
    sfn = endpoint.client("stepfunctions")
    deadline = time.monotonic() + seconds
    while (described := sfn.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline, f"{execution} still runs after {seconds} s"
        time.sleep(0.02)
    pages = sfn.get_paginator("get_execution_history").paginate(executionArn=execution)
    return Ended(described=described, history=[event for page in pages for event in page["events"]])


def run(endpoint: Endpoint, states: dict[str, Any], value: Any = None, **fields: Any) -> Ended:
    """Create a machine, run it once and return how that ended."""
    return ended(endpoint, start(endpoint, create(endpoint, states, **fields), value))


def wait_for(endpoint: Endpoint, execution: str, kind: str, seconds: float = 10) -> dict[str, Any]:
    """Wait until an event of this type is in the history, and return it."""
    sfn = endpoint.client("stepfunctions")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in sfn.get_execution_history(executionArn=execution)["events"]:
            if event["type"] == kind:
                return dict(event)
        time.sleep(0.02)
    raise AssertionError(f"no {kind} in {execution} within {seconds} s")


def outcome(endpoint: Endpoint, states: dict[str, Any], value: Any = None, **fields: Any) -> Any:
    """What comes of a machine, to compare two endpoints by: output, failure, or the API's error code."""
    try:
        end = run(endpoint, states, value, **fields)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except AssertionError:
        return "still runs"
    return end.output if end.status == "SUCCEEDED" else end.failure
