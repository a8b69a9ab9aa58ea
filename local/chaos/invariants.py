"""What must be true of a project when nothing of it runs any more, whatever went wrong meanwhile.

Each check yields its violations in words; CHECKS names them. They ask AWS's API
alone, so they hold for any endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from contract import keys, ledger, names
from contract.run import RUNNING, Outcome
from local.chaos.bills import difference
from local.chaos.site import Site

UNFINISHED = {Outcome.FAILED.value, Outcome.STOPPED.value}
GOOD_STATUS = {
    "SUCCEEDED": {each.value for each in Outcome} - UNFINISHED,
    "FAILED": {Outcome.FAILED.value},
    "TIMED_OUT": {Outcome.STOPPED.value},
    "ABORTED": {Outcome.STOPPED.value},
}
SETTLED_IN = "Settle run"
FREE = "orphaned model"
"""The name of the check of what costs nothing."""
JOB_KINDS = ("training_job", "processing_job", "transform_job", "hyper_parameter_tuning_job")


def violations(site: Site, project: str) -> list[str]:
    """Return every violation, each with the name of its check."""
    return list(found(site, project))


def found(site: Site, project: str) -> Iterator[str]:
    """Yield the violations one by one: whoever waits for none looks no further than the first."""
    yield from (f"{name}: {told}" for name, check in CHECKS.items() for told in check(site, project))


def stuck_executions(site: Site, project: str) -> Iterator[str]:
    """No execution runs."""
    for machine in site.machines:
        for execution in site.executions(machine, project, RUNNING):
            yield f"{execution['executionArn']} runs at {site.visited(execution['executionArn'])[-1]!r}"


def runtime_errors(site: Site, project: str) -> Iterator[str]:
    """No execution ended by a mistake in its definition."""
    for machine in site.machines:
        for execution in site.executions(machine, project, "FAILED"):
            described = site.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
            if described.get("error") == "States.Runtime":
                yield f"{execution['name']}: {described['error']}: {described['cause'][:300]}"


def orphaned_jobs(site: Site, project: str) -> Iterator[str]:
    """No job runs."""
    for kind in JOB_KINDS:
        noun = "".join(word.capitalize() for word in kind.split("_"))
        pages = site.client("sagemaker").get_paginator(f"list_{kind}s")
        for name in (f"{project}-", f"{site.tenant}--{project}--"):
            for page in pages.paginate(NameContains=name, StatusEquals="InProgress"):
                summaries = next(value for key, value in page.items() if key.endswith("Summaries"))
                yield from (f"{kind} {each[f'{noun}Name']} runs" for each in summaries)


def orphaned_endpoints(site: Site, project: str) -> Iterator[str]:
    """There is the champion's endpoint, or function, and no other."""
    live = site.row(ledger.champion_key(site.tenant, project)).get("endpoint", "")
    pages = site.client("sagemaker").get_paginator("list_endpoints")
    for page in pages.paginate(NameContains=f"{site.tenant}--{project}--"):
        yield from (each["EndpointName"] for each in page["Endpoints"] if each["EndpointName"] != live)
    function = names.function(site.tenant, project)
    functions = [each["FunctionName"] for each in site.client("lambda").list_functions()["Functions"]]
    if function in functions and not live.startswith(function):
        yield f"function {function}"


def orphaned_parts(site: Site, project: str) -> Iterator[str]:
    """There are the configurations and the models of the champion's endpoint, and no others."""
    row, sagemaker = site.row(ledger.champion_key(site.tenant, project)), site.client("sagemaker")
    live = site.endpoint(row["endpoint"]) if _is_endpoint(row.get("endpoint", "")) else {}
    needed = {name for name in (row.get("configuration"), live.get("EndpointConfigName")) if name}
    stem = f"{site.tenant}--{project}--"
    models: set[str] = set()
    for page in sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=stem):
        for name in [each["EndpointConfigName"] for each in page["EndpointConfigs"]]:
            if name not in needed:
                yield f"configuration {name}"
                continue
            found = sagemaker.describe_endpoint_config(EndpointConfigName=name)
            variants = [*found["ProductionVariants"], *found.get("ShadowProductionVariants", [])]
            models |= {variant["ModelName"] for variant in variants}
    for page in sagemaker.get_paginator("list_models").paginate(NameContains=stem):
        yield from (f"model {each['ModelName']}" for each in page["Models"] if each["ModelName"] not in models)


def kept_leases(site: Site, project: str) -> Iterator[str]:
    """Nobody holds the project's lease."""
    if row := site.row(ledger.lease_key(site.tenant, project)):
        yield f"{row['holder']} holds the deployment lease until {row['expires']}"


def kept_reservations(site: Site, project: str) -> Iterator[str]:
    """What a run that ended reserved of its tenant's budget was settled; of unknown cost, it stays reserved."""
    for row in site.runs(project):
        charge = site.row(ledger.charge_key(site.tenant, row["started"][:7], row["run"]))
        charged, settled = charge.get("charged"), charge.get("settled")
        if row["status"] != RUNNING and isinstance(row.get("usd"), str) and charged != settled:
            yield f"{row['run']} is {row['status']}, and {charged} is charged, of which {settled} was settled"


def false_costs(site: Site, project: str) -> Iterator[str]:
    """What a run that ended cost is what its jobs were billed."""
    for row in site.runs(project):
        if row["status"] != RUNNING and isinstance(row.get("usd"), str) and (off := difference(site, row)):
            yield f"{row['run']} is {row['status']} and cost ${row['usd']}, ${off:+.6f} more than its jobs were billed"


def kept_machines(site: Site, project: str) -> Iterator[str]:
    """No run but one that goes on holds machines of the account's quotas."""
    running = {row["run"] for row in site.runs(project) if row["status"] == RUNNING}
    held = site.row(ledger.MACHINES_KEY).get("held", {})
    ours = [run for run in held if run.startswith(f"{project}-")]
    yield from (f"{run} holds {', '.join(held[run]['M'])}" for run in ours if run not in running)


def false_rows(site: Site, project: str) -> Iterator[str]:
    """Every run's row says how its execution ended, and that was told.

    A run that was settled well stays so where only the answer of its last state was lost.
    """
    rows = {row.get("execution_arn"): row for row in site.runs(project)}
    for execution in site.executions("pipeline", project):
        row = rows.get(execution["executionArn"])
        if row is None:
            yield f"{execution['name']} is {execution['status']}, and has no row"
        elif row["status"] in GOOD_STATUS["SUCCEEDED"] and site.visited(execution["executionArn"])[-1] == SETTLED_IN:
            continue
        elif row["status"] not in GOOD_STATUS.get(execution["status"], {RUNNING}):
            yield f"{execution['name']} is {execution['status']}, and its row says {row['status']}"
        elif row["status"] in UNFINISHED and not _same_time(row["ended"], execution["stopDate"]):
            yield f"{execution['name']} ended at {execution['stopDate']}, and its row tells of an earlier end"
        elif row["status"] != RUNNING and not row.get("announced"):
            yield f"the end of {execution['name']} was not announced"


def unsettled_batches(site: Site, project: str) -> Iterator[str]:
    """No file's row says that it is being answered."""
    found = site.client("dynamodb").query(
        TableName=site.outputs[names.OUTPUT_LEDGER_TABLE],
        KeyConditionExpression="pk = :project AND begins_with(sk, :batch)",
        ExpressionAttributeValues={
            ":project": {"S": ledger.project_pk(site.tenant, project)},
            ":batch": {"S": f"{ledger.BATCH}#"},
        },
    )["Items"]
    yield from (f"{row['file']['S']} is RUNNING" for row in found if row["status"]["S"] == RUNNING)


def false_champion(site: Site, project: str) -> Iterator[str]:
    """The champion's row names what serves."""
    row = site.row(ledger.champion_key(site.tenant, project))
    endpoint = row.get("endpoint", "")
    if not _is_endpoint(endpoint):
        return
    found = site.endpoint(endpoint)
    if row.get("asleep"):  # one that could not be woken is Failed, costs nothing, and says why until the next attempt
        awake = found and found["EndpointStatus"] != "Failed"
        yield from [f"{endpoint} sleeps, and is {found['EndpointStatus']}"] if awake else []
    elif not found:
        yield f"the row names {endpoint}, which is not there"
    elif (found["EndpointStatus"], found["EndpointConfigName"]) != ("InService", row["configuration"]):
        yield f"{endpoint} is {found['EndpointStatus']} with {found['EndpointConfigName']}, not {row['configuration']}"


def _is_endpoint(name: str) -> bool:
    """Say whether a champion's endpoint is one of SageMaker's."""
    return name.rpartition("--")[2] in names.ENDPOINT_TARGETS


def lost_uploads(site: Site, project: str) -> Iterator[str]:
    """Every version of every object of the inbox has its run, or waits as an event in a dead-letter queue."""
    prefix = keys.inbox(site.tenant, project)
    found = site.client("s3").list_object_versions(Bucket=site.data, Prefix=prefix).get("Versions", [])
    for each in found:
        if not keys.starts_run(each["Key"].removeprefix(prefix)):
            continue
        row = site.row(ledger.upload_key(site.data, each["Key"], each["VersionId"]))
        if not row.get("execution_arn") and not _in_dead_letters(site, each["VersionId"]):
            yield f"{each['Key']}@{each['VersionId']} has no run"


def _same_time(told: str, stopped: datetime) -> bool:
    return abs((datetime.fromisoformat(told) - stopped).total_seconds()) < 0.1


def _in_dead_letters(site: Site, text: str) -> bool:
    """Look through the queues' messages, and leave them there."""
    sqs = site.client("sqs")
    for url in sqs.list_queues().get("QueueUrls", []):
        messages: list[Any] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
            "Messages", []
        )
        if any(text in json.dumps(message["Body"]) for message in messages):
            return True
    return False


CHECKS: dict[str, Callable[[Site, str], Iterator[str]]] = {
    "stuck execution": stuck_executions,
    "States.Runtime": runtime_errors,
    "orphaned job": orphaned_jobs,
    "orphaned endpoint": orphaned_endpoints,
    FREE: orphaned_parts,
    "lease not released": kept_leases,
    "budget not released": kept_reservations,
    "cost not true": false_costs,
    "machines not released": kept_machines,
    "ledger not true": false_rows,
    "batch not true": unsettled_batches,
    "champion not true": false_champion,
    "lost upload": lost_uploads,
}
