"""A run that failed goes on where it failed, here or elsewhere: nothing finished is done, or paid for, again."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.errors import Exit
from cli.main import app as main
from contract import keys, ledger
from contract.run import Outcome
from local.chaos.faults import ALWAYS, FailedJob
from local.chaos.lab import LAB
from tests.e2e.app import App
from tests.e2e.data import table, table_toml
from tests.e2e.upgrades import RENAMED, STATE, upgraded


def tandem(app: App, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], prog_name="tandem", env=app.cloud.environment)


def jobs(run: dict[str, Any]) -> collections.Counter[tuple[str, str]]:
    return collections.Counter((job["kind"], job["status"]) for job in run["jobs"])


def spend(app: App, run: str, usd: str) -> None:
    """Have the ledger say that a run has cost so much."""
    key = {name: {"S": value} for name, value in ledger.run_key(run).items()}
    update = {"UpdateExpression": "SET usd = :usd", "ExpressionAttributeValues": {":usd": {"N": usd}}}
    app.dynamodb.update_item(TableName=app.table, Key=key, **update)


def forget_quotas(app: App) -> None:
    """Have the ledger know no quotas, as after ten minutes."""
    key = {name: {"S": value} for name, value in ledger.QUOTAS_KEY.items()}
    app.dynamodb.delete_item(TableName=app.table, Key=key)


def take_away(app: App, run: dict[str, Any], file: Path) -> str:
    """Make a run one of a production account: its history in a file, its data in another bucket; return its ARN."""
    theirs, prefix = f"production-{run['project']}", keys.run_prefix("acme", run["project"], run["run"])
    app.s3.create_bucket(Bucket=theirs)
    for key in app.listing(prefix):
        app.s3.copy_object(Bucket=theirs, Key=key, CopySource={"Bucket": app.artifacts, "Key": key})
        app.s3.delete_object(Bucket=app.artifacts, Key=key)
    pages = app.states.get_paginator("get_execution_history").paginate(executionArn=run["execution_arn"])
    text = json.dumps({"events": [event for page in pages for event in page["events"]]}, default=str)
    here = run["execution_arn"].split(":")[3:5]
    there = ["eu-west-1", "999988887777"]
    for ours, moved in ((app.artifacts, theirs), (":".join(here), ":".join(there))):
        assert ours in text
        text = text.replace(ours, moved)
    file.write_text(text)
    return run["execution_arn"].replace(":".join(here), ":".join(there))


def test_a_run_whose_evaluation_failed_is_replayed_and_resumed_with_the_model_that_it_has(
    app: App, tmp_path: Path
) -> None:
    project, history = app.project(), tmp_path / "history.json"
    app.configure(project, table_toml(more="[budget]\nmax_usd_per_run = 9.0"))
    with LAB.inject(FailedJob(job=f"{project}*-evaluate-*", times=ALWAYS)):
        run = app.upload(project, "rows.csv", table())
        failed = app.settled(run)
        assert (failed["outcome"], failed["failure"]["state"]) == (Outcome.FAILED, "Evaluate")
        arn = failed["execution_arn"]

        # As if it had run in production: it comes here with its data, and fails once more.
        theirs = take_away(app, failed, history)
        absent = tandem(app, "replay", theirs, "--history", str(history))
        assert absent.exit_code == Exit.NOT_FOUND, absent.output
        assert f"s3://{app.artifacts}/{keys.run_prefix('acme', project, run)}dataset/" in absent.output
        endpoint = app.cloud.environment["AWS_ENDPOINT_URL"]
        replayed = tandem(app, "replay", theirs, "--history", str(history), "--from-endpoint-url", endpoint)
        assert replayed.exit_code == Exit.FAILED, replayed.output
        assert "goes on at 'Evaluate'" in replayed.output
    again = app.settled(run)
    assert again["failure"]["state"] == "Evaluate"
    assert {job["name"] for job in again["jobs"]} - {job["name"] for job in failed["jobs"]} == {f"{run}-evaluate-1-1-0"}

    # Redriven in the console, where nobody reserves anything: over its budget, it is stopped.
    spend(app, run, "1000")
    app.states.redrive_execution(executionArn=arn)
    app.eventually(lambda: app.row(run)["status"] == Outcome.STOPPED)
    stopped = app.row(run)
    assert "redriven by hand, not by `tandem resume`, and is stopped: it has cost $1000.00" in json.dumps(stopped)
    assert float(stopped["usd"]) < 9, "what its jobs have really cost"

    # A person allows less than the rest may cost.
    refused = tandem(app, "resume", run, "--max-usd", "0.01")
    assert refused.exit_code == Exit.REFUSED, refused.output
    assert "more than $0.01" in refused.output.replace("\n", " ")

    forget_quotas(app)  # nobody has looked at them for long
    with upgraded(app):  # the next release: it goes on by the definition that it began with
        answer = tandem(app, "resume", run, "--json")
        assert answer.exit_code == Exit.GOOD, answer.output
        told = json.loads(answer.stdout)
        assert told["outcome"] == Outcome.DEPLOYED
        done = app.settled(run)
    assert STATE in app.visited(done)
    assert RENAMED not in app.visited(done)
    assert jobs(done)["training", "Completed"] == 1
    assert jobs(done)["processing", "Completed"] == 1
    assert sum(jobs(done).values()) <= 5, "one training, one evaluation, those that failed and were stopped"
    assert [state for state in app.visited(done) if state == "Train on demand"] == ["Train on demand"]
    assert done["usd"] == pytest.approx(sum(job["usd"] for job in done["jobs"]))
    assert done["usd"] > float(stopped["usd"])
    row = app.row(run)
    assert (row["status"], row["resumes"]) == (Outcome.DEPLOYED, "3")
    assert app.states.describe_execution(executionArn=arn)["redriveCount"] == 3
    late = tandem(app, "resume", run)
    assert late.exit_code == Exit.REFUSED
    assert "it ended as DEPLOYED" in late.output
