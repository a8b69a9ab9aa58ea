"""Find champion: the version in service, which the challenger must beat."""

from __future__ import annotations

from contract import ledger
from infra.asl import State, expression, task, transient
from infra.steps.parts import Parts

LEDGER_ERRORS = (
    "DynamoDB.AmazonDynamoDBException",
    "DynamoDB.InternalServerErrorException",
    "DynamoDB.ThrottlingException",
    "DynamoDB.ProvisionedThroughputExceededException",
    "DynamoDB.RequestLimitExceededException",
    "DynamoDB.SdkClientException",
)
"""Names as the Java SDK has them; the first stands for every error that has none of its own."""


def key(row: str, tenant: str, project: str) -> dict[str, dict[str, str]]:
    """Return the key of a project's row; ``tenant`` and ``project`` are JSONata code."""
    partition = expression(f"'{ledger.project_pk('', '')[:-1]}' & {tenant} & '/' & {project}")
    return {"pk": {"S": partition}, "sk": {"S": row}}


def find(parts: Parts, *, then: str) -> State:
    """Read the champion's row, strongly consistent; ``$champion`` is null where none serves yet."""
    item = "$states.result.Item"
    champion = (
        f"{{'package_arn': {item}.package_arn.S, 'version': $number({item}.version.N), "
        f"'model_uri': {item}.model_uri.S}}"
    )
    return task(
        "dynamodb:getItem",
        {
            "TableName": parts.ledger,
            "Key": key(ledger.CHAMPION, "$run.tenant", "$run.project"),
            "ConsistentRead": True,
        },
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        assign={
            "champion": expression(f"$exists({item}) ? {champion} : null"),
            "evaluations": "{% $evaluations + 1 %}",
        },
        output={"champion": expression(f"$exists({item}) ? {champion} : null")},
    )
