"""What a history says of an account's places becomes the laptop cloud's; what is missing is found before it starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import replaying
from cli.errors import Exit
from tests.cli.conftest import Answer

Tandem = Callable[..., Answer]
ARN = "arn:aws:states:eu-west-1:999988887777:execution:tandem-pipeline:digits-1"
RUN = "acme/digits/runs/digits-1/"
HERE = SimpleNamespace(
    data_bucket="data-here", artifacts_bucket="artifacts-here",
    pipeline_arn="arn:aws:states:us-east-1:123456789012:stateMachine:tandem-pipeline",
)  # fmt: skip


def history() -> list[dict[str, Any]]:
    asked = {"tenant": "acme", "project": "digits", "upload": "s3://prod-data/acme/digits/inbox/a.csv"}
    package = "arn:aws:sagemaker:eu-west-1:999988887777:model-package/acme--digits/1"
    job = {
        "ProcessingInputs": [{"S3Input": {"S3Uri": f"s3://prod-artifacts/{RUN}dataset/"}}, "s3://assets/code.tar.gz"],
        "ProcessingOutputConfig": {"S3Uri": f"s3://prod-artifacts/{RUN}evaluate"},
    }
    left = {"name": "Given", "assignedVariables": {"package": json.dumps(package)}}
    return [
        {"type": "ExecutionStarted", "executionStartedEventDetails": {"input": json.dumps(asked)}},
        {"type": "PassStateEntered", "stateEnteredEventDetails": {"name": "Given", "input": "{}"}},
        {"type": "PassStateExited", "stateExitedEventDetails": left},
        {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Evaluate", "input": "{}"}},
        {"type": "TaskScheduled", "taskScheduledEventDetails": {"parameters": json.dumps(job)}},
        {"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "States.TaskFailed"}},
    ]


def account(*keys: str) -> Any:
    def listed(Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        return {"Contents": [key for key in keys if f"{Bucket}/{key}".startswith(f"{Bucket}/{Prefix}")]}

    return SimpleNamespace(installation=HERE, client=lambda service: SimpleNamespace(list_objects_v2=listed))


def test_account_region_and_buckets_are_translated_wherever_they_are_named() -> None:
    moved = replaying.move(account(), replaying.Execution.of(ARN), history())
    text = json.dumps(moved.events)
    assert moved.buckets == {"prod-data": "data-here", "prod-artifacts": "artifacts-here"}
    assert "s3://data-here/acme/digits/inbox/a.csv" in text
    assert f"s3://artifacts-here/{RUN}dataset/" in text
    assert "arn:aws:sagemaker:us-east-1:123456789012:model-package/acme--digits/1" in text
    assert "prod-" not in text
    assert "s3://assets/code.tar.gz" in text


@pytest.mark.parametrize(
    ("there", "absent"), [((f"{RUN}dataset/train/0",), []), ((f"{RUN}data",), [f"s3://artifacts-here/{RUN}dataset/"])]
)
def test_what_the_failed_state_reads_must_be_there(there: tuple[str, ...], absent: list[str]) -> None:
    moved = replaying.move(account(), replaying.Execution.of(ARN), history())
    assert replaying.missing(account(*there), moved) == absent


def test_only_a_laptop_cloud_replays(tandem: Tandem) -> None:
    for more in ((), ("--endpoint-url", "https://states.eu-west-1.amazonaws.com")):
        answer = tandem("replay", ARN, *more)
        assert answer.code == Exit.USAGE
        assert "goes on in the laptop cloud" in answer.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"events": 1}', None])
def test_a_file_that_is_no_history_is_refused(tandem: Tandem, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "history.json"
    if content is not None:
        path.write_text(content)
    answer = tandem("replay", ARN, "--history", path, "--endpoint-url", "http://localhost:1")
    assert answer.code == Exit.USAGE
    assert "is no history" in answer.stderr


def test_what_is_no_execution_is_refused(tandem: Tandem) -> None:
    answer = tandem("replay", "arn:aws:states:eu-west-1:1:stateMachine:x", "--endpoint-url", "http://localhost:1")
    assert answer.code == Exit.USAGE
    assert "is not the ARN of an execution" in answer.stderr
