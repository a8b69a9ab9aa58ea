"""The story of a batch: a file arrives, the champion answers it, the answers lie in S3.

Started by an object at ``<tenant>/<project>/batch/<file>`` in the data bucket;
its input is the event. The end of a batch that was stopped starts it, too, to tell
so and to leave no model. Given by hand, ``instance`` beside ``detail`` chooses
another machine.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract import names
from infra import grants, roles
from infra.asl import machine
from infra.machine import Machine, MachineRole
from infra.network import Network
from infra.offline import BATCHES, run_transforms
from infra.rules import object_arrives
from infra.settings import Settings
from infra.steps import batch as steps
from infra.steps.batch import BatchParts

LONGEST_SECONDS = 28_800


def story(parts: BatchParts) -> dict[str, Any]:
    """Return the batch's definition."""
    settle = "Settle file"
    return machine(
        comment="The champion answers a file.",
        timeout_seconds=LONGEST_SECONDS,
        states={
            "Is it a file?": steps.is_file(yes="Claim file", stopped="Take over file", no="Nothing to answer"),
            "Claim file": steps.claim(parts, then="Find champion", taken="Nothing to answer"),
            "Take over file": steps.take_over(parts, then="Delete model", taken="Nothing to answer"),
            "Find champion": steps.find_champion(parts, then="Can it be answered?", failed=settle),
            "Can it be answered?": steps.can_be_answered(yes="Copy file", no=settle),
            "Copy file": steps.copy_file(parts, then="Describe version", failed=settle),
            "Describe version": steps.describe_version(then="Create model", failed=settle),
            "Create model": steps.create_model(parts, then="Transform", failed="Delete model"),
            "Transform": steps.transform(parts, then="Delete model", failed="Delete model"),
            "Delete model": steps.delete_model(then=settle),
            settle: steps.settle(parts, then="Tell"),
            "Tell": steps.tell(parts, then="How did it end?"),
            "How did it end?": steps.how_did_it_end(well="Answered", badly="Batch failed"),
            "Answered": {"Type": "Succeed"},
            "Batch failed": steps.failed(),
            "Nothing to answer": {"Type": "Succeed"},
        },
    )


class Batch(Construct):
    """The machine with its grants."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        data: s3.IBucket,
        artifacts: s3.IBucket,
        ledger: dynamodb.ITable,
        network: Network | None,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        parts = BatchParts(
            artifacts_bucket=artifacts.bucket_name,
            ledger=ledger.table_name,
            network=network.of_jobs if network else {},
            model_role=roles.role_of("$tenant", names.ROLE_TRANSFORM),
            key=roles.key_of("$tenant"),
        )
        role = MachineRole(self, "Role")
        grants.rows(role, ledger, "GetItem", "UpdateItem")
        grants.read_versions(role, data, BATCHES)
        grants.write(role, artifacts, BATCHES)
        self._grant_sagemaker(role)
        run_transforms(role, self)
        bus = events.EventBus.from_event_bus_name(self, "Bus", "default")
        own = {"events:source": names.EVENT_SOURCE}
        grants.allow(role, ["events:PutEvents"], [bus.event_bus_arn], StringEquals=own)
        self.machine = Machine(
            self, "Machine", name=names.MACHINE_BATCH, definition=story(parts), role=role, settings=settings
        )

    def _grant_sagemaker(self, role: iam.IRole) -> None:
        model = grants.arn(self, "sagemaker", "model", names.batch_model("*", "*", "*"))
        grants.allow(role, ["sagemaker:CreateModel", "sagemaker:DeleteModel", "sagemaker:AddTags"], [model])
        package = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(role, ["sagemaker:DescribeModelPackage"], [package])


class BatchRule(events.Rule):
    """An object in any batch folder -> the machine, whose first state knows whether it is a file to answer."""

    def __init__(
        self, scope: Construct, id: str, *, bucket: s3.IBucket, machine: sfn.IStateMachine, dead_letters: sqs.IQueue
    ) -> None:
        super().__init__(
            scope,
            id,
            description="A file to answer arrives",
            event_pattern=object_arrives(bucket, BATCHES),
            targets=[targets.SfnStateMachine(machine, dead_letter_queue=dead_letters)],
        )
