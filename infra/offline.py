"""What the targets without an endpoint need: golden samples as files, and bundles for devices."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import keys, names
from infra import grants, roles
from infra.handler import Handler, source
from infra.settings import Settings

BATCHES = f"*/{keys.BATCH}/*"
BUNDLE_MB = 3008
"""Memory of the function that packs a bundle: it holds the archive, its files and the zip."""


def run_transforms(who: iam.IGrantable, scope: Construct) -> None:
    """Allow running transform jobs with the role of a tenant, and waiting for them."""
    job = grants.arn(scope, "sagemaker", "transform-job", "*--*")
    actions = [f"sagemaker:{verb}TransformJob" for verb in ("Create", "Describe", "Stop")]
    grants.allow(who, [*actions, "sagemaker:AddTags", "sagemaker:ListTags"], [job])
    grants.wait_for(who, scope, "StepFunctionsGetEventsForSageMakerTransformJobsRule")
    roles.hand_over(who, names.ROLE_TRANSFORM)


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
            roles.open_outputs(made, self)
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
        roles.open_outputs(self.bundle, self)
        grants.write(self.bundle, artifacts, keys.edge_prefix("*", "*", "*") + "*")
