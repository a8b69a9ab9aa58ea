"""TandemServing: the serving image and the deployment machine."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from contract import names
from infra.deployer import Deployer
from infra.image import ImageBuild, Repository
from infra.roles import ModelRole
from infra.settings import Settings
from infra.stacks.storage import Storage


class Serving(Stack):
    """Registry, image build, model role, deployment machine."""

    def __init__(self, scope: Construct, id: str, *, storage: Storage, settings: Settings) -> None:
        super().__init__(scope, id, description="Tandem: serving image, deployments")
        self.images = Repository(self, "Images", settings=settings)
        self.build = ImageBuild(self, "Build", repository=self.images, key=storage.key, settings=settings)
        role = ModelRole(self, "ModelRole", repository=self.images, artifacts=storage.artifacts)
        self.deployer = Deployer(
            self,
            "Deployment",
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            model_role=role,
            settings=settings,
        )
        CfnOutput(self, names.OUTPUT_DEPLOYMENT_ARN, value=self.deployer.machine.state_machine_arn)
