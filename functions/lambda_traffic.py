"""Shift traffic, and Take traffic back: the weights of the alias ``live`` of the project's function."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from contract.errors import AlarmWentOff
from contract.lambda_calls import ALIAS
from functions.lambda_versions import MISSING, alias_version
from functions.shared import client, error_code, logger


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take the next step to the new version, or all steps back.

    Args:
        event: ``{"deployment", "made", "step", "back"}``: the plan; what functions/lambda_versions.py returned; how
            many steps were taken; whether the champion gets its traffic back.
        context: unused.

    Returns:
        ``step``, ``percent`` (of the requests that the new version gets) and ``done``.

    Raises:
        AlarmWentOff: when the new version failed, or was slow, since the last step.
    """
    plan, made = event["deployment"], event["made"]
    name, version, previous = plan["function"], made["version"], made["previous"]
    if event["back"]:
        give_back(name, version, previous)
        return {"step": 0, "percent": 0, "done": True}
    steps = [100] if previous in (None, version) else plan["steps"]
    step = event["step"]
    if step:
        look(made["alarms"])
    if step < len(steps):
        send(name, version, previous, steps[step])
    percent = steps[min(step, len(steps) - 1)]
    is_watched = plan["watch_last"] and len(steps) > 1
    done = step >= len(steps) or (percent == 100 and not is_watched)
    logger.info("traffic", extra={"function": name, "version": version, "percent": percent, "done": done})
    return {"step": step + 1, "percent": percent, "done": done}


def send(name: str, version: str, previous: str | None, percent: int) -> None:
    """Give the version its share of requests; the rest stays with the previous one."""
    if percent < 100 and previous:
        weights = {"AdditionalVersionWeights": {version: percent / 100}}
        point(name, previous, weights)
    else:
        point(name, version, {"AdditionalVersionWeights": {}})


def give_back(name: str, version: str, previous: str | None) -> None:
    """Give the previous version all requests; without one, nobody gets any."""
    if previous:
        point(name, previous, {"AdditionalVersionWeights": {}})
    elif alias_version(name) == version:
        client("lambda").delete_alias(FunctionName=name, Name=ALIAS)


def point(name: str, version: str, weights: dict[str, Any]) -> None:
    """Point the alias at a version, making it if there is none."""
    request = {"FunctionName": name, "Name": ALIAS, "FunctionVersion": version, "RoutingConfig": weights}
    try:
        client("lambda").update_alias(**request)
    except ClientError as error:
        if error_code(error) != MISSING:
            raise
        client("lambda").create_alias(**request)


def look(alarms: list[str]) -> None:
    """Look at alarms.

    Raises:
        AlarmWentOff: naming those that did.
    """
    found = client("cloudwatch").describe_alarms(AlarmNames=alarms, AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    went_off = {alarm["AlarmName"]: alarm.get("StateReason", "") for alarm in found if alarm["StateValue"] == "ALARM"}
    if went_off:
        told = "; ".join(f"{name}: {reason}" for name, reason in went_off.items())
        raise AlarmWentOff(f"Alarms of the new version went off: {told}")
