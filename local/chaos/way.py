"""A way through a machine, and the bench on which it is gone again and again.

The cells of a way run many times, so their programs run once: what a job made
is kept and put in the place of like jobs' work. Everything else, jobs' API
included, is done each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from contract import keys, names
from local.chaos import scenes
from local.chaos.faults import ALWAYS, Fault, RecalledJob
from local.chaos.lab import LAB
from local.chaos.scenes import PATIENCE, Begin, Scene
from local.chaos.site import Site, Stuck

STEPS = ("spot", "train", "tune", "prepare", "evaluate")
USES = 6
"""How many cells a scene serves: what ended there is looked through at each."""
Own = Callable[[str], tuple[Fault, ...]]
"""Makes the faults of a way for a project."""
_projects = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way through a machine.

    Args:
        name: what it is called.
        machine: whose states it passes.
        good: the end when nothing but ``faults`` goes wrong.
        begin: starts an execution.
        scene: makes what it finds.
        faults: what leads down this way, for a project.
        redriven: whether what failed can go on where it failed.
        data: the upload's name in the inbox; "" where nothing is uploaded.
        target: of the deployment.
        hosts: that train.
        recovers: whether it puts right what another execution left. Should it fail, nothing follows it: people are
            told, and their runbook says to start it again.
    """

    name: str
    machine: str
    good: str
    begin: Begin
    scene: Scene = scenes.nothing
    faults: Own = lambda project: ()
    redriven: bool = False
    data: str = ""
    target: str = "serverless"
    hosts: int = 1
    recovers: bool = False

    @property
    def lasts(self) -> bool:
        """Whether an execution that ended otherwise than well has changed nothing of the scene.

        A sleep that was stopped comes all the same (``infra/rules.py``), and a run has taken its upload.
        """
        return self.scene is not scenes.nothing and not self.data and self.machine != "sleep"

    @property
    def deploys(self) -> bool:
        """Whether it is a deployment."""
        return self.machine == "deployment"

    def upload(self, site: Site, project: str) -> str:
        """Return the upload's key in the data bucket, or ""."""
        return keys.inbox(site.tenant, project) + self.data if self.data else ""

    def endpoint(self, site: Site, project: str) -> str:
        """Return the name of the project's endpoint."""
        return names.endpoint(site.tenant, project, self.target)

    def recalls(self, folder: Path, project: str, real: set[str]) -> Iterator[Fault]:
        """Yield what spares the programs of all jobs whose names are like none of ``real``."""
        for step in STEPS:
            job = f"{project}-*-{step}-*"
            if job not in real:
                like = "train" if step == "spot" else step
                yield RecalledJob(job=job, like=f"{self.name}-{like}", folder=str(folder), times=ALWAYS)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where the cells run.

    Args:
        site: the application.
        folder: where the work of like jobs is kept.
        package: ARN of a version that the deployments' versions are copies of; "" before there is one.
        free: projects whose scene is made, by way, each with how many cells it has served.
    """

    site: Site
    folder: Path
    package: str = ""
    free: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, way: Way) -> tuple[str, int]:
        """Return a project where a way's scene is, and how many cells it has served."""
        with self.lock:
            if ready := self.free.get(way.name):
                return ready.pop()
        project = new_project()
        with LAB.inject(*way.recalls(self.folder, project, set())):
            way.scene(self.site, project, self.package)
        return project, 0

    def give_back(self, way: Way, project: str, served: int) -> None:
        """Have the scene serve again."""
        if not way.lasts or served + 1 >= USES:
            self.leave(project)
            return
        with self.lock:
            self.free.setdefault(way.name, []).append((project, served + 1))

    def leave(self, project: str) -> None:
        """Delete the endpoints of a project that no cell looks at any more: each is a server that runs."""
        sagemaker = self.site.client("sagemaker")
        for found in sagemaker.list_endpoints(NameContains=f"--{project}--")["Endpoints"]:
            with contextlib.suppress(ClientError):  # it is just changing: it goes with the cloud
                sagemaker.delete_endpoint(EndpointName=found["EndpointName"])


def new_project() -> str:
    """Return the name of a project that no other cell has: short enough to stand whole in the names of its runs."""
    return f"f{next(_projects):05}"


def prepare(site: Site, folder: Path, way: Way) -> Bench:
    """Go a way that deploys a version once, for its jobs' work and a version to copy.

    Raises:
        Stuck: when it does not end well.
    """
    bench = Bench(site=site, folder=folder)
    project, _ = bench.take(way)
    with LAB.inject(*way.recalls(folder, project, set())):
        end = site.ended(way.begin(site, project, ""), PATIENCE)
    if end.name != way.good:
        raise Stuck(f"without a fault, the run ended {end}: {json.dumps(site.runs(project), default=str)}")
    (row,) = site.runs(project)
    return dataclasses.replace(bench, package=row["package_arn"])
