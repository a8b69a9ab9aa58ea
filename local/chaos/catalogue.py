"""The faults of the matrix: what each is, at which states it can be, and how a run may end with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contract import keys, names
from functions.asl import CREATES_JOB
from local.chaos import faults
from local.chaos.faults import ALWAYS, Fault
from local.chaos.site import Site

JOBS = ("sagemaker:create", "codebuild:startBuild")
PROGRAMS = ("createTrainingJob", "createProcessingJob")
SPOT = "Train on spot"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A state of a machine, in the executions of a project.

    Args:
        site: where.
        state: its name.
        definition: its definition.
        project: whose executions: their names begin with it, but for those that only set the scene (``-setup``).
        data: key of the upload in the data bucket, or "".
        live: the project's endpoint, or "".
        hosts: that train.
    """

    site: Site
    state: str
    definition: Mapping[str, Any]
    project: str
    data: str = ""
    live: str = ""
    hosts: int = 1

    @property
    def whose(self) -> dict[str, Any]:
        """The patterns that say where and whose."""
        return {"state": self.state, "execution": f"{self.project}-[!s]*"}

    @property
    def resource(self) -> str:
        """What a Task calls, ``aws-sdk:s3:getObject``; "" of any other state."""
        return str(self.definition.get("Resource", "")).partition(":::")[2]

    @property
    def service(self) -> str:
        """The service that a Task calls, as boto3 names it."""
        service = self.resource.removeprefix("aws-sdk:").partition(":")[0]
        return {"states": "stepfunctions", "eventbridge": "events"}.get(service, service)

    @property
    def job(self) -> str:
        """The pattern of the names of a Task's jobs; "" where it starts none."""
        if not self.resource.startswith(JOBS) or "sync" not in self.resource:
            return ""
        step = re.search(r"\$run\.run, '(\w+)'", json.dumps(self.definition.get("Arguments")))
        return f"{self.project}-*-{step[1]}-*" if step else ""

    @property
    def function(self) -> str:
        """The handler of the function that a Task invokes; "" where it invokes none."""
        name = self.definition.get("Arguments", {})
        name = name.get("FunctionName", "") if isinstance(name, Mapping) and self.service == "lambda" else ""
        return self.site.handler(name) if name and not name.startswith("{%") else ""


Make = Callable[[Place], Fault | None]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A fault of the matrix.

    Args:
        name: what people call it.
        what: what happens, in a sentence.
        where: the states at which it can be, in words.
        make: makes the fault at a place; None where it cannot be.
        survived: a run with it must end as if it had not been; else it may also fail, and redriven it ends well.
        stops: it ends the execution itself.
        slow: its cells run real programs.
        proof: what the cause of the failure says (a regular expression); then it cannot be survived.
        ticks: the daily schedule comes after it has struck.
    """

    name: str
    what: str
    where: str
    make: Make
    survived: bool = False
    stops: bool = False
    slow: bool = False
    proof: str = ""
    ticks: bool = False


def _code(table: Mapping[str, tuple[str, int]], **more: Any) -> Make:
    def make(place: Place) -> Fault | None:
        if not place.resource or (place.service not in table and "" not in table):
            return None
        error, status = table.get(place.service) or table[""]
        return faults.RefusedCall(error=error, status=status, message=error, **place.whose, **more)

    return make


def _call(kind: type[faults.CallFault], **more: Any) -> Make:
    return lambda place: kind(**place.whose, **more) if place.resource else None


def _state(kind: type[faults.StateFault], *, tasks: bool = True) -> Make:
    return lambda place: kind(**place.whose) if place.resource or not tasks else None


def _function(kind: type[faults.FunctionFault], **more: Any) -> Make:
    def make(place: Place) -> Fault | None:
        payload = f"*{place.project}*"
        return kind(function=place.function, payload=payload, state=place.state, **more) if place.function else None

    return make


def _job(kind: type[faults.JobFault], only: Callable[[Place], bool] = lambda place: True, **more: Any) -> Make:
    return lambda place: kind(job=place.job, **more) if place.job and only(place) else None


def _trains(place: Place) -> bool:
    return "createTrainingJob" in place.resource


def _runs_program(place: Place) -> bool:
    return any(program in place.resource for program in PROGRAMS)


RANK = r"^(?!.*torch\.distributed\.run).*training\.train"
"""The command line of a rank; torchrun's own, which starts it, says of what."""


def _process(kind: type[faults.ProcessFault]) -> Make:
    def make(place: Place) -> Fault | None:
        if not _runs_program(place):
            return None
        program = RANK if _trains(place) else r"training\.(prepare|evaluate)"
        return kind(job=place.job, process=program, when="epoch=2 " if _trains(place) else "")

    return make


def _endpoint(place: Place) -> Fault | None:
    if not place.resource.endswith(("createEndpoint", "updateEndpoint")) or place.state == "Restore endpoint":
        return None
    name = names.staging_endpoint(place.site.tenant, place.project) if "staging" in place.state else place.live
    return faults.UnhealthyEndpoint(endpoint=name)


def _object(kind: type[faults.ObjectFault]) -> Make:
    return lambda place: kind(**place.whose, bucket=place.site.data, key=place.data) if place.data else None


def _configuration(place: Place) -> Fault | None:
    key = keys.project_config(place.site.tenant, place.project)
    return faults.DeletedObject(**place.whose, bucket=place.site.data, key=key) if place.data else None


def _first(kind: type[faults.EventFault], **more: Any) -> Make:
    """The event that starts a machine: S3's of the upload."""

    def make(place: Place) -> Fault | None:
        if place.state != "Accept request":
            return None
        return kind(type="Object Created", detail=f"*/{place.project}/inbox/*", **more)

    return make


THROTTLED = {
    "lambda": ("TooManyRequestsException", 429),
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
    "s3": ("SlowDown", 503),
    "cloudwatch": ("Throttling", 400),
    "": ("ThrottlingException", 400),
}
INTERNAL = {
    "lambda": ("ServiceException", 500),
    "dynamodb": ("InternalServerError", 500),
    "s3": ("InternalError", 500),
    "ecr": ("ServerException", 500),
    "": ("InternalFailure", 500),
}
QUOTA = {
    "sagemaker": ("ResourceLimitExceeded", 400),
    "lambda": ("TooManyRequestsException", 429),
    "dynamodb": ("RequestLimitExceeded", 400),
    "stepfunctions": ("ExecutionLimitExceeded", 400),
    "codebuild": ("AccountLimitExceededException", 400),
    "cloudwatch": ("LimitExceededFault", 400),
}
EXPIRED = {"s3": ("ExpiredToken", 400), "": ("ExpiredTokenException", 403)}
DENIED = {"s3": ("AccessDenied", 403), "": ("AccessDeniedException", 403)}

ANY_TASK, ANY_STATE, ANY_LAMBDA = "every Task", "every state", "every Task that invokes a function"
CATALOGUE = (
    Entry(name="throttled", what="the service throttles the call, once", where=ANY_TASK, make=_code(THROTTLED),
          survived=True),
    Entry(name="throttled on and on", what="the service throttles every attempt", where=ANY_TASK,
          make=_code(THROTTLED, times=ALWAYS)),
    Entry(name="internal error", what="the service fails, once", where=ANY_TASK, make=_code(INTERNAL), survived=True),
    Entry(name="internal errors", what="the service fails at every attempt", where=ANY_TASK,
          make=_code(INTERNAL, times=ALWAYS)),
    Entry(name="request lost", what="the request never arrives, once",
          where="every Task but those that create a job: they do not ask twice, so there it is *network down*",
          make=lambda place: None if CREATES_JOB.search(place.resource) else _call(faults.LostCall)(place),
          survived=True),
    Entry(name="answer lost", what="the service does it, and nobody hears of it", where=ANY_TASK,
          make=_call(faults.LostAnswer)),
    Entry(name="network down", what="no request of the state arrives", where=ANY_TASK,
          make=_call(faults.LostCall, times=ALWAYS)),
    Entry(name="time-out", what="the state's time is over, while its work goes on", where=ANY_TASK,
          make=_state(faults.TimedOutState)),
    Entry(name="quota exceeded", what="an account's quota is used up at every attempt",
          where="every Task of a service with such quotas", make=_code(QUOTA, times=ALWAYS)),
    Entry(name="expired credentials", what="the role's credentials are refused at every attempt", where=ANY_TASK,
          make=_code(EXPIRED, times=ALWAYS)),
    Entry(name="access denied", what="the role may not do it", where=ANY_TASK, make=_code(DENIED, times=ALWAYS)),
    Entry(name="payload over 256 KB", what="the result is larger than Step Functions takes", where=ANY_TASK,
          make=_state(faults.OversizedResult)),
    Entry(name="Lambda killed before its write", what="the sandbox dies before the first write", where=ANY_LAMBDA,
          make=_function(faults.KilledFunction, moment=faults.BEFORE_WRITE)),
    Entry(name="Lambda killed after its write", what="the sandbox dies after the first write", where=ANY_LAMBDA,
          make=_function(faults.KilledFunction, moment=faults.AFTER_WRITE)),
    Entry(name="Lambda killed before its answer", what="the sandbox dies after all its work", where=ANY_LAMBDA,
          make=_function(faults.KilledFunction, moment=faults.AT_END)),
    Entry(name="Lambda timed out", what="Lambda ends the function at its time-out, its work done", where=ANY_LAMBDA,
          make=_function(faults.TimedOutFunction)),
    Entry(name="Lambda out of memory", what="the function's memory does not suffice", where=ANY_LAMBDA,
          make=_function(faults.ExhaustedFunction)),
    Entry(name="missing capacity", what="there are no machines of any type", where="every Task that runs a job",
          make=_job(faults.MissingCapacity, times=ALWAYS)),
    Entry(name="platform failure", what="the job fails with InternalServerError", where="every Task that runs a job",
          make=_job(faults.FailedJob)),
    Entry(name="job stopped", what="somebody stops the job", where="every Task that runs a job",
          make=_job(faults.StoppedJob, _runs_program), slow=True),
    Entry(name="time is over", what="the job's longest time is over: it writes a checkpoint and is stopped",
          where="every Task that trains", make=_job(faults.TimeOver, _trains, when="epoch=2 "), slow=True,
          proof="MaxRuntimeExceeded"),
    Entry(name="spot reclaimed", what="the spot machines are taken away and come back", where=f"`{SPOT}`",
          make=_job(faults.SpotInterruption, lambda place: place.state == SPOT, when="epoch=3 "), survived=True,
          slow=True),
    Entry(name="dead rank", what="a training or processing program gets SIGKILL", where="every Task that runs a job",
          make=_process(faults.KilledRank), slow=True),
    Entry(name="disk full", what="there is no room for the next checkpoint", where="every Task that trains",
          make=lambda place: _process(faults.FullDisk)(place) if _trains(place) else None, slow=True,
          proof="the disk is full: raise train.volume_gb"),
    Entry(name="hung rank", what="a rank gets SIGSTOP: it neither works nor ends",
          where="every Task that trains on several hosts",
          make=lambda place: _process(faults.HungRank)(place) if _trains(place) and place.hosts > 1 else None,
          slow=True, proof="hangs: no step for"),
    Entry(name="endpoint never healthy", what="the containers never answer /ping",
          where="every Task that makes or changes an endpoint", make=_endpoint, proof="health check"),
    Entry(name="execution stopped", what="somebody stops the execution", where=ANY_STATE,
          make=_state(faults.StoppedExecution, tasks=False), stops=True),
    Entry(name="definition deployed", what="the machine is deployed anew while the run is in flight", where=ANY_STATE,
          make=_state(faults.DeployedDefinition, tasks=False), survived=True),
    Entry(name="upload overwritten", what="the upload's object is overwritten", where="every state of a run",
          make=_object(faults.OverwrittenObject)),
    Entry(name="upload deleted", what="the upload's object is deleted", where="every state of a run",
          make=_object(faults.DeletedObject)),
    Entry(name="project.toml deleted", what="the project's configuration is deleted", where="every state of a run",
          make=_configuration),
    Entry(name="event duplicated", what="the upload's event arrives three times at once", where="`Accept request`",
          make=_first(faults.RepeatedEvent, copies=2), survived=True),
    Entry(name="event lost", what="the upload's event never arrives, and lies in no queue", where="`Accept request`",
          make=_first(faults.LostEvent), survived=True, ticks=True),
    Entry(name="event late", what="the upload's event arrives two minutes late",
          where="`Accept request`", make=_first(faults.LateEvent, seconds=120), survived=True),
)  # fmt: skip
