"""The story of sleep: a model's endpoint goes for the night, and is made again in the morning.

A real-time endpoint has no stop button and costs money all night. Its configuration and its model stay, so that waking
takes as long as SageMaker needs for an endpoint, and no golden samples: nothing has changed.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from contract import ledger as rows
from contract import names
from infra import grants
from infra.asl import machine
from infra.handler import Handler, source
from infra.machine import Machine, MachineRole
from infra.settings import Settings
from infra.steps import endpoints, lease, scale
from infra.steps import sleep as steps
from infra.steps.deployment_parts import on_failure, was_made_before
from infra.steps.endpoints import LIVE, NEW
from infra.steps.sleep import SleepParts

LONGEST_SECONDS = 7_200
EVERY = Duration.minutes(15)


def story(parts: SleepParts) -> dict[str, Any]:
    """Return the definition."""
    end, made = "Release lease", "Was it made before?"
    return machine(
        comment="A model goes to sleep, or wakes.",
        timeout_seconds=LONGEST_SECONDS,
        states={
            "Take lease": lease.take(
                parts, then="Plan sleep", busy="Lease is held", seconds=LONGEST_SECONDS, assign=steps.request()
            ),
            "Plan sleep": steps.plan(parts, then="What is to be done?", failed=end),
            "What is to be done?": steps.what_to_do(
                delete="Delete endpoint", note="Note that it sleeps", create="Create endpoint",
                look="Describe endpoint", nothing=end,
            ),
            # Night.
            "Delete endpoint": steps.delete(then="Note that it sleeps", look="Plan sleep", failed=end),
            "Note that it sleeps": steps.note(parts, asleep=True, then=end, failed=end),
            # Morning.
            "Create endpoint": endpoints.create(LIVE, NEW, then="Wait for endpoint", failed=made),
            made: was_made_before({"Create endpoint": "Wait for endpoint"}, no=end),
            "Wait for endpoint": endpoints.pause(then="Describe endpoint"),
            "Describe endpoint": endpoints.describe(LIVE, then="Is endpoint in service?", failed=end),
            "Is endpoint in service?": endpoints.is_in_service(
                LIVE, NEW, yes="Scale endpoint", not_yet="Wait for endpoint", no=end
            ),
            "Scale endpoint": scale.start("$deployment.scaling", then="Note that it is awake", catch=on_failure(end)),
            "Note that it is awake": steps.note(parts, asleep=False, then=end, failed=end),
            end: lease.release(parts, then="How did it end?"),
            "How did it end?": steps.how_did_it_end(well="As wanted", badly="Sleep failed"),
            "As wanted": steps.done(),
            "Sleep failed": steps.failed(),
            "Lease is held": lease.busy(),
        },
    )  # fmt: skip


class Sleep(Construct):
    """The machine, and the schedule that starts it for every model whose hours want it."""

    def __init__(self, scope: Construct, id: str, *, ledger: dynamodb.ITable, settings: Settings) -> None:
        super().__init__(scope, id)
        code = source("functions", "contract")
        plan = self._plan(code, ledger, settings)
        role = MachineRole(self, "Role")
        grants.rows(role, ledger, "UpdateItem", "DeleteItem")
        grants.invoke(role, plan)
        self._grant(role)
        parts = SleepParts(plan=plan.function_arn, ledger=ledger.table_name)
        self.machine = Machine(
            self, "Machine", name=names.MACHINE_SLEEP, definition=story(parts), role=role, settings=settings
        )
        self.sleepers = self._sleepers(code, ledger, settings)
        # No retry and no dead letters: the next tick sees what this one missed.
        target = targets.LambdaFunction(self.sleepers, retry_attempts=0)
        told = "Models go to sleep and wake by their hours"
        events.Rule(self, "Schedule", description=told, schedule=events.Schedule.rate(EVERY), targets=[target])

    def _plan(self, code: lambda_.Code, ledger: dynamodb.ITable, settings: Settings) -> lambda_.Function:
        environment = {names.LEDGER_TABLE: ledger.table_name}
        plan = Handler(
            self, "Plan", entry="functions.sleep.handler", code=code, environment=environment, settings=settings
        )
        grants.rows(plan, ledger, "GetItem")
        endpoint = grants.arn(self, "sagemaker", "endpoint", names.endpoint("*", "*", "realtime"))
        grants.allow(plan, ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], [endpoint])
        grants.scale(plan, self, "DeregisterScalableTarget")
        packages = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(plan, ["sagemaker:DescribeModelPackage"], [packages])
        grants.allow(plan, ["cloudwatch:GetMetricData"], ["*"])  # has no resource
        return plan

    def _sleepers(self, code: lambda_.Code, ledger: dynamodb.ITable, settings: Settings) -> lambda_.Function:
        environment = {names.LEDGER_TABLE: ledger.table_name, names.SLEEP_ARN: self.machine.state_machine_arn}
        sleepers = Handler(
            self, "Sleepers", entry="functions.sleepers.handler", code=code, environment=environment, settings=settings
        )
        grants.scan(sleepers, ledger, rows.BY_SLEEP)
        grants.allow(sleepers, ["states:StartExecution"], [self.machine.state_machine_arn])
        endpoint = grants.arn(self, "sagemaker", "endpoint", names.endpoint("*", "*", "realtime"))
        grants.allow(sleepers, ["sagemaker:DescribeEndpoint"], [endpoint])
        grants.allow(sleepers, ["cloudwatch:GetMetricData"], ["*"])  # has no resource
        return sleepers

    def _grant(self, role: iam.IRole) -> None:
        endpoint = grants.arn(self, "sagemaker", "endpoint", names.endpoint("*", "*", "realtime"))
        configuration = grants.arn(self, "sagemaker", "endpoint-config", "*--*")
        grants.allow(role, ["sagemaker:CreateEndpoint"], [endpoint, configuration])
        actions = [f"sagemaker:{action}" for action in ("DescribeEndpoint", "DeleteEndpoint", "AddTags")]
        grants.allow(role, actions, [endpoint])
        grants.begin_scaling(role, self)
