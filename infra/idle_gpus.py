"""Every quarter of an hour: training jobs whose GPUs do nothing are stopped."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import names
from infra import grants
from infra.scheduled import Scheduled
from infra.settings import Settings

JOBS = ("*-spot-*", "*-train-*", "*-tune-*")
"""Names of training jobs of runs, and of searches."""


class IdleGpus(Scheduled):
    """The function, which may look at training jobs and their metrics and stop those of runs, and its schedule."""

    def __init__(
        self, scope: Construct, id: str, *, ledger: dynamodb.ITable, dead_letters: sqs.IQueue, settings: Settings
    ) -> None:
        super().__init__(
            scope,
            id,
            entry="functions.idle_gpus.handler",
            description="Training jobs whose GPUs do nothing are stopped",
            environment={names.LEDGER_TABLE: ledger.table_name},
            dead_letters=dead_letters,
            settings=settings,
            every=Duration.minutes(15),
        )
        grants.rows(self.function, ledger, "UpdateItem")
        lists = ["sagemaker:ListTrainingJobs", "cloudwatch:GetMetricData"]
        grants.allow(self.function, lists, ["*"])  # have no resource
        every, ours = ([grants.arn(self, "sagemaker", "training-job", name) for name in each] for each in ("*", JOBS))
        grants.allow(self.function, ["sagemaker:DescribeTrainingJob"], every)
        grants.allow(self.function, ["sagemaker:StopTrainingJob"], ours)
        grants.announce(self.function, self)
