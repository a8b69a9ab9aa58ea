"""TandemServing: the serving image and the deployment machine."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_logs as logs
from constructs import Construct

from contract import names
from infra.batch import Batch
from infra.deployer import Deployer
from infra.image import ImageBuild, Repository
from infra.offline import TransformRole
from infra.roles import FunctionRole, ModelRole
from infra.settings import Settings
from infra.sleep import Sleep
from infra.stacks.storage import Storage


class Serving(Stack):
    """Registry, image build, model role; the machines of deployments, batches and sleep."""

    def __init__(self, scope: Construct, id: str, *, storage: Storage, settings: Settings) -> None:
        super().__init__(scope, id, description="Tandem: serving image, deployments")
        self.images = Repository(self, "Images", key=storage.key, settings=settings)
        self.build = ImageBuild(self, "Build", repository=self.images, key=storage.key, settings=settings)
        role = ModelRole(self, "ModelRole", repository=self.images, artifacts=storage.artifacts)
        function_logs = logs.LogGroup(
            self, "FunctionLogs", retention=settings.retention, removal_policy=settings.removal_policy
        )
        function_role = FunctionRole(self, "FunctionRole", artifacts=storage.artifacts, logs=function_logs)
        transform_role = TransformRole(self, "TransformRole", repository=self.images, artifacts=storage.artifacts)
        if storage.network:
            storage.network.admit(role, function_role, transform_role)
        self.deployer = Deployer(
            self,
            "Deployment",
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            model_role=role,
            function_role=function_role,
            function_logs=function_logs,
            images=self.images,
            transform_role=transform_role,
            network=storage.network,
            settings=settings,
        )
        self.batch = Batch(
            self,
            "Batch",
            data=storage.data,
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            transform_role=transform_role,
            network=storage.network,
            settings=settings,
        )
        self.sleep = Sleep(self, "Sleep", ledger=storage.ledger, settings=settings)
        CfnOutput(self, names.OUTPUT_SLEEP_ARN, value=self.sleep.machine.state_machine_arn)
        CfnOutput(self, names.OUTPUT_BATCH_ARN, value=self.batch.machine.state_machine_arn)
        CfnOutput(self, names.OUTPUT_DEPLOYMENT_ARN, value=self.deployer.machine.state_machine_arn)
