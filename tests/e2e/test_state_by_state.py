"""The deployed definitions, one state at a time: every Choice both ways, every Catch once.

A state is run by itself on the laptop cloud: the machine's own definition, in
which a first state assigns the variables and every other state ends. A call is
made to fail by what the variables name, which does not exist; nothing is
replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contract import ledger, names
from infra.asl import targets
from infra.steps import endpoints
from tests.e2e.app import App
from tests.permissions import refused_on_purpose

PLAN: dict[str, Any] = {"train": {"spot": True, "instance": "ml.m5.xlarge", "ladder": ["ml.m5.xlarge"], "hosts": 1}}
RUN: dict[str, Any] = {
    "run": "none-1", "tenant": "acme", "project": "none", "prefix": "acme/none/runs/none-1/",
    "upload": {"bytes": 2**20}, "prepare": {"lambda_limit_mb": 1, "engine": "embedded"}, "recipe": {"name": "tabular"},
}  # fmt: skip
SCRIPT: dict[str, Any] = {**RUN, "recipe": {"name": "script"}}
SPARK: dict[str, Any] = {**RUN, "prepare": {"lambda_limit_mb": 1, "engine": "spark"}}
LARGE: dict[str, Any] = {"upload": {"bytes": 2**20 + 1}}
VARIANT: dict[str, Any] = {"VariantName": "AllTraffic", "ModelName": "acme--none--v1", "InitialVariantWeight": 1.0,
                           "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}  # fmt: skip
UNKNOWN: dict[str, Any] = {
    "target": {**names.SCALABLE, "ResourceId": "endpoint/none/variant/none", "MinCapacity": 1, "MaxCapacity": 2},
    "policy": {}, "alarms": [],
}  # fmt: skip
NOTHING: dict[str, Any] = {
    "run": "none-1", "run_id": "none-1", "model_name": "acme--none--v1", "config_name": "acme--none--v1", "version": 1,
    "image_uri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/none:none", "model_data_url": "s3://none/model.tar.gz",
    "golden_uri": "s3://none/golden.json", "endpoint": "acme--none--serverless", "staging": "acme--none--staging",
    "staging_config": "acme--none--v1-s", "staging_variant": VARIANT,
    "configuration": {"ProductionVariants": [VARIANT]},
    "target": "serverless", "tags": [], "previous_config": "acme--none--v0", "champion": "arn:none", "update": {},
    "prefix": "acme/none/batch/golden/none/", "batch_instance": "ml.m5.large",
    "verdict": "go", "package_arn": "arn:none", "poll_seconds": 5, "ab_percent": 0, "alarms": [{"AlarmName": "none"}],
    "shadow": {"config_name": "acme--none--v1-w", "ProductionVariants": [VARIANT],
               "ShadowProductionVariants": [VARIANT]},
    "watch": {name: {"alarms": [], "minutes": 5} for name in ("shadow", "challenger")},
    "scaling": [UNKNOWN], "scaling_before": [UNKNOWN], "scaled": [], "hours": {},
}  # fmt: skip
"""What Plan deployment returns, of things that are not there."""


class Machine:
    """A deployed machine, whose states can be run one by one."""

    def __init__(self, app: App, arn: str) -> None:
        self.app, self.arn = app, arn
        described = app.states.describe_state_machine(stateMachineArn=arn)
        self.role, self.definition = described["roleArn"], json.loads(described["definition"])

    @property
    def states(self) -> dict[str, Any]:
        """The states by name."""
        return self.definition["States"]

    @contextmanager
    def alone(self, state: str, variables: dict[str, Any], value: Any = None) -> Iterator[str]:
        """Start an execution of one state, after which it ends; yield its ARN."""
        others = {name: {"Type": "Succeed"} for name in targets(self.states[state])}
        given = {"Type": "Pass", "Assign": variables, "Output": value or {}, "Next": state}
        definition = {
            **self.definition,
            "StartAt": "Given",
            "States": {"Given": given, state: self.states[state], **others},
        }
        name = f"one-{abs(hash((self.arn, state, json.dumps(variables, default=str), json.dumps(value))))}"[:80]
        machine = self.app.states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=self.role)
        try:
            yield str(self.app.states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"])
        finally:
            self.app.states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])

    def after(self, state: str, variables: dict[str, Any], value: Any = None) -> str:
        """Run one state; return the name of the next, or the error that ended the execution."""
        known = {"Given", state, *targets(self.states[state])}
        with self.alone(state, variables, value) as arn:
            execution = self.app.ended(arn)
            history = self.app.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        entered = [
            event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
        ]
        entered = [each for each in entered if each in known]  # and not within a Map
        return entered[2] if len(entered) > 2 else f"{execution['error']}: {execution['cause']}"


@pytest.fixture(scope="module", autouse=True)
def _refused(app: App) -> Iterator[None]:
    """The states are led to what is not there."""
    with refused_on_purpose(app.cloud):
        yield


@pytest.fixture(scope="module")
def pipeline(app: App) -> Machine:
    """The pipeline."""
    return Machine(app, app.pipeline)


@pytest.fixture(scope="module")
def deployment(app: App) -> Machine:
    """The deployment machine."""
    return Machine(app, app.deployment)


@pytest.fixture(scope="module")
def sleep(app: App) -> Machine:
    """The machine of sleep."""
    return Machine(app, app.outputs[names.OUTPUT_SLEEP_ARN])


@pytest.fixture(scope="module")
def batch(app: App) -> Machine:
    """The machine that answers files."""
    return Machine(app, app.outputs[names.OUTPUT_BATCH_ARN])


TRAINED = {"name": "job", "status": "Completed", "secondary_status": "Completed", "model": "s3://b/m", "image": "i"}
STOPPED = {**TRAINED, "status": "Stopped", "secondary_status": "Stopped"}
WAITED = {**STOPPED, "secondary_status": "MaxWaitTimeExceeded"}
BETTER = {"verdict": {"promote": True, "reasons": ["better"]}}
WORSE = {"verdict": {"promote": False, "reasons": ["a", "b"]}}
SEARCHING = {"job": "job", "status": "InProgress", "began": 2**42}
LONG = {"tune": {"longest_seconds": 3600}}
PIPELINE_CHOICES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("Is upload small?", {"run": RUN}, {}, "Prepare dataset"),
    ("Is upload small?", {"run": {**RUN, **LARGE}}, {}, "Prepare large dataset"),
    ("Is upload small?", {"run": {**SCRIPT, **LARGE}}, {}, "Prepare dataset"),
    ("Is upload small?", {"run": SPARK}, {}, "Prepare large dataset"),
    ("Is plan within budget?", {}, {"accepted": True, "waits": ""}, "Is a search wanted?"),
    ("Is plan within budget?", {}, {"accepted": False, "waits": ""}, "Settle run"),
    ("Is plan within budget?", {}, {"accepted": False, "waits": "1 x ml.g5.xlarge"}, "Wait for machines"),
    ("Is a search wanted?", {"plan": {"tune": None}}, {}, "Use spot?"),
    ("Is a search wanted?", {"plan": {"tune": {"state": "Tune"}}}, {}, "Tune"),
    ("Is a search wanted?", {"plan": {"tune": {"state": "Tune from earlier search"}}}, {}, "Tune from earlier search"),
    ("Is a search wanted?", {"plan": {"tune": {"state": "Tune recipes"}}}, {}, "Tune recipes"),
    ("Is search over?", {"tuning": SEARCHING, "plan": LONG}, {}, "Wait for search"),
    ("Is search over?", {"tuning": {**SEARCHING, "began": 0}, "plan": LONG}, {}, "Stop search"),
    ("Is search over?", {"tuning": {**SEARCHING, "status": "Stopped"}, "plan": LONG}, {}, "Choose best model"),
    ("Did the search find a model?", {"training": TRAINED}, {}, "Check artefact"),
    ("Did the search find a model?", {"training": None}, {}, "Is capacity missing for the search?"),
    ("Is capacity missing for the search?", {"failure": "CapacityError", "tune_on_spot": True}, {},
     "Is a search wanted?"),
    ("Is capacity missing for the search?", {"failure": "CapacityError", "tune_on_spot": False}, {}, "Fail search"),
    ("Is capacity missing for the search?", {"failure": "AlgorithmError", "tune_on_spot": True}, {}, "Fail search"),
    ("Use spot?", {"plan": PLAN}, {}, "Train on spot"),
    ("Use spot?", {"plan": {"train": {**PLAN["train"], "spot": False}}}, {}, "Train on demand"),
    ("Is capacity missing?", {"failure": "CapacityError: Unable to provision"}, {}, "Train on demand"),
    ("Is capacity missing?", {"failure": "AlgorithmError: a \"quoted\" reason"}, {}, "Fail training"),
    ("Did spot training finish?", {"training": TRAINED}, {}, "Check artefact"),
    ("Did spot training finish?", {"training": WAITED}, {}, "Train on demand"),
    ("Did spot training finish?", {"training": STOPPED}, {}, "Stop training"),
    ("Did training finish?", {"training": TRAINED}, {}, "Check artefact"),
    ("Did training finish?", {"training": {**STOPPED, "secondary_status": "MaxRuntimeExceeded"}}, {}, "Stop training"),
    ("Is it a script's model?", {"run": SCRIPT}, {}, "Judge script"),
    ("Is it a script's model?", {"run": RUN}, {}, "Find champion"),
    ("Is the script's model better?", {"evaluation": BETTER}, {}, "Register script"),
    ("Is the script's model better?", {"evaluation": WORSE}, {}, "Settle run"),
    ("Gate", {"evaluation": BETTER}, {}, "Find serving image"),
    ("Gate", {"evaluation": WORSE}, {}, "Settle run"),
    ("Is approval wanted?", {"run": {"gate": {"approve": "manual"}}}, {}, "Approve"),
    ("Is approval wanted?", {"run": {"gate": {"approve": "auto"}}}, {}, "Deploy"),
    ("Is version approved?", {"approval": {"status": "Approved", "note": ""}, "package": {"version": 1}}, {}, "Deploy"),
    ("Is version approved?", {"approval": {"status": "Rejected", "note": "a \"quoted\" one"},
     "package": {"version": 1}}, {}, "Settle run"),
    ("Is model deployed?", {"evaluations": 1}, {"status": "DEPLOYED"}, "Settle run"),
    ("Is model deployed?", {"evaluations": 1, "reasons": []}, {"status": "CHALLENGING"}, "Settle run"),
    ("Is model deployed?", {"evaluations": 1}, {"status": "CHAMPION_CHANGED"}, "Find champion"),
    ("Is model deployed?", {"evaluations": 3}, {"status": "CHAMPION_CHANGED"}, "Champion keeps changing"),
]  # fmt: skip


FIRST = {**NOTHING, "previous_config": None}
LIVE = {"name": NOTHING["endpoint"], "status": "InService", "reason": ""}
SERVING = {**LIVE, "configuration": NOTHING["config_name"]}
STAGED = {**LIVE, "name": NOTHING["staging"], "configuration": NOTHING["staging_config"]}
SHADOWED = {**LIVE, "configuration": NOTHING["shadow"]["config_name"]}
KEPT = {**LIVE, "configuration": NOTHING["previous_config"], "reason": "unhealthy"}
AS_BEFORE = {**KEPT, "reason": endpoints.NO_REASON}
BROKEN = {**SERVING, "status": "Failed", "reason": "unhealthy"}
UPDATING = {**KEPT, "status": "Updating"}
FAILURE = {"error": "E", "cause": "c"}
MADE = {"error": "E", "cause": 'Cannot create already existing model "arn:none"'}
MADE_BEFORE = [
    ("Create transform model", "Answer golden requests"),
    ("Create model", "Create endpoint configuration"),
    ("Create endpoint configuration", "Create staging configuration"),
    ("Create staging configuration", "Create staging endpoint"),
    ("Create staging endpoint", "Wait for staging"),
    ("Create endpoint", "Wait for endpoint"),
    ("Create shadow configuration", "Put into the shadow"),
]
DEPLOYMENT_CHOICES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("Is champion as evaluated?", {"deployment": NOTHING}, {}, "Which target?"),
    ("Is champion as evaluated?", {"deployment": {**NOTHING, "verdict": "champion_changed"}}, {}, "Release lease"),
    ("Is champion as evaluated?", {"deployment": {**NOTHING, "verdict": "nothing_to_do"}}, {}, "Tidy up"),
    ("Which target?", {"deployment": NOTHING}, {}, "Create model"),
    ("Which target?", {"deployment": {**NOTHING, "target": "lambda"}}, {}, "Make function version"),
    ("Which target?", {"deployment": {**NOTHING, "target": "edge"}}, {}, "Write golden requests"),
    ("Which target?", {"deployment": {**NOTHING, "target": "none"}}, {}, "Tidy up"),
    ("Are they answered?", {"failure": None}, {}, "Check golden answers"),
    ("Are they answered?", {"failure": FAILURE}, {}, "Tidy up"),
    ("Is it for the edge?", {"deployment": {**NOTHING, "target": "edge"}}, {}, "Make bundle"),
    ("Is it for the edge?", {"deployment": {**NOTHING, "target": "batch"}}, {}, "Make champion without endpoint"),
    ("Is all traffic shifted?", {}, {"done": True}, "Make function champion"),
    ("Is all traffic shifted?", {}, {"done": False}, "Watch version"),
    ("Is staging in service?", {"deployment": NOTHING, "endpoint": STAGED}, {}, "Check golden samples"),
    ("Is staging in service?", {"deployment": NOTHING, "endpoint": UPDATING}, {}, "Wait for staging"),
    ("Is staging in service?", {"deployment": NOTHING, "endpoint": BROKEN}, {}, "Tidy up"),
    ("Is there an endpoint?", {"deployment": NOTHING}, {}, "Stop scaling"),
    ("Is there an endpoint?", {"deployment": FIRST}, {}, "Create endpoint"),
    ("Is live endpoint steady?", {"endpoint": KEPT}, {}, "Begin in the shadow?"),
    ("Is live endpoint steady?", {"endpoint": UPDATING}, {}, "Let scaling end"),
    ("Begin in the shadow?", {"deployment": NOTHING}, {}, "Create shadow configuration"),
    ("Begin in the shadow?", {"deployment": {**NOTHING, "shadow": None}}, {}, "Update endpoint"),
    ("Is shadow in service?", {"deployment": NOTHING, "endpoint": SHADOWED}, {}, "Watch shadow"),
    ("Is shadow in service?", {"deployment": NOTHING, "endpoint": UPDATING}, {}, "Wait for shadow"),
    ("Is shadow in service?", {"deployment": NOTHING, "endpoint": KEPT, "unheard": 1}, {},
     "Is there a version to restore?"),
    ("Is shadow in service?", {"deployment": NOTHING, "endpoint": AS_BEFORE, "unheard": 0}, {},
     "Is there a version to restore?"),
    ("Is shadow in service?", {"deployment": NOTHING, "endpoint": AS_BEFORE, "unheard": 2}, {}, "Put into the shadow"),
    ("Is shadow in service?", {"deployment": NOTHING, "endpoint": AS_BEFORE, "unheard": 3}, {},
     "Is there a version to restore?"),
    ("Is shadow quiet?", {"deployment": NOTHING, "alarmed": [], "minutes": 5}, {}, "Update endpoint"),
    ("Is shadow quiet?", {"deployment": NOTHING, "alarmed": [], "minutes": 4}, {}, "Watch shadow"),
    ("Is shadow quiet?", {"deployment": NOTHING, "alarmed": ["a"], "minutes": 4}, {}, "Is there a version to restore?"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": SERVING}, {}, "Scale endpoint"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": UPDATING}, {}, "Wait for endpoint"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": KEPT, "unheard": 1}, {},
     "Is there a version to restore?"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": AS_BEFORE, "unheard": 0}, {},
     "Is there a version to restore?"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": AS_BEFORE, "unheard": 2}, {}, "Update endpoint"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": AS_BEFORE, "unheard": 3}, {},
     "Is there a version to restore?"),
    ("Is it an A/B test?", {"deployment": {**NOTHING, "ab_percent": 10}}, {}, "Watch challenger"),
    ("Is it an A/B test?", {"deployment": NOTHING}, {}, "Switch champion"),
    ("Is challenger quiet?", {"deployment": NOTHING, "alarmed": [], "minutes": 5}, {}, "Name challenger"),
    ("Is challenger quiet?", {"deployment": NOTHING, "alarmed": [], "minutes": 1}, {}, "Watch challenger"),
    ("Is challenger quiet?", {"deployment": NOTHING, "alarmed": ["a"], "minutes": 5}, {},
     "Is there a version to restore?"),
    ("Is there a version to restore?", {"deployment": FIRST, "endpoint": BROKEN}, {}, "Tidy up"),
    ("Is there a version to restore?", {"deployment": NOTHING, "endpoint": KEPT}, {}, "Tidy up"),
    ("Is there a version to restore?", {"deployment": NOTHING, "endpoint": STAGED}, {}, "Tidy up"),
    ("Is there a version to restore?", {"deployment": NOTHING, "endpoint": SERVING}, {}, "Restore endpoint"),
    ("Is there a version to restore?", {"deployment": NOTHING, "endpoint": BROKEN}, {}, "Delete failed endpoint"),
    *[("Was it made before?", {"failure": MADE, "refused": state}, {}, following) for state, following in MADE_BEFORE],
    ("Was it made before?", {"failure": FAILURE, "refused": "Create model"}, {}, "Tidy up"),
    ("How did it end?", {"failure": None, "status": "DEPLOYED"}, {}, "Deployed"),
    ("How did it end?", {"failure": None, "status": "CHAMPION_CHANGED"}, {}, "Champion changed"),
    ("How did it end?", {"failure": FAILURE, "status": "DEPLOYED"}, {}, "Deployment failed"),
]  # fmt: skip


FILE: dict[str, Any] = {
    "bucket": {"name": "b"},
    "object": {"key": "acme/none/batch/r.csv", "version-id": "v", "size": 1},
}
FOLDER = {**FILE, "object": {**FILE["object"], "key": "acme/none/batch/"}}
ENDED = {"executionArn": "arn:none", "status": "ABORTED", "input": json.dumps({"detail": FILE})}
ENDED_AGAIN = {**ENDED, "input": json.dumps({"detail": ENDED})}
NAMED: dict[str, Any] = {
    "tenant": "acme", "project": "none", "file": "r.csv", "id": "none", "prefix": "acme/none/batch/r.csv/none/",
    "size": 1, "source": "none", "instance": "ml.m5.large", "ending": ".csv", "failure": None, "stopped": "arn:none",
    "followed": "arn:none",
    "champion": {"package_arn": "arn:none", "version": "1"}, "content_type": "text/csv", "tags": [],
    "container": {"Image": NOTHING["image_uri"], "ModelDataUrl": NOTHING["model_data_url"]},
}  # fmt: skip
BATCH_CHOICES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("Is it a file?", {}, {"detail": FILE}, "Claim file"),
    ("Is it a file?", {}, {"detail": FOLDER}, "Nothing to answer"),
    ("Is it a file?", {}, {"detail": ENDED}, "Take over file"),
    ("Is it a file?", {}, {"detail": ENDED_AGAIN}, "Take over file"),
    ("Can it be answered?", NAMED, {}, "Copy file"),
    ("Can it be answered?", {**NAMED, "champion": None}, {}, "Settle file"),
    ("Can it be answered?", {**NAMED, "ending": ".parquet"}, {}, "Settle file"),
    ("Can it be answered?", {**NAMED, "size": 2**30}, {}, "Settle file"),
    ("How did it end?", {"failure": None}, {}, "Answered"),
    ("How did it end?", {"failure": FAILURE}, {}, "Batch failed"),
]


SLEEPING: dict[str, Any] = {
    **NOTHING, "verdict": "sleep", "there": True, "asleep": True, "held_until": "", "endpoint": "acme--none--realtime",
}  # fmt: skip
WAKING: dict[str, Any] = {**SLEEPING, "verdict": "wake", "asleep": False}
SLEEP_CHOICES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("What is to be done?", {"deployment": SLEEPING, "unheard": 2}, {}, "Delete endpoint"),
    ("What is to be done?", {"deployment": SLEEPING, "unheard": 3}, {}, "Release lease"),
    ("What is to be done?", {"deployment": {**SLEEPING, "there": False}, "unheard": 3}, {}, "Note that it sleeps"),
    ("What is to be done?", {"deployment": WAKING}, {}, "Describe endpoint"),
    ("What is to be done?", {"deployment": {**WAKING, "there": False}}, {}, "Create endpoint"),
    ("What is to be done?", {"deployment": {"verdict": "nothing_to_do"}}, {}, "Release lease"),
    ("Was it made before?", {"failure": {"error": "E", "cause": "already existing"}, "refused": "Create endpoint"}, {},
     "Wait for endpoint"),
    ("Was it made before?", {"failure": FAILURE, "refused": "Create endpoint"}, {}, "Release lease"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": SERVING}, {}, "Scale endpoint"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": {**SERVING, "status": "Creating"}}, {},
     "Wait for endpoint"),
    ("Is endpoint in service?", {"deployment": NOTHING, "endpoint": BROKEN}, {}, "Release lease"),
    ("How did it end?", {"failure": None}, {}, "As wanted"),
    ("How did it end?", {"failure": FAILURE}, {}, "Sleep failed"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "variables", "value", "following"), SLEEP_CHOICES)
def test_sleep_goes_where_each_choice_says(
    sleep: Machine, state: str, variables: dict[str, Any], value: dict[str, Any], following: str
) -> None:
    assert sleep.after(state, variables, value) == following


@pytest.mark.parametrize(("state", "variables", "value", "following"), BATCH_CHOICES)
def test_a_batch_goes_where_each_choice_says(
    batch: Machine, state: str, variables: dict[str, Any], value: dict[str, Any], following: str
) -> None:
    assert batch.after(state, variables, value) == following


@pytest.mark.parametrize(("state", "variables", "value", "following"), PIPELINE_CHOICES)
def test_a_run_goes_where_each_choice_says(
    pipeline: Machine, state: str, variables: dict[str, Any], value: dict[str, Any], following: str
) -> None:
    assert pipeline.after(state, variables, value) == following


@pytest.mark.parametrize(("state", "variables", "value", "following"), DEPLOYMENT_CHOICES)
def test_a_deployment_goes_where_each_choice_says(
    deployment: Machine, state: str, variables: dict[str, Any], value: dict[str, Any], following: str
) -> None:
    assert deployment.after(state, variables, value) == following


def test_no_way_of_any_choice_is_left_out(
    pipeline: Machine, deployment: Machine, batch: Machine, sleep: Machine
) -> None:
    """Whole runs, of test_runs.py and test_bad_input.py, take both ways of each ``accepted``."""
    choices = PIPELINE_CHOICES + DEPLOYMENT_CHOICES + BATCH_CHOICES + SLEEP_CHOICES
    told = {(state, following) for state, _, _, following in choices}
    whole_runs = ("Is request accepted?", "Is dataset accepted?")
    assert {
        way for machine in (pipeline, deployment, batch, sleep) for way in _ways(machine) if way[0] not in whole_runs
    } == told


def _ways(machine: Machine) -> Iterator[tuple[str, str]]:
    for name, state in machine.states.items():
        if state["Type"] == "Choice":
            yield from ((name, target) for target in targets(state))


def test_a_creation_whose_answer_was_lost_goes_on(app: App, deployment: Machine) -> None:
    """The names are of this deployment alone, so what is there already is its own."""
    sagemaker = app.cloud.client("sagemaker")
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:none"
    role = "arn:aws:iam::123456789012:role/none"
    plan = {**NOTHING, "model_name": "acme--none--v2", "config_name": "acme--none--v2"}
    plan["configuration"] = {"ProductionVariants": [{**VARIANT, "ModelName": "acme--none--v2"}]}
    sagemaker.create_model(ModelName="acme--none--v2", PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
    sagemaker.create_endpoint_config(EndpointConfigName="acme--none--v2", **plan["configuration"])
    for state in ("Create model", "Create endpoint configuration"):
        assert deployment.after(state, {"deployment": plan, "failure": None}) == "Was it made before?"
    sagemaker.delete_endpoint_config(EndpointConfigName="acme--none--v2")
    sagemaker.delete_model(ModelName="acme--none--v2")


def test_every_call_of_sleep_that_fails_gives_the_lease_back(sleep: Machine) -> None:
    variables: dict[str, Any] = {"deployment": {**SLEEPING, "scaling": [UNKNOWN]}, "failure": None, "refused": ""}
    variables |= {"tenant": "acme", "project": "none", "asleep": True, "by": "person", "stopped_by": ""}
    caught = {
        name: rules[-1]["Next"]
        for name, state in sleep.states.items()
        if (rules := [rule for rule in state.get("Catch", ()) if "States.ALL" in rule["ErrorEquals"]])
    }
    assert len(caught) == 7
    assert {name: sleep.after(name, variables) for name in caught} == caught


def test_every_call_of_a_deployment_that_fails_is_caught(app: App, deployment: Machine) -> None:
    blind = {
        name: value for name, value in NOTHING.items() if name not in ("alarms", "watch")
    }  # CloudWatch refuses none
    variables: dict[str, Any] = {"deployment": blind, "status": None, "failure": None, "run": "none-1"}
    variables |= {"tenant": "acme", "project": "none", "package_arn": "arn:none", "expected_champion": "another"}
    variables |= {"at_once": False, "stopped": "", "stopped_by": "", "minutes": 0}
    another = {name: {"S": value} for name, value in ledger.champion_key("acme", "none").items()}
    app.dynamodb.put_item(TableName=app.table, Item={**another, "package_arn": {"S": "another"}})
    caught = {
        name: rules[-1]["Next"]
        for name, state in deployment.states.items()
        if (rules := [rule for rule in state.get("Catch", ()) if "States.ALL" in rule["ErrorEquals"]])
    }
    del caught["Stop scaling"]  # what is not there is stopped
    assert len(caught) > 10
    assert {name: deployment.after(name, variables) for name in caught} == caught


def test_every_call_of_a_batch_that_fails_is_caught(batch: Machine) -> None:
    """The transform job alone is refused for what is not there: it has no model."""
    caught = {
        name: rules[-1]["Next"]
        for name, state in batch.states.items()
        if (rules := [rule for rule in state.get("Catch", ()) if "States.ALL" in rule["ErrorEquals"]])
        and name != "Find champion"  # a table that is there refuses no reading
    }
    assert len(caught) == 5
    assert {name: batch.after(name, NAMED) for name in caught} == caught
    assert batch.after("Take over file", NAMED) == "Nothing to answer"
