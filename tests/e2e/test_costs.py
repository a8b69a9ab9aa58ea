"""What a run may cost is told before it starts, kept within the tenant's budget, and settled with what it did cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.errors import Exit
from cli.main import app as cli
from contract import metrics, names
from contract.run import Outcome
from local.chaos.faults import TimeOver
from local.chaos.lab import LAB
from tests.e2e.app import App
from tests.e2e.data import table, table_toml

TENANT = "payers"


def log(app: App, job: str) -> list[str]:
    """Return what a training job's first host printed."""
    logs, group = app.cloud.client("logs"), {"logGroupName": names.TRAINING_LOGS}
    (stream,) = logs.describe_log_streams(**group, logStreamNamePrefix=f"{job}/")["logStreams"]
    found = logs.get_log_events(**group, logStreamName=stream["logStreamName"], startFromHead=True)
    return [event["message"] for event in found["events"]]


@pytest.mark.usefixtures("account")
def test_no_run_costs_a_tenant_more_than_it_was_told(app: App, tmp_path: Path) -> None:
    app.add_tenants(TENANT)
    project = f"{TENANT}/{app.project()}"
    rows, toml = tmp_path / "rows.csv", tmp_path / "project.toml"
    rows.write_bytes(table(seed=1))
    toml.write_text(table_toml(epochs=1))

    def tandem(*arguments: object, code: int = 0) -> Any:
        told = CliRunner().invoke(cli, ["--json", *map(str, arguments)])
        assert told.exit_code == code, told.output
        return json.loads(told.stdout.splitlines()[-1])

    # Told before: by the deployed definition, and nothing is uploaded.
    submit = ("submit", rows, "--project", project)
    before = tandem(*submit, "--dry-run")
    assert before["accepted"]
    assert {line["state"] for line in before["worst_case"]["lines"]} >= {"Train on demand", "Evaluate"}
    assert app.s3.list_objects_v2(Bucket=app.data, Prefix=project)["KeyCount"] == 0

    # Refused: the tenant has less than the worst case, however much the run's own cap would allow.
    assert tandem("budget", TENANT, "0.1")["left"] == 0.1
    refused = tandem(*submit, code=3)
    assert refused["outcome"] == Outcome.REFUSED
    assert "payers's budget of $0.10" in refused["reasons"][0]
    assert tandem("budget", TENANT)["spent"] == 0

    # Settled: what is left over comes back.
    tandem("budget", TENANT, "50")
    toml.write_text(table_toml(epochs=30))
    with LAB.inject(TimeOver(job=f"{project.partition('/')[2]}-*", when="epoch=5 ")):
        run = tandem(*submit, code=Exit.FAILED)
    stopped = app.settled(run["run"])
    assert (stopped["failure"]["error"], stopped["epochs"][-1]["epoch"] < 30) == ("TrainingStopped", True)
    assert "MaxRuntimeExceeded" in stopped["failure"]["cause"]
    month = tandem("budget", TENANT)
    assert (month["spent"], month["reserved"]) == (pytest.approx(stopped["usd"]), 0)

    # At the cap: training goes on from its checkpoint, and is paid for once.
    assert tandem("resume", run["run"])["outcome"] == Outcome.DEPLOYED
    document = app.settled(run["run"])
    assert [epoch["epoch"] for epoch in document["epochs"]] == list(range(1, 31))
    first, second = [job for job in document["jobs"] if job["kind"] == "training"]
    assert (first["status"], second["status"]) == ("Stopped", "Completed")
    again = [parsed["epoch"] for line in log(app, second["name"]) if (parsed := metrics.parse_line(line))]
    assert again == list(range(int(stopped["epochs"][-1]["epoch"]) + 1, 31)), "it begins after the last that it knows"
    assert document["usd"] == pytest.approx(sum(job["usd"] for job in document["jobs"]))
    assert stopped["usd"] < document["usd"] <= document["plan"]["worst_case"]["usd"] <= before["worst_case"]["usd"]
    month = tandem("budget", TENANT)
    assert (month["spent"], month["reserved"]) == (pytest.approx(document["usd"]), 0)
    assert tandem("cost", TENANT)["projects"][project]["spent"] == pytest.approx(document["usd"])
    assert {each["run"]: each["reserved"] for each in tandem("cost", project)["runs"]} == {run["run"]: 0}
    jobs = tandem("cost", run["run"])["jobs"]
    assert {job["kind"] for job in jobs} == {"training", "processing"}
    assert sum(job["usd"] for job in jobs) == pytest.approx(document["usd"])
    assert TENANT in {each["tenant"] for each in tandem("cost")}
    assert tandem("budget", TENANT, "default")["own"] is False
    changed = app.eventually(lambda: [each["note"] for each in tandem("audit", TENANT, "--what", "budget")][2:])
    assert changed == ["may spend default a month"]
