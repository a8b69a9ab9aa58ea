"""Forgetting: nothing of the person is left in any version of any object, and everything of others is."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import erasing_rows, forgetting, replaying, reproduction, versions
from cli.aws import Account, Installation
from cli.erasure import Scope
from cli.errors import CommandError, Exit
from cli.people import People
from contract import batch, keys, ledger, names
from contract.run import RUNNING
from contract.values import HASH_DIGITS
from local.cloud import Cloud
from tests.cli.conftest import Answer

Tandem = Callable[..., Answer]
SALT = b"s" * 32
ADA, BOB = "ada@example.org", "bob@example.org"
HASHED = hmac.new(SALT, ADA.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def table(*people: str) -> bytes:
    rows = "".join(f"{email},{30 + len(email)},yes\n" for email in people)
    return f"email,age,bought\n{rows}".encode()


class Shop:
    """A project of its own in buckets and a ledger of its own, as its runs left it."""

    def __init__(self, cloud: Cloud) -> None:
        unique = uuid.uuid4().hex[:8]
        self.cloud, self.s3, self.project = cloud, cloud.client("s3"), f"p{unique}"
        self.folder = f"acme/{self.project}/"
        self.data, self.artifacts, self.table = f"data-{unique}", f"artifacts-{unique}", f"ledger-{unique}"
        for bucket in (self.data, self.artifacts):
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        texts = ("pk", "sk", "project", "started")
        cloud.client("dynamodb").create_table(
            TableName=self.table, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in texts],
            GlobalSecondaryIndexes=[{
                "IndexName": ledger.BY_PROJECT, "Projection": {"ProjectionType": "ALL"},
                "KeySchema": [{"AttributeName": "project", "KeyType": "HASH"},
                              {"AttributeName": "started", "KeyType": "RANGE"}],
            }],
        )  # fmt: skip
        self.put(self.data, keys.salt("acme"), SALT)
        waits = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}, "QueryLanguage": "JSONata"}
        self.machine = cloud.client("stepfunctions").create_state_machine(
            name=f"pipeline-{unique}", definition=json.dumps(waits), roleArn="arn:aws:iam::123456789012:role/machine"
        )["stateMachineArn"]

    @property
    def installation(self) -> Installation:
        nothing = dict.fromkeys(("deployment_arn", "topic_arn"), "")
        return Installation(
            data_bucket=self.data, artifacts_bucket=self.artifacts, ledger_table=self.table,
            pipeline_arn=self.machine, **nothing,
        )  # fmt: skip

    def put(self, bucket: str, key: str, body: bytes) -> str:
        return str(self.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])

    def upload(self, name: str, body: bytes) -> tuple[str, str]:
        key = keys.inbox("acme", self.project) + name
        return key, self.put(self.data, key, body)

    def run(self, name: str, key: str, version: str, body: bytes, *, replays: str = "", status: str = "KEPT") -> str:
        """Leave what a run of an upload leaves; return its prefix."""
        run = f"{self.project}-{name}"
        prefix = keys.run_prefix("acme", self.project, run)
        files = [{"name": "rows.csv", "key": key, "version_id": version, "bytes": len(body)}]
        if replays:
            files.append({"name": "_replay.csv", "key": replays, "version_id": "v", "bytes": 1})
            self.put(self.artifacts, f"{prefix}upload/_replay.csv", table(BOB))
        request = {"privacy": {"generalise": {"age": 10}}}
        sample = {"name": "row 1", "content_type": "application/json", "outputs": {"yes": 1.0}}
        samples = [
            {**sample, "body": json.dumps({"instances": [each]})}
            for each in ({"email": HASHED if ADA.encode() in body else "e" * 32, "age": 40}, {"email": "f" * 32})
        ]
        documents = {
            keys.UPLOAD_FILES: files, keys.REQUEST: request,
            keys.RUN_DOCUMENT: {"run": run, "evaluation": {"pairs": [[1.0, 2.0]]}},
            keys.GOLDEN: {"run": run, "tolerance": 0.1, "samples": samples},
        }  # fmt: skip
        for path, document in documents.items():
            self.put(self.artifacts, prefix + path, json.dumps(document).encode())
        self.put(self.artifacts, f"{prefix}upload/rows.csv", body)
        for path in ("dataset/train/0.npz", "quarantine/rows.jsonl", "replay/_replay.csv", "train/job/model.tar.gz"):
            self.put(self.artifacts, prefix + path, b"rows of " + body)
        self.put(self.artifacts, prefix + keys.MODEL, b"a model")
        self.put(self.artifacts, prefix + keys.REPORT, b"a page")
        row = {
            **ledger.run_key(run), "project": f"acme/{self.project}", "started": f"2026-11-2{name[-1]}", "run": run,
            "status": status, "upload": f"s3://{self.data}/{key}", "version_id": version,
        }  # fmt: skip
        item = {field: {"S": value} for field, value in row.items()}
        self.cloud.client("dynamodb").put_item(TableName=self.table, Item=item)
        return prefix

    def everything(self) -> dict[str, bytes]:
        """Return every version of every object, by bucket, key and version."""
        found = {}
        for bucket in (self.data, self.artifacts):
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                for each in page.get("Versions", ()):
                    asked = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
                    found[f"{bucket}/{each['Key']}@{each['VersionId']}"] = self.s3.get_object(**asked)["Body"].read()
        return found

    def row(self, key: dict[str, str]) -> dict[str, Any]:
        typed = {name: {"S": value} for name, value in key.items()}
        item = self.cloud.client("dynamodb").get_item(TableName=self.table, Key=typed).get("Item", {})
        return {name: next(iter(value.values())) for name, value in item.items()}

    def erasures(self) -> list[dict[str, Any]]:
        pk = {":pk": {"S": ledger.project_pk("acme", self.project)}, ":sk": {"S": f"{ledger.ERASURE}#"}}
        asked = {"KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)", "ExpressionAttributeValues": pk}
        return list(self.cloud.client("dynamodb").query(TableName=self.table, **asked)["Items"])


@pytest.fixture
def shop(cloud: Cloud, tandem: Tandem, account: Account, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(cloud)
    monkeypatch.setattr(Account, "installation", made.installation)
    return made


def forget(tandem: Tandem, shop: Shop, *arguments: str) -> Answer:
    return tandem("forget", f"acme/{shop.project}", *arguments)


def captured(*bodies: str) -> bytes:
    lines = [
        {"captureData": {"endpointInput": {"data": body, "encoding": "JSON"}, "endpointOutput": {"data": "{}"}}}
        for body in bodies
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def furnish(shop: Shop) -> tuple[str, str]:
    """Leave rows of ADA and BOB wherever a project can have some; return the prefixes of both runs."""
    first, second = shop.upload("rows.csv", table(BOB)), shop.upload("rows.csv", table(ADA, BOB))
    theirs, mine = shop.run("r1", *first, table(BOB)), shop.run("r2", *second, table(ADA, BOB))
    shop.upload("week/part.csv", table(ADA))
    shop.upload("week/part.csv", table(BOB, ADA))
    shop.upload("pictures.zip", b"PK")
    shop.put(shop.data, f"{shop.folder}feedback/late.csv", table(ADA, BOB))
    asked = [json.dumps({"instances": [{"email": email, "age": 40}]}) for email in (ADA, HASHED, BOB)]
    shop.put(shop.artifacts, f"{shop.folder}capture/v/1.jsonl", captured(*asked))
    for file, body in (("in.csv", table(ADA)), ("other.csv", table(BOB))):
        shop.put(shop.data, f"{shop.folder}batch/{file}", body)
        shop.put(shop.artifacts, f"{shop.folder}batch/{file}/1/input/{file}", body)
        shop.put(shop.artifacts, f"{shop.folder}batch/{file}/1/answers/{file}.out", b"an answer to " + body)
    for number, text in (("n-1", asked[0]), ("n-2", asked[2])):
        answer = f"{shop.folder}async/answers/{number}.out"
        shop.put(shop.artifacts, f"{shop.folder}async/requests/{number}", text.encode())
        shop.put(shop.artifacts, answer, b"an answer to " + text.encode())
        uris = {"answer": f"s3://{shop.artifacts}/{answer}", "failure": f"s3://{shop.artifacts}/none"}
        row = {**ledger.prediction_key("acme", shop.project, number), **uris}
        shop.cloud.client("dynamodb").put_item(
            TableName=shop.table, Item={name: {"S": value} for name, value in row.items()}
        )
    return theirs, mine


def test_a_persons_rows_are_gone_from_every_version_and_others_are_not(tandem: Tandem, shop: Shop) -> None:
    theirs, mine = furnish(shop)
    before = shop.everything()
    plan = forget(tandem, shop, "--where", f"email={ADA}", "--json")
    assert plan.code == Exit.GOOD, plan.stderr
    assert plan.document["erased"] is None
    assert shop.everything() == before
    done = forget(tandem, shop, "--where", f"email={ADA}", "--yes", "--json")
    assert done.code == Exit.GOOD, done.stderr
    assert done.document["counts"] == plan.document["counts"]
    assert any("pictures.zip" in each for each in done.document["unsearched"])
    left = shop.everything()
    assert [place for place, body in left.items() if ADA.encode() in body or HASHED.encode() in body] == []
    moved = next(body for place, body in left.items() if "/inbox/p" in place)
    assert list(csv.reader(io.StringIO(moved.decode()))) == list(csv.reader(io.StringIO(table(BOB).decode())))
    kept = {place.rpartition("@")[0].partition("/")[2]: body for place, body in left.items()}
    assert BOB.encode() in kept[f"{shop.folder}inbox/week/part.csv"]
    assert BOB.encode() in kept[f"{shop.folder}feedback/late.csv"]
    assert kept[f"{shop.folder}capture/v/1.jsonl"].count(b"\n") == 1
    assert f"{shop.folder}async/answers/n-2.out" in kept
    assert f"{shop.folder}async/answers/n-1.out" not in kept
    assert {f"{shop.folder}batch/other.csv", f"{shop.folder}batch/other.csv/1/answers/other.csv.out"} <= kept.keys()
    assert not any(key.startswith(f"{shop.folder}batch/in.csv") for key in kept)
    assert {key.removeprefix(mine) for key in kept if key.startswith(mine)} == {
        keys.UPLOAD_FILES, keys.REQUEST, keys.RUN_DOCUMENT, keys.MODEL, keys.GOLDEN, keys.FORGOTTEN,
    }  # fmt: skip
    assert len(json.loads(kept[mine + keys.GOLDEN])["samples"]) == 1
    assert [each for each in before if theirs in each] == [each for each in left if theirs in each]


def test_the_ledger_and_the_audit_trail_tell_that_it_was_done_and_not_whose_it_was(tandem: Tandem, shop: Shop) -> None:
    furnish(shop)
    sqs, events = shop.cloud.client("sqs"), shop.cloud.client("events")
    url = sqs.create_queue(QueueName=f"audit-{shop.project}")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=shop.project, EventPattern=json.dumps({"detail-type": [names.EVENT_DATA_FORGOTTEN]}))
    events.put_targets(Rule=shop.project, Targets=[{"Id": "audit", "Arn": queue}])
    done = forget(tandem, shop, "--where", f"email={ADA}", "--yes", "--retrain", "--json").document
    (row,) = shop.erasures()
    assert row["by"]["S"].startswith("arn:aws:")
    assert row["ended"]["S"] >= row["started"]["S"]
    assert row["id"]["S"] == done["erased"]
    assert row["runs"]["L"] == [{"S": f"{shop.project}-r2"}]
    assert ADA not in json.dumps(row)
    (told,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    detail = json.loads(told["Body"])["detail"]
    assert (detail["project"], detail["said_by"]) == (shop.project, row["by"]["S"])
    assert done["erased"] in detail["what"]
    assert ADA not in told["Body"]
    assert shop.row(ledger.run_key(f"{shop.project}-r2"))["forgotten"] == done["erased"]
    states = shop.cloud.client("stepfunctions")
    (run,) = states.list_executions(stateMachineArn=shop.machine)["executions"]
    assert run["name"] == done["retrained"]
    asked = json.loads(states.describe_execution(executionArn=run["executionArn"])["input"])
    left = shop.s3.get_object(Bucket=shop.data, Key=asked["upload"].removeprefix(f"s3://{shop.data}/"))["Body"].read()
    assert left.split() == table(BOB).split()
    again = forget(tandem, shop, "--where", f"email={ADA}", "--yes")
    assert "Nothing of that is left" in again.stdout
    assert len(shop.erasures()) == 1


def test_what_was_cut_off_goes_on(tandem: Tandem, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(shop)
    monkeypatch.setattr(versions, "BATCH", 1)
    calls = [0]
    real = versions.delete

    def die(account: Account, found: Any) -> int:
        calls[0] += 1
        if calls[0] == 1:
            real(account, list(found)[:5])
            raise KeyboardInterrupt
        return real(account, found)

    monkeypatch.setattr(versions, "delete", die)
    assert forget(tandem, shop, "--where", f"email={ADA}", "--yes").code == Exit.INTERRUPTED
    assert "ended" not in shop.erasures()[0]
    assert forget(tandem, shop, "--where", f"email={ADA}", "--yes").code == Exit.GOOD
    (row,) = shop.erasures()
    assert row["ended"]["S"]
    left = shop.everything()
    assert [place for place, body in left.items() if ADA.encode() in body or HASHED.encode() in body] == []


def test_an_upload_goes_with_all_that_was_made_of_it_and_of_what_was_replayed(tandem: Tandem, shop: Shop) -> None:
    key, version = shop.upload("rows.csv", table(ADA))
    other, later = shop.upload("more.csv", table(BOB))
    mine = shop.run("r1", key, version, table(ADA))
    heir = shop.run("r2", other, later, table(BOB), replays=f"{mine}replay/_replay.csv")
    theirs = shop.run("r3", other, later, table(BOB))
    done = forget(tandem, shop, "--upload", f"rows.csv@{version}", "--yes", "--json")
    assert done.code == Exit.GOOD, done.stderr
    assert done.document["runs"] == [f"{shop.project}-r1", f"{shop.project}-r2"]
    left = "\n".join(shop.everything())
    assert f"{key}@" not in left
    for prefix in (mine, heir):
        assert f"{prefix}dataset/" not in left
        assert f"{prefix}{keys.GOLDEN}" not in left
        assert f"{prefix}{keys.REPORT}" not in left
        (document,) = (body for place, body in shop.everything().items() if f"/{prefix}{keys.RUN_DOCUMENT}@" in place)
        assert json.loads(document)["evaluation"] == {}
    assert f"{theirs}dataset/" in left
    assert f"{other}@" in left


def test_nothing_is_changed_while_a_run_works_on_it(tandem: Tandem, shop: Shop) -> None:
    key, version = shop.upload("rows.csv", table(ADA))
    shop.run("r1", key, version, table(ADA), status=RUNNING)
    before = shop.everything()
    refused = forget(tandem, shop, "--upload", "rows.csv", "--yes")
    assert refused.code == Exit.FAILED
    assert f"{shop.project}-r1" in refused.stderr
    assert shop.everything() == before


@pytest.mark.parametrize("status", [RUNNING, "KEPT"])
def test_nothing_is_changed_when_a_run_began_while_it_was_looked_for(shop: Shop, status: str) -> None:
    upload = shop.upload("rows.csv", table(ADA))
    shop.run("r1", *upload, table(ADA))
    scope = Scope.of(Account(), "acme", shop.project)
    plan = erasing_rows.of_people(scope, People.of([{"email": ADA}], SALT))
    forgetting.check(scope, plan)
    shop.run("r2", *upload, table(ADA), status=status)
    with pytest.raises(CommandError, match=f"began .*: {shop.project}-r2"):
        forgetting.check(scope, plan)
    afterwards = Scope.of(Account(), "acme", shop.project)
    assert afterwards.runs.keys() == {f"{shop.project}-r1", f"{shop.project}-r2"}


@pytest.mark.parametrize(
    ("run", "changes"),
    [("r1", {"status": RUNNING, "resumes": 1}), ("r2", {"status": RUNNING, "resumes": 1}), ("r2", {"resumes": 1})],
    ids=["of the plan", "another", "another, which ended"],
)
def test_nothing_is_changed_when_a_run_went_on_while_it_was_looked_for(
    shop: Shop, run: str, changes: dict[str, Any]
) -> None:
    for name, person in (("r1", ADA), ("r2", BOB)):
        shop.run(name, *shop.upload(f"{name}.csv", table(person)), table(person), status="FAILED")
    scope = Scope.of(Account(), "acme", shop.project)
    plan = erasing_rows.of_people(scope, People.of([{"email": ADA}], SALT))
    assert plan.runs == {f"{shop.project}-r1"}
    forgetting.check(scope, plan)
    Account().table().update_item(
        Key=ledger.run_key(f"{shop.project}-{run}"),
        AttributeUpdates={name: {"Value": value} for name, value in changes.items()},
    )
    with pytest.raises(CommandError, match=f"{shop.project}-{run}"):
        forgetting.check(scope, plan)


def test_what_is_locked_is_named_before_anything_is_deleted(cloud: Cloud, shop: Shop) -> None:
    bucket = f"held-{shop.project}"
    shop.s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    held, free = (shop.put(bucket, key, b"x") for key in ("held", "free"))
    shop.s3.put_object_legal_hold(Bucket=bucket, Key="held", VersionId=held, LegalHold={"Status": "ON"})
    account = Account()
    found = list(versions.below(account, bucket, ""))
    with pytest.raises(CommandError, match=f"held@{held} is under a legal hold"):
        versions.check_locks(account, found)
    versions.check_locks(account, [version for version in found if version.version_id == free])
    versions.check_locks(account, versions.below(account, shop.data, ""))  # no lock is configured


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--where", "email"),
        ("--where", "email="),
        ("--upload", "a", "--where", "b=c"),
        ("--upload", "a", "--retrain"),
    ],
    ids=["nothing", "no value", "empty value", "two", "retrain"],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], tandem: Tandem, shop: Shop) -> None:
    assert forget(tandem, shop, *arguments, "--yes").code == Exit.USAGE


@pytest.mark.parametrize(("given", "written"), [("5", "5.0"), ("5.0", "5"), ("-5", "-5.0")])
def test_a_whole_number_is_found_however_a_program_wrote_it(given: str, written: str) -> None:
    people = People.of([{"id": given, "name": "Ada"}], SALT)
    assert people.have({"id": written, "name": "Ada"})
    assert not people.have({"id": "50", "name": "Ada"})
    hidden = hmac.new(SALT, written.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]
    assert people.have({"id": hidden, "name": "Ada"}), "where preparation hid it, too"


def test_people_of_a_file_are_found_in_parquet_too(tandem: Tandem, shop: Shop, tmp_path: Path) -> None:
    import duckdb

    rows, people = tmp_path / "rows.parquet", tmp_path / "people.csv"
    ids = "CASE WHEN i = 5 THEN 'nan'::DOUBLE ELSE i END AS id"
    duckdb.execute(f"COPY (SELECT {ids}, 'x' AS more FROM range(6) t(i)) TO '{rows}' (FORMAT parquet)")
    people.write_text("id\n1\n3\n")
    key, version = shop.upload("rows.parquet", rows.read_bytes())
    done = forget(tandem, shop, "--rows", str(people), "--yes", "--json")
    assert done.code == Exit.GOOD, done.stderr
    assert done.document["rows"] == 2
    run = names.run_for_upload(shop.project, shop.data, key, version)
    body = shop.s3.get_object(Bucket=shop.data, Key=f"{shop.folder}inbox/{run}/rows.parquet")["Body"].read()
    rows.write_bytes(body)
    assert [f"{id:g}" for (id,) in duckdb.execute(f"SELECT id FROM '{rows}'").fetchall()] == ["0", "2", "4", "nan"]


def test_who_asks_for_what_is_gone_is_told_which_erasure_took_it(tandem: Tandem, shop: Shop) -> None:
    key, version = shop.upload("rows.csv", table(ADA))
    prefix = shop.run("r1", key, version, table(ADA))
    account, run = Account(), f"{shop.project}-r1"
    package = {"CustomerMetadataProperties": {"run": run}}
    reproduction.check_rows(account, package)
    erased = forget(tandem, shop, "--upload", "rows.csv", "--yes", "--json").document["erased"]
    with pytest.raises(CommandError, match=rf"forgotten \(erasure {erased}\), so that run {run}"):
        reproduction.check_rows(account, package)
    other, later = shop.upload("more.csv", table(BOB))
    folder = shop.run("r2", other, later, table(BOB))
    found = versions.below(account, shop.artifacts, folder)
    versions.delete(account, (each for each in found if "/upload/" in each.key or "/dataset/" in each.key))
    with pytest.raises(CommandError, match="older than datasets are kept"):
        reproduction.check_rows(account, {"CustomerMetadataProperties": {"run": f"{shop.project}-r2"}})
    moved = replaying.Move(events=[], buckets={shop.artifacts: shop.artifacts})
    with pytest.raises(CommandError, match=f"forgotten by erasure {erased}: it cannot be replayed"):
        list(replaying.fetch_data(shop.cloud.client, account, moved, prefix))


def test_one_version_of_an_answered_file_goes_with_its_answers(tandem: Tandem, shop: Shop) -> None:
    key = f"{shop.folder}batch/july.csv"
    first, second = shop.put(shop.data, key, table(ADA)), shop.put(shop.data, key, table(BOB))
    ids = [batch.batch_id(shop.data, key, version) for version in (first, second)]
    for each in ids:
        shop.put(shop.artifacts, f"{key}/{each}/answers/july.csv.out", b"answers")
    assert forget(tandem, shop, "--upload", f"s3://{shop.data}/{key}@{first}", "--yes").code == Exit.GOOD
    left = "\n".join(shop.everything())
    assert (f"{key}@{first}" in left, f"{key}@{second}" in left) == (False, True)
    assert (f"/{ids[0]}/" in left, f"/{ids[1]}/" in left) == (False, True)
