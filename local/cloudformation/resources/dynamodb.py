"""AWS::DynamoDB::Table."""

from __future__ import annotations

from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call

_TABLE = (
    "AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput", "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes", "TableClass", "DeletionProtectionEnabled", "OnDemandThroughput",
)  # fmt: skip


class Table(Provider):
    """AWS::DynamoDB::Table."""

    known = frozenset(
        {*_TABLE, "TableName", "Tags", "StreamSpecification", "SSESpecification", "TimeToLiveSpecification",
         "PointInTimeRecoverySpecification"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the table with stream, encryption, expiry and backups."""
        self.check(properties)
        client, name = context.client("dynamodb"), properties.get("TableName") or context.name(255)
        tags = context.tag_list(properties)
        call(
            client,
            "create_table",
            TableName=name,
            **pick(properties, *_TABLE),
            **_specifications(properties),
            **({"Tags": tags} if tags else {}),
        )
        _configure(context, name, {}, properties)
        return _made(context, name)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update in place what DynamoDB can; new keys or a new name are a new table."""
        if any(old.get(name) != new.get(name) for name in ("TableName", "KeySchema", "LocalSecondaryIndexes")):
            return self.create(context, new)
        self.check(new)
        changed = [name for name in _TABLE if old.get(name) != new.get(name) and name in new]
        wanted = {**pick(new, *changed), **_index_updates(old, new)}
        wanted.pop("GlobalSecondaryIndexes", None)
        if _specifications(old) != _specifications(new):
            wanted |= _specifications(new)
        if wanted:
            call(context.client("dynamodb"), "update_table", TableName=physical_id, **wanted)
        _configure(context, physical_id, old, new)
        return _made(context, physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the table."""
        context.client("dynamodb").delete_table(TableName=physical_id)


def _specifications(properties: Properties) -> Properties:
    made: Properties = {}
    if "StreamSpecification" in properties:
        view = properties["StreamSpecification"]["StreamViewType"]
        made["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
    if "SSESpecification" in properties:
        given = properties["SSESpecification"]
        made["SSESpecification"] = {"Enabled": given["SSEEnabled"], **pick(given, "SSEType", "KMSMasterKeyId")}
    return made


def _index_updates(old: Properties, new: Properties) -> Properties:
    before = {index["IndexName"]: index for index in old.get("GlobalSecondaryIndexes", [])}
    after = {index["IndexName"]: index for index in new.get("GlobalSecondaryIndexes", [])}
    updates: list[Properties] = [{"Delete": {"IndexName": name}} for name in before if before[name] != after.get(name)]
    updates += [{"Create": index} for name, index in after.items() if index != before.get(name)]
    if not updates:
        return {}
    return {"GlobalSecondaryIndexUpdates": updates, "AttributeDefinitions": new["AttributeDefinitions"]}


def _configure(context: Context, name: str, old: Properties, new: Properties) -> None:
    client = context.client("dynamodb")
    expiry = new.get("TimeToLiveSpecification")
    if expiry and expiry != old.get("TimeToLiveSpecification"):
        call(client, "update_time_to_live", TableName=name, TimeToLiveSpecification=expiry)
    backups = new.get("PointInTimeRecoverySpecification")
    if backups and backups != old.get("PointInTimeRecoverySpecification"):
        call(client, "update_continuous_backups", TableName=name, PointInTimeRecoverySpecification=backups)


def _made(context: Context, name: str) -> Made:
    table = context.client("dynamodb").describe_table(TableName=name)["Table"]
    attributes = {"Arn": table["TableArn"]}
    if "LatestStreamArn" in table:
        attributes["StreamArn"] = table["LatestStreamArn"]
    return Made(physical_id=name, attributes=attributes)


PROVIDERS: dict[str, Provider] = {"AWS::DynamoDB::Table": Table()}
