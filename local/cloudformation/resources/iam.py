"""AWS::IAM::*. The laptop cloud keeps policies but enforces none."""

from __future__ import annotations

import json

from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call


class Role(Provider):
    """AWS::IAM::Role."""

    known = frozenset(
        {"RoleName", "AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration", "Path",
         "PermissionsBoundary", "Policies", "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the role with its policies."""
        self.check(properties)
        iam, name = context.client("iam"), properties.get("RoleName") or context.name()
        made = call(
            iam,
            "create_role",
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Tags=context.tag_list(properties),
            **pick(properties, "Description", "MaxSessionDuration", "Path", "PermissionsBoundary"),
        )["Role"]
        _attach(context, name, {}, properties)
        return Made(physical_id=name, attributes={"Arn": made["Arn"], "RoleId": made["RoleId"]})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update trust, policies and texts; a new name or path is a new role."""
        if any(old.get(name) != new.get(name) for name in ("RoleName", "Path")):
            return self.create(context, new)
        self.check(new)
        iam = context.client("iam")
        trust = json.dumps(new["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=physical_id, PolicyDocument=trust)
        call(iam, "update_role", RoleName=physical_id, **pick(new, "Description", "MaxSessionDuration"))
        _detach(context, physical_id, old, new)
        _attach(context, physical_id, old, new)
        made = iam.get_role(RoleName=physical_id)["Role"]
        return Made(physical_id=physical_id, attributes={"Arn": made["Arn"], "RoleId": made["RoleId"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the role and what this resource put on it."""
        _detach(context, physical_id, properties, {})
        context.client("iam").delete_role(RoleName=physical_id)


def _attach(context: Context, name: str, old: Properties, new: Properties) -> None:
    iam = context.client("iam")
    for arn in new.get("ManagedPolicyArns", []):
        if arn not in old.get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in new.get("Policies", []):
        document = json.dumps(policy["PolicyDocument"])
        iam.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)


def _detach(context: Context, name: str, old: Properties, new: Properties) -> None:
    iam = context.client("iam")
    for arn in old.get("ManagedPolicyArns", []):
        if arn not in new.get("ManagedPolicyArns", []):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    kept = {policy["PolicyName"] for policy in new.get("Policies", [])}
    for policy in old.get("Policies", []):
        if policy["PolicyName"] not in kept:
            iam.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])


_HOLDERS = (("Roles", "role", "RoleName"), ("Users", "user", "UserName"), ("Groups", "group", "GroupName"))


class Policy(Provider):
    """AWS::IAM::Policy: the same inline policy on several holders."""

    known = frozenset({"PolicyName", "PolicyDocument", "Roles", "Users", "Groups"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the policy on every holder."""
        self.check(properties)
        iam, document = context.client("iam"), json.dumps(properties["PolicyDocument"])
        for field, kind, argument in _HOLDERS:
            for holder in properties.get(field, []):
                put = getattr(iam, f"put_{kind}_policy")
                put(**{argument: holder}, PolicyName=properties["PolicyName"], PolicyDocument=document)
        return Made(physical_id=context.name(), attributes={"Id": properties["PolicyName"]})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Take the old one away and put the new one."""
        self.delete(context, physical_id, old)
        self.create(context, new)
        return Made(physical_id=physical_id, attributes={"Id": new["PolicyName"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Take the policy off every holder that is still there."""
        iam = context.client("iam")
        for field, kind, argument in _HOLDERS:
            for holder in properties.get(field, []):
                try:
                    getattr(iam, f"delete_{kind}_policy")(**{argument: holder}, PolicyName=properties["PolicyName"])
                except iam.exceptions.NoSuchEntityException:
                    continue


class ManagedPolicy(Provider):
    """AWS::IAM::ManagedPolicy."""

    known = frozenset({"ManagedPolicyName", "PolicyDocument", "Description", "Path", "Roles", "Users", "Groups"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the policy and attach it."""
        self.check(properties)
        iam = context.client("iam")
        arn = call(
            iam,
            "create_policy",
            PolicyName=properties.get("ManagedPolicyName") or context.name(),
            PolicyDocument=json.dumps(properties["PolicyDocument"]),
            **pick(properties, "Description", "Path"),
        )["Policy"]["Arn"]
        self._hold(context, "attach", arn, properties)
        return Made(physical_id=arn, attributes={"PolicyArn": arn})

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Give the policy a new version: whoever it is attached to has that from now on. A new name is a new policy."""
        if any(old.get(name) != new.get(name) for name in ("ManagedPolicyName", "Path")):
            return self.create(context, new)
        self.check(new)
        iam = context.client("iam")
        versions = iam.list_policy_versions(PolicyArn=physical_id)["Versions"]
        document = json.dumps(new["PolicyDocument"])
        iam.create_policy_version(PolicyArn=physical_id, PolicyDocument=document, SetAsDefault=True)
        for version in versions:
            iam.delete_policy_version(PolicyArn=physical_id, VersionId=version["VersionId"])
        self._hold(context, "detach", physical_id, old)
        self._hold(context, "attach", physical_id, new)
        return Made(physical_id=physical_id, attributes={"PolicyArn": physical_id})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Detach and delete the policy."""
        self._hold(context, "detach", physical_id, properties)
        context.client("iam").delete_policy(PolicyArn=physical_id)

    @staticmethod
    def _hold(context: Context, verb: str, arn: str, properties: Properties) -> None:
        """Attach the policy to its holders, or detach it from those that are still there."""
        iam = context.client("iam")
        for field, kind, argument in _HOLDERS:
            for holder in properties.get(field, []):
                try:
                    getattr(iam, f"{verb}_{kind}_policy")(**{argument: holder}, PolicyArn=arn)
                except iam.exceptions.NoSuchEntityException:
                    if verb == "attach":
                        raise


class InstanceProfile(Provider):
    """AWS::IAM::InstanceProfile."""

    known = frozenset({"InstanceProfileName", "Path", "Roles"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the profile with its role."""
        self.check(properties)
        iam, name = context.client("iam"), properties.get("InstanceProfileName") or context.name()
        made = iam.create_instance_profile(InstanceProfileName=name, **pick(properties, "Path"))["InstanceProfile"]
        for role in properties["Roles"]:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
        return Made(physical_id=name, attributes={"Arn": made["Arn"]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the profile."""
        iam = context.client("iam")
        for role in properties["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=physical_id, RoleName=role)
        iam.delete_instance_profile(InstanceProfileName=physical_id)


PROVIDERS: dict[str, Provider] = {
    "AWS::IAM::Role": Role(),
    "AWS::IAM::Policy": Policy(),
    "AWS::IAM::ManagedPolicy": ManagedPolicy(),
    "AWS::IAM::InstanceProfile": InstanceProfile(),
}
