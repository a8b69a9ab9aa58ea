"""TandemPipeline: uploads become runs."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from contract import names
from infra.batch import BatchRule
from infra.handlers import Handlers, Places
from infra.idle_gpus import IdleGpus
from infra.retention import Retention
from infra.rules import ApprovalRule, DeadLetters, RedriveRule, SettleRule, StoppedRule, UploadRule
from infra.runner import Runner
from infra.settings import Settings
from infra.stacks.api import PublicApi
from infra.stacks.serving import Serving
from infra.stacks.storage import Storage
from infra.sweep import Sweep
from infra.tenant import TenantTemplate
from infra.tracking import Tracking


class Pipeline(Stack):
    """Functions, the pipeline machine, the rules that start and settle runs, tracking where it is wanted."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        storage: Storage,
        serving: Serving,
        api: PublicApi | None,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id, description="Tandem: uploads become served models")
        places = Places(
            data=storage.data,
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            images=serving.images,
            image_tag=serving.build.tag,
            api_url=api.api.rest.url if api else "",
        )
        self.dead_letters = DeadLetters(self, "DeadLetters", key=storage.key)
        handlers = Handlers(self, "Functions", places=places, dead_letters=self.dead_letters, settings=settings)
        runner = Runner(
            self,
            "Run",
            handlers=handlers,
            data=storage.data,
            artifacts=storage.artifacts,
            ledger=storage.ledger,
            build=serving.build,
            deployment_arn=serving.deployer.machine.state_machine_arn,
            network=storage.network,
            settings=settings,
        )
        self._upload_rules(storage, handlers, settings)
        self._run_rules(runner, handlers)
        self._serving_rules(storage, serving, handlers)
        IdleGpus(self, "IdleGpus", ledger=storage.ledger, dead_letters=self.dead_letters, settings=settings)
        if settings.mlflow or settings.tensorboard:
            Tracking(self, "Tracking", artifacts=storage.artifacts, dead_letters=self.dead_letters, settings=settings)
        CfnOutput(self, names.OUTPUT_INTAKE_FUNCTION, value=handlers.intake.function_name)
        CfnOutput(self, names.OUTPUT_TENANT_TEMPLATE, value=TenantTemplate(self, "TenantTemplate").s3_object_url)
        CfnOutput(self, names.OUTPUT_RESUME_FUNCTION, value=handlers.resume.function_name)
        CfnOutput(self, names.OUTPUT_PIPELINE_ARN, value=runner.machine.state_machine_arn)
        CfnOutput(self, names.OUTPUT_MONTHLY_USD, value=str(settings.monthly_usd))

    def _upload_rules(self, storage: Storage, handlers: Handlers, settings: Settings) -> None:
        """Uploads start runs, one whose event was lost within a day; what is older than its kind is kept goes."""
        UploadRule(self, "Upload", bucket=storage.data, intake=handlers.intake, dead_letters=self.dead_letters)
        Sweep(
            self,
            "Sweep",
            data=storage.data,
            ledger=storage.ledger,
            intake=handlers.intake,
            dead_letters=self.dead_letters,
            settings=settings,
        )
        Retention(
            self,
            "Retention",
            data=storage.data,
            artifacts=storage.artifacts,
            dead_letters=self.dead_letters,
            settings=settings,
        )

    def _run_rules(self, runner: Runner, handlers: Handlers) -> None:
        """A run that did not settle itself is settled; one that goes on again is covered."""
        machine_arn = runner.machine.state_machine_arn
        SettleRule(self, "Settle", machine_arn=machine_arn, settle=handlers.settle, dead_letters=self.dead_letters)
        RedriveRule(self, "Redrive", machine_arn=machine_arn, resume=handlers.resume, dead_letters=self.dead_letters)

    def _serving_rules(self, storage: Storage, serving: Serving, handlers: Handlers) -> None:
        """Files are answered, approvals wake their runs, and what was stopped is put right by its own machine."""
        batch, sleep, deployment = (each.machine for each in (serving.batch, serving.sleep, serving.deployer))
        BatchRule(self, "Batch", bucket=storage.data, machine=batch, dead_letters=self.dead_letters)
        ApprovalRule(self, "Approval", decide=handlers.decide, dead_letters=self.dead_letters)
        for what, machine in {"deployment": deployment, "batch": batch, "sleep": sleep}.items():
            StoppedRule(self, f"Stopped{what.title()}", what=what, machine=machine, dead_letters=self.dead_letters)
