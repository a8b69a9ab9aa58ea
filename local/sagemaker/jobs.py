"""What training and processing jobs share: a thread a job, events, attempts, an orderly end."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract import names
from local.chaos import processes
from local.permissions import platform
from local.permissions.needs import Need
from local.permissions.storage import use_of_key
from local.sagemaker import containers, namespace, opt_ml, python
from local.sagemaker.machines import Host, Machines
from local.sagemaker.objects import Objects
from local.sagemaker.records import Record
from local.sagemaker.telemetry import LogStreams

if TYPE_CHECKING:
    from local.cloud import Cloud

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0  # how often a running job's deadline and metrics are looked at
PLATFORM = "SageMaker"  # the session's name when the platform takes a role
OUTPUTS = ("OutputDataConfig", "ProcessingOutputConfig", "TransformOutput")  # where requests name a key
STOP_SECONDS = 120.0  # between SIGTERM and SIGKILL, as StopTrainingJob promises; real, not scaled
_clusters = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Ended(Exception):
    """A job has come to its end.

    Args:
        status: ``Completed``, ``Failed`` or ``Stopped``.
        secondary: a training job's secondary status.
        reason: FailureReason.
    """

    status: str
    secondary: str
    reason: str = ""


def failed(reason: str) -> Ended:
    """Return the end of a job that failed for this reason."""
    return Ended(status="Failed", secondary="Failed", reason=reason)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened to a running job: ``exit``, ``stop``, ``interrupt`` or ``time``, which is over."""

    kind: str
    machines: Machines | None = None
    host: str = ""
    code: int = 0


@dataclass(frozen=True, kw_only=True)
class Member:
    """One host of a cluster, before it runs.

    Args:
        name: ``algo-1``.
        address: the loopback address that the name resolves to.
        folder: holds ``ml`` (its /opt/ml) and ``tmp``.
        cores: how many of this machine's are its share.
    """

    name: str
    address: str
    folder: Path
    cores: int

    @property
    def root(self) -> Path:
        """Its ``/opt/ml``."""
        return self.folder / "ml"

    @property
    def visible_name(self) -> str:
        """How the other hosts reach it: its name, or its address where names cannot be made to resolve."""
        return self.address if namespace.unavailable() else self.name

    def host(self, container: containers.Container, command: list[str], environment: dict[str, str]) -> Host:
        """Return what to run on it: ``environment`` is the job's own."""
        scratch = str(self.folder / "tmp")
        base = str(self.root) if namespace.unavailable() else opt_ml.INSIDE
        programs = python.environment(self.folder / "python", script_mode=container.deep_learning)
        path = container.environment["PATH"].replace(containers.PROGRAMS, str(programs))
        folders = {"HOME": scratch, "TMPDIR": scratch, "PATH": path, names.BASE_DIR: base}
        return Host(
            name=self.name,
            address=self.address,
            root=self.root,
            command=command,
            environment={**self._threads(), **container.environment, **folders, **environment},
            folder=container.folder,
            binds=container.binds,
        )

    def _threads(self) -> dict[str, str]:
        """How OpenMP shares the machine: hosts that each take all its cores, and spin while they wait, starve."""
        return {"OMP_NUM_THREADS": str(self.cores), "OMP_WAIT_POLICY": "PASSIVE"}


class Job:
    """One job on its own thread. Subclasses say what happens in ``work`` and how an end is recorded in ``finish``.

    Args:
        cloud: where it runs.
        record: what Describe shows.
        group: its CloudWatch log group.
    """

    def __init__(self, cloud: Cloud, record: Record, group: str) -> None:
        self.cloud, self.record = cloud, record
        self.folder = cloud.root / "jobs" / record.name
        self.objects = Objects(self.client("s3"))
        self.logs = LogStreams(
            stream=lambda name: platform.log_stream(cloud, self.role, PLATFORM, group, name, described=True),
            folder=self.folder / "logs",
        )
        self.events: queue.Queue[Event] = queue.Queue()
        self.machines: Machines | None = None
        self.members: list[Member] = []
        self.stop_seconds = STOP_SECONDS
        self._closed, self._stop_asked = threading.Event(), threading.Event()
        self._stamp = int(time.time())
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"job-{record.name}")

    @property
    def role(self) -> str:
        """The ARN of the role that its machines take."""
        return str(self.record.request["RoleArn"])

    def client(self, service: str) -> Any:
        """Return the client with which the platform acts for the job."""
        return self.cloud.callers.client(self.role, service, PLATFORM)

    @property
    def key(self) -> str:
        """The key that its output is encrypted with; "" without one of its own."""
        outputs = (self.record.request.get(name, {}) for name in OUTPUTS)
        return next((key for output in outputs if (key := output.get("KmsKeyId"))), "")

    def _use_of_key(self) -> list[Need]:
        """What SageMaker needs before it encrypts output ("How to use SageMaker AI execution roles")."""
        return [use_of_key(self.cloud.guard.here, verb, self.key) for verb in ("DescribeKey", "Encrypt")]

    @property
    def reach(self) -> dict[str, str]:
        """The variables with which its containers reach AWS; none where they are isolated."""
        isolated = describe_network(self.record.request)
        return {} if isolated else self.cloud.callers.environment(self.role, PLATFORM)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop, as StopTrainingJob does."""
        self._stop_asked.set()
        self.events.put(Event(kind="stop"))

    def close(self) -> None:
        """Kill it, because the cloud stops."""
        self._closed.set()
        self.stop_seconds = 0.0
        self.stop()
        self._thread.join()

    def work(self) -> None:
        """Do the job; raise Ended."""
        raise NotImplementedError

    def finish(self, end: Ended) -> None:
        """Record how it ended."""
        raise NotImplementedError

    def on_line(self, host: str, line: str) -> None:
        """Take a line of a container, and what was to happen at it."""
        self.logs.write(f"{self.record.name}/{host}-{self._stamp}", line)
        processes.at_line(self.record.name, line, self.machines)
        if processes.is_stopped(self.record.name, line):
            self.stop()
        if processes.is_time_over(self.record.name, line):
            self.events.put(Event(kind="time"))

    def cluster(self, count: int, attempt: int) -> list[Member]:
        """Return ``count`` hosts, each with a new ``/opt/ml`` folder and a loopback address of its own."""
        number = next(_clusters)
        block = f"127.{number // 256 % 254 + 1}.{number % 256}"
        cores = max(1, (os.cpu_count() or 1) // count)
        members = []
        for index in range(1, count + 1):
            folder = self.folder / f"attempt-{attempt}" / f"algo-{index}"
            for part in ("ml", "tmp"):
                (folder / part).mkdir(parents=True)
            members.append(Member(name=f"algo-{index}", address=f"{block}.{index}", folder=folder, cores=cores))
        return members

    def run_containers(self, hosts: list[Host], *, isolated: bool, seconds: float) -> Ended | Event:
        """Run the containers to their end, a stop, an interruption or the time limit.

        Returns how the job ended, or the interruption; no process is left.
        """
        self._explain_isolation(isolated)
        memory = processes.recollection(self.record.name, {host.name: host.root for host in hosts})
        if memory.there:
            memory.restore(self.on_line)
            if self._stop_asked.is_set():
                self.on_stopping()
                return Ended(status="Stopped", secondary="Stopped")
            return Ended(status="Completed", secondary="Completed")
        folder, on_line = hosts[0].root.parent.parent / "machines", memory.noting(self.on_line)
        machines = Machines(hosts=hosts, folder=folder, isolated=isolated, on_line=on_line, on_exit=self._on_exit)
        self.machines = machines
        try:
            machines.start()
            end = self._wait(machines, time.monotonic() + seconds)
        finally:
            machines.close()
            self.machines = None
        if isinstance(end, Ended) and end.status == "Completed":
            memory.keep()
        return end

    def tick(self) -> None:
        """Do what is to be done every second while containers run."""

    def failure(self, host: str, code: int) -> str:
        """Return ``AlgorithmError``, what the host wrote to output/failure, and its exit code."""
        root = next(member.root for member in self.members if member.name == host)
        return f"AlgorithmError: {opt_ml.told(root, 'failure')}, exit code: {code}"

    def _run(self) -> None:
        try:
            if self.key and (refusal := self.cloud.guard.refusal(self.role, PLATFORM, *self._use_of_key())):
                raise failed(f"ClientError: The key {self.key} cannot be used: {refusal}")
            if reason := processes.platform_failure(self.record.name):
                raise failed(reason)
            self.work()
        except Ended as end:
            self.finish(end)
        except Exception as error:
            log.exception("the laptop cloud failed at job %s", self.record.name)
            self.finish(failed(f"InternalServerError: the laptop cloud: {error!r}"))

    def _wait(self, machines: Machines, deadline: float) -> Ended | Event:
        left = {host.name for host in machines.hosts}
        while left:
            event = self._next_event(deadline)
            if event.kind == "time":
                self._terminate(machines)
                return Ended(status="Stopped", secondary="MaxRuntimeExceeded")
            if event.kind == "stop":
                self.on_stopping()
                self._terminate(machines)
                return Ended(status="Stopped", secondary="Stopped")
            if event.kind == "interrupt":
                self._terminate(machines)
                return event
            if event.machines is not machines:
                continue  # the exit of a machine that was taken away earlier
            left.discard(event.host)
            if event.code:
                return failed(self.failure(event.host, event.code))
        return Ended(status="Completed", secondary="Completed")

    def on_stopping(self) -> None:
        """Record that the job is being stopped."""

    def _next_event(self, deadline: float) -> Event:
        """Return the next event."""
        while (left := deadline - time.monotonic()) > 0:
            if self._stop_asked.is_set():
                return Event(kind="stop")
            try:
                return self.events.get(timeout=min(left, LOOK_SECONDS))
            except queue.Empty:
                self.tick()
        return Event(kind="time")

    def _terminate(self, machines: Machines) -> None:
        """SIGTERM, then SIGKILL to those that have not ended in time."""
        machines.signal(signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        while time.monotonic() < deadline and not self._closed.is_set():
            if machines.ended(min(LOOK_SECONDS, deadline - time.monotonic())):
                return
        machines.kill()

    def _on_exit(self, machines: Machines, host: str, code: int) -> None:
        self.events.put(Event(kind="exit", machines=machines, host=host, code=code))

    def _explain_isolation(self, isolated: bool) -> None:
        reason = namespace.unavailable()
        if reason:
            self.on_line(
                "algo-1",
                f"laptop cloud: namespaces are not available here ({reason}), so /opt/ml and algo-N do not exist; "
                "SAGEMAKER_BASE_DIR and the addresses in resourceconfig.json stand for them"
                + (", and the network is not isolated" if isolated else ""),
            )


class Jobs:
    """The jobs of one kind that this cloud runs, so that they can be stopped."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._jobs: dict[str, Job] = {}
        cloud.on_stop(self.close)

    def start(self, job: Job) -> None:
        """Run ``job``."""
        self._jobs[job.record.arn] = job
        job.start()

    def stop(self, record: Record) -> None:
        """Stop the job of ``record``."""
        self._jobs[record.arn].stop()

    def close(self) -> None:
        """Kill every job, because the cloud stops."""
        for job in self._jobs.values():
            job.close()


def discard(folder: Path) -> None:
    """Remove the files of a job that has ended; its logs stay."""
    for attempt in folder.glob("attempt-*"):
        shutil.rmtree(attempt)


def describe_network(request: dict[str, Any]) -> bool:
    """Return whether a training or processing request asks for network isolation."""
    return bool(request.get("EnableNetworkIsolation") or request.get("NetworkConfig", {}).get("EnableNetworkIsolation"))
