"""However events arrive, and wherever the handler dies: one execution for each version of an object, none lost.

Ten thousand events meet a DynamoDB and a Step Functions in memory, from many
threads; sixty meet those and the laptop cloud's, which must both be left
the same; and two hundred real uploads go the whole way, by EventBridge and
Lambda.
"""

from __future__ import annotations

import collections
import io
import json
import random
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract import ledger, names
from functions import intake, shared, table
from local.chaos.faults import (
    AFTER_WRITE,
    ALWAYS,
    AT_END,
    BEFORE_WRITE,
    KilledFunction,
    LateEvent,
    RepeatedEvent,
)
from local.chaos.lab import LAB
from tests.functions.conftest import Killed, World
from tests.local.functions import role

HOSTILE = (
    "plain.csv", "a b.csv", "a+b.csv", "a%20b.csv", "A B.csv", "100%.csv", "it's \"quoted\".csv", "données 📈.csv",
    "donne\u0301es 📈.csv", "line\nbreak\ttab.csv", "back\\slash.csv", "{% $states.input %}", "${jndi:x}.csv", "..",
    "@v1", "inbox", "#1?x=y&z.csv", "<script>.csv", "\u202etxt.csv", "\x7f\x01.csv", "null",
    "'; DROP TABLE runs;--.csv", "batch/manifest.json", "batch 2/manifest.json", "x" * 900,
)  # fmt: skip
TENANTS = [ledger.tenant_key(tenant) for tenant in ("acme", "beta")]
WRITES = ("put_item", "update_item", "start_execution")


@dataclass(frozen=True)
class Version:
    """One version of an object, as its event tells of it."""

    key: str
    id: str


def versions(count: int, source: random.Random) -> list[Version]:
    """Return different versions of hostile keys of some tenants and projects: many of the same key."""
    folders = [f"{tenant}/{project}" for tenant in ("acme", "beta") for project in ("digits", "digits-2", "d")]
    found: dict[Version, None] = {}
    while len(found) < count:
        key = f"{source.choice(folders)}/inbox/{source.choice(HOSTILE)}"
        found[Version(key, f"v{source.randrange(count)}")] = None
    return list(found)


def arrivals(unique: list[Version], count: int, source: random.Random) -> list[Version]:
    """Return the versions' events and duplicates of some of them, ``count`` in all, shuffled."""
    events = [*unique, *source.choices(unique, k=count - len(unique))]
    source.shuffle(events)
    return events


def _pair(key: dict[str, str]) -> tuple[str, str]:
    return key["pk"], key["sk"]


@dataclass
class InMemory:
    """DynamoDB's and Step Functions' operations that intake calls, with what AWS promises of each: it is atomic."""

    rows: dict[tuple[str, str], dict[str, Any]] = field(
        default_factory=lambda: {(k["pk"], k["sk"]): k for k in TENANTS}
    )
    executions: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    lock: Any = field(default_factory=threading.Lock)

    def put_item(self, *, Item: dict[str, Any], ConditionExpression: str, TableName: str) -> None:
        assert ConditionExpression == "attribute_not_exists(pk)"
        with self.lock:
            self._expect(_key(Item) not in self.rows)
            self.rows[_key(Item)] = table._plain(Item)

    def get_item(self, *, Key: dict[str, Any], ConsistentRead: bool, TableName: str) -> dict[str, Any]:
        assert ConsistentRead
        with self.lock:
            return {"Item": table._typed(self.rows[_key(Key)])} if _key(Key) in self.rows else {}

    def update_item(
        self,
        *,
        Key: dict[str, Any],
        UpdateExpression: str,
        ConditionExpression: str,
        ExpressionAttributeNames: dict[str, str],
        ExpressionAttributeValues: dict[str, Any],
        TableName: str,
    ) -> None:
        assert ConditionExpression.startswith("attribute_exists(")
        values = table._plain(ExpressionAttributeValues)
        assigned = dict(part.split(" = ") for part in UpdateExpression.removeprefix("SET ").split(", "))
        with self.lock:
            self._expect(_key(Key) in self.rows)
            self.rows[_key(Key)] |= {ExpressionAttributeNames[name]: values[value] for name, value in assigned.items()}

    def _expect(self, holds: bool) -> None:
        if not holds:
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "Write")

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, str]:
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        with self.lock:
            known = self.executions.setdefault(arn, input)
            if arn in self.ended or known != input:
                raise ClientError({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")
            if zlib.crc32(arn.encode()) % 2:  # every second one has ended when its name is used again
                self.ended.add(arn)
        return {"executionArn": arn}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:
        with self.lock:
            return {"input": self.executions[executionArn]}


def _key(typed: dict[str, Any]) -> tuple[str, str]:
    return typed["pk"]["S"], typed["sk"]["S"]


@dataclass
class Deadly:
    """A client whose caller dies, now and then, before a write or after it."""

    client: Any
    source: random.Random

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        return call if name not in WRITES else lambda **given: self._call(call, given)

    def _call(self, call: Any, given: dict[str, Any]) -> Any:
        fate = self.source.random()
        if fate < 0.1:
            raise Killed("before")
        answer = call(**given)
        if fate > 0.9:
            raise Killed("after")
        return answer


def deliver(events: list[Version], *, threads: int) -> None:
    """Deliver events, each again and again until the handler has lived through it."""
    deaths = collections.Counter[str]()

    def handle(version: Version) -> None:
        detail = {"bucket": {"name": "data-bucket"}, "object": {"key": version.key, "version-id": version.id}}
        while True:
            try:
                intake.handler({"detail": detail}, None)
                return
            except Killed as death:
                deaths[str(death)] += 1

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(handle, events))
    assert min(deaths["before"], deaths["after"]) > len(events) / 50


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No log line a delivery, and threads that take turns often."""
    monkeypatch.setattr(shared.logger, "info", lambda *_, **__: None)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def surround(monkeypatch: pytest.MonkeyPatch, source: random.Random, clients: Any) -> None:
    """Have the handler meet these clients, and death."""
    for module in (intake, table):
        monkeypatch.setattr(module, "client", lambda service: Deadly(clients(service), source))


def started(executions: dict[str, str]) -> list[Version]:
    """Return the versions that executions were started for, by their inputs."""
    inputs = [json.loads(text) for text in executions.values()]
    for given in inputs:
        assert given["upload"].startswith(f"s3://data-bucket/{given['tenant']}/{given['project']}/inbox/")
    return [Version(given["upload"].removeprefix("s3://data-bucket/"), given["version_id"]) for given in inputs]


def in_order(found: list[Version]) -> list[Version]:
    return sorted(found, key=lambda version: (version.key, version.id))


@pytest.mark.parametrize("digest", [10, 2], ids=["as it is", "names that collide"])
@pytest.mark.usefixtures("world", "quiet")
def test_ten_thousand_events_are_one_execution_for_each_version(monkeypatch: pytest.MonkeyPatch, digest: int) -> None:
    source, aws, whole = random.Random(7), InMemory(), names._digest
    monkeypatch.setattr(names, "_digest", lambda text, length: whole(text, digest))
    surround(monkeypatch, source, lambda service: aws)
    count = 10_000 if digest == 10 else 300
    unique = versions(count * 7 // 10, source)
    events = arrivals(unique, count, source)
    assert (len(events), len(set(events))) == (count, count * 7 // 10)
    deliver(events, threads=8)
    assert in_order(started(aws.executions)) == in_order(unique)
    for version in unique:
        key = ledger.upload_key("data-bucket", version.key, version.id)
        row = aws.rows[key["pk"], key["sk"]]
        assert started({"": aws.executions[row["execution_arn"]]}) == [version]
        assert row["execution_arn"].endswith(f":{row['run']}")
    assert len(aws.rows) == len(unique) + len(TENANTS)


def test_the_laptop_cloud_is_left_as_the_double_in_memory_is(
    world: World, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    unique = versions(40, random.Random(5))
    events = arrivals(unique, 60, random.Random(6))
    aws = InMemory()
    surround(monkeypatch, random.Random(8), lambda service: aws)
    deliver(events, threads=1)
    for tenant in TENANTS:
        item = {name: {"S": value} for name, value in tenant.items()}
        world.client("dynamodb").put_item(TableName=world.table, Item=item)
    surround(monkeypatch, random.Random(8), shared.client)
    deliver(events, threads=1)
    described = [world.client("stepfunctions").describe_execution(executionArn=arn) for arn in aws.executions]
    assert {each["executionArn"]: each["input"] for each in described} == aws.executions
    assert len(world.client("stepfunctions").list_executions(stateMachineArn=world.machine)["executions"]) == 40
    for pk, sk in aws.rows.keys() - {_pair(tenant) for tenant in TENANTS}:
        assert world.row({"pk": pk, "sk": sk}).keys() == aws.rows[pk, sk].keys()
        for name in ("run", "execution_arn"):
            assert world.row({"pk": pk, "sk": sk})[name] == aws.rows[pk, sk][name]


def code() -> bytes:
    """Return the deployed archive of the handlers."""
    packed, root = io.BytesIO(), Path(intake.__file__).parents[1]
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (*root.glob("functions/**/*"), *root.glob("contract/**/*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(root))
    return packed.getvalue()


@pytest.fixture
def deployed(world: World) -> str:
    """Deploy intake, which hears of every object in the data bucket; return the function's name."""
    functions, bus = world.client("lambda"), world.client("events")
    made = functions.create_function(
        FunctionName=f"intake-{world.tenant}",
        Runtime="python3.12",
        Handler="functions.intake.handler",
        Code={"ZipFile": code()},
        Role=role(world.client),
        Timeout=60,
        MemorySize=512,
        Environment={"Variables": {names.LEDGER_TABLE: world.table, names.PIPELINE_ARN: world.machine}},
    )
    functions.put_function_concurrency(FunctionName=made["FunctionName"], ReservedConcurrentExecutions=3)
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [world.data]}}}
    bus.put_rule(Name=made["FunctionName"], EventPattern=json.dumps(pattern))
    bus.put_targets(Rule=made["FunctionName"], Targets=[{"Id": "intake", "Arn": made["FunctionArn"]}])
    world.client("s3").put_bucket_notification_configuration(
        Bucket=world.data, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return str(made["FunctionName"])


def test_hundreds_of_uploads_are_delivered_twice_late_and_to_functions_that_die(world: World, deployed: str) -> None:
    source = random.Random(9)
    fates = ["twice"] * 60 + ["late"] * 30 + ["killed-0", "killed-1", "killed-2"] + ["plain"] * 107
    source.shuffle(fates)
    hostile = [key for key in HOSTILE if "/" not in key and key.isprintable() and len(key) < 100]
    uploads = [f"{world.tenant}/digits/inbox/{fate} {n // 2} {source.choice(hostile)}" for n, fate in enumerate(fates)]
    moments = (BEFORE_WRITE, AFTER_WRITE, AT_END)
    killed = [
        KilledFunction(function="functions.intake.handler", payload=f"*killed-{number} *", moment=moment)
        for number, moment in enumerate(moments)
    ]
    events = [
        RepeatedEvent(detail=f"*{world.tenant}*inbox/twice *", copies=1, times=ALWAYS),
        LateEvent(detail=f"*{world.tenant}*inbox/late *", times=ALWAYS),
    ]
    with LAB.inject(*events, *killed) as faults:
        arrived = [Version(key, world.put(key, b"x")) for key in uploads]
        world.eventually(lambda: len(upload_rows(world)) == len(arrived) and all(upload_rows(world)), 240)
        assert [len(fault.strikes) for fault in faults] == [60, 30, 1, 1, 1]
    runs = {names.run_for_upload("digits", world.data, version.key, version.id) for version in arrived}
    assert len(runs) == len(arrived) == 200
    pages = world.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=world.machine)
    assert collections.Counter(each["name"] for page in pages for each in page["executions"]) == dict.fromkeys(runs, 1)


def upload_rows(world: World) -> list[bool]:
    """Return of each upload's row whether it knows its execution."""
    pages = world.client("dynamodb").get_paginator("scan").paginate(TableName=world.table)
    return ["execution_arn" in row for page in pages for row in page["Items"] if row["sk"]["S"] == ledger.UPLOAD]
