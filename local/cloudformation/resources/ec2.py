"""AWS::EC2::*: what a private network consists of. It is described, and nothing is kept from going elsewhere."""

from __future__ import annotations

import json
from typing import Any

from local.cloudformation.errors import ResourceFailed
from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call


def _tagged(context: Context, properties: Properties, kind: str) -> Properties:
    tags = context.tag_list(properties)
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


class Vpc(Provider):
    """AWS::EC2::VPC."""

    known = frozenset({"CidrBlock", "EnableDnsHostnames", "EnableDnsSupport", "InstanceTenancy", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the network."""
        self.check(properties)
        ec2, what = context.client("ec2"), pick(properties, "CidrBlock", "InstanceTenancy")
        made = call(ec2, "create_vpc", **what, **_tagged(context, properties, "vpc"))["Vpc"]
        for name in ("EnableDnsSupport", "EnableDnsHostnames"):
            if name in properties:
                call(ec2, "modify_vpc_attribute", VpcId=made["VpcId"], **{name: {"Value": properties[name]}})
        return Made(physical_id=made["VpcId"], attributes=pick(made, "VpcId", "CidrBlock"))

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the network."""
        context.client("ec2").delete_vpc(VpcId=physical_id)


class Subnet(Provider):
    """AWS::EC2::Subnet."""

    known = frozenset({"AvailabilityZone", "CidrBlock", "MapPublicIpOnLaunch", "VpcId", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the subnet."""
        self.check(properties)
        ec2, what = context.client("ec2"), pick(properties, "AvailabilityZone", "CidrBlock", "VpcId")
        made = call(ec2, "create_subnet", **what, **_tagged(context, properties, "subnet"))["Subnet"]
        public = {"Value": properties.get("MapPublicIpOnLaunch", False)}
        call(ec2, "modify_subnet_attribute", SubnetId=made["SubnetId"], MapPublicIpOnLaunch=public)
        return Made(physical_id=made["SubnetId"], attributes=pick(made, "SubnetId", "AvailabilityZone", "VpcId"))

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the subnet."""
        context.client("ec2").delete_subnet(SubnetId=physical_id)


class RouteTable(Provider):
    """AWS::EC2::RouteTable."""

    known = frozenset({"VpcId", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the table, with the route of the network itself."""
        self.check(properties)
        what = {"VpcId": properties["VpcId"], **_tagged(context, properties, "route-table")}
        made = context.client("ec2").create_route_table(**what)["RouteTable"]["RouteTableId"]
        return Made(physical_id=made, attributes={"RouteTableId": made})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the table."""
        context.client("ec2").delete_route_table(RouteTableId=physical_id)


class Association(Provider):
    """AWS::EC2::SubnetRouteTableAssociation."""

    known = frozenset({"RouteTableId", "SubnetId"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Have a subnet follow a table."""
        self.check(properties)
        return Made(physical_id=context.client("ec2").associate_route_table(**properties)["AssociationId"])

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Have it follow the network's own again."""
        context.client("ec2").disassociate_route_table(AssociationId=physical_id)


class SecurityGroup(Provider):
    """AWS::EC2::SecurityGroup."""

    known = frozenset({"GroupDescription", "GroupName", "SecurityGroupEgress", "SecurityGroupIngress", "VpcId", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the group with its rules; EC2's own, that lets everything out, goes where others are given."""
        self.check(properties)
        ec2, name = context.client("ec2"), properties.get("GroupName") or context.name(255)
        what = {"GroupName": name, "Description": properties["GroupDescription"], **pick(properties, "VpcId")}
        group = call(ec2, "create_security_group", **what, **_tagged(context, properties, "security-group"))["GroupId"]
        if properties.get("SecurityGroupEgress"):
            everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everything])
        for way in ("Egress", "Ingress"):
            for rule in properties.get(f"SecurityGroup{way}", []):
                _allow(ec2, way, group, rule)
        return Made(physical_id=group, attributes={"GroupId": group, **pick(properties, "VpcId")})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the group."""
        context.client("ec2").delete_security_group(GroupId=physical_id)


def _allow(ec2: Any, way: str, group: str, rule: Properties) -> None:
    call(ec2, f"authorize_security_group_{way.lower()}", GroupId=group, IpPermissions=[_permission(rule)])


def _permission(rule: Properties) -> Properties:
    """Return a rule as the API has it."""
    known = {"CidrIp", "Description", "FromPort", "ToPort", "IpProtocol", "GroupId",
             "SourceSecurityGroupId", "DestinationSecurityGroupId"}  # fmt: skip
    if unknown := set(rule) - known:
        raise ResourceFailed(f"rule: not emulated by the laptop cloud: {', '.join(sorted(unknown))}")
    told = pick(rule, "Description")
    other = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    there = (
        {"UserIdGroupPairs": [{"GroupId": other, **told}]}
        if other
        else {"IpRanges": [{**pick(rule, "CidrIp"), **told}]}
    )
    return {**pick(rule, "IpProtocol", "FromPort", "ToPort"), **there}


class Rule(Provider):
    """AWS::EC2::SecurityGroupIngress and AWS::EC2::SecurityGroupEgress."""

    def __init__(self, way: str) -> None:
        self._way = way

    def create(self, context: Context, properties: Properties) -> Made:
        """Add the rule to its group."""
        _allow(context.client("ec2"), self._way, properties["GroupId"], properties)
        return Made(physical_id=context.name())

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Take it away."""
        revoke = f"revoke_security_group_{self._way.lower()}"
        what = {"GroupId": properties["GroupId"], "IpPermissions": [_permission(properties)]}
        call(context.client("ec2"), revoke, **what)


class Endpoint(Provider):
    """AWS::EC2::VPCEndpoint."""

    _as_given = (
        "ServiceName", "VpcEndpointType", "VpcId", "RouteTableIds", "SubnetIds", "SecurityGroupIds",
        "PrivateDnsEnabled",
    )  # fmt: skip
    known = frozenset({*_as_given, "PolicyDocument", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the endpoint."""
        self.check(properties)
        what = {**pick(properties, *self._as_given), **_tagged(context, properties, "vpc-endpoint")}
        if "PolicyDocument" in properties:
            what["PolicyDocument"] = json.dumps(properties["PolicyDocument"])
        made = call(context.client("ec2"), "create_vpc_endpoint", **what)["VpcEndpoint"]["VpcEndpointId"]
        return Made(physical_id=made, attributes={"Id": made})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the endpoint."""
        context.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical_id])


class FlowLog(Provider):
    """AWS::EC2::FlowLog; nothing flows, so nothing is logged."""

    _as_given = ("DeliverLogsPermissionArn", "LogDestinationType", "LogGroupName", "ResourceType", "TrafficType")
    known = frozenset({*_as_given, "ResourceId", "Tags"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the flow log."""
        self.check(properties)
        what = {**pick(properties, *self._as_given), **_tagged(context, properties, "vpc-flow-log")}
        made = call(context.client("ec2"), "create_flow_logs", ResourceIds=[properties["ResourceId"]], **what)
        if made["Unsuccessful"]:
            raise ResourceFailed(made["Unsuccessful"][0]["Error"]["Message"])
        return Made(physical_id=made["FlowLogIds"][0], attributes={"Id": made["FlowLogIds"][0]})

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the flow log."""
        context.client("ec2").delete_flow_logs(FlowLogIds=[physical_id])


PROVIDERS: dict[str, Provider] = {
    "AWS::EC2::VPC": Vpc(),
    "AWS::EC2::Subnet": Subnet(),
    "AWS::EC2::RouteTable": RouteTable(),
    "AWS::EC2::SubnetRouteTableAssociation": Association(),
    "AWS::EC2::SecurityGroup": SecurityGroup(),
    "AWS::EC2::SecurityGroupIngress": Rule("Ingress"),
    "AWS::EC2::SecurityGroupEgress": Rule("Egress"),
    "AWS::EC2::VPCEndpoint": Endpoint(),
    "AWS::EC2::FlowLog": FlowLog(),
}
