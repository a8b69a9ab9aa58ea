"""TandemServing: the serving image and the deployment machine."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_logs as logs
from constructs import Construct

from contract import names
from infra.batch import Batch
from infra.deployer import Deployer
from infra.image import ImageBuild, Repository
from infra.roles import Common, CommonContainers, CommonFunctions
from infra.settings import Settings
from infra.sleep import Sleep
from infra.stacks.storage import Storage


class Serving(Stack):
    """Registry, image build; the machines of deployments, batches and sleep."""

    def __init__(self, scope: Construct, id: str, *, storage: Storage, settings: Settings) -> None:
        super().__init__(scope, id, description="Tandem: serving image, deployments")
        self.images = Repository(self, "Images", key=storage.key, settings=settings)
        self.build = ImageBuild(self, "Build", repository=self.images, key=storage.key, settings=settings)
        common: list[Common] = [
            CommonContainers(self, f"Common{kind.title()}", kind=kind, repository_arns=[self.images.repository_arn])
            for kind in (names.ROLE_MODEL, names.ROLE_TRANSFORM)
        ]
        common.append(CommonFunctions(self, "CommonFunction", key=storage.key))
        if storage.network:
            storage.network.admit(*common)
        function_logs = logs.LogGroup(
            self, "FunctionLogs", retention=settings.retention, removal_policy=settings.removal_policy
        )
        self.deployer = Deployer(
            self,
            "Deployment",
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            network=storage.network,
            function_logs=function_logs,
            images=self.images,
            settings=settings,
        )
        self.batch = Batch(
            self,
            "Batch",
            data=storage.data,
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            network=storage.network,
            settings=settings,
        )
        self.sleep = Sleep(self, "Sleep", ledger=storage.ledger, settings=settings)
        CfnOutput(self, names.OUTPUT_FUNCTION_LOGS, value=function_logs.log_group_name)
        CfnOutput(self, names.OUTPUT_SLEEP_ARN, value=self.sleep.machine.state_machine_arn)
        CfnOutput(self, names.OUTPUT_BATCH_ARN, value=self.batch.machine.state_machine_arn)
        CfnOutput(self, names.OUTPUT_DEPLOYMENT_ARN, value=self.deployer.machine.state_machine_arn)
