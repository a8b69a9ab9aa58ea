"""Deploy through the CloudFormation API: what ``cdk deploy --all`` does, in a few seconds.

    python -m infra.apply [--no-wheels] [--context KEY=VALUE ...]

Speaks to whichever AWS endpoint boto3 finds (profile, environment). The account
must be bootstrapped.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from contract import names
from infra import app
from infra.publish import NotBootstrapped, Target, files, publish

SLOWEST_POLL = 5.0
DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS")
"""Statuses of a stack whose creation failed: it can only be deleted."""


class DeployFailed(Exception):
    """A stack that could not be deployed, with the reasons of the resources that failed."""


@dataclass(frozen=True, kw_only=True)
class StackTemplate:
    """One stack of an assembly."""

    name: str
    bucket: str
    key: str
    tags: Mapping[str, str]
    protected: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy; return the exit code."""
    options = app.parser("infra.apply", "Deploy Tandem's stacks.").parse_args(arguments)
    with ExitStack() as stack:
        # cdk.out is kept: it spares the next time the bundling of what did not change.
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if options.no_wheels else "cdk.out"
        try:
            apply(Path(folder), boto3.Session(), app.context(options))
        except (DeployFailed, NotBootstrapped, ClientError, BotoCoreError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


def apply(folder: Path, session: boto3.Session, context: Mapping[str, Any]) -> None:
    """Synthesise into ``folder``, publish the assets, create or update the stacks in order.

    Raises:
        DeployFailed: with the failed resources' reasons.
        NotBootstrapped: when there is no bucket for assets.
    """
    started = time.monotonic()
    # `cdk synth` and `make check` validate the templates; here CloudFormation itself does.
    app.build(outdir=str(folder), context=context, validate=False).synth()
    _say("synthesised", started)
    target, s3 = Target.of(session), session.client("s3")
    started = time.monotonic()
    uploaded = [publish(s3, file) for file in files(folder, target)]
    _say(f"published {sum(uploaded)} of {len(uploaded)} assets", started)
    cloudformation = session.client("cloudformation")
    for template in templates(folder, target):
        started = time.monotonic()
        done = deploy(cloudformation, template, _url(s3, template))
        _say(f"{template.name} {done}", started)


def templates(assembly: Path, target: Target) -> list[StackTemplate]:
    """Return the assembly's stacks in order of deployment."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    found = []
    for name in (name for name in names.STACKS if name in artifacts):  # the last can be left out
        properties = artifacts[name]["properties"]
        bucket, key = target.fill(properties["stackTemplateAssetObjectUrl"]).removeprefix("s3://").split("/", 1)
        tags, protected = properties.get("tags", {}), properties.get("terminationProtection", False)
        found.append(StackTemplate(name=name, bucket=bucket, key=key, tags=tags, protected=protected))
    return found


def deploy(cloudformation: Any, template: StackTemplate, url: str) -> str:
    """Create or update one stack and wait for it; return ``created``, ``updated`` or ``unchanged``.

    Raises:
        DeployFailed: with the failed resources' reasons.
    """
    status = _status(cloudformation, template.name)
    if status in DEAD:
        cloudformation.delete_stack(StackName=template.name)
        _settled(cloudformation, template.name)
        status = None
    create = status is None
    seen = set() if create else {event["EventId"] for event in _events(cloudformation, template.name)}
    arguments = {
        "StackName": template.name,
        "TemplateURL": url,
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in template.tags.items()],
    }
    try:
        (cloudformation.create_stack if create else cloudformation.update_stack)(**arguments)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            _protect(cloudformation, template)
            return "unchanged"
        raise DeployFailed(f"{template.name}: {error}") from error
    end = _settled(cloudformation, template.name)
    if end not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeployFailed(f"{template.name} is {end}:\n{_reasons(cloudformation, template.name, seen)}")
    _protect(cloudformation, template)
    return "created" if create else "updated"


def _protect(cloudformation: Any, template: StackTemplate) -> None:
    """Protect a stack that stands; one whose creation failed can only be deleted."""
    arguments = {"StackName": template.name, "EnableTerminationProtection": template.protected}
    cloudformation.update_termination_protection(**arguments)


def _status(cloudformation: Any, stack: str) -> str | None:
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        return None


def _settled(cloudformation: Any, stack: str) -> str | None:
    """Wait until nothing is in progress; return the status, None once the stack is deleted."""
    pause = 0.1
    while (status := _status(cloudformation, stack)) and status.endswith("IN_PROGRESS"):
        time.sleep(pause)
        pause = min(2 * pause, SLOWEST_POLL)
    return status


def _events(cloudformation: Any, stack: str) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    return [event for page in pages for event in page["StackEvents"]]


def _reasons(cloudformation: Any, stack: str, seen: set[str]) -> str:
    """Return what failed, first cause first; what was only cancelled because of it is left out."""
    lines = []
    for event in reversed(_events(cloudformation, stack)):
        reason = event.get("ResourceStatusReason", "no reason given")
        if event["EventId"] not in seen and event["ResourceStatus"].endswith("FAILED") and "cancelled" not in reason:
            lines.append(f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason}")
    return "\n".join(lines) or "  CloudFormation gave no reason"


def _url(s3: Any, template: StackTemplate) -> str:
    """Return the template's address at the region's own endpoint: an opt-in region knows no other."""
    return f"{s3.meta.endpoint_url.rstrip('/')}/{template.bucket}/{template.key}"


def _say(what: str, started: float) -> None:
    print(f"{what} in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
