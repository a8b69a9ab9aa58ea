"""An execution that failed elsewhere goes on here, from its history."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from contract import histories
from local.cloud import Cloud
from tests.local.machines import create, ended, start
from tests.local.test_stepfunctions_redrive import entered, put, read


def bring(cloud: Cloud, machine: str, name: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    body = json.dumps({"stateMachineArn": machine, "name": name, "events": events}, default=str).encode()
    request = urllib.request.Request(cloud.url + histories.IMPORT_PATH, data=body, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as refused:
        return {**json.load(refused), "code": refused.code}


def test_a_failed_execution_goes_on_through_the_definition_that_is_here(cloud: Cloud) -> None:
    given = {"Type": "Pass", "Assign": {"word": "{% $uuid() %}"}, "Output": {"n": 7}, "Next": "Read"}
    told = {"word": "{% $word %}", "n": "{% $states.input.n %}", "by": "{% $states.context.Execution.RedriveCount %}"}
    there = create(cloud, {"Given": given, "Read": read("imported-nowhere", Output=told, End=True)})
    failed = ended(cloud, start(cloud, there, {"a": 1}))
    here = create(cloud, {"Given": given, "Read": read("imported", Output=told, End=True)})
    put(cloud, "imported")
    sfn = cloud.client("stepfunctions")
    for redrive in (1, 2):  # the second time, it replaces the first
        arn = bring(cloud, here, "again", failed.history)["executionArn"]
        described = sfn.describe_execution(executionArn=arn)
        assert (described["status"], described["error"]) == ("FAILED", failed.failure[0])
        assert (json.loads(described["input"]), described["redriveStatus"]) == ({"a": 1}, "REDRIVABLE")
        sfn.redrive_execution(executionArn=arn)
        end = ended(cloud, arn)
        word = json.loads(failed.events("PassStateExited")[0]["stateExitedEventDetails"]["assignedVariables"]["word"])
        assert end.output == {"word": word, "n": 7, "by": redrive}
        assert entered(end) == {"Given": 1, "Read": 2}
        assert [event["id"] for event in end.history] == list(range(1, len(end.history) + 1))


def test_what_cannot_go_on_here_says_why(cloud: Cloud) -> None:
    there = create(cloud, {"Read": read("imported-never", End=True)})
    failed = ended(cloud, start(cloud, there)).history
    other = create(cloud, {"Wait": {"Type": "Wait", "Seconds": 99999, "End": True}})
    assert "has no state 'Read' here" in bring(cloud, other, "one", failed)["message"]
    running = start(cloud, other).rpartition(":")[2]
    assert "already exists" in bring(cloud, other, running, failed)["message"].lower()
    assert "does not exist" in bring(cloud, other.replace(":test-", ":gone-"), "one", failed)["message"].lower()
    assert "between two states" in bring(cloud, other, "one", failed[:1])["message"]
    assert bring(cloud, other, "one", failed[:1])["code"] == 400
    with pytest.raises(histories.NoPlaceToGoOn):
        histories.read(failed[:1])
