"""AWS::Logs::*, AWS::CloudWatch::*, AWS::SSM::Parameter, AWS::KMS::* and AWS::SageMaker::ModelPackageGroup."""

from __future__ import annotations

import json

from local.cloudformation.resources.base import Context, Made, Properties, Provider, lower_first, pick
from local.cloudformation.resources.calls import call


class LogGroup(Provider):
    """AWS::Logs::LogGroup."""

    known = frozenset({"LogGroupName", "RetentionInDays", "KmsKeyId", "Tags", "LogGroupClass"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the group."""
        self.check(properties)
        logs, name = context.client("logs"), properties.get("LogGroupName") or context.name(512)
        tags = context.all_tags(properties)
        parameters = lower_first(pick(properties, "KmsKeyId"))
        call(logs, "create_log_group", logGroupName=name, **parameters, **({"tags": tags} if tags else {}))
        return self._retain(context, name, properties)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Change the retention; a new name is a new group."""
        if old.get("LogGroupName") != new.get("LogGroupName"):
            return self.create(context, new)
        self.check(new)
        return self._retain(context, physical_id, new)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the group."""
        context.client("logs").delete_log_group(logGroupName=physical_id)

    def _retain(self, context: Context, name: str, properties: Properties) -> Made:
        logs, days = context.client("logs"), properties.get("RetentionInDays")
        if days:
            logs.put_retention_policy(logGroupName=name, retentionInDays=int(days))
        else:
            logs.delete_retention_policy(logGroupName=name)
        arn = f"arn:aws:logs:{context.cloud.region}:{context.cloud.account}:log-group:{name}:*"
        return Made(physical_id=name, attributes={"Arn": arn})


class MetricFilter(Provider):
    """AWS::Logs::MetricFilter."""

    known = frozenset({"FilterName", "FilterPattern", "LogGroupName", "MetricTransformations"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the filter."""
        self.check(properties)
        name = properties.get("FilterName") or context.name()
        call(context.client("logs"), "put_metric_filter", **lower_first({**properties, "FilterName": name}))
        return Made(physical_id=name)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the filter."""
        group = properties["LogGroupName"]
        context.client("logs").delete_metric_filter(filterName=physical_id, logGroupName=group)


class ResourcePolicy(Provider):
    """AWS::Logs::ResourcePolicy."""

    known = frozenset({"PolicyName", "PolicyDocument"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the policy."""
        self.check(properties)
        call(context.client("logs"), "put_resource_policy", **lower_first(properties))
        return Made(physical_id=properties["PolicyName"])

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the policy."""
        context.client("logs").delete_resource_policy(policyName=physical_id)


class Alarm(Provider):
    """AWS::CloudWatch::Alarm."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the alarm."""
        return self._put(context, properties.get("AlarmName") or context.name(255), properties)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Put it again; a new name is a new alarm."""
        return self._put(context, new.get("AlarmName") or physical_id, new)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the alarm."""
        context.client("cloudwatch").delete_alarms(AlarmNames=[physical_id])

    def _put(self, context: Context, name: str, properties: Properties) -> Made:
        parameters = {**properties, "AlarmName": name, "Tags": context.tag_list(properties)}
        call(context.client("cloudwatch"), "put_metric_alarm", **parameters)
        arn = f"arn:aws:cloudwatch:{context.cloud.region}:{context.cloud.account}:alarm:{name}"
        return Made(physical_id=name, attributes={"Arn": arn})


class Dashboard(Provider):
    """AWS::CloudWatch::Dashboard."""

    known = frozenset({"DashboardName", "DashboardBody"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the dashboard."""
        self.check(properties)
        name = properties.get("DashboardName") or context.name(255)
        context.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=properties["DashboardBody"])
        return Made(physical_id=name)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Put it again."""
        return self.create(context, {"DashboardName": physical_id, **new})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the dashboard."""
        context.client("cloudwatch").delete_dashboards(DashboardNames=[physical_id])


class Parameter(Provider):
    """AWS::SSM::Parameter."""

    known = frozenset({"Name", "Type", "Value", "Description", "Tier", "AllowedPattern", "DataType", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the parameter; one of that name must not be there."""
        return self._put(context, properties.get("Name") or f"/{context.name()}", properties, overwrite=False)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Put the new value; a new name is a new parameter."""
        if old.get("Name") != new.get("Name"):
            return self.create(context, new)
        return self._put(context, physical_id, new, overwrite=True)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the parameter."""
        context.client("ssm").delete_parameter(Name=physical_id)

    def _put(self, context: Context, name: str, properties: Properties, *, overwrite: bool) -> Made:
        self.check(properties)
        parameters = pick(properties, "Type", "Value", "Description", "Tier", "AllowedPattern", "DataType")
        call(context.client("ssm"), "put_parameter", Name=name, Overwrite=overwrite, **parameters)
        return Made(physical_id=name, attributes=pick(properties, "Type", "Value"))


class Key(Provider):
    """AWS::KMS::Key."""

    known = frozenset(
        {"Description", "KeyPolicy", "KeySpec", "KeyUsage", "MultiRegion", "EnableKeyRotation", "RotationPeriodInDays",
         "PendingWindowInDays", "Enabled", "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the key."""
        self.check(properties)
        kms = context.client("kms")
        policy = {"Policy": json.dumps(properties["KeyPolicy"])} if "KeyPolicy" in properties else {}
        tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in context.tag_list(properties)]
        settings = pick(properties, "Description", "KeySpec", "KeyUsage", "MultiRegion")
        made = call(kms, "create_key", Tags=tags, **settings, **policy)["KeyMetadata"]
        if str(properties.get("EnableKeyRotation", "")).lower() == "true":
            kms.enable_key_rotation(KeyId=made["KeyId"])
        return Made(physical_id=made["KeyId"], attributes={"Arn": made["Arn"], "KeyId": made["KeyId"]})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update policy, description and rotation; another spec or usage is another key."""
        if any(old.get(name) != new.get(name) for name in ("KeySpec", "KeyUsage", "MultiRegion")):
            return self.create(context, new)
        self.check(new)
        kms = context.client("kms")
        if "KeyPolicy" in new:
            kms.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=json.dumps(new["KeyPolicy"]))
        kms.update_key_description(KeyId=physical_id, Description=new.get("Description", ""))
        rotate = str(new.get("EnableKeyRotation", "")).lower() == "true"
        (kms.enable_key_rotation if rotate else kms.disable_key_rotation)(KeyId=physical_id)
        arn = kms.describe_key(KeyId=physical_id)["KeyMetadata"]["Arn"]
        return Made(physical_id=physical_id, attributes={"Arn": arn, "KeyId": physical_id})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Schedule the key's deletion."""
        days = int(properties.get("PendingWindowInDays", 30))
        context.client("kms").schedule_key_deletion(KeyId=physical_id, PendingWindowInDays=days)


class KeyAlias(Provider):
    """AWS::KMS::Alias."""

    known = frozenset({"AliasName", "TargetKeyId"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the alias."""
        self.check(properties)
        context.client("kms").create_alias(**properties)
        return Made(physical_id=properties["AliasName"])

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Point it at another key; a new name is a new alias."""
        if old["AliasName"] != new["AliasName"]:
            return self.create(context, new)
        context.client("kms").update_alias(**new)
        return Made(physical_id=physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the alias."""
        context.client("kms").delete_alias(AliasName=physical_id)


class ModelPackageGroup(Provider):
    """AWS::SageMaker::ModelPackageGroup."""

    known = frozenset({"ModelPackageGroupName", "ModelPackageGroupDescription", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the group."""
        self.check(properties)
        parameters = {**properties, "Tags": context.tag_list(properties)}
        arn = call(context.client("sagemaker"), "create_model_package_group", **parameters)["ModelPackageGroupArn"]
        return Made(physical_id=arn, attributes={"ModelPackageGroupArn": arn})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the group."""
        name = properties["ModelPackageGroupName"]
        context.client("sagemaker").delete_model_package_group(ModelPackageGroupName=name)


PROVIDERS: dict[str, Provider] = {
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::Logs::MetricFilter": MetricFilter(),
    "AWS::Logs::ResourcePolicy": ResourcePolicy(),
    "AWS::CloudWatch::Alarm": Alarm(),
    "AWS::CloudWatch::Dashboard": Dashboard(),
    "AWS::SSM::Parameter": Parameter(),
    "AWS::KMS::Key": Key(),
    "AWS::KMS::Alias": KeyAlias(),
    "AWS::SageMaker::ModelPackageGroup": ModelPackageGroup(),
}
