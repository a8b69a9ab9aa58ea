"""How busy the GPUs of a training job's hosts are, as CloudWatch is told each minute: ``GPUUtilization``.

A laptop has no such GPUs. The ranks of a host, or all its processes where none is a rank, stand for them: they are as
busy as those compute together, at most all the time. Source: "SageMaker AI job metrics", 0 to 100 % times the number
of GPUs, with the dimension Host, ``<job>/algo-<n>``. Where there is no procfs (macOS), nothing is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moto.cloudwatch.models import cloudwatch_backends

from contract import gpus, names
from local.sagemaker import processes
from local.sagemaker.machines import Machines
from local.sagemaker.records import now

if TYPE_CHECKING:
    from local.cloud import Cloud

PUBLISH_SECONDS, SHORTEST_PUBLISH = 60.0, 2.0  # of the clock; real seconds, because computing is real work
RANK = b"LOCAL_RANK="
"""In the environment of each process that torchrun starts; what starts them waits, and counts its own rounds."""
TICKS = os.sysconf("SC_CLK_TCK")


class Gpus:
    """Watches the hosts of one job.

    Args:
        cloud: whose clock says how long a minute is, and whose CloudWatch is told.
        job: the job's name.
    """

    def __init__(self, cloud: Cloud, job: str) -> None:
        self._backend, self._job = cloudwatch_backends[cloud.account][cloud.region], job
        self._every = max(cloud.clock.seconds(PUBLISH_SECONDS), SHORTEST_PUBLISH)
        self._counts: dict[str, int] = {}
        self._spent: dict[int, float] = {}
        self._looked = 0.0

    def begin(self, hosts: Mapping[str, str]) -> None:
        """Begin a minute, with these hosts: name = instance type."""
        self._counts = {host: count for host, kind in hosts.items() if (count := gpus.count(kind))}
        self._spent, self._looked = {}, time.monotonic()

    def look(self, machines: Machines | None) -> None:
        """Tell CloudWatch of the minute that has gone by, if it has."""
        passed = time.monotonic() - self._looked
        if machines is None or not self._counts or passed < self._every or not Path("/proc").exists():
            return
        self._looked = time.monotonic()
        moment, hosts = now(), machines.pids
        data = [
            {
                "MetricName": "GPUUtilization",
                "Dimensions": [{"Name": "Host", "Value": f"{self._job}/{host}"}],
                "Value": 100 * count * min(1.0, self._computed(hosts[host]) / passed),
                "Unit": "Percent",
                "Timestamp": moment,
            }
            for host, count in self._counts.items()
            if host in hosts
        ]
        # Past the wire, as a job goes on whose role may tell CloudWatch nothing.
        self._backend.put_metric_data(names.TRAINING_METRICS, data)

    def _computed(self, keeper: int) -> float:
        """Return the seconds that a host's ranks have computed since the last look."""
        spent = {pid: _seconds(pid) for pid in processes.matching(keeper, "")}
        before = {pid: self._spent.get(pid, 0.0) for pid in spent}
        self._spent |= spent
        ranks = [pid for pid in spent if _is_rank(pid)]
        return sum(spent[pid] - before[pid] for pid in ranks or spent)


def _seconds(pid: int) -> float:
    """Return the processor time of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def _is_rank(pid: int) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(each.startswith(RANK) for each in variables)
