"""A run that failed goes on where it failed: nothing that is finished is done, or paid for, again."""

from __future__ import annotations

import collections
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.errors import Exit
from cli.main import app as main
from contract import ledger
from contract.run import Outcome
from local.chaos.faults import FailedJob
from local.chaos.lab import LAB
from tests.e2e.app import App
from tests.e2e.data import table, table_toml


def tandem(app: App, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], prog_name="tandem", env=app.cloud.environment)


def jobs(run: dict[str, Any]) -> collections.Counter[tuple[str, str]]:
    return collections.Counter((job["kind"], job["status"]) for job in run["jobs"])


def spend(app: App, run: str, usd: str) -> None:
    """Have the ledger say that a run has cost so much."""
    key = {name: {"S": value} for name, value in ledger.run_key(run).items()}
    update = {"UpdateExpression": "SET usd = :usd", "ExpressionAttributeValues": {":usd": {"N": usd}}}
    app.dynamodb.update_item(TableName=app.table, Key=key, **update)


def test_a_run_whose_evaluation_failed_goes_on_with_the_model_that_it_has(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml(more="[budget]\nmax_usd_per_run = 9.0"))
    with LAB.inject(FailedJob(job=f"{project}*-evaluate-*")):
        run = app.upload(project, "rows.csv", table())
        failed = app.settled(run)
    assert (failed["outcome"], failed["failure"]["state"]) == (Outcome.FAILED, "Evaluate")
    arn = failed["execution_arn"]

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

    answer = tandem(app, "resume", run, "--json")
    assert answer.exit_code == Exit.GOOD, answer.output
    told = json.loads(answer.stdout)
    assert told["outcome"] == Outcome.DEPLOYED
    done = app.settled(run)
    assert jobs(done)["training", "Completed"] == 1
    assert jobs(done)["processing", "Completed"] == 1
    assert sum(jobs(done).values()) <= 4, "one training, one evaluation, those that failed and were stopped"
    assert [state for state in app.visited(done) if state == "Train on demand"] == ["Train on demand"]
    assert done["usd"] == pytest.approx(sum(job["usd"] for job in done["jobs"]))
    assert done["usd"] > float(stopped["usd"])
    row = app.row(run)
    assert (row["status"], row["resumes"]) == (Outcome.DEPLOYED, "2")
    assert app.states.describe_execution(executionArn=arn)["redriveCount"] == 2
    again = tandem(app, "resume", run)
    assert again.exit_code == Exit.REFUSED
    assert "it ended as DEPLOYED" in again.output
