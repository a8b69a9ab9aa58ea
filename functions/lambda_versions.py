"""Make function version: the project's Lambda function gets the model, and a version that never changes.

What is there is compared with what is wanted, so it may run again at any time; nothing here
moves traffic, which only the alias ``live`` does.
"""

from __future__ import annotations

import os
import time
from typing import Any

from botocore.exceptions import ClientError

from contract import names
from contract.errors import EndpointBusy
from contract.lambda_calls import ALIAS
from contract.runbooks import Runbook
from functions.shared import client, environment, error_code, logger

PATIENCE_SECONDS = 25
"""How long to look before saying that the function is busy; the machine then asks again. We look up to four times, and
have two minutes (infra/deployer.py)."""
TIMEOUT_SECONDS, SCRATCH_MB = 60, 2048
"""Of the function: what a request may take, and room in /tmp for the model, packed and unpacked."""
ENTRYPOINT, COMMAND = ["python", "-m", "awslambdaric"], ["serving.lambda_handler.handler"]
MISSING = "ResourceNotFoundException"


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Make the version that ``event["deployment"]`` plans (functions/deployment.py).

    Returns:
        ``version``, ``qualified`` (``<function>:<version>``), ``previous`` (the version that the alias names, None
        where there is no alias) and ``alarms`` (their names).

    Raises:
        EndpointBusy: while Lambda prepares the function; passes by itself.
    """
    plan = event["deployment"]
    name = plan["function"]
    make(plan)
    text = f"version {plan['version']} of the model, run {plan['run']}"
    version = client("lambda").publish_version(FunctionName=name, Description=text)["Version"]
    settle(f"{name}:{version}")
    logger.info("function version", extra={"function": name, "version": version, "run": plan["run"]})
    return {
        "version": version,
        "qualified": f"{name}:{version}",
        "previous": alias_version(name),
        "alarms": [_put(alarm) for alarm in alarms(plan, version)],
    }


def make(plan: dict[str, Any]) -> None:
    """Create the function, or change its image and its settings to those of the plan."""
    name, wanted = plan["function"], settings(plan)
    if describe(name) is None:
        tags = {tag["Key"]: tag["Value"] for tag in plan["tags"]}
        client("lambda").create_function(
            FunctionName=name,
            PackageType="Image",
            Code={"ImageUri": plan["image_uri"]},
            ImageConfig={"EntryPoint": ENTRYPOINT, "Command": COMMAND},
            Architectures=["x86_64"],  # as the image
            Tags=tags,
            **wanted,
        )
    found = settle(name)
    if client("lambda").get_function(FunctionName=name)["Code"]["ImageUri"] != plan["image_uri"]:
        client("lambda").update_function_code(FunctionName=name, ImageUri=plan["image_uri"])
        found = settle(name)
    if not all(_says(found.get(key), value) for key, value in wanted.items()):
        client("lambda").update_function_configuration(FunctionName=name, **wanted)
        settle(name)


def _says(found: Any, wanted: Any) -> bool:
    """Whether a description says what was asked for; it may say more, such as the VPC that subnets are of."""
    return wanted.items() <= found.items() if isinstance(wanted, dict) and found else bool(found == wanted)


def settings(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the function's settings, as both requests and descriptions have them."""
    model = {names.MODEL_URI: plan["model_data_url"], names.MODEL_SHA256: plan["model_sha256"]}
    return {
        "Role": names.of_tenant(environment(names.FUNCTION_ROLE), names.tenant_of(plan["function"])),
        "MemorySize": plan["memory_mb"],
        "Timeout": TIMEOUT_SECONDS,
        "EphemeralStorage": {"Size": SCRATCH_MB},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": environment(names.FUNCTION_LOGS)},
        "Environment": {"Variables": model},
        **network(),
    }


def network() -> dict[str, Any]:
    """Return where the function runs, if the installation has a network."""
    subnets = os.environ.get(names.SUBNETS)
    if not subnets:
        return {}
    groups = environment(names.SECURITY_GROUPS).split(",")
    return {"VpcConfig": {"SubnetIds": subnets.split(","), "SecurityGroupIds": groups}}


def alarms(plan: dict[str, Any], version: str) -> list[dict[str, Any]]:
    """Return PutMetricAlarm's requests: of what this version answers through the alias.

    Errors are those that Lambda counts: crashes, time-outs, and a model that fails; not requests that do not fit it.
    They are looked at once a step (functions/lambda_traffic.py), so a bad minute counts until the step is over.
    """
    name = plan["function"]
    dimensions = {"FunctionName": name, "Resource": f"{name}:{ALIAS}", "ExecutedVersion": version}
    common = {
        "EvaluationPeriods": max(1, plan["bake_seconds"] // 60),
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": plan["tags"],
    }

    def query(id: str, metric: str, statistic: str) -> dict[str, Any]:
        where = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        told = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": where}
        return {"Id": id, "MetricStat": {"Metric": told, "Period": 60, "Stat": statistic}, "ReturnData": False}

    share = {"Id": "share", "Expression": "100 * errors / invocations", "ReturnData": True}
    errors = {
        **common,
        "AlarmName": names.alarm(name, f"v{version}", "errors"),
        "AlarmDescription": Runbook.MODEL_ERRORS.after(
            f"More than {plan['max_error_percent']:g} % of the version's invocations fail"
        ),
        "Threshold": plan["max_error_percent"],
        "Metrics": [query("errors", "Errors", "Sum"), query("invocations", "Invocations", "Sum"), share],
    }
    latency = {
        **common,
        "AlarmName": names.alarm(name, f"v{version}", "latency"),
        "AlarmDescription": Runbook.MODEL_LATENCY.after(
            f"The 99th percentile of the version's duration is above {plan['max_latency_ms']} ms"
        ),
        "Threshold": float(plan["max_latency_ms"]),
        "Metrics": [{**query("duration", "Duration", "p99"), "ReturnData": True}],
    }
    return [errors, *([latency] if plan["max_latency_ms"] else [])]


def _put(alarm: dict[str, Any]) -> str:
    client("cloudwatch").put_metric_alarm(**alarm)
    return str(alarm["AlarmName"])


def alias_version(name: str) -> str | None:
    """Return the version that the alias names; None when there is no alias."""
    try:
        return str(client("lambda").get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"])
    except ClientError as error:
        if error_code(error) != MISSING:
            raise
        return None


def describe(function: str) -> dict[str, Any] | None:
    """Return the configuration of a function, ``<name>`` or ``<name>:<version>``; None when there is none."""
    try:
        return client("lambda").get_function_configuration(FunctionName=function)
    except ClientError as error:
        if error_code(error) != MISSING:
            raise
        return None


def settle(function: str) -> dict[str, Any]:
    """Return the configuration of a function, or of a version of it, once it is ready.

    Raises:
        EndpointBusy: when it is not within PATIENCE_SECONDS.
        RuntimeError: when Lambda could not make it.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = describe(function) or {}
        state, update = found.get("State"), found.get("LastUpdateStatus", "Successful")
        if "Failed" in (state, update):
            reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or "Lambda gave no reason"
            raise RuntimeError(f"function {function} is {state}, its update {update}: {reason}")
        if state in ("Active", "Inactive") and update == "Successful":
            return found
        if time.monotonic() > deadline:
            raise EndpointBusy(f"function {function} is {state}, its update {update}")
        time.sleep(1)
