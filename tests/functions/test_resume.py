"""A run goes on where it ended, once the rest is paid for; what cannot go on says why, and nothing is changed."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr
from moto.stepfunctions import models

from contract import attempts, ledger, quotas
from contract.histories import Stopped
from contract.prices import load_prices
from contract.run import RUNNING, Outcome
from functions import machines, plan, rest, resume, runs, settle, table
from tests import definitions
from tests.functions import examples
from tests.functions.conftest import FakeSageMaker, Killed, World

ENDED = "2026-11-21T10:01:00.000Z"
HOUR = load_prices().processing["ml.m5.large"]
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
EVALUATE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync",
    "Arguments": {
        "ProcessingJobName": "{% $run.run %}",
        "AppSpecification": {"ImageUri": "none"},
        "RoleArn": "arn:aws:iam::123456789012:role/job",
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    },
    "Next": "Done",
}


MACHINE = quotas.name_of("processing", "ml.m5.2xlarge")


def story(world: World, *, budget: float = 10.0, wait: int = 0) -> dict[str, Any]:
    """Return a machine that has paid for training, fails while a bucket is missing, and may pay for an evaluation."""
    request = examples.request(world.tenant, name(world), budget={"max_usd_per_run": budget})
    given = {"run": request.to_dict(), "plan": {"train": {}, "machines": {MACHINE: 2}}}
    read = {"Bucket": f"later-{world.tenant}", "Key": "k"}
    pays = {"Condition": "{% $states.input.Body = 'pay' %}", "Next": "Evaluate"}
    return {
        "Given": {"Type": "Pass", "Assign": given, "Next": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": wait, "Next": "Read"},
        "Read": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
            "Arguments": read,
            "Next": "Is it better?",
        },
        "Is it better?": {"Type": "Choice", "Choices": [pays], "Default": "Done"},
        "Evaluate": EVALUATE,
        "Done": {"Type": "Succeed"},
    }


def name(world: World) -> str:
    return f"r{world.tenant}"[:20]


def ran(world: World, *, settled: bool = True, usd: float = 1.0, **options: Any) -> dict[str, Any]:
    """Run an execution until it fails (or waits); return its run's row as settle leaves it."""
    states, role = world.client("stepfunctions"), "arn:aws:iam::123456789012:role/machine"
    machine = {"QueryLanguage": "JSONata", "StartAt": "Given", "States": story(world, **options)}
    made = states.create_state_machine(name=f"resumes-{world.tenant}", definition=json.dumps(machine), roleArn=role)
    world.machine = made["stateMachineArn"]
    run = name(world)
    if options.get("wait"):
        arn = states.start_execution(stateMachineArn=world.machine, name=run)["executionArn"]
    else:
        arn = world.execute({}, name=run)["id"]
    runs.begin(run, arn, {"started": "2026-11-21T10:00:00.000Z", "project": f"{world.tenant}/digits"})
    if settled:
        told = {"status": "FAILED", "outcome": "FAILED", "reasons": ["Read: broken"], "ended": ENDED, "usd": usd}
        table.change(ledger.run_key(run), told, only_if=Attr("pk").exists())
    return dict(table.get(ledger.run_key(run)) or {})


def mend(world: World) -> None:
    s3, bucket = world.client("s3"), f"later-{world.tenant}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"free")


def described(world: World, row: dict[str, Any]) -> dict[str, Any]:
    return world.client("stepfunctions").describe_execution(executionArn=row["execution_arn"])


def ask(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    return resume.handler({"run": row["run"], **more}, None)


def test_the_rest_is_covered_and_the_execution_goes_on(world: World) -> None:
    row = ran(world)
    mend(world)
    answer = ask(row)
    assert answer == {
        "run": row["run"], "resumed": True, "reasons": [], "state": "Read", "spent_usd": 1.0,
        "worst_usd": pytest.approx(HOUR, abs=1e-4), "budget_usd": 10.0, "redrive": 1,
    }  # fmt: skip
    now = table.get(ledger.run_key(row["run"])) or {}
    assert (now["status"], now["resumes"], now["reserved_usd"]) == (RUNNING, 1, answer["worst_usd"])
    assert not {"outcome", "reasons"} & now.keys()
    assert (now["usd"], now["ended"]) == (1, ENDED), "what it has cost so far, and its end until now"
    world.eventually(lambda: described(world, row)["status"] == "SUCCEEDED")
    assert described(world, row)["redriveCount"] == 1
    charge = table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {}
    assert charge["charged"] - charge.get("settled", 0) == pytest.approx(HOUR * ledger.MICROS, abs=100)


def test_a_tenant_without_the_money_resumes_nothing(world: World) -> None:
    row = ran(world)
    table.put(ledger.budget_key(world.tenant), {"usd": 0.1})
    answer = ask(row)
    assert f"more than is left of {world.tenant}'s budget of $0.10" in answer["reasons"][0]
    assert table.get(ledger.run_key(row["run"])) == row
    assert table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) is None


def test_machines_that_could_not_be_taken_leave_the_run_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(run: str, held: object) -> str:
        raise TimeoutError("other runs took machines at the same moment")

    row = ran(world)
    monkeypatch.setattr(machines, "retake", throttled)
    with pytest.raises(TimeoutError):
        ask(row)
    assert table.get(ledger.run_key(row["run"])) == row
    charge = table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {}
    assert charge["charged"] == charge.get("settled", 0)


def test_what_step_functions_refuses_gives_the_money_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ran(world)
    execution: Any = models.stepfunctions_backends["123456789012"]["us-east-1"].describe_execution(row["execution_arn"])
    cover = resume._cover

    def then_it_grows_old(row: Any, found: Any) -> None:
        cover(row, found)
        execution.stop_date -= datetime.timedelta(days=15)

    monkeypatch.setattr(resume, "_cover", then_it_grows_old)
    assert "Step Functions refused" in ask(row)["reasons"][0]
    assert table.get(ledger.run_key(row["run"])) == row
    assert (table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {})["charged"] == 0


@pytest.mark.parametrize(
    ("options", "more", "says"),
    [
        ({"budget": 1.05}, {}, "it has cost $1.00, and from 'Read' on it may cost $0.1"),
        ({"budget": 9.0}, {"max_usd": 0.5}, "more than $0.50"),
        ({"settled": False}, {}, "its end is not settled yet"),
        ({"wait": 9999, "settled": False}, {}, "it is running"),
    ],
)
def test_what_cannot_go_on_is_refused_and_left_as_it_is(
    world: World, options: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    row = ran(world, **options)
    answer = ask(row, **more)
    assert not answer["resumed"]
    assert says in answer["reasons"][0]
    assert table.get(ledger.run_key(row["run"])) == row
    assert described(world, row)["redriveCount"] == 0


def test_a_person_may_allow_more_than_the_budget(world: World) -> None:
    row = ran(world, budget=1.0)
    mend(world)
    assert ask(row, max_usd=2.0)["resumed"]


def test_what_ended_well_long_ago_or_is_gone_is_refused(world: World) -> None:
    row = ran(world)
    execution: Any = models.stepfunctions_backends["123456789012"]["us-east-1"].describe_execution(row["execution_arn"])
    execution.stop_date -= datetime.timedelta(days=15)
    assert "it ended more than 14 days ago" in ask(row)["reasons"][0]
    execution.stop_date += datetime.timedelta(days=15)
    mend(world)
    assert ask(row)["resumed"]
    world.eventually(lambda: described(world, row)["status"] == "SUCCEEDED")
    done = {"status": Outcome.DEPLOYED.value, "outcome": Outcome.DEPLOYED.value}
    table.change(ledger.run_key(row["run"]), done, only_if=Attr("pk").exists())
    assert "it ended as DEPLOYED, so nothing is left to do" in ask(row)["reasons"][0]
    world.client("stepfunctions").delete_state_machine(stateMachineArn=world.machine)
    assert "is deleted" in ask(row)["reasons"][0]
    assert "there is no run 'nobody'" in ask({"run": "nobody"})["reasons"][0]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("service", "operation"), [("dynamodb", "UpdateItem"), ("stepfunctions", "RedriveExecution")])
def test_whoever_dies_while_resuming_is_completed_by_the_next(
    world: World, kill_at: Any, service: str, operation: str, after: bool
) -> None:
    row = ran(world)
    mend(world)
    kill_at(service, operation, after=after)
    with pytest.raises(Killed):
        ask(row)
    ask(row)
    world.eventually(lambda: described(world, row)["status"] == "SUCCEEDED")
    assert described(world, row)["redriveCount"] == 1
    assert (table.get(ledger.run_key(row["run"])) or {})["resumes"] == 1


def stopped(world: World, **options: Any) -> dict[str, Any]:
    """Have an execution stopped that waits for ten seconds, while the event of its redrive is on its way."""
    row = ran(world, wait=500, settled=False, **options)
    world.client("stepfunctions").stop_execution(executionArn=row["execution_arn"])
    return row


def settled(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"status": "FAILED", "outcome": "FAILED", "ended": ENDED, "usd": 1.0, **more}
    table.change(ledger.run_key(row["run"]), told, only_if=Attr("pk").exists())
    return dict(table.get(ledger.run_key(row["run"])) or {})


def redriven_by_hand(world: World, row: dict[str, Any]) -> dict[str, Any]:
    """Press the console's button, and deliver the event that it makes while the execution runs."""
    world.client("stepfunctions").redrive_execution(executionArn=row["execution_arn"])
    now = described(world, row)
    return resume.handler({"detail": {"name": row["run"], **json.loads(json.dumps(now, default=str))}}, None)


@pytest.mark.parametrize(("budget", "outcome"), [(10.0, RUNNING), (1.0, "FAILED")])
def test_a_redrive_by_hand_is_covered_or_stopped(world: World, budget: float, outcome: str) -> None:
    row = settled(stopped(world, budget=budget))
    answer = redriven_by_hand(world, row)
    assert answer["resumed"] == (outcome == RUNNING)
    assert (table.get(ledger.run_key(row["run"])) or {})["status"] == outcome
    if outcome == RUNNING:
        assert resume.handler({"detail": {"name": row["run"], **described(world, row)}}, None)["resumed"] is False
        assert described(world, row)["status"] == RUNNING, "the event came twice"
    else:
        now = described(world, row)
        assert (now["status"], now["error"]) == ("ABORTED", resume.OVER_BUDGET)
        assert "redriven by hand, not by `tandem resume`" in now["cause"]


@pytest.mark.parametrize("budget", [10.0, 1.0])
def test_a_redrive_by_hand_that_somebody_covers_at_the_same_moment_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, budget: float
) -> None:
    """By the same event, delivered twice; or by a person, who may allow more than the budget."""
    row, find_rest = settled(stopped(world, budget=budget)), resume.find_rest

    def others_come_first(row: Any, described: Any, *, redrive: int) -> resume.Rest:
        resume._cover(row, find_rest(row, described, redrive=redrive, max_usd=100.0))
        return find_rest(row, described, redrive=redrive)

    monkeypatch.setattr(resume, "find_rest", others_come_first)
    answer = redriven_by_hand(world, row)
    assert (answer["resumed"], answer["reasons"]) == (False, [])
    assert described(world, row)["status"] == RUNNING
    now = table.get(ledger.run_key(row["run"])) or {}
    assert (now["status"], now["resumes"]) == (RUNNING, 1)
    charge = table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {}
    assert charge["charged"] == pytest.approx(HOUR * ledger.MICROS, abs=100)
    assert table.get(ledger.MACHINES_KEY)["held"][row["run"]] == {MACHINE: 2}  # type: ignore[index]


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        ({"status": RUNNING, "usd": None, "ended": None}, "its end is not settled yet: try again in a minute"),
        ({"forgotten": "2026-11-21-0123abcd"}, "forgotten by erasure 2026-11-21-0123abcd"),
    ],
    ids=["not settled", "forgotten"],
)
def test_a_redrive_by_hand_of_what_nobody_may_resume_is_stopped(world: World, ended: dict[str, Any], says: str) -> None:
    row = settled(stopped(world), **ended)
    charge = ledger.charge_key(world.tenant, "2026-11", row["run"])
    table.put(charge, {"charged": 2 * ledger.MICROS})  # what it has cost is a part of this
    answer = redriven_by_hand(world, row)
    assert not answer["resumed"]
    assert says in answer["reasons"][0]
    assert described(world, row)["status"] == "ABORTED"
    assert table.get(ledger.run_key(row["run"])) == row
    assert (table.get(charge) or {})["charged"] == 2 * ledger.MICROS


def test_a_run_that_failed_after_it_was_settled_has_ended(world: World) -> None:
    row = settled(stopped(world), status=Outcome.KEPT_CHAMPION.value, outcome=Outcome.KEPT_CHAMPION.value)
    assert "it ended as KEPT_CHAMPION, so nothing is left to do" in ask(row)["reasons"][0]
    answer = redriven_by_hand(world, row)
    assert (answer["resumed"], answer["reasons"]) == (False, [])
    assert described(world, row)["status"] == RUNNING, "it may end well: that costs nothing"
    assert table.get(ledger.run_key(row["run"])) == row


def test_a_redrive_that_step_functions_does_not_know_yet_is_asked_for_again(world: World) -> None:
    row = ran(world)
    with pytest.raises(resume.Behind):
        resume.handler({"detail": {"name": row["run"], **described(world, row), "redriveCount": 1}}, None)


def test_another_executions_redrive_is_left_alone(world: World) -> None:
    row = ran(world, wait=9999, settled=False)
    other = {"name": row["run"], "executionArn": f"{row['execution_arn']}-2", "redriveCount": 1}
    assert resume.handler({"detail": other}, None)["resumed"] is False
    assert table.get(ledger.run_key(row["run"])) == row


def test_late_news_of_the_end_before_is_old(world: World, sagemaker: FakeSageMaker) -> None:
    row = ran(world)
    mend(world)
    assert ask(row)["resumed"]
    ended = int(datetime.datetime.fromisoformat(ENDED).timestamp() * 1000)
    detail = {"executionArn": row["execution_arn"], "name": row["run"], "status": "FAILED", "startDate": 0}
    for stopped, redrives, settled in (
        (ended, 0, False),
        (ended, 1, False),
        (ended + 1, 0, False),
        (ended + 1, 1, True),
    ):
        news = {**detail, "stopDate": stopped, "redriveCount": redrives}
        assert settle.handler({"detail": news}, None)["settled"] is settled


def planned(world: World, *, train: dict[str, Any], **more: Any) -> dict[str, Any]:
    request = examples.request(world.tenant, train={"instance": "ml.m5.large", **train}, **more)
    given = {"run": request.to_dict(), "dataset": examples.dataset().to_dict(), "prepared_in_job": False}
    answer = plan.handler(json.loads(json.dumps({**given, **world.planning()})), None)
    return {"run": answer and request.to_dict(), "plan": answer, "tune_on_spot": False, "evaluations": 0}


@pytest.mark.parametrize(
    ("state", "variables", "paid"),
    [
        ("Accept request", {}, []),
        ("Train on demand", {}, [definitions.TRAIN_ON_DEMAND, definitions.EVALUATE]),
        (
            "Fail training",
            {"failed_in": 0},
            [definitions.TRAIN_ON_SPOT, definitions.TRAIN_ON_DEMAND, definitions.EVALUATE],
        ),
        ("Evaluate", {"training": {"status": "Completed", "name": "j"}, "evaluations": 1}, [definitions.EVALUATE]),
        ("Settle run", {}, []),
    ],
)
def test_the_rest_is_priced_from_the_state_that_failed(
    world: World, state: str, variables: dict[str, Any], paid: list[str]
) -> None:
    known = planned(world, train={"max_minutes": 58, "spot": True}) if state != "Accept request" else {}
    definition = definitions.parsed(definitions.run())
    stopped = Stopped(state=state, input={}, variables={**known, **variables})
    lines = {line["state"]: line["usd"] for line in known["plan"]["worst_case"]["lines"]} if known else {}
    assert rest.worst_usd(definition, stopped) == pytest.approx(sum(lines[name] for name in paid), abs=2e-3)


def test_a_search_among_recipes_that_failed_is_priced_as_it_was_planned(world: World) -> None:
    """Its arguments are one expression, of the very request that its best settings change afterwards."""
    search = {"jobs": 8, "parallel": 2, "strategy": "random"}
    known = planned(world, train={"max_minutes": 10, "spot": False}, recipe={"name": "auto"}, tune=search)
    stopped = Stopped(state=attempts.TUNE_RECIPES, input={}, variables={**known, "failed_in": 0})
    worst = rest.worst_usd(definitions.parsed(definitions.run()), stopped)
    assert worst == pytest.approx(known["plan"]["worst_case"]["usd"], abs=2e-3)


def failed_again(row: dict[str, Any], milliseconds: int = 1000) -> dict[str, Any]:
    """Return the event of an end that came after the one that the row tells of."""
    ended = int(datetime.datetime.fromisoformat(ENDED).timestamp() * 1000) + milliseconds
    arn, name = row["execution_arn"], row["run"]
    return {"detail": {"executionArn": arn, "name": name, "status": "FAILED", "startDate": 0, "stopDate": ended}}


def test_an_end_is_told_although_its_redrive_is_covered_meanwhile(
    world: World, sagemaker: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, write = ran(world), settle._write

    def cover_late(run: Any) -> None:
        write(run)
        runs.resume(row, redrive=1, reserved_usd=1.0)

    monkeypatch.setattr(settle, "_write", cover_late)
    assert settle.handler(failed_again(row), None)["settled"]
    assert (table.get(ledger.run_key(row["run"])) or {})["status"] == Outcome.FAILED


def test_news_that_come_twice_at_once_leave_the_run_as_it_goes_on_when_it_is_resumed_between_them(
    world: World, sagemaker: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, write = ran(world, settled=False), settle._write
    mend(world)

    def others_come_first(run: Any) -> None:
        monkeypatch.setattr(settle, "_write", write)
        assert settle.handler(failed_again(row), None)["settled"]
        assert ask(row)["resumed"]
        write(run)

    monkeypatch.setattr(settle, "_write", others_come_first)
    assert not settle.handler(failed_again(row), None)["settled"]
    now = table.get(ledger.run_key(row["run"])) or {}
    assert (now["status"], now["resumes"]) == (RUNNING, 1)
    charge = table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {}
    assert charge["charged"] == pytest.approx(HOUR * ledger.MICROS, abs=100)
    assert table.get(ledger.MACHINES_KEY)["held"][row["run"]] == {MACHINE: 2}  # type: ignore[index]


def test_a_cover_that_comes_after_the_end_is_given_back(
    world: World, sagemaker: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, reserve = ran(world), resume._reserve
    mend(world)

    def end_meanwhile(row: Any, found: Any, usd: float) -> str:
        refused = reserve(row, found, usd)
        if usd:
            settle.handler(failed_again(row), None)
            reserve(row, found, usd)  # as if the end had been settled before it
        return refused

    monkeypatch.setattr(resume, "_reserve", end_meanwhile)
    assert ask(row)["reasons"] == ["it ended again just now"]
    charge = table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {}
    assert charge.get("charged") == charge.get("settled")
    assert (table.get(ledger.run_key(row["run"])) or {})["status"] == Outcome.FAILED


def test_a_run_whose_rows_were_forgotten_is_not_resumed(world: World) -> None:
    row = ran(world)
    table.change(ledger.run_key(row["run"]), {"forgotten": "2026-11-21-0123abcd"}, only_if=Attr("pk").exists())
    answer = ask(row)
    assert not answer["resumed"]
    assert "forgotten by erasure 2026-11-21-0123abcd" in answer["reasons"][0]


def test_a_run_takes_its_machines_again_or_is_not_resumed(world: World) -> None:
    row = ran(world)
    world.cloud.quotas.set(MACHINE, 1)
    try:
        answer = ask(row)
        assert f"2 x {MACHINE} is wanted, and the account's quota is 1" in answer["reasons"][0]
        assert table.get(ledger.run_key(row["run"])) == {**row, "reasons": ["Read: broken"]}
        charge = table.get(ledger.charge_key(world.tenant, "2026-11", row["run"])) or {}
        assert charge.get("charged", 0) == charge.get("settled", 0)
    finally:
        world.cloud.quotas.set(MACHINE, None)
    table.put(ledger.QUOTAS_KEY, {"read": 0})
    mend(world)
    assert ask(row)["resumed"]
    assert table.get(ledger.MACHINES_KEY)["held"] == {row["run"]: {MACHINE: 2}}  # type: ignore[index]
