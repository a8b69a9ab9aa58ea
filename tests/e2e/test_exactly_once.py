"""The deployed intake: an upload whose run's name is taken gets a run of its own, and only one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from contract import keys, ledger, names
from contract.run import Outcome
from tests.e2e.app import App
from tests.e2e.data import table, table_toml


def test_an_upload_is_not_lost_to_an_execution_of_its_runs_name(app: App) -> None:
    project, functions = app.project(), app.cloud.client("lambda")
    key, version = f"{keys.inbox('acme', project)}rows.csv", "never-there"  # so that both runs end at once
    taken = names.run_for_upload(project, app.data, key, version)
    app.states.start_execution(stateMachineArn=app.pipeline, name=taken, input='{"tenant": "acme"}')
    detail = {"bucket": {"name": app.data}, "object": {"key": key, "version-id": version, "size": 1}}
    event = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    intake = app.function("functions.intake.handler")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: functions.invoke(FunctionName=intake, Payload=event), range(3)))
    (run,) = {json.loads(answer["Payload"].read())["run"] for answer in answers}
    assert run == names.run_for_upload(project, app.data, key, version, taken=1) != taken
    assert app.settled(run)["outcome"] == Outcome.REJECTED
    app.eventually(lambda: app.row(taken).get("status") == Outcome.REFUSED)
    assert {each["name"] for each in app.executions() if each["name"].startswith(project[:9])} == {taken, run}
    assert app.item(ledger.upload_key(app.data, key, version))["run"] == run


def test_copies_of_an_attempt_that_found_other_files_are_taken_away(app: App) -> None:
    project = app.project()
    app.configure(project, table_toml())
    upload = f"acme/{project}/by-hand/rows.csv"  # too few rows, so that the run ends soon
    app.s3.put_object(Bucket=app.data, Key=upload, Body=table(2))
    run = f"{project}-twice"
    copies = keys.run_prefix("acme", project, run) + keys.UPLOAD
    app.s3.put_object(Bucket=app.artifacts, Key=f"{copies}earlier.csv", Body=table())
    request = {"tenant": "acme", "project": project, "upload": f"s3://{app.data}/{upload}"}
    app.states.start_execution(stateMachineArn=app.pipeline, name=run, input=json.dumps(request))
    assert app.settled(run)["outcome"] == Outcome.REJECTED
    assert app.listing(copies) == [f"{copies}rows.csv"]
