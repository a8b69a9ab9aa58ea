"""The private network: jobs, endpoints and functions in subnets that no route leads out of, or in a team's own.

What they say to AWS goes through VPC endpoints, whose policies know this account alone: with other credentials, or to
another account's bucket, nothing leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsii
from aws_cdk import Aws, IAspect
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from contract import names
from infra import grants
from infra.settings import Settings

ADDRESSES, ZONES = "10.73.0.0/16", 2

GATEWAYS = {"s3": ec2.GatewayVpcEndpointAwsService.S3, "dynamodb": ec2.GatewayVpcEndpointAwsService.DYNAMODB}
"""Endpoints that cost nothing, by the IAM prefix of their service."""

INTERFACES = {
    "sagemaker": ("sagemaker.api", "sagemaker.runtime"),
    "states": ("states",),
    "events": ("events",),
    "cloudwatch": ("monitoring",),
    "logs": ("logs",),
    "lambda": ("lambda",),
    "application-autoscaling": ("application-autoscaling",),
    "servicequotas": ("servicequotas",),
}
"""Endpoints of the services that functions call, by the IAM prefix of each."""

ATTACH = ("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterfacePermission")
"""What Lambda and SageMaker do in the name of a role."""
MANAGE = ("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses")
"""What they do with the interfaces that they made.

Lambda asks the role for DeleteNetworkInterface when a function is made, before there is an interface to name, and
refuses a function whose role has it of ``network-interface/*``: "include all resource IDs, for example ...:*/*"
("Giving Lambda functions access to resources in an Amazon VPC", AWS Lambda Developer Guide). IAM knows these actions
for network interfaces alone, so that it allows no more.
"""
LOOK = tuple(
    f"ec2:Describe{what}" for what in ("NetworkInterfaces", "Subnets", "SecurityGroups", "Vpcs", "DhcpOptions")
)
"""What they look at; IAM knows no resource for it."""


class Network(Construct):
    """Subnets and security groups.

    Attributes:
        subnets: their ids.
        groups: ids of the security groups.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)
        own = settings.vpc.split(",")
        self.subnets = [each for each in own if each.startswith("subnet-")]
        self.groups = [each for each in own if each.startswith("sg-")]
        if not self.subnets:
            self._make(settings)

    @property
    def of_jobs(self) -> dict[str, Any]:
        """What SageMaker's requests say of it."""
        return {"VpcConfig": {"Subnets": self.subnets, "SecurityGroupIds": self.groups}}

    @property
    def of_functions(self) -> dict[str, str]:
        """Variables of what makes functions at run time."""
        return {names.SUBNETS: ",".join(self.subnets), names.SECURITY_GROUPS: ",".join(self.groups)}

    def admit(self, *roles: iam.IGrantable) -> None:
        """Let Lambda and SageMaker attach in a role's name what runs with it, here and nowhere else.

        A policy will do for its roles. Sources: "Giving Lambda functions access to resources in an Amazon VPC" (AWS
        Lambda Developer Guide); "How to use SageMaker AI execution roles" (Amazon SageMaker AI Developer Guide).
        """
        for role in roles:
            places = {"network-interface": ["*"], "subnet": self.subnets, "security-group": self.groups}
            here = [grants.arn(self, "ec2", kind, name) for kind, named in places.items() for name in named]
            grants.allow(role, ATTACH, here)
            grants.allow(role, MANAGE, [grants.arn(self, "ec2", "*", "*")])
            grants.allow(role, LOOK, ["*"])  # have no resource

    def _make(self, settings: Settings) -> None:
        private = ec2.SubnetConfiguration(name="Private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        addresses = ec2.IpAddresses.cidr(ADDRESSES)
        vpc = ec2.Vpc(self, "Vpc", ip_addresses=addresses, max_azs=ZONES, subnet_configuration=[private])
        group = self._group(vpc)
        self.subnets, self.groups = vpc.select_subnets().subnet_ids, [group.security_group_id]
        for prefix, service in GATEWAYS.items():
            _restrict(vpc.add_gateway_endpoint(prefix, service=service), prefix, OWN_CALLERS | OWN_RESOURCES)
        for prefix, reached_by in INTERFACES.items():
            for name in reached_by:
                reached = ec2.InterfaceVpcEndpointAwsService(name)
                endpoint = vpc.add_interface_endpoint(name, service=reached, security_groups=[group], open=False)
                _restrict(endpoint, prefix, OWN_CALLERS)
        self._log(vpc, settings)

    def _group(self, vpc: ec2.Vpc) -> ec2.SecurityGroup:
        """Members reach each other (hosts of one job, and the endpoints), and S3 and DynamoDB by TLS."""
        group = ec2.SecurityGroup(
            self, "Group", vpc=vpc, allow_all_outbound=False, description="Tandem: jobs, models, functions, endpoints"
        )
        group.add_ingress_rule(group, ec2.Port.all_traffic(), "Hosts of one job; the endpoints")
        group.add_egress_rule(group, ec2.Port.all_traffic(), "Hosts of one job; the endpoints")
        # Their addresses are a region's; no route leads anywhere else.
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "S3 and DynamoDB, through their gateways")
        return group

    def _log(self, vpc: ec2.Vpc, settings: Settings) -> None:
        group = logs.LogGroup(self, "FlowLogs", retention=settings.retention, removal_policy=settings.removal_policy)
        role = iam.Role(self, "FlowRole", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        vpc.add_flow_log("Flows", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role))


OWN_CALLERS, OWN_RESOURCES = {"aws:PrincipalAccount": Aws.ACCOUNT_ID}, {"aws:ResourceAccount": Aws.ACCOUNT_ID}
"""Conditions of IAM: who asks, and whose it is, are of this account."""


def _restrict(
    endpoint: ec2.GatewayVpcEndpoint | ec2.InterfaceVpcEndpoint, prefix: str, equals: Mapping[str, str]
) -> None:
    """Let through what is asked of this service alone, where these values are equal."""
    endpoint.add_to_policy(
        iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],
            actions=[f"{prefix}:*"],
            resources=["*"],
            conditions={"StringEquals": dict(equals)},
        )
    )


@jsii.implements(IAspect)
class PrivateFunctions:
    """Every function of a scope runs in a network."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def visit(self, node: IConstruct) -> None:
        """Attach, if it is a function."""
        if isinstance(node, lambda_.Function):
            function, role = node.node.default_child, node.role
            assert isinstance(function, lambda_.CfnFunction)
            assert role
            function.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
                subnet_ids=self._network.subnets, security_group_ids=self._network.groups
            )
            self._network.admit(role)
