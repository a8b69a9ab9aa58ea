"""Intake: an object appears in an inbox -> exactly one execution of the pipeline for that version of it.

Events may arrive twice, late and out of order, and this handler may die at any
point. The execution's name is derived from the object's version; the row of the
version learns the run and the execution's ARN last. Whatever was done before,
the next delivery does the rest. Step Functions forgets the name of an execution
after 90 days; the row does not.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError

from contract import keys, ledger, names
from contract.errors import InvalidConfig
from contract.run import Outcome
from functions import runs, table, tenants
from functions.shared import client, environment, error_code, logger


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One version of an object in an inbox."""

    tenant: str
    project: str
    bucket: str
    key: str
    version_id: str

    @property
    def uri(self) -> str:
        """The object's address."""
        return f"s3://{self.bucket}/{self.key}"


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Handle one EventBridge event ``Object Created`` of the data bucket."""
    arrival = parse(event)
    if arrival is None:
        return {"run": None}
    try:
        check(arrival)
    except InvalidConfig as error:
        return {"run": refuse(arrival, str(error))}
    return {"run": start(arrival)}


def check(arrival: Arrival) -> None:
    """Refuse what can have no run.

    Raises:
        InvalidConfig: for names that are none, and tenants that nobody added.
    """
    names.check_name("tenant", arrival.tenant)
    names.check_name("project", arrival.project)
    tenants.check(arrival.tenant)


def parse(event: Mapping[str, Any]) -> Arrival | None:
    """Return what arrived, or None for an object that starts no run.

    EventBridge's keys are plain text; only S3's own notifications encode them.
    """
    detail = event["detail"]
    parts = keys.parse_inbox(detail["object"]["key"])
    if parts is None or not keys.starts_run(parts[2]):
        return None
    return Arrival(
        tenant=parts[0],
        project=parts[1],
        bucket=detail["bucket"]["name"],
        key=detail["object"]["key"],
        version_id=detail["object"]["version-id"],
    )


def start(arrival: Arrival) -> str:
    """Start the run of an object version, or find it started; return its id."""
    row = ledger.upload_key(arrival.bucket, arrival.key, arrival.version_id)
    if not table.add(row, {"received": datetime.now(UTC).isoformat(timespec="seconds")}):
        known = table.get(row)
        if known and known.get("execution_arn"):
            logger.info("upload has its run already", extra={"run": known["run"], "upload": arrival.uri})
            return str(known["run"])
    run, execution = _start_execution(arrival)
    table.change(row, {"run": run, "execution_arn": execution}, only_if=Attr("pk").exists())
    logger.info("run started", extra={"run": run, "upload": arrival.uri, "execution": execution})
    return run


def _start_execution(arrival: Arrival) -> tuple[str, str]:
    """Start the execution, or find it started; return the run's id and the ARN.

    A name that another upload's execution has (its digest is short), or a person's, gives way to the next one.
    """
    for taken in itertools.count():
        run = names.run_for_upload(arrival.project, arrival.bucket, arrival.key, arrival.version_id, taken=taken)
        execution = _execution_of(arrival, run)
        if execution:
            return run, execution
    raise AssertionError("the names are endless")


def _execution_of(arrival: Arrival, run: str) -> str:
    """Return the ARN of the execution of this name, started now or before; empty when it is another's."""
    machine, states = environment(names.PIPELINE_ARN), client("stepfunctions")
    version = {"upload": arrival.uri, "version_id": arrival.version_id}
    request = {"tenant": arrival.tenant, "project": arrival.project, **version}
    try:
        started = states.start_execution(
            stateMachineArn=machine, name=run, input=json.dumps(request, ensure_ascii=False)
        )
    except ClientError as error:
        if error_code(error) != "ExecutionAlreadyExists":
            raise
    else:
        return str(started["executionArn"])
    execution = _execution_arn(machine, run)
    given = json.loads(states.describe_execution(executionArn=execution)["input"])
    is_ours = isinstance(given, dict) and version == {name: given.get(name) for name in version}
    return execution if is_ours else ""


def _execution_arn(machine: str, name: str) -> str:
    """Return the ARN of an execution, from the machine's or from one of its aliases'."""
    *head, _, machine_name = machine.split(":")[:7]
    return ":".join([*head, "execution", machine_name, name])


def refuse(arrival: Arrival, reason: str) -> str:
    """Settle a run that cannot start, because its folder names no tenant or project; return its id.

    Retrying would not help, so it is no failure of this function: the ledger
    and the notification tell the person. The upload stays where it is, and
    `tandem tenant add` hands it in again.
    """
    run = names.run_for_execution(f"{arrival.uri}@{arrival.version_id}")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    values = {
        "run": run,
        "project": f"{arrival.tenant}/{arrival.project}",
        "upload": arrival.uri,
        "started": now,
        "ended": now,
        "status": Outcome.REFUSED.value,
        "outcome": Outcome.REFUSED.value,
        "reasons": [reason],
    }
    logger.error("upload refused", extra={"upload": arrival.uri, "reason": reason})
    table.add(ledger.run_key(run), values)
    row = table.get(ledger.run_key(run)) or values
    if not row.get("announced"):
        runs.announce(row)
    return run
