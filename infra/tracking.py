"""Tracking: settled runs are told to MLflow and TensorBoard. It is there only where the installation wants either."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import keys, names
from infra import grants
from infra.handler import ROOT, Handler, powertools, source
from infra.rules import reliably
from infra.settings import Settings
from infra.wheels import Layer

PINS = ROOT / "functions" / "wheels" / "track.txt"
PRESIGNED = "SAGEMAKER_PRESIGNED_URL_UPLOAD_ENABLED"
"""Of the sagemaker-mlflow package: the managed server hands out addresses to upload artifacts to, so that the function
needs no right to the server's bucket."""
CALLS = (
    "AccessUI", "CreateExperiment", "GetExperiment", "GetExperimentByName", "CreateRun", "GetRun", "SearchRuns",
    "UpdateRun",
    "LogBatch", "LogMetric", "LogParam", "SetTag", "ListArtifacts",
)  # fmt: skip

APP_CALL = "sagemaker:CallMlflowAppApi"
"""The one action of SageMaker's MLflow apps, which have no tracking server."""


def actions(arn: str) -> list[str]:
    """Return what a function may do with a tracking server, or with an MLflow app."""
    return [APP_CALL] if ":mlflow-app/" in arn else [f"sagemaker-mlflow:{call}" for call in CALLS]


class Tracking(Construct):
    """The function, its packages, and the rule that starts it."""

    def __init__(
        self, scope: Construct, id: str, *, artifacts: s3.IBucket, dead_letters: sqs.IQueue, settings: Settings
    ) -> None:
        super().__init__(scope, id)
        managed = settings.mlflow.startswith("arn:")
        switches = {
            names.MLFLOW_SERVER: settings.mlflow,
            names.TENSORBOARD: names.ON if settings.tensorboard else "",
            PRESIGNED: "true" if managed else "",
        }
        track = Handler(
            self,
            "Track",
            entry="functions.track.handler",
            code=source("functions", "contract"),
            environment={names.ARTIFACTS_BUCKET: artifacts.bucket_name, **{k: v for k, v in switches.items() if v}},
            settings=settings,
            seconds=300,
            memory_mb=1024,
            layers=[powertools(self), Layer(self, "Layer", pins=PINS)],
            dead_letter_queue=dead_letters,
        )
        grants.encrypt(track, dead_letters.encryption_master_key)
        for document in (keys.RUN_DOCUMENT, keys.REPORT):
            grants.read(track, artifacts, f"*/runs/*/{document}")
        grants.write(track, artifacts, f"*/runs/*/{keys.TENSORBOARD}*")
        if managed:
            grants.allow(track, actions(settings.mlflow), [settings.mlflow])
        events.Rule(
            self,
            "Settled",
            description="A run is settled: it is told to the trackers",
            event_pattern=events.EventPattern(source=[names.EVENT_SOURCE], detail_type=[names.EVENT_RUN_SETTLED]),
            targets=[reliably(track, dead_letters)],
        )
