"""A state machine: its role, its log of errors, its traces."""

from __future__ import annotations

from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import Settings


class Machine(sfn.StateMachine):
    """A Standard state machine; the role comes first, because a definition's parts need its grants.

    The name is given, because functions inside the definition may need the machine's ARN.
    """

    def __init__(
        self, scope: Construct, id: str, *, name: str, definition: dict[str, Any], role: iam.IRole, settings: Settings
    ) -> None:
        group = logs.LogGroup(
            scope,
            f"{id}Logs",
            # The prefix is what Step Functions recommends: it keeps the resource policy of log delivery short.
            log_group_name=f"/aws/vendedlogs/states/{name}",
            retention=settings.retention,
            # Never kept: its name is given, so that one left behind would stand in the way of the next deployment.
            removal_policy=RemovalPolicy.DESTROY,
        )
        super().__init__(
            scope,
            id,
            state_machine_name=name,
            definition_body=sfn.DefinitionBody.from_string(Stack.of(scope).to_json_string(definition)),
            role=role,
            logs=sfn.LogOptions(destination=group, level=sfn.LogLevel.ALL, include_execution_data=False),
            tracing_enabled=True,
        )


class MachineRole(iam.Role):
    """What a state machine may do."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id, assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
