"""The deployment machine with its functions and its grants."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import keys, names
from infra import deployment, grants, roles
from infra.handler import Handler, source
from infra.machine import Machine, MachineRole
from infra.network import Network
from infra.offline import OfflineHandlers, run_transforms
from infra.settings import Settings
from infra.steps.deployment_parts import DeploymentParts

MAKE_FUNCTION = (
    "CreateFunction", "GetFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration", "PublishVersion", "GetAlias",
    "TagResource",
)  # fmt: skip
"""What is done with a function as a whole, not with a version of it."""


class Deployer(Construct):
    """Puts a model version into service."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        artifacts: s3.IBucket,
        ledger: dynamodb.ITable,
        function_logs: logs.ILogGroup,
        images: ecr.IRepository,
        network: Network | None,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        offline = OfflineHandlers(self, "Offline", artifacts=artifacts, settings=settings)
        code = source("functions", "contract")
        plan = self._plan(code, artifacts, ledger, settings)
        golden = self._golden(code, artifacts, settings)
        tidy = self._tidy(code, ledger, settings)
        made_as = {
            names.FUNCTION_ROLE: roles.role_arn(names.OF_TENANT, names.ROLE_FUNCTION),
            names.FUNCTION_LOGS: function_logs.log_group_name,
            **(network.of_functions if network else {}),
        }
        make_function = self._make_function(code, made_as, images, settings)
        roles.hand_over(make_function, names.ROLE_FUNCTION)
        shift_traffic = self._shift_traffic(code, settings)
        role = MachineRole(self, "Role")
        parts = DeploymentParts(
            plan=plan.function_arn,
            golden=golden.function_arn,
            tidy=tidy.function_arn,
            make_function=make_function.function_arn,
            shift_traffic=shift_traffic.function_arn,
            write_requests=offline.write.function_arn,
            check_answers=offline.check.function_arn,
            make_bundle=offline.bundle.function_arn,
            model_role=roles.role_of("$tenant", names.ROLE_MODEL),
            transform_role=roles.role_of("$tenant", names.ROLE_TRANSFORM),
            key=roles.key_of("$tenant"),
            artifacts_bucket=artifacts.bucket_name,
            ledger=ledger.table_name,
            network=network.of_jobs if network else {},
        )
        self._grant(role)
        grants.rows(role, ledger, "PutItem", "UpdateItem", "DeleteItem")
        grants.invoke(role, plan, golden, tidy, make_function, shift_traffic)
        grants.invoke(role, offline.write, offline.check, offline.bundle)
        run_transforms(role, self)
        self.machine = Machine(
            self,
            "Machine",
            name=names.MACHINE_DEPLOYMENT,
            definition=deployment.story(parts),
            role=role,
            settings=settings,
        )

    def _plan(
        self, code: lambda_.Code, artifacts: s3.IBucket, ledger: dynamodb.ITable, settings: Settings
    ) -> lambda_.Function:
        environment = {
            names.LEDGER_TABLE: ledger.table_name,
            names.ARTIFACTS_BUCKET: artifacts.bucket_name,
            names.TENANT_KEY: roles.key_arn(names.OF_TENANT),
        }
        plan = Handler(
            self, "Plan", entry="functions.deployment.handler", code=code, environment=environment, settings=settings
        )
        grants.rows(plan, ledger, "GetItem")
        endpoints = grants.arn(self, "sagemaker", "endpoint", "*--*")
        grants.allow(plan, ["sagemaker:DescribeEndpoint"], [endpoints])
        grants.allow(plan, ["sagemaker:DeleteEndpoint"], [endpoints])  # one that a dead deployment left
        grants.scale(plan, self, "DeregisterScalableTarget")  # goes with an endpoint, if whoever deletes that may
        grants.allow(plan, ["application-autoscaling:DescribeScalableTargets"], ["*"])  # has no resource
        configurations = grants.arn(self, "sagemaker", "endpoint-config", "*--*")
        grants.allow(plan, ["sagemaker:DescribeEndpointConfig"], [configurations])
        packages = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(plan, ["sagemaker:DescribeModelPackage"], [packages])
        return plan

    def _golden(self, code: lambda_.Code, artifacts: s3.IBucket, settings: Settings) -> lambda_.Function:
        golden = Handler(
            self, "Golden", entry="functions.golden.handler", code=code, environment={}, settings=settings, seconds=300
        )
        grants.read(golden, artifacts, f"*/runs/*/{keys.GOLDEN}")
        roles.open_outputs(golden, self)
        staging = grants.arn(self, "sagemaker", "endpoint", names.staging_endpoint("*", "*"))
        grants.allow(golden, ["sagemaker:InvokeEndpoint"], [staging])
        grants.allow(golden, ["lambda:InvokeFunction"], [f"{self._functions()}:*"])  # a version, before its traffic
        return golden

    def _tidy(self, code: lambda_.Code, ledger: dynamodb.ITable, settings: Settings) -> lambda_.Function:
        environment = {names.LEDGER_TABLE: ledger.table_name}
        tidy = Handler(
            self, "Tidy", entry="functions.tidy.handler", code=code, environment=environment, settings=settings,
            seconds=120,
        )  # fmt: skip
        grants.rows(tidy, ledger, "GetItem")
        model, configuration, endpoint = self._made_at_run_time()
        grants.allow(tidy, ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], [endpoint])
        grants.scale(tidy, self, "DeregisterScalableTarget")
        grants.allow(tidy, ["sagemaker:DescribeEndpointConfig", "sagemaker:DeleteEndpointConfig"], [configuration])
        grants.allow(tidy, ["sagemaker:DeleteModel"], [model])
        package = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        group = grants.arn(self, "sagemaker", "model-package-group", "*--*")
        grants.allow(tidy, ["sagemaker:ListModelPackages"], [group, package])  # IAM's reference names packages
        grants.allow(tidy, ["sagemaker:UpdateModelPackage"], [package])
        grants.allow(tidy, ["lambda:DeleteFunction"], [self._functions(), f"{self._functions()}:*"])
        looks = [f"lambda:{verb}" for verb in ("GetFunctionConfiguration", "GetAlias", "ListVersionsByFunction")]
        grants.allow(tidy, looks, [self._functions()])
        grants.allow(tidy, ["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"], ["*"])  # have no resource
        grants.describe_alarms(tidy, self)
        grants.allow(tidy, ["cloudwatch:DeleteAlarms"], [grants.alarm_arn(self, "*--*")])
        return tidy

    def _make_function(
        self, code: lambda_.Code, environment: dict[str, str], images: ecr.IRepository, settings: Settings
    ) -> lambda_.Function:
        make = Handler(
            self, "MakeFunction", entry="functions.lambda_versions.handler", code=code, environment=environment,
            settings=settings, seconds=120,
        )  # fmt: skip
        grants.allow(make, [f"lambda:{action}" for action in MAKE_FUNCTION], [self._functions()])
        versions = [self._functions(), f"{self._functions()}:*"]
        grants.allow(make, ["lambda:GetFunctionConfiguration"], versions)
        grants.allow(make, ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], [images.repository_arn])
        alarms = grants.alarm_arn(self, "*--*")
        grants.allow(make, ["cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"], [alarms])
        return make

    def _shift_traffic(self, code: lambda_.Code, settings: Settings) -> lambda_.Function:
        shift = Handler(
            self, "ShiftTraffic", entry="functions.lambda_traffic.handler", code=code, environment={}, settings=settings
        )
        actions = [f"lambda:{verb}Alias" for verb in ("Get", "Create", "Update", "Delete")]
        grants.allow(shift, actions, [self._functions()])
        grants.describe_alarms(shift, self)
        return shift

    def _functions(self) -> str:
        """Return the ARN pattern of the functions that serve projects."""
        return grants.function_arn(self, names.function("*", "*"))

    def _made_at_run_time(self) -> list[str]:
        """Return the ARN patterns of models, endpoint configurations and endpoints."""
        return [grants.arn(self, "sagemaker", kind, "*--*") for kind in ("model", "endpoint-config", "endpoint")]

    def _grant(self, role: iam.IRole) -> None:
        model, configuration, endpoint = self._made_at_run_time()
        grants.allow(role, ["sagemaker:CreateModel"], [model])
        grants.allow(role, ["sagemaker:CreateEndpointConfig"], [configuration])
        grants.allow(role, ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"], [endpoint, configuration])
        grants.allow(role, ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], [endpoint])
        grants.allow(role, ["sagemaker:AddTags"], [model, configuration, endpoint])
        alarms = grants.alarm_arn(self, "*--*")
        grants.allow(role, ["cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"], [alarms])
        grants.describe_alarms(role, self)  # SageMaker looks at them, too
        grants.begin_scaling(role, self)
        roles.hand_over(role, names.ROLE_MODEL)
