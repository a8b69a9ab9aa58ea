"""What can go wrong: every kind of fault, with the place where it strikes.

Fault
├── JobFault        a SageMaker job: MissingCapacity, FailedJob, StoppedJob, TimeOver, SpotInterruption, RecalledJob
│   └── ProcessFault    one of its processes: KilledRank, HungRank, FullDisk
├── EndpointFault   UnhealthyEndpoint
├── CallFault       an API call, of a state or of anybody: RefusedCall, LostCall, LostAnswer
├── StateFault      a state: TimedOutState, OversizedResult, StoppedExecution, DeployedDefinition,
│                   OverwrittenObject, DeletedObject
├── FunctionFault   an invocation: KilledFunction, TimedOutFunction, ExhaustedFunction
└── EventFault      the delivery of an event: LostEvent, RepeatedEvent, LateEvent

A field made by :func:`name_like` or :func:`line_like` says whom a fault
strikes; any other says how.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from dataclasses import dataclass
from typing import Any

ALWAYS = 0
MATCHES = "matches"


def name_like(default: str = "*") -> Any:
    """Make a field that holds a shell pattern of names."""
    return dataclasses.field(default=default, metadata={MATCHES: fnmatch.fnmatchcase})


def line_like(default: str = "") -> Any:
    """Make a field that holds a regular expression of log lines; '' is any line."""
    return dataclasses.field(default=default, metadata={MATCHES: lambda text, wanted: re.search(wanted, text)})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Strikes from the ``nth`` time that somebody whom it is meant for comes by, ``times`` times (ALWAYS: each)."""

    nth: int = 1
    times: int = 1

    def is_meant_for(self, facts: dict[str, str]) -> bool:
        """Say whether the patterns match ``facts``; a fact that is not told is matched by '*' alone."""
        return all(
            each.metadata[MATCHES](facts.get(each.name, ""), getattr(self, each.name))
            for each in dataclasses.fields(self)
            if MATCHES in each.metadata
        )


@dataclass(frozen=True, kw_only=True)
class JobFault(Fault):
    """A job of SageMaker."""

    job: str = name_like()


@dataclass(frozen=True, kw_only=True)
class MissingCapacity(JobFault):
    """There are no machines of ``instance``."""

    instance: str = name_like()


@dataclass(frozen=True, kw_only=True)
class FailedJob(JobFault):
    """The platform fails before the program starts."""

    reason: str = "InternalServerError: We encountered an internal error. Please try again."


@dataclass(frozen=True, kw_only=True)
class RecalledJob(JobFault):
    """The program is not run: what a like job left, kept in ``folder``, is there again. The first like job is kept."""

    folder: str
    like: str


@dataclass(frozen=True, kw_only=True)
class StoppedJob(JobFault):
    """Somebody stops the job once a log line matches ``when``."""

    when: str = line_like()


@dataclass(frozen=True, kw_only=True)
class TimeOver(JobFault):
    """The job's MaxRuntimeInSeconds are over once a log line matches ``when``."""

    when: str = line_like()


@dataclass(frozen=True, kw_only=True)
class SpotInterruption(JobFault):
    """The spot machines are taken away once a log line matches ``when``.

    They come back, and the job starts again from its checkpoints, unless
    ``comes_back`` is False: then the job waits in vain until its
    MaxWaitTimeInSeconds.
    """

    when: str = line_like()
    comes_back: bool = True


@dataclass(frozen=True, kw_only=True)
class ProcessFault(JobFault):
    """A process of ``host`` whose command line matches ``process``, once a log line matches ``when``."""

    host: str = "algo-1"
    process: str = "."
    when: str = line_like()


@dataclass(frozen=True, kw_only=True)
class KilledRank(ProcessFault):
    """It gets SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class HungRank(ProcessFault):
    """It gets SIGSTOP: it neither works nor ends."""


@dataclass(frozen=True, kw_only=True)
class FullDisk(ProcessFault):
    """No file of its host's results and checkpoints can grow any more; what is there already is out of its sight."""


@dataclass(frozen=True, kw_only=True)
class EndpointFault(Fault):
    """An endpoint of SageMaker."""

    endpoint: str = name_like()


@dataclass(frozen=True, kw_only=True)
class UnhealthyEndpoint(EndpointFault):
    """The containers never answer /ping."""


@dataclass(frozen=True, kw_only=True)
class CallFault(Fault):
    """A call (``sagemaker:CreateEndpoint``), of a ``state`` of an ``execution``, or of anybody where these are '*'."""

    call: str = name_like()
    state: str = name_like()
    execution: str = name_like()


@dataclass(frozen=True, kw_only=True)
class RefusedCall(CallFault):
    """The service refuses."""

    error: str = "ThrottlingException"
    message: str = "Rate exceeded"
    status: int = 400


@dataclass(frozen=True, kw_only=True)
class LostCall(CallFault):
    """The request never arrives; the connection breaks."""


@dataclass(frozen=True, kw_only=True)
class LostAnswer(CallFault):
    """The service does it, and the connection breaks before it says so."""


@dataclass(frozen=True, kw_only=True)
class StateFault(Fault):
    """A state of an execution."""

    state: str = name_like()
    execution: str = name_like()


@dataclass(frozen=True, kw_only=True)
class TimedOutState(StateFault):
    """Its TimeoutSeconds are over as soon as its work has begun; the work itself goes on, or its job is stopped."""


@dataclass(frozen=True, kw_only=True)
class OversizedResult(StateFault):
    """Its result is larger than 256 KiB."""


@dataclass(frozen=True, kw_only=True)
class StoppedExecution(StateFault):
    """Somebody stops the execution when it enters the state."""


@dataclass(frozen=True, kw_only=True)
class DeployedDefinition(StateFault):
    """When it is entered, the machine is deployed anew, and the new version published."""


@dataclass(frozen=True, kw_only=True)
class ObjectFault(StateFault):
    """Something happens to an object of ``bucket`` when the state is entered."""

    bucket: str
    key: str


@dataclass(frozen=True, kw_only=True)
class OverwrittenObject(ObjectFault):
    """It is overwritten with ``body``."""

    body: str = "overwritten"


@dataclass(frozen=True, kw_only=True)
class DeletedObject(ObjectFault):
    """It is deleted; in a versioned bucket its versions stay."""


@dataclass(frozen=True, kw_only=True)
class FunctionFault(Fault):
    """An invocation of the function whose handler is ``function``, with a ``payload`` (JSON) like this, by a ``state``
    of a state machine, or by anybody where it is '*'.
    """

    function: str = name_like()
    payload: str = name_like()
    state: str = name_like()


BEFORE_WRITE, AFTER_WRITE, AT_END = "before its first write", "after its first write", "before its answer"


@dataclass(frozen=True, kw_only=True)
class KilledFunction(FunctionFault):
    """Its sandbox dies at the ``moment`` BEFORE_WRITE, AFTER_WRITE or AT_END of its work."""

    moment: str = AT_END


@dataclass(frozen=True, kw_only=True)
class TimedOutFunction(FunctionFault):
    """Lambda ends it at its time-out; its work was done, but nobody hears of it."""


@dataclass(frozen=True, kw_only=True)
class ExhaustedFunction(FunctionFault):
    """Its memory does not suffice; nothing of its work was done."""


@dataclass(frozen=True, kw_only=True)
class EventFault(Fault):
    """The delivery of an event of ``type`` (its detail-type), whose detail as JSON is like ``detail``, to a target."""

    type: str = name_like()
    detail: str = name_like()
    target: str = name_like()


@dataclass(frozen=True, kw_only=True)
class LostEvent(EventFault):
    """It is never delivered, and lies in no queue."""


@dataclass(frozen=True, kw_only=True)
class RepeatedEvent(EventFault):
    """It is delivered ``copies`` times more, all at once."""

    copies: int = 2


@dataclass(frozen=True, kw_only=True)
class LateEvent(EventFault):
    """It is delivered ``seconds`` (of the definitions' clock) later, after events that came after it."""

    seconds: float = 60.0
