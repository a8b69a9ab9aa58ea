"""AWS::CloudTrail::Trail."""

from __future__ import annotations

from local.cloudformation.resources.base import Context, Made, Properties, Provider
from local.cloudformation.resources.calls import call

_SETTINGS = {
    "S3BucketName": "S3BucketName",
    "KMSKeyId": "KmsKeyId",
    "EnableLogFileValidation": "EnableLogFileValidation",
    "IsMultiRegionTrail": "IsMultiRegionTrail",
    "IncludeGlobalServiceEvents": "IncludeGlobalServiceEvents",
}
"""CloudFormation's properties, and what the API calls them."""


class Trail(Provider):
    """AWS::CloudTrail::Trail; what it records goes to the event bus (local/trail.py), and is not written."""

    known = frozenset({*_SETTINGS, "TrailName", "IsLogging", "AdvancedEventSelectors", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the trail, say what it records, and start it."""
        self.check(properties)
        client, name = context.client("cloudtrail"), properties.get("TrailName") or context.name(128)
        tags = context.tag_list(properties)
        call(client, "create_trail", Name=name, TagsList=tags, **_settings(properties))
        return self._configure(context, name, properties)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update in place; a new name is a new trail."""
        if new.get("TrailName", physical_id) != physical_id:
            return self.create(context, new)
        self.check(new)
        call(context.client("cloudtrail"), "update_trail", Name=physical_id, **_settings(new))
        return self._configure(context, physical_id, new)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the trail; its bucket stays."""
        context.client("cloudtrail").delete_trail(Name=physical_id)

    def _configure(self, context: Context, name: str, properties: Properties) -> Made:
        client = context.client("cloudtrail")
        if "AdvancedEventSelectors" in properties:
            selectors = properties["AdvancedEventSelectors"]
            call(client, "put_event_selectors", TrailName=name, AdvancedEventSelectors=selectors)
        running = str(properties["IsLogging"]).lower() == "true"
        (client.start_logging if running else client.stop_logging)(Name=name)
        return Made(physical_id=name, attributes={"Arn": client.get_trail(Name=name)["Trail"]["TrailARN"]})


def _settings(properties: Properties) -> Properties:
    return {theirs: properties[name] for name, theirs in _SETTINGS.items() if name in properties}


PROVIDERS: dict[str, Provider] = {"AWS::CloudTrail::Trail": Trail()}
