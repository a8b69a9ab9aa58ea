"""Switch champion: from here on the ledger names the new version."""

from __future__ import annotations

from contract import ledger
from infra.asl import State, expression, task, transient
from infra.steps.champion import LEDGER_ERRORS, key
from infra.steps.deployment_parts import DeploymentParts, on_failure


def champion(parts: DeploymentParts, *, then: str, failed: str) -> State:
    """Write the champion's row, if it still is what the plan saw (``""``: there was none)."""
    names = {"package_arn": "$package_arn", "run": "$deployment.run", "since": "$now()"} | {
        name: f"$deployment.{source}"
        for name, source in {"model_uri": "model_data_url", "endpoint": "endpoint", "target": "target"}.items()
    }
    return task(
        "dynamodb:putItem",
        {
            "TableName": parts.ledger,
            "Item": {
                **key(ledger.CHAMPION, "$tenant", "$project"),
                **{name: {"S": expression(source)} for name, source in names.items()},
                "version": {"N": "{% $string($deployment.version) %}"},
            },
            "ConditionExpression": "attribute_not_exists(pk) OR package_arn = :seen",
            "ExpressionAttributeValues": {":seen": {"S": "{% $deployment.champion %}"}},
        },
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        output={"champion": "{% $package_arn %}"},
        catch=on_failure(failed),
    )
