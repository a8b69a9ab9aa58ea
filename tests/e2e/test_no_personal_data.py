"""Personal data stays where data may be: no value of a row or of a request is in logs, events, metrics, histories.

Unmistakable values go through everything that a project does: columns that [privacy] marks and ordinary ones, rows
that are set aside, an upload that is rejected, a training that fails, requests to the endpoint and to the API, a file.
Where data may be is S3, encrypted: uploads, datasets, quarantine, captured requests, models, whose vocabularies are
values of columns. What is a name, of a column, a class, a file, is told; so is a group's value (evaluate.groups).
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.logs.models import logs_backends
from moto.sqs.models import sqs_backends

from cli.aws import Account
from contract import keys, names
from contract.run import Outcome
from local.cloud import ACCOUNT, REGION
from tests.e2e.app import App
from tests.e2e.data import table_toml
from tests.e2e.test_api import Consumer
from tests.e2e.test_api import account as account

TOKEN = "Quillfeather"
BALANCE = "77347.34"
TOKENS = (TOKEN, TOKEN.lower(), "77347.3", "77347,3", "7.735e+04", "7.73473e+04")
"""What may be nowhere: a word, and a number in the ways that programs write it."""

DOCUMENTS = (
    keys.RUN_DOCUMENT, keys.REPORT, keys.REQUEST, keys.DATASET_REPORT, keys.PLAN, keys.EVALUATION_REPORT,
)  # fmt: skip

PRIVACY = """
[privacy]
drop = ["person"]
hash = ["email"]
generalise = { income = 0.01 }
[evaluate]
instance = "ml.m5.xlarge"
[deploy]
target = "realtime"
capture_percent = 100
"""
TOML = table_toml(epochs=2, more=PRIVACY)


def rows(good: int = 240, bad: int = 4) -> bytes:
    """Return a table whose every value of a word column is a token, and whose bad rows hold tokens in all the ways."""
    source, text = random.Random(7), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["person", "email", "remark", "surname", "balance", "income", "risk"])
    for number in range(good):
        income = source.gauss(0, 1)
        balance = BALANCE if number == 0 else f"{source.gauss(1000, 100):.2f}"
        surname = f"{TOKEN}-{number % 6}"  # comes again and again: the model knows it
        words = [f"{TOKEN} {number}", f"{TOKEN}.{number % 40}@example.com", f"{TOKEN} wrote {number}", surname]
        writer.writerow([*words, balance, f"{income:.4f}", "high" if income > 0 else "low"])
    mistakes = [
        [*[TOKEN] * 5, "0.5", "low"],  # no number where one should be
        [TOKEN, TOKEN, TOKEN, TOKEN, BALANCE, TOKEN, "high"],
        [TOKEN] * 3,
        [TOKEN] * 4 + [BALANCE, "0.5", ""],
    ]
    for number in range(bad):
        writer.writerow(mistakes[number % len(mistakes)])
    return text.getvalue().encode()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Story:
    """What happened: the project, the run that was deployed, the one that was rejected, the one that failed."""

    project: str
    deployed: dict[str, Any]
    rejected: dict[str, Any]
    failed: dict[str, Any]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """All of them."""
        return [self.deployed, self.rejected, self.failed]


@pytest.fixture(scope="module")
def story(app: App, account: Account) -> Iterator[Story]:
    """A project's life, overheard: every event and message goes to a queue, too."""
    with overhear(app):
        yield live(app, account)


def live(app: App, account: Account) -> Story:
    """Deploy, ask, reject, fail."""
    project = app.project()
    app.configure(project, TOML)
    deployed = app.settled(app.upload(project, "rows.csv", rows()))
    assert deployed["outcome"] == Outcome.DEPLOYED, deployed["reasons"]
    ask(app, project, Consumer(account, "acme"))
    rejected = app.settled(app.upload(project, "rows.csv", rows(bad=200)))
    assert rejected["outcome"] == Outcome.REJECTED
    app.configure(project, TOML.replace("epochs", "max_loss = 1e-6\nepochs"))
    failed = app.settled(app.upload(project, "rows.csv", rows(300)))
    assert (failed["outcome"], "Traceback" in json.dumps(failed["failure"])) == (Outcome.FAILED, True)
    return Story(project=project, deployed=deployed, rejected=rejected, failed=failed)


@contextlib.contextmanager
def overhear(app: App) -> Iterator[None]:
    """Send every event of the bus and every notification to a queue that nobody reads."""
    sqs, events = app.cloud.client("sqs"), app.cloud.client("events")
    url = sqs.create_queue(QueueName="overheard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="overheard", EventPattern=json.dumps({"source": [{"prefix": ""}]}))
    events.put_targets(Rule="overheard", Targets=[{"Id": "queue", "Arn": arn}])
    topic = app.outputs[names.OUTPUT_TOPIC_ARN]
    sns = app.cloud.client("sns")
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    yield
    sns.unsubscribe(SubscriptionArn=subscription)
    events.remove_targets(Rule="overheard", Ids=["queue"])
    events.delete_rule(Name="overheard")
    sqs.delete_queue(QueueUrl=url)


def ask(app: App, project: str, consumer: Consumer) -> None:
    """Ask the model well and badly, at its endpoint and through the API."""
    row = {"email": "0" * 32, "surname": f"{TOKEN}-1", "balance": float(BALANCE), "income": 0.5}
    assert app.predict(project, json.dumps({"instances": [row]}).encode())["predictions"]
    asked = [
        [row], [row | {"income": TOKEN}], [row | {"email": TOKEN}], [row | {TOKEN: TOKEN}],
        [{"income": {TOKEN: 1}}], TOKEN,
    ]  # fmt: skip
    for instances in asked:
        body = json.dumps({"instances": instances})
        with contextlib.suppress(ClientError):
            app.predict(project, body.encode())
        consumer.predict(f"acme/{project}", data=body, headers={"content-type": "application/json"})
    consumer.predict(f"acme/{project}", data=f"income,{TOKEN}\n{TOKEN}", headers={"content-type": "text/csv"})
    consumer.predict(f"acme/{project}", data=TOKEN, headers={"content-type": TOKEN, "accept": TOKEN})


def logs(app: App, story: Story) -> Iterator[str]:
    """Yield every line of every log, with the names of group and stream."""
    for group in list(logs_backends[ACCOUNT][REGION].groups.values()):
        for stream in list(group.streams.values()):
            yield from (f"{group.name} {stream.log_stream_name} {event.message}" for event in list(stream.events))


def messages(app: App, story: Story) -> Iterator[str]:
    """Yield every message of every queue: events, notifications, what could not be delivered."""
    for queue in list(sqs_backends[ACCOUNT][REGION].queues.values()):
        yield from (str(message.body) for message in list(queue._messages))


def metrics(app: App, story: Story) -> Iterator[str]:
    """Yield the name of every metric, with its dimensions."""
    for page in app.cloud.client("cloudwatch").get_paginator("list_metrics").paginate():
        yield from (json.dumps(metric) for metric in page["Metrics"])


def histories(app: App, story: Story) -> Iterator[str]:
    """Yield every event of every execution of the project, with its inputs, outputs and causes."""
    for machine in (app.outputs[each] for each in MACHINES):
        for execution in app.executions(machine):
            arn = execution["executionArn"]
            described = json.dumps(app.states.describe_execution(executionArn=arn), default=str)
            if story.project in described:
                yield described
                pages = app.states.get_paginator("get_execution_history").paginate(executionArn=arn)
                yield from (json.dumps(event, default=str) for page in pages for event in page["events"])


def ledger_rows(app: App, story: Story) -> Iterator[str]:
    """Yield every row of the ledger."""
    for page in app.dynamodb.get_paginator("scan").paginate(TableName=app.table):
        yield from (json.dumps(item) for item in page["Items"])


def sagemaker(app: App, story: Story) -> Iterator[str]:
    """Yield the registry's versions with their cards, and what SageMaker says of the jobs, models and endpoints."""
    client, group = app.cloud.client("sagemaker"), f"acme--{story.project}"
    for package in client.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]:
        yield json.dumps(client.describe_model_package(ModelPackageName=package["ModelPackageArn"]), default=str)
    for run in story.runs:
        for job in client.list_training_jobs(NameContains=run["run"])["TrainingJobSummaries"]:
            yield json.dumps(client.describe_training_job(TrainingJobName=job["TrainingJobName"]), default=str)
        for job in client.list_processing_jobs(NameContains=run["run"])["ProcessingJobSummaries"]:
            yield json.dumps(client.describe_processing_job(ProcessingJobName=job["ProcessingJobName"]), default=str)
    for endpoint in app.endpoints(story.project):
        yield json.dumps(client.describe_endpoint(EndpointName=endpoint), default=str)


def reports(app: App, story: Story) -> Iterator[str]:
    """Yield what people read of the runs."""
    for run in story.runs:
        prefix = keys.run_prefix("acme", story.project, run["run"])
        for name in DOCUMENTS:
            with contextlib.suppress(app.s3.exceptions.NoSuchKey):
                yield f"{prefix}{name} {app.read(prefix + name).decode()}"


def object_names(app: App, story: Story) -> Iterator[str]:
    """Yield the keys of all objects of the project, which stand in access logs and trails."""
    yield from app.listing(f"acme/{story.project}/")


MACHINES = (
    names.OUTPUT_PIPELINE_ARN, names.OUTPUT_DEPLOYMENT_ARN, names.OUTPUT_BATCH_ARN, names.OUTPUT_SLEEP_ARN,
)  # fmt: skip
PLACES = (logs, messages, metrics, histories, ledger_rows, sagemaker, reports, object_names)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_no_personal_value_is_where_data_may_not_be(
    app: App, story: Story, place: Callable[[App, Story], Iterator[str]]
) -> None:
    said = list(place(app, story))
    assert any(story.project in text for text in said), "nothing is told of the project: is this place searched?"
    found = [text[max(0, text.find(token) - 300) :][:600] for text in said for token in TOKENS if token in text]
    assert found == []


def test_they_are_where_data_may_be(app: App, story: Story) -> None:
    prefix = keys.run_prefix("acme", story.project, story.deployed["run"])
    for name in (f"{keys.QUARANTINE}rows.jsonl", keys.DATASET_SCHEMA):
        assert TOKEN.encode() in app.read(prefix + name), name
    assert story.deployed["dataset"]["rejected_rows"] == 4
    assert story.rejected["dataset"]["rejected_rows"] > 100
    captured = app.eventually(lambda: app.listing(keys.capture_prefix("acme", story.project)))
    assert any(TOKEN.encode() in app.read(key) for key in captured)
