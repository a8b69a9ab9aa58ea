"""A run's progress, from its history and its training log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cli import follow
from cli.follow import Task
from cli.progress_view import Lines, search_text, training_left

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


def _event(seconds: float, kind: str, **details: Any) -> dict[str, Any]:
    key = "stateEntered" if kind.endswith("StateEntered") else "stateExited" if kind.endswith("StateExited") else kind
    event: dict[str, Any] = {"type": kind, "timestamp": START + timedelta(seconds=seconds)}
    if details:
        event[key[0].lower() + key[1:] + "EventDetails"] = details
    return event


def _state(
    name: str, start: float, end: float, *inside: dict[str, Any], kind: str = "Task", **variables: Any
) -> list[dict[str, Any]]:
    assigned = {key: json.dumps(value) for key, value in variables.items()}
    left = {"name": name, "output": "{}"} | ({"assignedVariables": assigned} if assigned else {})
    return [_event(start, f"{kind}StateEntered", name=name), *inside, _event(end, f"{kind}StateExited", **left)]


PLAN = {"expected": {"seconds": 400.0, "usd": 0.05}, "worst_case": {"usd": 3.2}}
TRAINING = _event(3, "TaskScheduled", resourceType="sagemaker", parameters=json.dumps({"TrainingJobName": "r-train-0"}))
HISTORY = [
    _event(0, "ExecutionStarted", input="{}"),
    *_state("Accept request", 0, 1, run={"train": {"epochs": 3}}, outcome=None),
    *_state("Is request accepted?", 1, 1, kind="Choice"),
    *_state("Plan compute", 1, 2, plan=PLAN),
    _event(3, "TaskStateEntered", name="Train on spot"),
    TRAINING,
]


def test_states_are_shown_as_they_are_entered() -> None:
    progress = follow.read_history(HISTORY)
    steps = progress.steps()
    assert [step.name for step in steps] == ["Accept request", "Plan compute", "Train on spot"]
    assert [step.seconds for step in steps] == [1.0, 1.0, None]
    assert not progress.finished
    assert [visit.name for visit in progress.visits][1] == "Is request accepted?"


def test_a_functions_invocations_are_known_however_they_ended() -> None:
    one, two, three, four = (f"00000000-0000-0000-0000-00000000000{digit}" for digit in range(1, 5))
    raised = {"errorType": "ValueError", "errorMessage": "of request 00000000-dead", "requestId": one}
    timed_out = {"errorType": "Sandbox.Timedout", "errorMessage": f"2026-11-21T10:00:00.000Z {two} Task timed out"}
    killed = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {three} Error: Runtime exited"}
    failed = [_event(1, "TaskFailed", error="E", cause=json.dumps(cause)) for cause in (raised, timed_out, killed)]
    output = json.dumps({"Payload": {}, "SdkResponseMetadata": {"RequestId": four}})
    history = _state("Plan compute", 0, 9, *failed, _event(8, "TaskSucceeded", output=output))
    (visit,) = follow.read_history(history).visits
    assert visit.requests == (one, two, three, four)


def test_the_plan_and_the_request_come_from_the_assigned_variables() -> None:
    progress = follow.read_history(HISTORY)
    assert progress.epochs_wanted == 3
    assert progress.expected["usd"] == 0.05
    assert progress.worst_case["usd"] == 3.2
    assert follow.read_history([]).expected == {}


def test_jobs_are_known_by_what_the_state_asked_for() -> None:
    progress = follow.read_history(HISTORY)
    assert progress.jobs("training") == ["r-train-0"]
    assert progress.visits[-1].tasks == (Task(kind="training", name="r-train-0"),)


def test_epochs_are_read_from_the_log_and_repeats_count_once() -> None:
    lines = [
        "starting",
        "epoch=1 train_loss=0.9 validation_loss=0.8 validation_accuracy=0.7 samples_per_second=1000 seconds=2",
        "epoch=2 train_loss=0.5 validation_loss=0.4 validation_accuracy=0.8 samples_per_second=1000 seconds=2",
        "epoch=2 train_loss=0.4 validation_loss=0.4 validation_accuracy=0.9 samples_per_second=1000 seconds=4",
        "epoch=three is not ours",
    ]
    epochs = follow.read_epochs(lines)
    assert [values["epoch"] for values in epochs] == [1, 2]
    assert epochs[1]["validation_accuracy"] == 0.9


def test_the_time_left_follows_the_pace_so_far() -> None:
    progress = follow.read_history(HISTORY)
    assert training_left(progress) is None
    epochs = ({"epoch": 1.0, "seconds": 2.0}, {"epoch": 2.0, "seconds": 4.0})
    assert training_left(follow.Progress(variables=progress.variables, epochs=epochs)) == 3.0


def test_a_retry_that_helps_leaves_no_error() -> None:
    failed = _event(1, "TaskFailed", error="SageMaker.AmazonSageMakerException", cause="throttled")
    helped = _event(2, "TaskSucceeded", output="{}")
    broken = follow.read_history([_event(0, "TaskStateEntered", name="Evaluate"), failed])
    mended = follow.read_history(_state("Evaluate", 0, 3, failed, helped))
    assert broken.steps()[0].error == "SageMaker.AmazonSageMakerException"
    assert mended.steps()[0].error == ""


def test_an_error_that_was_caught_is_told_apart() -> None:
    missing = _event(1, "TaskFailed", error="Ecr.ImageNotFoundException", cause="")
    (caught,) = follow.read_history(_state("Find serving image", 0, 1, missing)).steps()
    (fatal,) = follow.read_history(
        [_event(0, "TaskStateEntered", name="Evaluate"), missing, _event(2, "ExecutionFailed", error="x")]
    ).steps()
    assert (caught.caught, fatal.caught) == (True, False)


def test_a_loop_is_one_step() -> None:
    loop = [*_state("Wait for staging", 0, 1, kind="Wait"), *_state("Describe staging", 1, 2)] * 3
    steps = follow.read_history(loop).steps()
    assert [(step.name, step.visits, step.seconds) for step in steps] == [
        ("Wait for staging", 3, 3.0),
        ("Describe staging", 3, 3.0),
    ]


def test_the_deployment_machine_is_shown_inside_the_run() -> None:
    submitted = _event(5, "TaskSubmitted", output=json.dumps({"ExecutionArn": "arn:deployment:1"}))
    outer = follow.read_history(_state("Deploy", 5, 9, submitted) + _state("Settle run", 9, 10))
    inner = follow.read_history(_state("Take lease", 6, 7), depth=1)
    assert outer.jobs("execution") == ["arn:deployment:1"]
    steps = follow.join(outer, [inner]).steps()
    assert [(step.name, step.depth) for step in steps] == [("Deploy", 0), ("Take lease", 1), ("Settle run", 0)]


def test_a_failed_execution_ends_its_states_and_shows_the_end_of_the_cause() -> None:
    trace = "\n".join(["Traceback (most recent call last):", *(f"  line {n}" for n in range(50)), "ValueError: bad"])
    cause = json.dumps({"TrainingJobName": "r-train-0", "FailureReason": f"AlgorithmError: exit code 1\n{trace}"})
    end = _event(9, "ExecutionFailed", error="States.TaskFailed", cause=cause)
    progress = follow.read_history([*HISTORY, end])
    assert progress.finished
    assert progress.status == "FAILED"
    assert progress.visits[-1].left == START + timedelta(seconds=9)
    told = follow.explain_failure(progress).splitlines()
    assert told[0] == "States.TaskFailed"
    assert told[-1] == "ValueError: bad"
    assert len(told) == 26


def test_a_failed_function_shows_its_trace_and_message() -> None:
    cause = json.dumps({"errorMessage": "no such key", "errorType": "KeyError", "stackTrace": ['  File "x.py"\n']})
    progress = follow.Progress(status="FAILED", error="KeyError", cause=cause)
    assert follow.explain_failure(progress) == 'KeyError\nFile "x.py"\nno such key'


def test_a_failed_processing_job_shows_its_own_words() -> None:
    cause = json.dumps({"FailureReason": "AlgorithmError: , exit code: 1", "ExitMessage": "ValueError: no rows"})
    progress = follow.Progress(status="FAILED", error="States.TaskFailed", cause=cause)
    assert follow.explain_failure(progress) == "States.TaskFailed\nValueError: no rows"


def test_plain_lines_say_everything_once() -> None:
    lines = Lines()
    progress = replace(follow.read_history(HISTORY), started=START)
    first = list(lines.news(progress))
    assert [line.strip() for line in first] == [
        "0.0 s  Accept request",
        "1.0 s  Plan compute",
        "3.0 s  Train on spot",
        "on AWS about 6 min 40 s and $0.0500, at most $3.20",
    ]
    again = replace(progress, epochs=({"epoch": 1.0, "train_loss": 0.5},))
    assert [line.strip() for line in lines.news(again)] == ["epoch 1/3  loss 0.5000"]
    assert list(lines.news(again)) == []


def _job(status: str, value: float | None = None, **tuned: str) -> dict[str, Any]:
    job: dict[str, Any] = {"TrainingJobStatus": status, "TunedHyperParameters": tuned}
    if value is not None:
        job["FinalHyperParameterTuningJobObjectiveMetric"] = {"MetricName": "validation_rmse", "Value": value}
    return job


def test_a_search_shows_how_many_jobs_are_done_and_the_best_so_far() -> None:
    jobs = [
        _job("Completed", 3.5, learning_rate="0.01"),
        _job("Completed", 2.25, learning_rate="0.001"),
        _job("Stopped", 1.0, learning_rate="0.1"),  # has no model
        _job("Failed"),
        _job("InProgress"),
    ]
    search = follow.read_search(jobs, metric="rmse", wanted=12)
    assert (search.started, search.finished, search.failed, search.best) == (5, 3, 1, 2.25)
    assert search_text(search) == "job 5 of 12, 3 done, 1 failed; best validation rmse 2.2500 (learning_rate 0.001)"
    named = [{**job, "TrainingJobDefinitionName": "linear"} for job in jobs]
    competing = search_text(follow.read_search(named, metric="rmse", wanted=12))
    assert competing.endswith("best validation rmse 2.2500 (linear, learning_rate 0.001)")


def test_of_accuracy_the_highest_is_the_best() -> None:
    jobs = [_job("Completed", 0.5), _job("Completed", 0.75)]
    assert follow.read_search(jobs, metric="accuracy", wanted=2).best == 0.75


def test_lines_tell_of_a_search_only_what_is_new() -> None:
    lines, search = Lines(), follow.read_search([_job("InProgress")], metric="accuracy", wanted=3)
    progress = replace(follow.read_history(HISTORY), search=search)
    assert any("job 1 of 3" in line for line in lines.news(progress))
    assert list(lines.news(progress)) == []
    more = replace(progress, search=follow.read_search([_job("Completed", 0.9)] * 2, metric="accuracy", wanted=3))
    assert any("job 2 of 3, 2 done; best" in line for line in lines.news(more))


def test_a_tuning_job_is_known_by_what_it_was_asked() -> None:
    given = json.dumps({"HyperParameterTuningJobName": "r-tune-0-1-0"})
    asked = _event(2, "TaskScheduled", resourceType="sagemaker", parameters=given)
    history = [_event(1, "TaskStateEntered", name="Tune"), asked]
    assert follow.read_history(history).jobs("tuning") == ["r-tune-0-1-0"]
