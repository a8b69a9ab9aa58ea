"""Brings an execution that failed in an account to the laptop cloud: its history, its data, its run's row."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from cli.aws import Account
from cli.errors import BadArgument, CommandError, NotFound
from contract import histories, keys, ledger, names
from contract.run import RUNNING

ARN = re.compile(
    r"arn:[a-z-]+:states:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):execution:(?P<machine>[^:]+):(?P<name>.+)"
)
OUTPUTS = ("OutputDataConfig", "CheckpointConfig", "ProcessingOutputConfig")
"""Arguments of jobs that name where something will be, not what must be there."""
Client = Callable[[str], Any]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """An execution of some account, by its ARN."""

    arn: str
    region: str
    account: str
    machine: str
    name: str

    @classmethod
    def of(cls, arn: str) -> Execution:
        """Read an ARN.

        Raises:
            BadArgument: when it is none of an execution.
        """
        match = ARN.fullmatch(arn)
        if not match:
            form = "arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME"
            raise BadArgument(f"{arn!r} is not the ARN of an execution.", f"One looks like {form}.")
        return cls(arn=arn, **match.groupdict())


def laptop_only(account: Account) -> None:
    """Refuse any other place than a laptop cloud: what is replayed must cost nothing.

    Raises:
        BadArgument: with how to start one.
    """
    host = urlsplit(account.endpoint_url or "").hostname
    if host not in ("localhost", "127.0.0.1"):
        raise BadArgument(
            "replay goes on in the laptop cloud, and none is chosen.",
            "Start one with `tandem up` and run the lines it prints.",
        )


def source(execution: Execution, profile: str | None, endpoint_url: str | None) -> Client:
    """Return what makes the clients of the account that the execution ran in: AWS's, whatever the shell has chosen."""
    session: Any = boto3.Session(profile_name=profile, region_name=execution.region)
    chosen: dict[str, Any] = {
        "ignore_configured_endpoint_urls": endpoint_url is None
    }  # botocore's stubs do not know it
    config = Config(**chosen)
    return lambda service: session.client(service, endpoint_url=endpoint_url, config=config)


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file that ``aws stepfunctions get-execution-history`` printed.

    Raises:
        BadArgument: when it is none.
    """
    try:
        document = json.loads(path.read_text())
        return list(document["events"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        printed = "aws stepfunctions get-execution-history --execution-arn ARN > FILE"
        raise BadArgument(f"--history: {path} is no history: {error}", f"It is what this prints: {printed}") from error


def fetch_history(client: Client, execution: Execution) -> list[dict[str, Any]]:
    """Return the events of an execution, as JSON has them."""
    pages = client("stepfunctions").get_paginator("get_execution_history")
    events = [event for page in pages.paginate(executionArn=execution.arn) for event in page["events"]]
    return list(json.loads(json.dumps(events, default=lambda moment: moment.isoformat())))


@dataclass(frozen=True, kw_only=True)
class Move:
    """A history that speaks of this laptop cloud's places instead of its account's.

    Args:
        events: the history.
        buckets: the account's buckets, and those here.
    """

    events: list[dict[str, Any]]
    buckets: Mapping[str, str]


def move(account: Account, execution: Execution, events: list[dict[str, Any]]) -> Move:
    """Translate account, region and buckets, wherever the history names them."""
    stopped = histories.read(events)
    here, text = account.installation, json.dumps(events)
    prefix = run_prefix(stopped, execution)
    buckets = dict.fromkeys(re.findall(r"s3://([a-z0-9.-]+)/", str(_uploads(stopped))), here.data_bucket)
    for bucket in re.findall(rf"s3://([a-z0-9.-]+)/{re.escape(prefix)}", text) if prefix else ():
        buckets[bucket] = here.artifacts_bucket
    for theirs, ours in buckets.items():
        text = re.sub(rf"(?<![a-z0-9.-]){re.escape(theirs)}(?![a-z0-9.-])", ours, text)
    _, _, _, region, number, *_ = here.pipeline_arn.split(":")
    text = text.replace(f":{execution.region}:{execution.account}:", f":{region}:{number}:")
    return Move(events=json.loads(text), buckets=buckets)


def _uploads(stopped: histories.Stopped) -> Any:
    given = stopped.execution_input
    return given.get("upload") if isinstance(given, dict) else None


def run_prefix(stopped: histories.Stopped, execution: Execution) -> str:
    """Return the prefix of what the execution's run wrote; empty where its input names no project."""
    given = stopped.execution_input
    if not isinstance(given, dict) or not given.get("tenant") or not given.get("project"):
        return ""
    return keys.run_prefix(given["tenant"], given["project"], names.run_for_execution(execution.name))


def fetch_data(client: Client, account: Account, moved: Move, prefix: str) -> Iterator[str]:
    """Copy what the run wrote into the artifacts bucket here; yield the keys."""
    ours = account.installation.artifacts_bucket
    there, here = client("s3"), account.client("s3")
    for bucket in [theirs for theirs, mapped in moved.buckets.items() if mapped == ours]:
        for page in there.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                if item["Key"] == prefix + keys.FORGOTTEN:
                    told = json.load(there.get_object(Bucket=bucket, Key=item["Key"])["Body"])
                    raise CommandError(f"Its rows were forgotten by erasure {told['erasure']}: it cannot be replayed.")
                here.upload_fileobj(there.get_object(Bucket=bucket, Key=item["Key"])["Body"], ours, item["Key"])
                yield item["Key"]


def missing(account: Account, moved: Move) -> list[str]:
    """Return the addresses that the state that failed reads, in our buckets, where nothing is."""
    s3, found = account.client("s3"), []
    for address in dict.fromkeys(_addresses(_asked(moved.events))):
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if bucket not in moved.buckets.values():
            continue  # code and images are the deployed definition's own
        if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents"):
            found.append(address)
    return found


def _asked(events: list[dict[str, Any]]) -> Any:
    """Return what the state that failed asked for, last."""
    asked = [histories.details_of(event) for event in events if event["type"] == "TaskScheduled"]
    entered = [place for place, event in enumerate(events) if event["type"].endswith("StateEntered")]
    scheduled = [place for place, event in enumerate(events) if event["type"] == "TaskScheduled"]
    if not asked or scheduled[-1] < entered[-1]:
        return {}
    return json.loads(asked[-1].get("parameters", "{}"))


def _addresses(asked: Any) -> Iterator[str]:
    if isinstance(asked, str) and asked.startswith("s3://"):
        yield asked
    children = asked.items() if isinstance(asked, dict) else enumerate(asked) if isinstance(asked, list) else ()
    for name, value in children:
        if name not in OUTPUTS:
            yield from _addresses(value)


def bring(account: Account, execution: Execution, moved: Move) -> str:
    """Have the laptop cloud take the execution over; return its ARN there.

    Raises:
        NotFound: when it has no such machine or state, or the execution runs there.
    """
    pipeline = account.installation.pipeline_arn
    machine = f"{pipeline.rpartition(':')[0]}:{execution.machine}"
    body = json.dumps({"stateMachineArn": machine, "name": execution.name, "events": moved.events}).encode()
    address = f"{str(account.endpoint_url).rstrip('/')}{histories.IMPORT_PATH}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(urllib.request.Request(address, data=body, method="POST")) as answer:
            return str(json.load(answer)["executionArn"])
    except urllib.error.HTTPError as error:
        raise NotFound(f"The laptop cloud does not take it: {json.load(error)['message']}") from error
    except urllib.error.URLError as error:
        raise CommandError(f"The laptop cloud does not answer: {error}") from error


def note_run(account: Account, execution: Execution, arn: str, stopped: histories.Stopped, redrive: int) -> str:
    """Make the run's row, as it is while a resumed run goes on; return the run's id."""
    run, given = names.run_for_execution(execution.name), stopped.execution_input
    values = {"started": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    if isinstance(given, dict) and given.get("tenant") and given.get("project"):
        values["project"] = f"{given['tenant']}/{given['project']}"
    row = {"run": run, "status": RUNNING, "execution_arn": arn, "resumes": redrive, **values}
    account.table().put_item(Item={**ledger.run_key(run), **row})
    return run
