"""Switch champion, and Name challenger: from here on the ledger names the new version."""

from __future__ import annotations

from contract import ledger
from contract.run import DeploymentStatus
from infra.asl import State, code, expression, task, transient
from infra.steps.champion import LEDGER_ERRORS, key
from infra.steps.deployment_parts import DeploymentParts, on_failure


def champion(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Write the champion's row, if it still is what the plan saw (``""``: there was none); it is awake.

    An attempt whose answer was lost may have written it already, and is as good: nobody else writes under our lease.
    """
    names = {"package_arn": "$deployment.package_arn", "run": "$deployment.run", "since": "$now()"} | {
        name: f"$deployment.{source}"
        for name, source in {
            "model_uri": "model_data_url",
            "endpoint": "endpoint",
            "target": "target",
            "configuration": "config_name",
        }.items()
    }
    row = {
        **key(ledger.CHAMPION, "$tenant", "$project"),
        **{name: {"S": expression(source)} for name, source in names.items()},
        "version": {"N": "{% $string($deployment.version) %}"},
    }
    return task(
        "dynamodb:putItem",
        {
            "TableName": parts.ledger,
            "Item": expression(f"$merge([{code(row)}, $deployment.hours])"),
            "ConditionExpression": "attribute_not_exists(pk) OR package_arn IN (:seen, :new)",
            "ExpressionAttributeValues": {
                ":seen": {"S": "{% $deployment.champion %}"},
                ":new": {"S": "{% $deployment.package_arn %}"},
            },
        },
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        output={"champion": "{% $deployment.package_arn %}"},
        catch=on_failure(failed),
    )


def challenger(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Write the challenger into the champion's row, if it still is the champion's; the next switch ends the test."""
    texts = {"package_arn": "$deployment.package_arn", "run": "$deployment.run", "since": "$now()"}
    numbers = {"version": "$deployment.version", "percent": "$deployment.ab_percent"}
    row = {name: {"S": expression(source)} for name, source in texts.items()}
    row |= {name: {"N": expression(f"$string({source})")} for name, source in numbers.items()}
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.ledger,
            "Key": key(ledger.CHAMPION, "$tenant", "$project"),
            "UpdateExpression": "SET challenger = :challenger, configuration = :configuration REMOVE asleep",
            "ConditionExpression": "package_arn = :seen",
            "ExpressionAttributeValues": {
                ":challenger": {"M": row},
                ":configuration": {"S": "{% $deployment.config_name %}"},
                ":seen": {"S": "{% $deployment.champion %}"},
            },
        },
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        assign={"status": DeploymentStatus.CHALLENGING.value},
        output={"challenger": "{% $deployment.package_arn %}"},
        catch=on_failure(failed),
    )
