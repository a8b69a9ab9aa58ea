"""Functions for tests: a few lines of Python, deployed in a moment."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

from local.cloud import Cloud

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def packed(code: str, name: str = "app.py") -> bytes:
    """Return a zip with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, code)
    return buffer.getvalue()


ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def role(client: Callable[[str], Any], policy: dict[str, Any] = ANYTHING) -> str:
    """Make a role that may do what a policy says; return its ARN."""
    name, iam = f"role-{uuid.uuid4().hex[:8]}", client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    return str(made["Arn"])


class Function:
    """A deployed function.

    Args:
        cloud: where.
        code: of ``app.py``; its handler is ``handler``.
        settings: of CreateFunction.
    """

    def __init__(self, cloud: Cloud, code: str, **settings: Any) -> None:
        self.cloud, self.client = cloud, cloud.client("lambda")
        self.name = f"f-{uuid.uuid4().hex[:8]}"
        defaults = {"Runtime": "python3.12", "Handler": "app.handler", "Timeout": 10, "MemorySize": 256}
        self.arn = self.client.create_function(
            FunctionName=self.name,
            Code={"ZipFile": packed(code)},
            **{"Role": settings.get("Role") or role(cloud.client), **defaults, **settings},
        )["FunctionArn"]

    def invoke(self, event: Any = None, **options: Any) -> dict[str, Any]:
        """Invoke it; return the answer with the payload read: ``{"payload": ..., "error": ...}``."""
        payload = json.dumps({} if event is None else event)
        answer = self.client.invoke(**{"FunctionName": self.name, "Payload": payload, **options})
        body = answer["Payload"].read()
        answer["payload"] = json.loads(body) if body else None
        return answer

    def lines(self) -> list[str]:
        """Return its log, one string an event."""
        logs = self.cloud.client("logs")
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{self.name}")
            return [event["message"] for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    def printed(self) -> list[Any]:
        """Return the JSON that it printed, line by line."""
        return [json.loads(line) for line in self.lines() if line.startswith(("{", '["'))]


def eventually(look: Callable[[], Any], seconds: float = 15) -> Any:
    """Return what ``look`` returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.05)
    return found


def queue(cloud: Cloud) -> tuple[str, str]:
    """Make a queue; return its URL and ARN."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def received(cloud: Cloud, url: str) -> dict[str, Any]:
    """Return the next message of a queue, waiting for it."""

    def look() -> Any:
        options = {"MaxNumberOfMessages": 1, "MessageAttributeNames": ["All"]}
        return cloud.client("sqs").receive_message(QueueUrl=url, **options).get("Messages")

    message = eventually(look)[0]
    cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(message)
