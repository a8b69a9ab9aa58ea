"""The AWS session, and what is deployed in the account.

Nothing here asks whether the endpoint is AWS or a laptop.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.errors import BadArgument, NotDeployed
from contract import names, quotas

LONGEST_ANSWER = quotas.LONGEST_SECONDS + 10
"""Seconds: of a function that reads quotas. Who gives up earlier asks again, and has it work twice."""
CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=LONGEST_ANSWER,
    user_agent_extra="tandem-cli",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What the stacks of one account and region made."""

    data_bucket: str
    artifacts_bucket: str
    ledger_table: str
    pipeline_arn: str
    deployment_arn: str
    topic_arn: str
    api_url: str = ""  # where the public API is left out


OUTPUTS = {
    "data_bucket": names.OUTPUT_DATA_BUCKET,
    "artifacts_bucket": names.OUTPUT_ARTIFACTS_BUCKET,
    "ledger_table": names.OUTPUT_LEDGER_TABLE,
    "pipeline_arn": names.OUTPUT_PIPELINE_ARN,
    "deployment_arn": names.OUTPUT_DEPLOYMENT_ARN,
    "topic_arn": names.OUTPUT_TOPIC_ARN,
}


class Account:
    """An account and region, as the options and the environment choose them."""

    def __init__(
        self, *, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        self.endpoint_url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
        if self.endpoint_url and not re.fullmatch(r"https?://[^/]+/?", self.endpoint_url):
            raise BadArgument(
                f"--endpoint-url: {self.endpoint_url!r} is not an endpoint.", "One looks like http://localhost:4566."
            )
        self._session: Any = boto3.Session(profile_name=profile, region_name=region)
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str | None:
        """The region, if one is chosen."""
        return self._session.region_name

    def client(self, service: str) -> Any:
        """Return the client of a service; the same one each time."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service, endpoint_url=self.endpoint_url, config=CONFIG)
        return self._clients[service]

    def table(self, name: str | None = None) -> Any:
        """Return the ledger, or a table like it, as DynamoDB's table resource, whose items are plain Python values."""
        resource = self._session.resource("dynamodb", endpoint_url=self.endpoint_url, config=CONFIG)
        return resource.Table(name or self.installation.ledger_table)

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of our stacks, as far as they are deployed."""
        stacks = self.stacks().values()
        return {item["OutputKey"]: item["OutputValue"] for stack in stacks for item in stack.get("Outputs", [])}

    @functools.cached_property
    def installation(self) -> Installation:
        """What is deployed.

        Raises:
            NotDeployed: when a stack or one of its outputs is missing.
        """
        missing = [key for key in OUTPUTS.values() if key not in self.outputs]
        if missing:
            where = self.endpoint_url or f"this account, region {self.region}"
            some = f": no stack there has the output {', '.join(missing)}" if len(missing) < len(OUTPUTS) else ""
            raise NotDeployed(
                f"Tandem is not deployed in {where}{some}.",
                "Deploy it with `tandem deploy`, or choose another account with --profile, --region or --endpoint-url.",
            )
        api = self.outputs.get(names.OUTPUT_API_URL, "")
        return Installation(**{field: self.outputs[key] for field, key in OUTPUTS.items()}, api_url=api)

    def stacks(self) -> dict[str, dict[str, Any]]:
        """Return those of our stacks that exist, by name, in order of deployment."""
        found = {name: self._stack(name) for name in names.STACKS}
        return {name: stack for name, stack in found.items() if stack}

    def stack_status(self, name: str) -> str | None:
        """Return the status of a stack; None when there is none."""
        stack = self._stack(name)
        return str(stack["StackStatus"]) if stack else None

    def _stack(self, name: str) -> dict[str, Any] | None:
        try:
            stack: dict[str, Any] = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        return stack if stack["StackStatus"] != "DELETE_COMPLETE" else None

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the items under ``key`` of every page of a listing."""
        for page in self.client(service).get_paginator(operation).paginate(**arguments):
            yield from page.get(key, [])

    def rows(self, operation: str, *, table: str | None = None, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of every page of a ``query`` or ``scan`` of the ledger, or of a table like it."""
        asked = self.table(table)
        for page in asked.meta.client.get_paginator(operation).paginate(TableName=asked.name, **arguments):
            yield from page["Items"]


def split_project(value: str) -> tuple[str, str]:
    """Split ``TENANT/PROJECT``.

    Raises:
        BadArgument: when it is not of that form.
        InvalidConfig: when a part cannot be a name.
    """
    tenant, slash, project = value.partition("/")
    if not slash or "/" in project:
        raise BadArgument(f"{value!r} is not a project.", "A project is written TENANT/PROJECT, such as acme/digits.")
    return names.check_name("tenant", tenant), names.check_name("project", project)


def error_code(error: ClientError) -> str:
    """Return the code of an AWS error, such as ``ExecutionDoesNotExist``."""
    return str(error.response["Error"].get("Code", ""))
