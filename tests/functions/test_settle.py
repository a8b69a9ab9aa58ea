"""Settle run: the story is told once, whatever is delivered twice, and costs are what was billed."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract import keys, ledger, names
from contract.run import RUNNING, Outcome
from functions import causes, history, jobs, runs, settle, table
from tests.functions import examples
from tests.functions.conftest import FakeSageMaker, Killed, World

BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def start(world: World, *, console: Any = None, row: bool = True) -> dict[str, str]:
    """Run an execution; return it, with its run in the ledger as Accept request leaves it."""
    execution = world.execute(console or {"tenant": world.tenant, "project": "digits"})
    if row:
        values = {"started": execution["started"], "project": f"{world.tenant}/digits", "recipe": "image"}
        runs.begin(names.run_for_execution(execution["name"]), execution["id"], values)
    return execution


PAIRS = [[1.5, 2.0]]


def prefix(world: World, execution: dict[str, str]) -> str:
    return keys.run_prefix(world.tenant, "digits", execution["name"])


def write_reports(world: World, execution: dict[str, str]) -> None:
    run = execution["name"]
    for path, document in {
        keys.REQUEST: examples.request(world.tenant, run).to_dict(),
        keys.DATASET_REPORT: examples.dataset(run).to_dict(),
        keys.PLAN: examples.PLAN,
        keys.EVALUATION_REPORT: examples.evaluation(run).to_dict(),
        keys.EVALUATION_PAIRS: PAIRS,
    }.items():
        world.put(prefix(world, execution) + path, json.dumps(document).encode(), world.artifacts)


def archive(world: World, execution: dict[str, str], job: str, epochs: list[dict[str, float]]) -> str:
    """Write a model.tar.gz as training does; return its address."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in {
            "weights.safetensors": b"w" * 100_000,
            keys.MODEL_METRICS: "\n".join(map(json.dumps, epochs)).encode() + b"\n",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    key = f"{prefix(world, execution)}{keys.TRAIN}{job}/output/model.tar.gz"
    world.put(key, packed.getvalue(), world.artifacts)
    return f"s3://{world.artifacts}/{key}"


def training_job(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "TrainingJobStatus": "Completed",
        "CreationTime": BEGAN,
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
        "EnableManagedSpotTraining": True,
        "TrainingTimeInSeconds": 500,
        "BillableTimeInSeconds": 180,
        **more,
    }


def processing_job(name: str, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "ProcessingJobStatus": "Completed",
        "CreationTime": BEGAN,
        "ProcessingStartTime": BEGAN,
        "ProcessingEndTime": BEGAN + timedelta(seconds=90),
        "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
        **more,
    }


def finished(world: World, sagemaker: FakeSageMaker) -> dict[str, str]:
    """Make everything that a run leaves whose model was deployed."""
    execution = start(world)
    write_reports(world, execution)
    spot, evaluate = f"{execution['name']}-spot-0-0-0", f"{execution['name']}-evaluate-0-1-0"
    uri = archive(world, execution, spot, examples.epochs(5))
    sagemaker.training[spot] = training_job(spot, ModelArtifacts={"S3ModelArtifacts": uri})
    sagemaker.processing[evaluate] = processing_job(evaluate)
    arn = f"arn:aws:sagemaker:us-east-1:1:model-package/{world.tenant}--digits/4"
    runs.note(execution["name"], {"package_arn": arn, "version": 4})
    champion = {"package_arn": arn, "version": 4, "run": execution["name"], "endpoint": "acme--digits--serverless"}
    table.put(ledger.champion_key(world.tenant, "digits"), champion)
    return execution


def good(execution: dict[str, str], outcome: Outcome = Outcome.DEPLOYED, *reasons: str) -> dict[str, Any]:
    return settle.handler({"run_id": execution["name"], "outcome": outcome.value, "reasons": list(reasons)}, None)


def bad(execution: dict[str, str], status: str = "FAILED", *, at: float = 60, **more: Any) -> dict[str, Any]:
    """Deliver the event that Step Functions puts on the bus."""
    detail = {
        "executionArn": execution["id"],
        "name": execution["name"],
        "status": status,
        "startDate": int(BEGAN.timestamp() * 1000),
        "stopDate": int((BEGAN.timestamp() + at) * 1000),
        "input": "{}",
        **more,
    }
    return settle.handler({"source": "aws.states", "detail": detail}, None)


def test_a_deployed_runs_whole_story_is_told(world: World, sagemaker: FakeSageMaker, capsys: Any) -> None:
    execution = finished(world, sagemaker)
    assert good(execution, Outcome.DEPLOYED, "it is better") == {
        "run": execution["name"],
        "outcome": "DEPLOYED",
        "settled": True,
    }
    run = world.document(prefix(world, execution) + keys.RUN_DOCUMENT)
    assert run["outcome"] == "DEPLOYED"
    assert run["reasons"] == ["it is better"]
    assert [state["name"] for state in run["states"]] == ["Accept request", "Is it broken?", "Settle run"]
    assert len(run["epochs"]) == 5
    assert run["evaluation"]["metrics"]["accuracy"] == 0.9861
    assert run["evaluation"]["pairs"] == PAIRS
    assert run["package"]["version"] == 4
    assert run["endpoint"] == "acme--digits--serverless"
    assert run["failure"] is None
    # 180 billable seconds on 2 hosts at 0.23, 90 seconds at 0.115
    assert run["usd"] == pytest.approx(0.23 * 2 * 180 / 3600 + 0.115 * 90 / 3600)
    page = world.text(prefix(world, execution) + keys.REPORT)
    assert "0.9861" in page
    row = world.run_row(execution["name"])
    assert row["status"] == row["outcome"] == "DEPLOYED"
    assert float(row["usd"]) == pytest.approx(run["usd"])
    (event,) = world.events()
    assert event["detail-type"] == names.EVENT_RUN_SETTLED
    assert event["detail"]["run"] == execution["name"]
    assert event["detail"]["outcome"] == "DEPLOYED"
    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    (metrics,) = measured
    assert metrics[names.METRIC_RUN_SETTLED] == [1.0]
    assert metrics["tenant"] == world.tenant


def test_the_next_plan_knows_the_measured_throughput(world: World, sagemaker: FakeSageMaker) -> None:
    good(finished(world, sagemaker))
    row = world.row(ledger.throughput_key(world.tenant, "digits", "image", "ml.m5.xlarge", 2))
    assert float(row["samples_per_second"]) == 5290.0


def test_settling_twice_tells_once(world: World, sagemaker: FakeSageMaker) -> None:
    execution = finished(world, sagemaker)
    assert good(execution)["settled"]
    assert not good(execution)["settled"]
    assert not bad(execution)["settled"], "old news of a redriven execution"
    assert len(world.events()) == 1
    assert world.run_row(execution["name"])["status"] == "DEPLOYED"


@pytest.mark.parametrize(
    ("service", "operation", "call", "after"),
    [
        ("s3", "PutObject", 1, False),
        ("s3", "PutObject", 1, True),
        ("s3", "PutObject", 2, True),
        ("dynamodb", "UpdateItem", 1, False),
        ("dynamodb", "UpdateItem", 1, True),
        ("events", "PutEvents", 1, False),
    ],
)
def test_a_handler_killed_at_any_write_is_completed_by_the_next(
    world: World, sagemaker: FakeSageMaker, kill_at: Any, service: str, operation: str, call: int, after: bool
) -> None:
    execution = finished(world, sagemaker)
    kill_at(service, operation, call=call, after=after)
    with pytest.raises(Killed):
        good(execution)
    assert good(execution)["settled"]
    assert not good(execution)["settled"]
    assert len(world.events()) == 1
    assert world.run_row(execution["name"])["status"] == "DEPLOYED"
    assert world.document(prefix(world, execution) + keys.RUN_DOCUMENT)["outcome"] == "DEPLOYED"


def test_a_failed_run_shows_the_end_of_its_traceback(world: World, sagemaker: FakeSageMaker) -> None:
    execution = start(world, console={"broken": examples.TRACEBACK, "tenant": world.tenant, "project": "digits"})
    job = f"{execution['name']}-train-0-0-0"
    sagemaker.training[job] = training_job(job, TrainingJobStatus="Failed", FailureReason=examples.TRACEBACK)
    logs = world.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=names.TRAINING_LOGS)["logGroups"]:
        logs.create_log_group(logGroupName=names.TRAINING_LOGS)
    stream = f"{job}/algo-1-1"
    logs.create_log_stream(logGroupName=names.TRAINING_LOGS, logStreamName=stream)
    now = int(datetime.now(UTC).timestamp() * 1000)
    lines = ["starting", "epoch=1 train_loss=0.5 validation_loss=0.6", *examples.TRACEBACK.splitlines()]
    other = f"{job}0/algo-1-1"
    logs.create_log_stream(logGroupName=names.TRAINING_LOGS, logStreamName=other)
    strange = [{"timestamp": now, "message": "epoch=7 train_loss=9.0"}]
    logs.put_log_events(logGroupName=names.TRAINING_LOGS, logStreamName=other, logEvents=strange)
    events = [{"timestamp": now + i, "message": line} for i, line in enumerate(lines)]
    logs.put_log_events(logGroupName=names.TRAINING_LOGS, logStreamName=stream, logEvents=events)
    assert bad(execution)["settled"]
    run = world.document(prefix(world, execution) + keys.RUN_DOCUMENT)
    assert run["outcome"] == Outcome.FAILED
    assert run["failure"]["state"] == "Fail training"
    assert "expected 1 channel" in run["failure"]["cause"]
    assert "expected 1 channel" in run["reasons"][0]
    assert "starting" in run["failure"]["log"]
    assert run["epochs"] == [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6}]
    page = world.text(prefix(world, execution) + keys.REPORT)
    assert "expected 1 channel, got &lt;3&gt; &amp;" in page


@pytest.mark.parametrize(("status", "says"), [("ABORTED", "aborted"), ("TIMED_OUT", "timed out")])
def test_a_stopped_run_is_stopped(world: World, sagemaker: FakeSageMaker, status: str, says: str) -> None:
    execution = start(world)
    bad(execution, status)
    run = world.document(prefix(world, execution) + keys.RUN_DOCUMENT)
    assert run["outcome"] == Outcome.STOPPED
    assert says in run["reasons"][0]


@pytest.mark.parametrize("outcome", ["KEPT_CHAMPION", "ABORTED"])
def test_whatever_of_a_runs_searches_goes_on_is_stopped(world: World, sagemaker: FakeSageMaker, outcome: str) -> None:
    execution = start(world)
    run = execution["name"]
    sagemaker.searching = [f"{run}-tune-0-1-0", f"{run}0-tune-0-1-0"]
    if outcome == "ABORTED":
        bad(execution, outcome)
    else:
        settle.handler({"run_id": run, "outcome": outcome, "reasons": []}, None)
    assert sagemaker.stopped == [f"{run}-tune-0-1-0"]


@pytest.mark.parametrize("longest", [30.0, 0.0])
def test_a_stopped_run_is_settled_when_its_jobs_have_stopped_or_take_too_long(
    world: World, sagemaker: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, longest: float
) -> None:
    monkeypatch.setattr(settle, "LONGEST_STOP", longest)
    monkeypatch.setattr(settle, "BETWEEN_LOOKS", 0.05)
    execution = start(world)
    name = f"{execution['name']}-train-0-0-0"
    stopping = training_job(name, TrainingJobStatus="Stopping", TrainingStartTime=datetime.now(UTC))
    del stopping["BillableTimeInSeconds"]
    sagemaker.training[name] = stopping
    stopped = training_job(name, TrainingJobStatus="Stopped", BillableTimeInSeconds=3600)
    timer = threading.Timer(0.5, sagemaker.training.update, [{name: stopped}])
    timer.start()
    assert bad(execution, "ABORTED")["settled"]
    told = float(world.run_row(execution["name"])["usd"])
    assert told == pytest.approx(0.46) if longest else 0 < told < 0.01
    timer.join()


def test_late_news_of_an_end_is_old_while_a_redrive_goes_on(world: World, sagemaker: FakeSageMaker) -> None:
    states = world.client("stepfunctions")
    waits = {"Wait": {"Type": "Wait", "Seconds": 9999, "Next": "End"}, "End": {"Type": "Succeed"}}
    definition = json.dumps({"QueryLanguage": "JSONata", "StartAt": "Wait", "States": waits})
    role = "arn:aws:iam::123456789012:role/machine"
    machine = states.create_state_machine(name=f"waits-{world.tenant}", definition=definition, roleArn=role)
    arn = states.start_execution(stateMachineArn=machine["stateMachineArn"], name=f"r{world.tenant}")["executionArn"]
    sagemaker.searching = [f"r{world.tenant}-tune-1-1-0"]
    execution = {"id": arn, "name": f"r{world.tenant}"}
    states.stop_execution(executionArn=arn)
    states.redrive_execution(executionArn=arn)
    assert not bad(execution, "ABORTED", redriveCount=0)["settled"]
    assert (sagemaker.stopped, world.run_row(execution["name"])["status"]) == ([], RUNNING)
    states.stop_execution(executionArn=arn)
    assert bad(execution, "ABORTED", redriveCount=1)["settled"]
    assert sagemaker.stopped == [f"r{world.tenant}-tune-1-1-0"]
    assert world.run_row(execution["name"])["status"] == Outcome.STOPPED


def test_a_run_that_died_before_it_was_accepted_is_settled(world: World, sagemaker: FakeSageMaker) -> None:
    execution = start(world, row=False)
    console = {"tenant": world.tenant, "project": "digits", "upload": "s3://x/y"}
    assert bad(execution, input=json.dumps(console))["settled"]
    row = world.run_row(execution["name"])
    assert (row["status"], row["project"]) == ("FAILED", f"{world.tenant}/digits")
    assert len(world.events()) == 1


def test_an_input_without_a_project_is_settled_in_the_ledger(world: World, sagemaker: FakeSageMaker) -> None:
    execution = start(world, row=False)
    for given in ("{}", "[]", '"x"'):
        bad(execution, input=given)
    assert world.run_row(execution["name"])["status"] == "FAILED"
    assert world.keys("") == []


def test_a_redrive_replaces_the_end(world: World, sagemaker: FakeSageMaker) -> None:
    execution = finished(world, sagemaker)
    assert bad(execution, at=60)["settled"]
    assert not bad(execution, at=60)["settled"], "the same event again"
    assert bad(execution, at=120)["settled"], "failed again after a redrive"
    assert not bad(execution, at=60)["settled"], "the first one, late"
    assert good(execution)["settled"]
    assert not bad(execution, at=120)["settled"]
    assert sorted(event["detail"]["outcome"] for event in world.events(3)) == ["DEPLOYED", "FAILED", "FAILED"]
    assert world.run_row(execution["name"])["status"] == "DEPLOYED"


def test_another_executions_end_touches_no_run(world: World, sagemaker: FakeSageMaker) -> None:
    execution = start(world)
    other = {**execution, "id": execution["id"].replace(":execution:", ":execution:other-")}
    assert not bad(other)["settled"]
    assert world.run_row(execution["name"])["status"] == RUNNING


def test_an_unknown_run_is_our_own_fault(world: World) -> None:
    with pytest.raises(LookupError, match="digits-nobody"):
        good({"name": "digits-nobody"})


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.REFUSED, Outcome.KEPT_CHAMPION])
def test_every_good_end_is_settled(world: World, sagemaker: FakeSageMaker, outcome: Outcome) -> None:
    execution = start(world)
    assert good(execution, outcome, "because")["settled"]
    run = world.document(prefix(world, execution) + keys.RUN_DOCUMENT)
    assert (run["outcome"], run["reasons"], run["usd"]) == (outcome, ["because"], 0.0)
    assert "because" in world.text(prefix(world, execution) + keys.REPORT)


def test_only_the_runs_own_jobs_are_counted(world: World, sagemaker: FakeSageMaker) -> None:
    names_ = ["r-train-0-0-0", "r-1-train-0-0-0", "xr-train-0-0-0", "r-train-0-train-0-0-0", "r-train", "r-spot-1-0-2"]
    sagemaker.training = {name: training_job(name) for name in names_}
    assert [job["TrainingJobName"] for job in jobs.training("r")] == ["r-train-0-0-0", "r-spot-1-0-2"]


def test_the_machine_that_sagemaker_selected_is_billed() -> None:
    ladder = [
        {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
        {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    ]
    chosen = {"InstancePreferences": ladder, "SelectedInstanceType": "ml.m5.xlarge", "SelectedInstanceCount": 1}
    billed = jobs.bill_training(training_job("j", ResourceConfig=chosen, BillableTimeInSeconds=3600))
    assert (billed.instance, billed.usd) == ("ml.m5.xlarge", 0.23)
    unknown = training_job("j", ResourceConfig={"InstanceType": "ml.zz.large", "InstanceCount": 1})
    assert jobs.bill_training(unknown).usd is None


def test_a_job_that_never_started_costs_nothing() -> None:
    job = training_job("j", TrainingJobStatus="Failed")
    del job["BillableTimeInSeconds"]
    assert jobs.bill_training(job).usd == 0.0


def test_a_job_that_is_being_stopped_is_billed_so_far() -> None:
    began = datetime.now(UTC) - timedelta(seconds=100)
    steps = [{"Status": "Starting", "StartTime": began - timedelta(60)}, {"Status": "Training", "StartTime": began}]
    job = training_job("j", TrainingJobStatus="Stopping", SecondaryStatusTransitions=steps)
    del job["BillableTimeInSeconds"]
    assert jobs.bill_training(job).billable_seconds == pytest.approx(100, abs=2)


@pytest.mark.parametrize("seconds", [60.04, 60.2, 61.0])
def test_a_job_that_only_a_searchs_list_tells_of_is_billed_in_whole_seconds_as_its_description_would_say(
    seconds: float,
) -> None:
    began = datetime.now(UTC)
    job = training_job("j", TrainingStartTime=began, TrainingEndTime=began + timedelta(seconds=seconds))
    del job["BillableTimeInSeconds"]
    assert jobs.bill_training(job).billable_seconds == 61


def at(seconds: float, kind: str, **details: Any) -> dict[str, Any]:
    return {"timestamp": BEGAN + timedelta(seconds=seconds), "type": kind, **details}


def test_the_history_of_a_caught_and_a_retried_state() -> None:
    visits, end = history.read(
        [
            at(0, "ExecutionStarted"),
            at(1, "TaskStateEntered", stateEnteredEventDetails={"name": "Train on spot"}),
            at(2, "TaskFailed", taskFailedEventDetails={"error": "Capacity", "cause": "none"}),
            at(2, "TaskStateExited", stateExitedEventDetails={"name": "Train on spot"}),
            at(3, "TaskStateEntered", stateEnteredEventDetails={"name": "Evaluate"}),
            at(4, "TaskFailed", taskFailedEventDetails={"error": "Throttled"}),
            at(5, "TaskSucceeded", taskSucceededEventDetails={}),
            at(5, "TaskStateExited", stateExitedEventDetails={"name": "Evaluate"}),
            at(6, "ExecutionSucceeded"),
        ]
    )
    assert [(visit.name, visit.error) for visit in visits] == [("Train on spot", "Capacity"), ("Evaluate", "")]
    assert visits[0].left == "2026-11-21T10:00:02.000Z"
    assert end == history.End()


def looked(at_second: int, status: str = "") -> list[dict[str, Any]]:
    """A turn of a loop that waits and looks; ``status`` is an error of the look."""
    wait, look, over = ({"name": name} for name in ("Wait for search", "Describe search", "Is search over?"))
    failed = [at(at_second + 1, "TaskFailed", taskFailedEventDetails={"error": status})] * bool(status)
    return [
        at(at_second, "WaitStateEntered", stateEnteredEventDetails=wait),
        at(at_second + 1, "WaitStateExited", stateExitedEventDetails=wait),
        at(at_second + 1, "TaskStateEntered", stateEnteredEventDetails=look),
        *failed,
        at(at_second + 2, "TaskStateExited", stateExitedEventDetails=look),
        at(at_second + 2, "ChoiceStateEntered", stateEnteredEventDetails=over),
        at(at_second + 2, "ChoiceStateExited", stateExitedEventDetails=over),
    ]


TURN = ["Wait for search", "Describe search", "Is search over?"]


def test_the_history_of_a_loop_that_waits_and_looks_is_told_once() -> None:
    tuned = [at(0, "TaskStateEntered", stateEnteredEventDetails={"name": "Tune"})]
    visits, _ = history.read([*tuned, *looked(1), *looked(3), *looked(5), *tuned, *looked(7), *looked(9)])
    assert [visit.name for visit in visits] == ["Tune", *TURN, "Tune", *TURN]
    assert (visits[1].entered, visits[1].left) == ("2026-11-21T10:00:01.000Z", "2026-11-21T10:00:06.000Z")


def test_the_history_of_a_loop_keeps_the_turn_in_which_something_went_wrong() -> None:
    visits, _ = history.read([*looked(1), *looked(3, "Throttled"), *looked(5)])
    assert [(visit.name, visit.error) for visit in visits][1] == ("Describe search", "Throttled")
    assert [visit.name for visit in visits] == [*TURN, *TURN]


def test_the_history_of_a_failure_names_the_state_that_broke() -> None:
    cause = json.dumps({"TrainingJobName": "j", "FailureReason": "AlgorithmError: boom"})
    visits, end = history.read(
        [
            at(1, "TaskStateEntered", stateEnteredEventDetails={"name": "Train on demand"}),
            at(2, "TaskFailed", taskFailedEventDetails={"error": "States.TaskFailed", "cause": cause}),
            at(3, "ExecutionFailed", executionFailedEventDetails={"error": "States.TaskFailed", "cause": cause}),
        ]
    )
    assert end == history.End(state="Train on demand", error="States.TaskFailed", cause="AlgorithmError: boom")
    assert visits[0].left == "2026-11-21T10:00:03.000Z"


def test_causes_are_made_readable() -> None:
    lambda_error = json.dumps(
        {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": ["  File a\n", "  File b\n"]}
    )
    assert causes.readable(lambda_error) == "KeyError: 'x'\n  File a\n  File b"
    nested = json.dumps({"ExecutionArn": "arn", "Status": "FAILED", "Error": "KeyError", "Cause": lambda_error})
    assert causes.readable(nested) == "KeyError: KeyError: 'x'\n  File a\n  File b"
    processing = {"FailureReason": "AlgorithmError: , exit code: 1", "ExitMessage": "ValueError: no rows"}
    assert causes.readable(json.dumps(processing)) == "ValueError: no rows"
    build = {"Build": {"Phases": [{"Contexts": [{"Message": ""}]}, {"Contexts": [{"Message": "no such pin"}]}]}}
    assert causes.readable(json.dumps(build)) == "The image was not built: no such pin"
    cut = 'AlgorithmError:     return f(x)\n  File "training/train.py", line 9, in main\nValueError: bad, exit code: 1'
    assert causes.headline(cut) == "ValueError: bad, exit code: 1"
    assert causes.readable("plain words") == "plain words"
    assert causes.readable('"a string"') == '"a string"'
    assert causes.headline(examples.TRACEBACK).startswith("ValueError: expected 1 channel")
    assert causes.headline("one\ntwo") == "one"
    killed = 'E:   File "run.py"\n  rank      : 1 (local_rank: 0)\n  traceback : Signal 9 (SIGKILL) received by PID 7'
    assert causes.headline(killed) == "rank 1 was ended by Signal 9 (SIGKILL)"
    assert causes.headline("") == ""
