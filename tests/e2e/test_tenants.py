"""A tenant comes after its upload, and leaves while a run goes on; its removal dies at every write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import api_keys, leaving
from cli.api_keys import Limits
from cli.aws import Account
from cli.errors import Exit
from cli.main import app as main
from contract import keys, ledger, names
from contract.run import Outcome
from local.cloud import Cloud
from tests.e2e.app import App, signed_in
from tests.e2e.data import table, table_toml

TENANT, SERVED, TRAINING = "leaver", "served", "training"
SCALED = '[deploy]\ntarget = "realtime"\nmax_instances = 2\ninvocations_per_instance = 1000\nsleep = "22:00-06:00"'
PERSON = "ann"


class Killed(BaseException):
    """The program dies; nothing of it catches that."""


class Deaths:
    """Kills whoever uses an account after each write that was not made before.

    Attributes:
        writes: what it died after, in order: operations.
    """

    READS = ("Describe", "List", "Get", "Query", "BatchGet", "Head")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.writes: list[str] = []
        self._seen: set[str] = set()
        self._asked = ""
        made = Account.__init__

        def make(account: Account, **options: Any) -> None:
            made(account, **options)
            account._session.events.register("provide-client-params", self._ask)
            account._session.events.register("after-call", self._answered)

        patch.setattr(Account, "__init__", make)

    def _ask(self, params: dict[str, Any], model: Any, **more: Any) -> None:
        self._asked = f"{model.name} {params}"

    def _answered(self, model: Any, parsed: dict[str, Any], **more: Any) -> None:
        if model.name.startswith(self.READS) or "Error" in parsed or self._asked in self._seen:
            return
        self._seen.add(self._asked)
        self.writes.append(model.name)
        raise Killed


def tandem(app: App, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--json", *arguments], prog_name="tandem", env=app.cloud.environment)


@pytest.fixture(scope="module")
def account(app: App, cloud: Cloud) -> Iterator[Account]:
    with signed_in(cloud) as signed:
        yield signed


@pytest.fixture(scope="module")
def waiting(app: App) -> str:
    """The run that an upload of a tenant that nobody has added is to start."""
    app.configure(SERVED, table_toml(epochs=1, more=SCALED), TENANT)
    return app.upload(SERVED, "rows.csv", table(seed=1), TENANT)


@pytest.fixture(scope="module")
def served(app: App, account: Account, waiting: str) -> str:
    """That run, which the tenant's coming has started: its model is in service, and a person may ask it."""
    intake_dies(app)
    done = tandem(app, "tenant", "add", TENANT)
    assert done.exit_code == Exit.GOOD, done.output
    document = json.loads(done.stdout)
    assert document["runs"] == [waiting]
    account.client("iam").create_user(UserName=PERSON)
    account.client("iam").attach_user_policy(UserName=PERSON, PolicyArn=document["policy"])
    assert app.settled(waiting, seconds=240)["outcome"] == Outcome.DEPLOYED
    return waiting


@pytest.fixture(scope="module")
def training(app: App, served: str) -> str:
    """A run that trains for as long as it may."""
    app.configure(TRAINING, table_toml(epochs=10_000), TENANT)
    run = app.upload(TRAINING, "rows.csv", table(seed=1), TENANT)
    app.training(run, seconds=240)
    return run


def intake_dies(app: App) -> None:
    """Leave what an intake leaves that died between its claim of the upload and the execution's start."""
    key = f"{keys.inbox(TENANT, SERVED)}rows.csv"
    version = app.s3.head_object(Bucket=app.data, Key=key)["VersionId"]
    row = {**ledger.upload_key(app.data, key, version), "received": "2026-11-22T00:00:00+00:00"}
    app.dynamodb.put_item(TableName=app.table, Item={name: {"S": value} for name, value in row.items()})


def runs(app: App, project: str) -> list[dict[str, Any]]:
    """Return the rows of a project's runs, the first first."""
    rows = app.dynamodb.query(
        TableName=app.table, IndexName=ledger.BY_PROJECT, KeyConditionExpression="#project = :project",
        ExpressionAttributeNames={"#project": "project"},
        ExpressionAttributeValues={":project": {"S": f"{TENANT}/{project}"}},
    )["Items"]  # fmt: skip
    return [{name: next(iter(value.values())) for name, value in row.items()} for row in rows]


def left(account: Account) -> dict[str, list[str]]:
    """Return the names of what bears the tenant's name, and of what is permitted in it, by kind."""
    sagemaker, iam, begins = account.client("sagemaker"), account.client("iam"), f"{TENANT}--"
    path, contains = names.role_path(TENANT), {"NameContains": begins}
    scaled = account.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    alarms = account.pages("cloudwatch", "describe_alarms", "MetricAlarms")
    attached = iam.list_attached_user_policies(UserName=PERSON)["AttachedPolicies"]
    training = sagemaker.list_training_jobs(NameContains=TRAINING, StatusEquals="InProgress")
    stacks = account.pages("cloudformation", "describe_stacks", "Stacks")
    return {
        "endpoints": [each["EndpointName"] for each in sagemaker.list_endpoints(**contains)["Endpoints"]],
        "configurations": [
            each["EndpointConfigName"] for each in sagemaker.list_endpoint_configs(**contains)["EndpointConfigs"]
        ],
        "models": [each["ModelName"] for each in sagemaker.list_models(**contains)["Models"]],
        "scaled": [each["ResourceId"] for each in scaled["ScalableTargets"] if begins in each["ResourceId"]],
        "alarms": [each["AlarmName"] for each in alarms if begins in each["AlarmName"]],
        "jobs": [each["TrainingJobName"] for each in training["TrainingJobSummaries"]],
        "API keys": [each.consumer for each in api_keys.find_all(account, TENANT)],
        "roles": [each["RoleName"] for each in iam.list_roles(PathPrefix=path)["Roles"]],
        "policies": [each["PolicyName"] for each in iam.list_policies(PathPrefix=path)["Policies"]],
        "attached": [each["PolicyName"] for each in attached],
        "stacks": [each["StackName"] for each in stacks if each["StackName"] == names.tenant_stack(TENANT)],
    }


def test_an_upload_waits_for_its_tenant_and_starts_once_with_it(app: App, waiting: str) -> None:
    (refused,) = app.eventually(lambda: runs(app, SERVED))
    assert refused["status"] == Outcome.REFUSED
    assert f"tandem tenant add {TENANT}" in refused["reasons"][0]["S"]


def test_its_run_goes_on_as_any_and_does_not_start_twice(app: App, served: str) -> None:
    assert json.loads(tandem(app, "tenant", "add", TENANT).stdout)["runs"] == []
    assert [row["pk"] for row in runs(app, SERVED) if row["status"] != Outcome.REFUSED] == [f"run#{served}"]


def test_a_removal_that_dies_after_any_write_is_finished_by_the_next_and_leaves_the_data_alone(
    app: App, account: Account, served: str, training: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(rate=7, burst=7, quota=0, period="DAY")  # a plan that no other key has
    api_keys.add(account, TENANT, "shop", limits)
    before = left(account)
    assert all(before.values()), before
    key = key_of(account)
    refused = tandem(app, "tenant", "remove", TENANT)
    assert refused.exit_code == Exit.REFUSED
    for named in (f"execution {training}", f"endpoint {before['endpoints'][0]}", f"API key {TENANT}--shop"):
        assert named in refused.output
    deaths = Deaths(monkeypatch)
    with pytest.raises(Killed):
        tandem(app, "tenant", "remove", TENANT, "--force")
    mortal = Account()
    while dies(mortal):
        pass
    assert set(deaths.writes) >= {
        "DeleteItem", "StopExecution", "DeregisterScalableTarget", "DeleteEndpoint", "DeleteEndpointConfig",
        "DeleteModel", "DeleteAlarms", "DeleteApiKey", "DetachUserPolicy", "DeleteStack",
    }  # fmt: skip
    assert not any(left(account).values()), left(account)
    assert app.settled(training)["outcome"] == Outcome.STOPPED
    assert training not in json.dumps(app.item(ledger.MACHINES_KEY))
    assert app.champion(SERVED, TENANT) == {}
    assert tandem(app, "tenant", "remove", TENANT, "--force").exit_code == Exit.NOT_FOUND
    assert key_of(account) == key
    kept(app)


def dies(mortal: Account) -> bool:
    try:
        leaving.remove(mortal, TENANT, say=lambda line: None)
    except Killed:
        return True
    return False


def key_of(account: Account) -> str:
    """Return the id of the tenant's key, which works."""
    found = account.client("kms").describe_key(KeyId=names.key_alias(TENANT))["KeyMetadata"]
    assert found["KeyState"] == "Enabled"
    return str(found["KeyId"])


def kept(app: App) -> None:
    """See that uploads, artifacts, versions and rows are there."""
    for project in (SERVED, TRAINING):
        assert app.s3.head_object(Bucket=app.data, Key=f"{keys.inbox(TENANT, project)}rows.csv")
    assert any(name.endswith(keys.MODEL) for name in app.listing(f"{TENANT}/{SERVED}/"))
    group = {"ModelPackageGroupName": names.model_group(TENANT, SERVED)}
    assert len(app.cloud.client("sagemaker").list_model_packages(**group)["ModelPackageSummaryList"]) == 1
    assert {row["status"] for row in runs(app, SERVED)} == {Outcome.REFUSED, Outcome.DEPLOYED}
    month = tandem(app, "budget", TENANT)
    assert json.loads(month.stdout)["reserved"] == 0, month.output
