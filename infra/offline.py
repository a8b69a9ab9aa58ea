"""What the targets without an endpoint need: golden samples as files, and bundles for devices."""

from __future__ import annotations

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import keys, names
from infra import grants
from infra.handler import Handler, source
from infra.roles import SageMakerRole
from infra.settings import Settings

BATCHES = f"*/{keys.BATCH}/*"
BUNDLE_MB = 3008
"""Memory of the function that packs a bundle: it holds the archive, its files and the zip."""


class TransformRole(SageMakerRole):
    """What the containers of transform jobs may do: fetch image and model, read requests, write answers."""

    def __init__(self, scope: Construct, id: str, *, repository: ecr.IRepository, artifacts: s3.IBucket) -> None:
        super().__init__(scope, id, repository_arns=[repository.repository_arn], log_groups=names.TRANSFORM_LOGS)
        grants.read(self, artifacts, f"*/runs/*/{keys.MODEL}")
        grants.read(self, artifacts, BATCHES)
        grants.write(self, artifacts, BATCHES)
        grants.encrypt_output(self, artifacts)

    def grant_jobs(self, who: iam.IRole) -> None:
        """Allow running transform jobs with this role, and waiting for them."""
        job = grants.arn(self, "sagemaker", "transform-job", "*--*")
        actions = [f"sagemaker:{verb}TransformJob" for verb in ("Create", "Describe", "Stop")]
        grants.allow(who, [*actions, "sagemaker:AddTags", "sagemaker:ListTags"], [job])
        grants.wait_for(who, self, "StepFunctionsGetEventsForSageMakerTransformJobsRule")
        grants.pass_role(who, self, "sagemaker.amazonaws.com")


class OfflineHandlers(Construct):
    """The functions that ask golden samples by files, and the one that makes bundles."""

    def __init__(self, scope: Construct, id: str, *, artifacts: s3.IBucket, settings: Settings) -> None:
        super().__init__(scope, id)
        code, environment = source("functions", "contract"), {names.ARTIFACTS_BUCKET: artifacts.bucket_name}
        golden, files = f"*/runs/*/{keys.GOLDEN}", keys.golden_prefix("*", "*", "*") + "*"

        def handler(id: str, what: str) -> Handler:
            entry = f"functions.golden_files.{what}"
            made = Handler(self, id, entry=entry, code=code, environment=environment, settings=settings, seconds=120)
            grants.read(made, artifacts, golden)
            return made

        self.write, self.check = handler("Write", "write"), handler("Check", "check")
        grants.write(self.write, artifacts, files)
        grants.read(self.check, artifacts, files)
        self.bundle = Handler(
            self, "Bundle", entry="functions.edge.handler", code=source("functions", "contract", "serving"),
            environment=environment, settings=settings, seconds=600, memory_mb=BUNDLE_MB,
        )  # fmt: skip
        for pattern in (golden, f"*/runs/*/{keys.MODEL}"):
            grants.read(self.bundle, artifacts, pattern)
        grants.write(self.bundle, artifacts, keys.edge_prefix("*", "*", "*") + "*")
