"""A model served as a Lambda function: the same image and answers, versions, and an alias that moves traffic."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cli.aws import Account
from cli.commands import predict
from cli.errors import CommandError
from contract import keys, names
from contract.lambda_calls import ALIAS, Answered, Asked
from local.chaos.faults import ALWAYS, RefusedCall
from local.chaos.lab import LAB
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.e2e.test_api import Consumer

ROWS = {"instances": [{"income": 1.5, "age": 40, "region": "east"}, {"income": None, "age": 20, "region": None}]}


def ask(app: App, function: str, document: Any) -> Answered:
    event = Asked(body=json.dumps(document).encode(), content_type="application/json").to_event()
    answer = app.cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    told = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, told
    return Answered.from_result(told)


class Asking:
    """Somebody who asks a function all the time."""

    def __init__(self, app: App, function: str) -> None:
        self.failures: list[str] = []
        self.runs: set[str] = set()
        self._ask = lambda: ask(app, function, ROWS)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(0.05):
            try:
                answer = self._ask()
            except Exception as error:
                self.failures.append(repr(error))
            else:
                self.failures += [] if answer.status == 200 else [repr(answer)]
                self.runs.add(json.loads(answer.body)["model"]["run"])


def by_command_line(account: Account, project: str, folder: Path) -> Any:
    """Return the predictions that the command line gets, which tells a refusal in words."""
    (folder / "rows.json").write_text('{"instances": []}')
    with pytest.raises(CommandError, match="The model refused instances"):
        predict.ask(account, "acme", project, folder / "rows.json")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    return predict.ask(account, "acme", project, folder / "rows.json")["predictions"]


def an_altered_archive_gets_no_traffic(app: App, project: str, altered: str, package_arn: str, serving: str) -> None:
    """Deploy a version whose archive is another one by now: the run ``serving`` goes on answering."""
    function, functions = names.function("acme", project), app.cloud.client("lambda")
    model = keys.run_prefix("acme", project, altered) + keys.MODEL
    app.s3.put_object(Bucket=app.artifacts, Key=model, Body=b"another archive")
    broken = app.deploy(project, package_arn)
    assert broken["status"] == "FAILED"
    assert "was altered" in broken["cause"]
    assert app.champion(project)["run"] == serving
    assert functions.get_alias(FunctionName=function, Name=ALIAS)["FunctionVersion"] == "2"
    assert json.loads(ask(app, f"{function}:{ALIAS}", ROWS).body)["model"]["run"] == serving
    versions = functions.list_versions_by_function(FunctionName=function)["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "2"]


def test_a_function_serves_and_a_canary_moves_its_traffic_to_the_next_version(
    app: App, account: Account, tmp_path: Path
) -> None:
    project = app.project()
    function = names.function("acme", project)
    app.configure(
        project, table_toml(epochs=1, learning_rate=0.001) + '[deploy]\ntarget = "lambda"\nmemory_mb = 1536\n'
    )
    first = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert first["outcome"] == "DEPLOYED", first["reasons"]
    champion = app.champion(project)
    assert (champion["endpoint"], champion["target"]) == (f"{function}:{ALIAS}", "lambda")
    assert app.endpoints(project) == []
    functions = app.cloud.client("lambda")
    described = functions.get_function_configuration(FunctionName=function)
    assert (described["PackageType"], described["MemorySize"]) == ("Image", 1536)
    assert functions.list_tags(Resource=described["FunctionArn"])["Tags"][names.TAG_PROJECT] == project
    answer = ask(app, f"{function}:{ALIAS}", ROWS)
    assert answer.status == 200
    assert json.loads(answer.body)["model"]["run"] == first["run"]
    refused = ask(app, f"{function}:{ALIAS}", {"instances": [{"income": "much"}]})
    assert (refused.status, json.loads(refused.body)["error"]["type"]) == (400, "InvalidInput")

    assert by_command_line(account, project, tmp_path) == json.loads(answer.body)["predictions"]

    canary = 'rollout = "canary"\nstep_percent = 20\nbake_minutes = 1\n'
    app.configure(project, table_toml() + f'[deploy]\ntarget = "lambda"\n{canary}')
    with Asking(app, f"{function}:{ALIAS}") as asking:
        second = app.settled(app.upload(project, "rows2.csv", table(seed=1)))
    assert second["outcome"] == "DEPLOYED", second["reasons"]
    assert asking.failures == []  # nobody notices that traffic moves
    assert asking.runs == {first["run"], second["run"]}
    execution = app.executions(app.deployment)[0]
    history = app.states.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)["events"]
    entered = [each["stateEnteredEventDetails"]["name"] for each in history if "stateEnteredEventDetails" in each]
    assert entered.count("Watch version") == 2
    alias = functions.get_alias(FunctionName=function, Name=ALIAS)
    assert (alias["FunctionVersion"], alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})) == ("2", {})
    versions = functions.list_versions_by_function(FunctionName=function)["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "2"]
    assert json.loads(ask(app, f"{function}:{ALIAS}", ROWS).body)["model"]["run"] == second["run"]
    alarms = app.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{function}--")["MetricAlarms"]
    assert alarms == []
    an_altered_archive_gets_no_traffic(app, project, first["run"], champion["package_arn"], second["run"])


@pytest.mark.more
def test_a_first_version_that_does_not_become_champion_leaves_no_function_and_can_be_deployed_again(
    app: App, account: Account
) -> None:
    project, functions = app.project(), app.cloud.client("lambda")
    function = names.function("acme", project)
    app.configure(project, table_toml(epochs=1) + '[deploy]\ntarget = "lambda"\n')
    with LAB.inject(RefusedCall(state="Make function champion", execution=f"{project}*", times=ALWAYS)) as (refused,):
        failed = app.settled(app.upload(project, "rows.csv", table(seed=1)))
    assert refused.strikes
    assert failed["outcome"] == "FAILED"
    assert app.champion(project) == {}
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function(FunctionName=function)

    package = failed["package"]["package_arn"]
    assert app.deploy(project, package)["status"] == "SUCCEEDED"
    image = functions.get_function(FunctionName=function)["Code"]["ImageUri"]
    functions.update_function_code(FunctionName=function, ImageUri=another_tag(app, image))  # an older release's
    assert app.deploy(project, package)["status"] == "SUCCEEDED"
    assert functions.get_function(FunctionName=function)["Code"]["ImageUri"] == image
    public = Consumer(account, "acme").predict(f"acme/{project}", json=ROWS)
    assert public.json()["predictions"] == json.loads(ask(app, f"{function}:{ALIAS}", ROWS).body)["predictions"]


def another_tag(app: App, image: str) -> str:
    """Give an image another tag; return its address by that."""
    address, _, tag = image.rpartition(":")
    ecr, repository = app.cloud.client("ecr"), address.partition("/")[2]
    (found,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])["images"]
    ecr.put_image(repositoryName=repository, imageManifest=found["imageManifest"], imageTag="before")
    return f"{address}:before"
