"""AWS::Events::*."""

from __future__ import annotations

import json

from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call


class Rule(Provider):
    """AWS::Events::Rule."""

    known = frozenset(
        {"Name", "Description", "EventBusName", "EventPattern", "ScheduleExpression", "State", "RoleArn", "Targets",
         "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the rule and its targets."""
        self.check(properties)
        name = properties.get("Name") or context.name()
        return _put(context, name, properties)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Put the rule again; targets that are gone are removed; a new name or bus is a new rule."""
        if any(old.get(name) != new.get(name) for name in ("Name", "EventBusName")):
            return self.create(context, new)
        self.check(new)
        kept = {target["Id"] for target in new.get("Targets", [])}
        gone = [target["Id"] for target in old.get("Targets", []) if target["Id"] not in kept]
        if gone:
            bus = pick(new, "EventBusName")
            context.client("events").remove_targets(Rule=_rule_name(physical_id), Ids=gone, **bus)
        return _put(context, _rule_name(physical_id), new)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Remove targets, then the rule."""
        events, bus = context.client("events"), pick(properties, "EventBusName")
        ids = [target["Id"] for target in properties.get("Targets", [])]
        if ids:
            events.remove_targets(Rule=_rule_name(physical_id), Ids=ids, **bus)
        events.delete_rule(Name=_rule_name(physical_id), **bus)


def _rule_name(physical_id: str) -> str:
    return physical_id.rsplit("|", 1)[-1]


def _put(context: Context, name: str, properties: Properties) -> Made:
    events, bus = context.client("events"), pick(properties, "EventBusName")
    parameters = pick(properties, "Description", "ScheduleExpression", "State", "RoleArn", "EventBusName")
    if "EventPattern" in properties:
        parameters["EventPattern"] = json.dumps(properties["EventPattern"])
    arn = call(events, "put_rule", Name=name, Tags=context.tag_list(properties), **parameters)["RuleArn"]
    if properties.get("Targets"):
        call(events, "put_targets", Rule=name, Targets=properties["Targets"], **bus)
    physical_id = f"{bus['EventBusName']}|{name}" if bus else name
    return Made(physical_id=physical_id, attributes={"Arn": arn})


class EventBus(Provider):
    """AWS::Events::EventBus."""

    known = frozenset({"Name", "Description", "Tags", "KmsKeyIdentifier", "DeadLetterConfig"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the bus."""
        self.check(properties)
        parameters = pick(properties, "Name", "Description", "KmsKeyIdentifier", "DeadLetterConfig")
        arn = call(context.client("events"), "create_event_bus", **parameters)["EventBusArn"]
        return Made(physical_id=properties["Name"], attributes={"Arn": arn, "Name": properties["Name"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the bus."""
        context.client("events").delete_event_bus(Name=physical_id)


PROVIDERS: dict[str, Provider] = {"AWS::Events::Rule": Rule(), "AWS::Events::EventBus": EventBus()}
