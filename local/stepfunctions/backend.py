"""moto's Step Functions backend, with executions that run.

moto keeps machines, versions, aliases and tags; the definition is checked as
AWS checks it, and executions, task tokens and redrives are this interpreter's.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.stepfunctions import exceptions
from moto.stepfunctions.models import StateMachine, StepFunctionBackend
from moto.utilities.utils import get_partition

from contract import histories
from local.stepfunctions import permissions, status_events
from local.stepfunctions.api_errors import (
    ExecutionNotRedrivable,
    InvalidDefinition,
    InvalidOutput,
    StateMachineAlreadyExists,
    StateMachineTypeNotSupported,
    TaskTimedOut,
)
from local.stepfunctions.callbacks import Callback, Callbacks
from local.stepfunctions.definition import errors_of
from local.stepfunctions.errors import Cancelled
from local.stepfunctions.execution import RUNNING, Execution
from local.stepfunctions.history import dumps
from local.stepfunctions.visit import MAX_BYTES

if TYPE_CHECKING:
    from local.cloud import Cloud


class LaptopStepFunctions(StepFunctionBackend):
    """The backend of one account and region; ``cloud`` is bound by the gap that installs it."""

    cloud: ClassVar[Cloud]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._starting = threading.Lock()
        self.callbacks = Callbacks()
        self.cloud.on_stop(self.cancel_all)

    def create_state_machine(self, name: str, definition: str, roleArn: str, **settings: Any) -> StateMachine:  # type: ignore[override]
        """Check the definition, then create; the same name with other contents is refused."""
        if (settings.get("sm_type") or "STANDARD") != "STANDARD":
            raise StateMachineTypeNotSupported("The laptop cloud runs STANDARD workflows only")
        check_definition(definition)
        known = next((machine for machine in self.state_machines if machine.name == name), None)
        if known is not None and (known.definition, known.roleArn) != (definition, roleArn):
            raise StateMachineAlreadyExists(f"State Machine Already Exists: '{known.arn}'")
        permissions.check(self.cloud, roleArn, definition, settings.get("loggingConfiguration") or {})
        return super().create_state_machine(name, definition, roleArn, **settings)

    def update_state_machine(self, arn: str, definition: str | None = None, **settings: Any) -> StateMachine:  # type: ignore[override]
        """Check the new definition, then update; executions that run keep theirs."""
        if definition is not None:
            check_definition(definition)
        return super().update_state_machine(arn, definition=definition, **settings)

    def delete_state_machine(self, arn: str) -> None:
        """Delete a machine and end what still runs of it."""
        for machine in [machine for machine in self.state_machines if machine.arn == arn]:
            for execution in _executions(machine):
                execution.cancel(Cancelled("its state machine was deleted"))
        super().delete_state_machine(arn)

    def start_execution(self, state_machine_arn: str, name: str, execution_input: str) -> Execution:  # type: ignore[override]
        """Start; the same name and input while that execution runs returns it."""
        if name:
            self._validate_name(name)
        _check_input(execution_input)
        machine, version, alias = self._resolve(state_machine_arn)
        with self._starting:
            known = next((run for run in _executions(machine) if name and run.name == name), None)
            if known is not None and (known.status, known.execution_input) == (RUNNING, execution_input):
                return known
            if known is not None:
                raise exceptions.ExecutionAlreadyExists(f"Execution Already Exists: '{known.execution_arn}'")
            execution = self._new_execution(machine, version, alias, name or str(uuid.uuid4()), execution_input)
            _executions(machine).append(execution)
        execution.start()
        return execution

    def describe_execution(self, execution_arn: str) -> Execution:  # type: ignore[override]
        """Return an execution by its ARN."""
        return cast(Execution, super().describe_execution(execution_arn))

    def stop_execution(self, execution_arn: str, error: str | None = None, cause: str | None = None) -> Execution:  # type: ignore[override]
        """End an execution as ABORTED, with its jobs."""
        execution = self.describe_execution(execution_arn)
        execution.stop(error, cause)
        return execution

    def redrive_execution(self, execution_arn: str) -> Execution:
        """Go on from the state that did not succeed."""
        execution = self.describe_execution(execution_arn)
        with self._starting:
            if not execution.redrivable:
                raise ExecutionNotRedrivable(execution.not_redrivable)
            execution.redrive()
        return execution

    def import_execution(self, machine_arn: str, name: str, events: list[dict[str, Any]]) -> Execution:
        """Keep an execution that stopped elsewhere as one that failed here; it replaces one of its name that ended."""
        stopped = histories.read(events)
        machine, version, alias = self._resolve(machine_arn)
        with self._starting:
            known = next((run for run in _executions(machine) if run.name == name), None)
            if known is not None and known.status == RUNNING:
                raise exceptions.ExecutionAlreadyExists(f"Execution Already Exists and runs: '{known.execution_arn}'")
            execution = self._new_execution(machine, version, alias, name, dumps(stopped.execution_input))
            execution.take_over(events, stopped, known.redrive_count if known else 0)
            machine.executions[:] = [run for run in machine.executions if run is not known]
            _executions(machine).append(execution)
        return execution

    def get_execution_history(self, execution_arn: str) -> dict[str, Any]:
        """Return the events of an execution, oldest first."""
        execution = self.describe_execution(execution_arn)
        return {"events": execution.history.events()}

    def send_task_success(self, task_token: str, outcome: str) -> None:
        """Answer a task token with its result, JSON text."""
        try:
            output = json.loads(outcome)
        except ValueError as error:
            raise InvalidOutput(f"Invalid output: {error}") from error
        self._callback(task_token).succeed(output)

    def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> None:
        """Answer a task token with a failure."""
        self._callback(task_token).fail(error or "", cause or "")

    def send_task_heartbeat(self, task_token: str) -> None:
        """Say that the work behind a task token goes on."""
        self._callback(task_token).beat()

    def cancel_all(self) -> None:
        """End every execution, because the cloud stops."""
        for machine in self.state_machines:
            for execution in _executions(machine):
                execution.cancel(Cancelled("the laptop cloud stops"))
        for machine in self.state_machines:
            for execution in _executions(machine):
                if execution.status == RUNNING:
                    execution.ended.wait(timeout=5)

    def _callback(self, token: str) -> Callback:
        callback = self.callbacks.find(token)
        if callback is None:
            raise exceptions.InvalidToken(f"'{token}'")
        if not callback.open:
            raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
        return callback

    def _resolve(self, arn: str) -> tuple[StateMachine, Any, Any]:
        """Return the machine that an ARN names, with the version and the alias it goes through."""
        machine = next((machine for machine in self.state_machines if machine.arn == arn), None)
        if machine is not None:
            return machine, None, None
        source, _, qualifier = arn.rpartition(":")
        owner = next((machine for machine in self.state_machines if machine.arn == source), None)
        alias = owner.aliases.get(qualifier) if owner else None
        if alias is not None:
            arn = _by_weight(alias.routing_configuration)
            qualifier = arn.rpartition(":")[2]
        if owner is None or not qualifier.isdecimal() or int(qualifier) not in owner.versions:
            self._validate_machine_arn(arn)
            raise exceptions.StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
        return owner, owner.versions[int(qualifier)], alias

    def _new_execution(self, machine: StateMachine, version: Any, alias: Any, name: str, input: str) -> Execution:
        prefix = f"arn:{get_partition(self.region_name)}:states:{self.region_name}:{self.account_id}"
        return Execution(
            arn=f"{prefix}:execution:{machine.name}:{name}",
            name=name,
            machine=version or machine,
            machine_arn=machine.arn,
            machine_version_arn=version.arn if version else None,
            machine_alias_arn=alias.arn if alias else None,
            input=input,
            cloud=self.cloud,
            callbacks=self.callbacks,
            changed=lambda execution: status_events.publish(self.cloud, execution),
        )


def _executions(machine: StateMachine) -> list[Execution]:
    # moto types this list with the executions of its own that do not run.
    return cast(list[Execution], machine.executions)


def check_definition(definition: str) -> None:
    """Refuse a definition that AWS would refuse.

    Raises:
        InvalidDefinition: names every mistake and its place.
    """
    errors = errors_of(definition)
    if errors:
        listed = ", ".join(f"{error.code}: {error.message} at {error.location}" for error in errors)
        raise InvalidDefinition(f"Invalid State Machine Definition: '{listed}'")


def _check_input(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise exceptions.InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from error
    if len(text.encode()) > MAX_BYTES:
        raise exceptions.InvalidExecutionInput(
            f"Invalid State Machine Execution Input: {len(text.encode())} bytes, at most {MAX_BYTES} are allowed"
        )


def _by_weight(routes: list[dict[str, Any]]) -> str:
    weights = [route["weight"] for route in routes]
    return str(random.choices([route["stateMachineVersionArn"] for route in routes], weights)[0])
