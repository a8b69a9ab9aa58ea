"""The worst case of a definition: every way through it, priced by what its states ask for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from contract import attempts, names
from contract.prices import load_prices
from functions import plan, shared
from functions.asl import CREATES_JOB, Definition
from functions.expressions import UNKNOWN, Partly, fill
from functions.paid_jobs import STOP_SECONDS
from functions.worst_case import NoBound, worst
from infra.asl import task, transient
from tests import definitions
from tests.functions import examples
from tests.functions.conftest import World, planning

Machine = dict[str, Any]
SPOT, DEMAND = definitions.TRAIN_ON_SPOT, definitions.TRAIN_ON_DEMAND
SECTIONS: dict[str, Any] = {"train": {"instance": "ml.m5.xlarge", "max_minutes": 58}}
HOUR = load_prices().training["ml.m5.xlarge"]


@pytest.fixture
def machine() -> Machine:
    return definitions.run()


def worst_of(machine: Machine, *, prepared: bool = False, **sections: Any) -> dict[str, Any]:
    request, dataset = examples.request(**{**SECTIONS, **sections}), examples.dataset()
    passing = (attempts.PLAN, {"prepared_in_job": prepared})
    definition = definitions.parsed(machine)
    return plan.worst_case(request, plan.make_parts(request, dataset), definition=definition, passing=passing)


def lines(machine: Machine, **sections: Any) -> dict[str, dict[str, Any]]:
    return {line["state"]: line for line in worst_of(machine, **sections)["lines"]}


def test_the_states_that_are_known_by_name_are_the_pipelines(machine: Machine) -> None:
    states = machine["States"]
    assert {attempts.PLAN, *attempts.SEARCHES} <= states.keys()
    assert {name for name in states if CREATES_JOB.search(states[name].get("Resource", ""))} == set(definitions.PAID)


def test_the_text_by_which_older_definitions_tell_what_ends_an_execution_stays() -> None:
    text = "Ends the execution. What follows is for a redrive, which a person starts and pays for."
    assert text == attempts.ENDS_EXECUTION


def test_a_run_can_pay_for_spot_and_on_demand_and_three_evaluations(machine: Machine) -> None:
    found = lines(machine)
    assert {state: line["attempts"] for state, line in found.items()} == {SPOT: 1, DEMAND: 1, definitions.EVALUATE: 3}
    assert found[SPOT]["usd"] == found[DEMAND]["usd"] == pytest.approx(HOUR, abs=1e-4)  # 58 minutes and 2 to stop


def test_only_what_has_run_or_can_still_run_is_counted(machine: Machine) -> None:
    assert definitions.PREPARE not in lines(machine)
    assert lines(machine, prepared=True)[definitions.PREPARE]["attempts"] == 1


def _retry(state: dict[str, Any], *errors: str, times: int) -> None:
    state["Retry"].append(transient(*errors, times=times))


CHANGES: dict[str, Callable[[Machine], Any]] = {
    "a retry of a job that failed": lambda m: _retry(m["States"][DEMAND], "States.TaskFailed", times=2),
    "a retry of anything": lambda m: _retry(m["States"][definitions.EVALUATE], "States.ALL", times=1),
    "a longer time": lambda m: m["States"][DEMAND]["Arguments"]["StoppingCondition"].update(
        MaxRuntimeInSeconds="{% $plan.train.max_runtime_seconds * 2 %}"
    ),
    "more machines": lambda m: m["States"][definitions.EVALUATE]["Arguments"]["ProcessingResources"][
        "ClusterConfig"
    ].update(InstanceCount=2),
    "a larger machine": lambda m: m["States"][definitions.EVALUATE]["Arguments"]["ProcessingResources"][
        "ClusterConfig"
    ].update(InstanceType="ml.m5.4xlarge"),
    "a fourth evaluation": lambda m: m["States"]["Is model deployed?"]["Choices"][2].update(
        Condition="{% $evaluations < 4 %}"
    ),
    "a failure that leads to more training": lambda m: (
        m["States"][DEMAND].update(Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "Once more"}])
        or m["States"].update({"Once more": {**copy.deepcopy(m["States"][DEMAND]), "Catch": []}})
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_lets_the_definition_pay_more_raises_the_worst_case(machine: Machine, change: str) -> None:
    before = worst_of(machine)["usd"]
    CHANGES[change](machine)
    assert worst_of(machine)["usd"] > before + 0.1


def test_retrying_what_was_never_created_costs_nothing(machine: Machine) -> None:
    before = worst_of(machine)
    _retry(machine["States"][DEMAND], "SageMaker.AmazonSageMakerException", times=50)
    assert worst_of(machine) == before


def test_retrying_what_may_have_been_created_costs(machine: Machine) -> None:
    before = worst_of(machine)["usd"]
    _retry(machine["States"][DEMAND], "SageMaker.SdkClientException", times=1)
    assert worst_of(machine)["usd"] > before + 0.1


def test_a_search_costs_its_jobs_once_on_spot_and_once_on_demand(machine: Machine) -> None:
    on_spot = {"tune": {"jobs": 4}, "train": {**SECTIONS["train"], "spot": True}}
    assert lines(machine, **on_spot)[attempts.TUNE]["attempts"] == 8
    assert lines(machine, **on_spot)[attempts.TUNE]["usd"] == pytest.approx(8 * HOUR, abs=1e-3)
    on_demand = {"tune": {"jobs": 4}, "train": {**SECTIONS["train"], "spot": False}}
    assert lines(machine, **on_demand)[attempts.TUNE]["attempts"] == 4


def test_the_golden_samples_of_a_version_without_endpoint_are_in_the_worst_case(machine: Machine) -> None:
    batch = {"deploy": {"target": "batch", "batch_instance": "ml.m5.xlarge"}}
    assert definitions.DEPLOY not in lines(machine), "endpoints and functions are asked without a job"
    line = lines(machine, **batch)[definitions.DEPLOY]
    assert (line["instance"], line["attempts"]) == ("ml.m5.xlarge", attempts.EVALUATIONS)
    assert line["seconds"] == definitions.deploy()["States"]["Answer golden requests"]["TimeoutSeconds"] + STOP_SECONDS
    assert line["usd"] == pytest.approx(3 * load_prices().transform["ml.m5.xlarge"] * line["seconds"] / 3600, abs=1e-3)


def test_a_machine_that_nobody_read_is_refused(machine: Machine) -> None:
    definition = definitions.parsed(machine)
    machine["States"][definitions.DEPLOY]["Arguments"]["StateMachineArn"] = "<another>"
    with pytest.raises(NoBound, match=r"Deploy.*<another>"):
        worst(Definition(states=machine["States"], start=definitions.DEPLOY, started=definition.started), {})


def test_a_retry_of_what_starts_a_machine_pays_again_if_it_may_have_run(machine: Machine) -> None:
    batch = {"deploy": {"target": "batch"}}
    before = lines(machine, **batch)[definitions.DEPLOY]["usd"]
    _retry(machine["States"][definitions.DEPLOY], "StepFunctions.ExecutionLimitExceededException", times=50)
    assert lines(machine, **batch)[definitions.DEPLOY]["usd"] == before
    _retry(machine["States"][definitions.DEPLOY], "States.TaskFailed", times=1)
    assert lines(machine, **batch)[definitions.DEPLOY]["usd"] == pytest.approx(2 * before, abs=1e-3)


def test_what_is_not_known_of_an_object_leaves_both_ways_open() -> None:
    known = {"deployment": Partly({"target": "batch"}), "states": Partly({"context": {"State": {"Name": "Here"}}})}
    decided = ("$deployment.target = 'batch'", "$states.context.State.Name = 'Here'", "$not($deployment.target = 'x')")
    for condition in decided:
        assert fill(f"{{% {condition} %}}", known, frozenset()) is True
    for condition in ("$deployment.verdict = 'x'", "$exists($deployment.verdict)", "$count([$states.input.a]) = 0"):
        assert fill(f"{{% {condition} %}}", known, frozenset()) is UNKNOWN
    assert fill("{% $deployment.target = 'edge' and $deployment.verdict = 'x' %}", known, frozenset()) is False


def test_a_loop_that_counts_to_an_end_that_only_the_run_knows_is_refused() -> None:
    again = {"Type": "Choice", "Choices": [{"Condition": "{% $visits < $asked %}", "Next": "Count"}], "Default": "Job"}
    count = {"Type": "Pass", "Assign": {"visits": "{% $visits + 1 %}"}, "Next": "Again?"}
    asked = {"Type": "Pass", "Assign": {"asked": "{% $states.input.times %}"}, "Next": "Again?"}
    states: Machine = {"Asked": asked, "Again?": again, "Count": count, "Job": job()}
    with pytest.raises(NoBound, match="how often the state"):
        worst(Definition(states=states, start="Asked"), {"visits": 0})


def test_a_loop_that_pays_without_a_bound_is_refused(machine: Machine) -> None:
    machine["States"]["Stop training"].pop("Comment")  # then a redrive's way is everybody's
    with pytest.raises(NoBound, match="pays again and again"):
        worst_of(machine)


def test_a_job_of_an_unknown_kind_is_refused(machine: Machine) -> None:
    machine["States"][DEMAND]["Resource"] = "arn:aws:states:::sagemaker:createLabelingJob.sync"
    with pytest.raises(NoBound, match=r"Train on demand.*createLabelingJob"):
        worst_of(machine)


def test_a_time_that_only_the_run_itself_knows_is_refused(machine: Machine) -> None:
    machine["States"][DEMAND]["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": "{% $training.seconds %}"}
    with pytest.raises(NoBound, match="Train on demand"):
        worst_of(machine)


def job(instance: str = "ml.m5.xlarge") -> dict[str, Any]:
    cluster = {"InstanceType": instance, "InstanceCount": 1}
    asked = {"StoppingCondition": {"MaxRuntimeInSeconds": 3600}, "ProcessingResources": {"ClusterConfig": cluster}}
    return task("sagemaker:createProcessingJob.sync", asked, then=None, seconds=9000, retry=[])


def mapped(items: Any, kind: str = "Map") -> Definition:
    inner = {"StartAt": "Job", "States": {"Job": job()}}
    each = {"ItemProcessor": inner, "Items": items} if kind == "Map" else {"Branches": [inner, inner, inner]}
    return Definition(states={"All": {"Type": kind, **each, "End": True}}, start="All")


def usd(lines: list[dict[str, Any]]) -> float:
    return float(sum(line["usd"] for line in lines))


def test_a_map_costs_its_width_and_parallel_branches_all_of_them() -> None:
    hour = load_prices().processing["ml.m5.xlarge"]
    for definition, times in ((mapped("{% $files %}"), 4), (mapped(None, "Parallel"), 3)):
        assert usd(worst(definition, {"files": [1, 2, 3, 4]})) == pytest.approx(times * hour)
    with pytest.raises(NoBound, match="how many items"):
        worst(mapped("{% $states.input.files %}"), {})


@pytest.mark.parametrize("errors", ["States.ALL", "SageMaker.AmazonSageMakerException"])
def test_a_parallel_or_a_map_that_is_retried_pays_for_all_again(errors: str) -> None:
    for definition in (mapped("{% $files %}"), mapped(None, "Parallel")):
        once = worst(definition, {"files": [1, 2, 3]})
        definition.states["All"]["Retry"] = [transient(errors, times=2)]  # type: ignore[index]
        assert usd(worst(definition, {"files": [1, 2, 3]})) == pytest.approx(3 * usd(once))


def test_a_map_over_two_paid_states_costs_both_for_each_item_and_each_visit() -> None:
    hour, larger = (load_prices().processing[name] for name in ("ml.m5.xlarge", "ml.m5.4xlarge"))
    two = {"StartAt": "Job", "States": {"Job": job() | {"Next": "Then"}, "Then": job("ml.m5.4xlarge")}}
    both = {"Type": "Map", "ItemProcessor": two, "Items": "{% $files %}"}
    again = {"Type": "Choice", "Choices": [{"Condition": "{% $visits < 3 %}", "Next": "All"}], "Default": "Done"}
    counted = {**both, "Next": "Again?", "Assign": {"visits": "{% $visits + 1 %}"}}
    once = Definition(states={"All": {**both, "End": True}}, start="All")
    thrice = Definition(states={"All": counted, "Again?": again, "Done": {"Type": "Succeed"}}, start="All")
    known = {"files": [1, 2, 3, 4], "visits": 0}
    for definition, visits in ((once, 1), (thrice, 3)):
        (line,) = worst(definition, known)
        assert line["attempts"] == 4 * visits
        assert line["usd"] == pytest.approx(4 * visits * (hour + larger))


def test_a_dry_run_reads_the_deployed_definition_and_is_never_below_the_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.PIPELINE_ARN, planning(world.cloud)[0])
    shared.environment.cache_clear()
    for sections in (SECTIONS, {**SECTIONS, "tune": {"jobs": 4}}, {"train": {"instance": "ml.m5.large", "hosts": 3}}):
        request = examples.request(world.tenant, **sections)
        told = plan.handler({"run": request.to_dict()}, None)
        assert told["accepted"]
        planned = [
            plan.handler(
                {"run": request.to_dict(), "dataset": examples.dataset().to_dict(), "prepared_in_job": prepared,
                 **world.planning()}, None,
            )["worst_case"]["usd"]
            for prepared in (False, True)
        ]  # fmt: skip
        assert told["worst_case"]["usd"] >= max(planned) > min(planned)
    over = examples.request(world.tenant, **SECTIONS, budget={"max_usd_per_run": 0.3})
    assert "$" in plan.handler({"run": over.to_dict()}, None)["reasons"][0]
