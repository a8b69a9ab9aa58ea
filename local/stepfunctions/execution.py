"""One execution: its thread, its status, how it is stopped and how it is redriven."""

from __future__ import annotations

import datetime
import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local.stepfunctions.callbacks import Callbacks
from local.stepfunctions.errors import RUNTIME, Aborted, Interrupted, StateFailed, TimedOut
from local.stepfunctions.execution_log import listener
from local.stepfunctions.flow import Flow, Position, World
from local.stepfunctions.history import History, Trail, data, dumps, iso, now
from local.stepfunctions.scope import Scope

if TYPE_CHECKING:
    from contract.histories import Stopped
    from local.cloud import Cloud

logger = logging.getLogger(__name__)
REDRIVABLE, MOST_EVENTS = datetime.timedelta(days=14), 24_999
RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED = "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"


class Execution:
    """One run of a machine's definition.

    Args:
        arn: of the execution.
        name: of the execution.
        machine: what moto knows of the machine; its definition is taken as it is now.
        machine_version_arn: the version it was started on, or None.
        machine_alias_arn: the alias it was started through, or None.
        input: JSON text.
        cloud, callbacks: see ``World``.
        changed: called with this execution whenever its status has changed.
    """

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        machine: Any,
        machine_arn: str,
        machine_version_arn: str | None,
        machine_alias_arn: str | None,
        input: str,
        cloud: Cloud,
        callbacks: Callbacks,
        changed: Callable[[Execution], None],
    ) -> None:
        # The names that moto's own code reads.
        self.execution_arn, self.name, self.execution_input = arn, name, input
        self.state_machine_arn, self.state_machine_version_arn = machine_arn, machine_version_arn
        self.state_machine_alias_arn = machine_alias_arn
        self.start_date = now()
        self.stop_date: datetime.datetime | None = None
        self.status = RUNNING
        self.output: str | None = None
        self.output_details: dict[str, Any] | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.redrive_count = 0
        self.redrive_date: datetime.datetime | None = None
        self.history = History(listener(machine.loggingConfiguration, arn))
        self.definition: dict[str, Any] = json.loads(machine.definition)
        self.definition_text, self.role_arn = machine.definition, machine.roleArn
        self._machine_name = machine.name
        self._cloud, self._callbacks, self._changed = cloud, callbacks, changed
        self._lock = threading.Lock()
        self._scope = Scope()
        self._flow: Flow | None = None
        self.ended = threading.Event()

    def start(self) -> None:
        """Run in a thread of its own."""
        details = {**data("input", json.loads(self.execution_input)), "roleArn": self.role_arn}
        self._flow = self._new_flow()
        self._flow.trail.add("ExecutionStarted", details)
        self._launch(lambda flow: flow.run(json.loads(self.execution_input)))

    def take_over(self, events: list[dict[str, Any]], stopped: Stopped, redrives: int) -> None:
        """Stand where an execution elsewhere stopped, as if it had failed here; a redrive goes on.

        Args:
            events: its history.
            stopped: what that says.
            redrives: of an earlier one of its name here: jobs are named by them, and no name can be used twice.

        Raises:
            ValueError: when the definition here has no such state.
        """
        if stopped.state not in self.definition["States"]:
            raise ValueError(f"the machine {self._machine_name!r} has no state {stopped.state!r} here")
        self.history.restore(events)
        self._flow = self._new_flow()
        self._flow.variables.update(stopped.variables)
        self._flow.position = Position(state=stopped.state, input=stopped.input)
        self._flow.trail.last = int(events[-1]["id"])
        self.redrive_count = max(redrives, stopped.redrives)
        self.status, self.stop_date = FAILED, now()
        self.error, self.cause = stopped.error or None, stopped.cause or None
        self.ended.set()

    def stop(self, error: str | None, cause: str | None) -> datetime.datetime:
        """End it as ABORTED; returns when it has ended.

        An execution that has ended already stays as it is.
        """
        self._scope.cancel(Aborted(error, cause))
        self.ended.wait(STOP_PATIENCE)
        with self._lock:
            return self.stop_date or now()

    def cancel(self, reason: Interrupted) -> None:
        """Have it end soon; does not wait."""
        self._scope.cancel(reason)

    @property
    def redrivable(self) -> bool:
        """Whether it ended in a way that it can go on from, not too long ago."""
        return not self.not_redrivable

    @property
    def not_redrivable(self) -> str:
        """Why it cannot be redriven, in AWS's words (``redriveStatusReason``); empty when it can."""
        if self.status not in (FAILED, TIMED_OUT, ABORTED) or self.stop_date is None:
            return f"Execution is {self.status} and cannot be redriven"
        if now() - self.stop_date > REDRIVABLE:
            return "Execution redrivable period exceeded"
        if len(self.history.events()) > MOST_EVENTS:
            return "Execution history event limit exceeded"
        return ""

    def redrive(self) -> datetime.datetime:
        """Go on from the state that did not succeed, with its input and the variables of then.

        Its TimeoutSeconds begin again, and so do the machine's and the attempts of each Retry. A Task is started
        again: one that waited for a nested execution starts another.
        """
        before = self._flow
        if before is None:
            raise RuntimeError(f"{self.execution_arn} was never started")
        self.redrive_count += 1
        self.redrive_date = now()
        self.status, self.stop_date, self.error, self.cause = RUNNING, None, None, None
        self._scope, self.ended = Scope(), threading.Event()
        self._flow = self._new_flow()
        self._flow.trail = before.trail
        self._flow.trail.add("ExecutionRedriven", {"redriveCount": self.redrive_count})
        self._launch(lambda flow: flow.resume(before))
        return self.redrive_date

    def _new_flow(self) -> Flow:
        scope = self._scope
        seconds = self.definition.get("TimeoutSeconds")
        if seconds is not None:
            limit = seconds if _works(self.definition) else self._cloud.clock.seconds(seconds)
            scope = Scope(parent=scope, seconds=limit, expired=TimedOut)
        world = World(context=self._context(), cloud=self._cloud, callbacks=self._callbacks)
        return Flow(definition=self.definition, world=world, scope=scope, trail=Trail(self.history))

    def _context(self) -> dict[str, Any]:
        execution = {
            "Id": self.execution_arn,
            "Input": json.loads(self.execution_input),
            "Name": self.name,
            "RoleArn": self.role_arn,
            "StartTime": iso(self.start_date),
            "RedriveCount": self.redrive_count,
        }
        if self.redrive_date is not None:
            execution["RedriveTime"] = iso(self.redrive_date)
        return {"Execution": execution, "StateMachine": {"Id": self.state_machine_arn, "Name": self._machine_name}}

    def _launch(self, work: Callable[[Flow], Any]) -> None:
        flow = self._flow
        assert flow is not None
        self._announce()
        threading.Thread(target=self._run, args=(flow, work), name=f"execution-{self.name}", daemon=True).start()

    def _run(self, flow: Flow, work: Callable[[Flow], Any]) -> None:
        try:
            output = work(flow)
        except StateFailed as failure:
            self._end(flow, FAILED, failure.error, failure.cause)
        except TimedOut:
            self._end(flow, TIMED_OUT, None, None)
        except Interrupted as reason:
            error, cause = (reason.error, reason.cause) if isinstance(reason, Aborted) else (None, str(reason))
            self._end(flow, ABORTED, error, cause)
        except Exception as error:
            # A fault of this interpreter: the execution must still end, and say so.
            logger.exception("the interpreter failed in %s", self.execution_arn)
            self._end(flow, FAILED, RUNTIME, f"{type(error).__name__}: {error}")
        else:
            self.output, self.output_details = dumps(output), {"included": True}
            self._end(flow, SUCCEEDED, None, None)

    def _end(self, flow: Flow, status: str, error: str | None, cause: str | None) -> None:
        details: dict[str, Any] = {"error": error or None, "cause": cause or None}
        if status == SUCCEEDED and self.output is not None:
            details = data("output", json.loads(self.output))
        flow.trail.add(_END_EVENTS[status], details)
        with self._lock:
            self.error, self.cause, self.stop_date, self.status = error or None, cause or None, now(), status
        self._announce()
        self.ended.set()

    def _announce(self) -> None:
        """Tell of the new status; as on AWS, an execution does not depend on who hears of it."""
        try:
            self._changed(self)
        except Exception:
            logger.exception("could not publish the status of %s", self.execution_arn)


STOP_PATIENCE = 150.0  # StopTrainingJob itself may take two minutes
_END_EVENTS = {
    SUCCEEDED: "ExecutionSucceeded",
    FAILED: "ExecutionFailed",
    TIMED_OUT: "ExecutionTimedOut",
    ABORTED: "ExecutionAborted",
}


def _works(definition: Mapping[str, Any]) -> bool:
    """Whether any state of a machine does real work, which no clock scale can shorten."""
    for state in definition["States"].values():
        inner = [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]
        if state["Type"] == "Task" or any(_works(part) for part in inner):
            return True
    return False
