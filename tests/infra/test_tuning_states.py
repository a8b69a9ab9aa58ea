"""What the states of a search ask SageMaker for, and where they lead."""

from __future__ import annotations

import time
from typing import Any

import pytest

from contract import names
from contract.request import build_request
from functions import tuning
from local.sagemaker import tuning_rules
from tests.functions import examples
from tests.infra.test_arguments import CONTEXT, States, check, decide, evaluate, resource_of, variables

__all__ = ["variables"]  # a fixture


def asked(run_states: States, state: str, given: dict[str, Any]) -> dict[str, Any]:
    arguments = evaluate(run_states[state]["Arguments"], given)
    check(resource_of(run_states[state]), arguments)
    tuning_rules.check(arguments)
    return arguments


def test_a_search_runs_our_program_out_of_the_code_channel(run_states: States, variables: dict[str, Any]) -> None:
    definition = asked(run_states, "Tune", variables)["TrainingJobDefinition"]
    told = definition["StaticHyperParameters"]
    assert told["sagemaker_program"] == names.TUNING_PROGRAM
    code = next(each for each in definition["InputDataConfig"] if each["ChannelName"] == "code")
    file = code["DataSource"]["S3DataSource"]["S3Uri"].rpartition("/")[2]
    assert told["sagemaker_submit_directory"] == f"/opt/ml/input/data/code/{file}"
    assert told["recipe"] == "tabular"
    assert "learning_rate" not in told


def test_on_spot_the_first_type_is_asked_for_and_on_demand_the_whole_ladder(
    run_states: States, variables: dict[str, Any]
) -> None:
    spot = asked(run_states, "Tune", variables)["TrainingJobDefinition"]
    assert spot["EnableManagedSpotTraining"] is True
    assert spot["ResourceConfig"]["InstanceType"] == "ml.g5.xlarge"
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 5400}
    variables["tune_on_spot"] = False
    demand = asked(run_states, "Tune", variables)["TrainingJobDefinition"]
    assert demand["EnableManagedSpotTraining"] is False
    assert demand["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    machines = demand["HyperParameterTuningResourceConfig"]
    assert [each["InstanceType"] for each in machines["InstanceConfigs"]] == ["ml.g5.xlarge", "ml.m5.xlarge"]
    variables["plan"]["train"]["ladder"] = ["ml.g5.xlarge"]
    alone = asked(run_states, "Tune", variables)["TrainingJobDefinition"]
    assert alone["ResourceConfig"]["InstanceType"] == "ml.g5.xlarge"


def test_recipes_are_a_definition_each_with_its_own_image(run_states: States, variables: dict[str, Any]) -> None:
    toml = {"recipe": "auto", "prepare": {"target": "y"}}
    upload = {**variables["run"]["upload"]}
    request = build_request(
        run="tab-0123456789",
        console={"tenant": "acme", "project": "tab"},
        project_toml=toml,
        upload=examples.request().upload.__class__(**upload),
    )
    variables["run"] = request.to_dict()
    variables["plan"]["tune"] = tuning.tune_part(request, examples.dataset())
    found = asked(run_states, "Tune recipes", variables)["TrainingJobDefinitions"]
    assert {each["DefinitionName"] for each in found} == {"tabular", "linear"}
    assert {each["StaticHyperParameters"]["recipe"] for each in found} == {"tabular", "linear"}


def test_searches_are_made_through_the_integration_that_knows_every_field(run_states: States) -> None:
    """The optimised one documents five arguments, and TrainingJobDefinitions is not among them."""
    for state in ("Tune", "Tune from earlier search", "Tune recipes"):
        assert resource_of(run_states[state]) == "aws-sdk:sagemaker:createHyperParameterTuningJob"
    assert "TrainingJobDefinitions" in run_states["Tune recipes"]["Arguments"]


def test_a_search_has_a_name_that_fits_however_often_it_is_made(run_states: States, variables: dict[str, Any]) -> None:
    variables["run"]["run"] = "r" * names.RUN_LIMIT
    execution = {**CONTEXT["Execution"], "RedriveCount": 99}
    variables["states"]["context"] = {**CONTEXT, "Execution": execution}
    name = evaluate(run_states["Tune"]["Arguments"], variables)["HyperParameterTuningJobName"]
    assert len(name) == 32
    variables["tune_on_spot"] = False
    assert evaluate(run_states["Tune"]["Arguments"], variables)["HyperParameterTuningJobName"] != name


@pytest.mark.parametrize(
    ("planned", "then"),
    [
        (None, "Use spot?"),
        ({"state": "Tune"}, "Tune"),
        ({"state": "Tune from earlier search"}, "Tune from earlier search"),
        ({"state": "Tune recipes"}, "Tune recipes"),
    ],
)
def test_the_plan_says_which_search_it_is(run_states: States, planned: Any, then: str) -> None:
    assert decide(run_states["Is a search wanted?"], {"plan": {"tune": planned}}) == then


@pytest.mark.parametrize(
    ("spot", "failure", "then"),
    [
        (True, "CapacityError: Unable to provision requested ML compute capacity.", "Is a search wanted?"),
        (True, "MaxWaitTimeExceeded", "Is a search wanted?"),
        (True, "(Service: SageMaker; Status Code: 400; Error Code: ResourceLimitExceeded)", "Is a search wanted?"),
        (True, "AlgorithmError: ValueError: bad", "Fail search"),
        (False, "CapacityError: Unable to provision requested ML compute capacity.", "Fail search"),
    ],
)
def test_only_a_search_on_spot_that_found_no_machines_is_made_again(
    run_states: States, spot: bool, failure: str, then: str
) -> None:
    seen = {"tune_on_spot": spot, "failure": failure}
    assert decide(run_states["Is capacity missing for the search?"], seen) == then


def test_a_search_without_a_model_goes_no_further(run_states: States) -> None:
    assert decide(run_states["Did the search find a model?"], {"training": None}) != "Check artefact"
    assert decide(run_states["Did the search find a model?"], {"training": {"model": "s3://b/m"}}) == "Check artefact"


def test_a_search_that_was_refused_keeps_the_refusal(run_states: States) -> None:
    (catch,) = run_states["Tune"]["Catch"]
    assert catch["Next"] == "Choose best model"
    seen = {"states": {"errorOutput": {"Cause": "Rate exceeded (Service: SageMaker)"}, "context": CONTEXT}}
    assigned = evaluate(catch["Assign"], seen)
    assert (assigned["tuning"]["job"], assigned["failure"]) == (None, "Rate exceeded (Service: SageMaker)")


def test_a_search_is_known_by_the_name_that_it_was_made_with(run_states: States) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/t-tune-0-1-0"
    seen = {"states": {"result": {"HyperParameterTuningJobArn": arn}, "context": CONTEXT}}
    assert evaluate(run_states["Tune"]["Assign"], seen)["tuning"]["job"] == "t-tune-0-1-0"


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 5), (1, 5), (60, 180), (60 * 24, 1800)])
def test_a_search_is_looked_at_more_seldom_the_longer_it_takes(run_states: States, minutes: int, seconds: int) -> None:
    began = int(time.time() * 1000) - minutes * 60_000
    assert evaluate(run_states["Wait for search"]["Seconds"], {"tuning": {"began": began}}) == seconds


@pytest.mark.parametrize(
    ("status", "hours", "then"),
    [
        ("InProgress", 0, "Wait for search"),
        ("InProgress", 1.9, "Wait for search"),
        ("InProgress", 2.1, "Stop search"),  # an hour of training, an hour of starting machines
        ("Stopping", 9, "Wait for search"),
        ("Stopped", 9, "Choose best model"),
        ("Completed", 0, "Choose best model"),
        ("Failed", 0, "Choose best model"),
    ],
)
def test_a_search_has_its_time(run_states: States, status: str, hours: float, then: str) -> None:
    tuning = {"status": status, "began": int((time.time() - hours * 3600) * 1000)}
    seen = {"tuning": tuning, "plan": {"tune": {"longest_seconds": 3600}}}
    assert decide(run_states["Is search over?"], seen) == then
