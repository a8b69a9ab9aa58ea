"""The deployment machine with its two functions and its grants."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import keys, names
from infra import deployment, grants
from infra.handler import Handler, source
from infra.machine import Machine, MachineRole
from infra.settings import Settings
from infra.steps.deployment_parts import DeploymentParts


class Deployer(Construct):
    """Puts a model version into service."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        artifacts: s3.IBucket,
        ledger: dynamodb.ITable,
        model_role: iam.IRole,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        code = source("functions", "contract")
        plan = self._plan(code, ledger, settings)
        golden = self._golden(code, artifacts, settings)
        role = MachineRole(self, "Role")
        parts = DeploymentParts(
            plan=plan.function_arn,
            golden=golden.function_arn,
            model_role=model_role.role_arn,
            ledger=ledger.table_name,
        )
        self._grant(role, model_role)
        grants.rows(role, ledger, "PutItem", "UpdateItem", "DeleteItem")
        grants.invoke(role, plan, golden)
        self.machine = Machine(
            self,
            "Machine",
            name=names.MACHINE_DEPLOYMENT,
            definition=deployment.story(parts),
            role=role,
            settings=settings,
        )

    def _plan(self, code: lambda_.Code, ledger: dynamodb.ITable, settings: Settings) -> lambda_.Function:
        environment = {names.LEDGER_TABLE: ledger.table_name}
        plan = Handler(
            self, "Plan", entry="functions.deployment.handler", code=code, environment=environment, settings=settings
        )
        grants.rows(plan, ledger, "GetItem")
        endpoints = grants.arn(self, "sagemaker", "endpoint", "*--*")
        grants.allow(plan, ["sagemaker:DescribeEndpoint"], [endpoints])
        grants.allow(plan, ["sagemaker:DeleteEndpoint"], [endpoints])  # one that a dead deployment left
        packages = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(plan, ["sagemaker:DescribeModelPackage"], [packages])
        return plan

    def _golden(self, code: lambda_.Code, artifacts: s3.IBucket, settings: Settings) -> lambda_.Function:
        golden = Handler(
            self, "Golden", entry="functions.golden.handler", code=code, environment={}, settings=settings, seconds=300
        )
        grants.read(golden, artifacts, f"*/runs/*/{keys.GOLDEN}")
        staging = grants.arn(self, "sagemaker", "endpoint", names.staging_endpoint("*", "*"))
        grants.allow(golden, ["sagemaker:InvokeEndpoint"], [staging])
        return golden

    def _grant(self, role: iam.IRole, model_role: iam.IRole) -> None:
        model, configuration, endpoint = (
            grants.arn(self, "sagemaker", kind, "*--*") for kind in ("model", "endpoint-config", "endpoint")
        )
        grants.allow(role, ["sagemaker:CreateModel"], [model])
        grants.allow(role, ["sagemaker:CreateEndpointConfig"], [configuration])
        grants.allow(role, ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"], [endpoint, configuration])
        grants.allow(role, ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], [endpoint])
        grants.allow(role, ["sagemaker:AddTags"], [model, configuration, endpoint])
        grants.pass_role(role, model_role, "sagemaker.amazonaws.com")
