"""Ways through the machines that lead past their states: what a person does, and how it ends when nothing goes wrong.

The cells of a way run again and again, so their programs run once: what a job
made is kept and put in the place of like jobs' work. Everything else, jobs'
API included, is done each time.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import keys, names, packages
from contract.config import Deploy
from local.chaos.faults import ALWAYS, Fault, LostEvent, RecalledJob
from local.chaos.lab import LAB
from local.chaos.site import End, Site, Stuck

PATIENCE = 300.0  # laptop seconds for an execution; those that train wait for real programs
STEPS = ("spot", "train", "prepare", "evaluate")
DEPLOYED = "DEPLOYED"
_projects = itertools.count(1)

TOML = """
recipe = "tabular"
[prepare]
target = "risk"
{prepare}
[train]
epochs = 6
batch_size = 32
learning_rate = 0.02
spot = {spot}
hosts = 1
instance = "ml.m5.xlarge"
max_minutes = 10
rank_timeout_seconds = 10
{more}
"""


def rows(count: int = 200) -> bytes:
    """Return a table that is learned in a second: three columns, and ``risk``, which they decide."""
    source, text = random.Random(0), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["income", "age", "region", "risk"])
    for _ in range(count):
        income, age, region = source.gauss(0, 1), source.uniform(18, 90), source.choice(["north", "south"])
        high = income + (age - 54) / 20 + (0.5 if region == "south" else 0.0) > 0
        writer.writerow([f"{income:.4f}", f"{age:.1f}", region, "high" if high else "low"])
    return text.getvalue().encode()


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Where the cells run.

    Args:
        site: the application.
        folder: where the work of like jobs is kept.
        package: ARN of a version that the deployments' versions are copies of; "" before there is one.
    """

    site: Site
    folder: Path
    package: str = ""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A way through a machine.

    Args:
        name: what it is called.
        machine: whose states it passes.
        good: the end when nothing goes wrong.
        begin: starts an execution for a project, with everything that it needs; returns its ARN.
        redriven: whether what failed can go on where it failed.
        data: the upload's name in the inbox; "" where nothing is uploaded.
        target: of the deployment.
    """

    name: str
    machine: str
    good: str
    begin: Callable[[Lab, str], str]
    redriven: bool = False
    data: str = ""
    target: str = "serverless"

    def upload(self, site: Site, project: str) -> str:
        """Return the upload's key in the data bucket, or ""."""
        return keys.inbox(site.tenant, project) + self.data if self.data else ""

    def endpoint(self, site: Site, project: str) -> str:
        """Return the name of the project's endpoint."""
        return names.endpoint(site.tenant, project, self.target)

    def recalls(self, lab: Lab, project: str, real: set[str]) -> Iterator[Fault]:
        """Yield what spares the programs of all jobs whose names are like none of ``real``."""
        for step in STEPS:
            job = f"{project}-*-{step}-*"
            if job not in real:
                like = "train" if step == "spot" else step
                yield RecalledJob(job=job, like=f"{self.name}-{like}", folder=str(lab.folder), times=ALWAYS)


def new_project() -> str:
    """Return the name of a project that no other cell has: short enough to stand whole in the names of its runs."""
    return f"f{next(_projects):05}"


def _uploads(*, spot: bool, prepare: str = "", more: str = "", approved: bool = False) -> Callable[[Lab, str], str]:
    toml = TOML.format(spot=str(spot).lower(), prepare=prepare, more=more)

    def begin(lab: Lab, project: str) -> str:
        lab.site.configure(project, toml)
        run = lab.site.upload(project, "rows.csv", rows())
        if approved:
            threading.Thread(target=_approve, args=(lab.site, project), daemon=True, name=f"approve-{project}").start()
        return execution_arn(lab.site, "pipeline", run)

    return begin


def execution_arn(site: Site, machine: str, name: str) -> str:
    """Return the ARN of an execution, once it is there."""
    arn = f"{site.machines[machine].replace(':stateMachine:', ':execution:')}:{name}"
    states = site.client("stepfunctions")

    def look() -> str:
        try:
            states.describe_execution(executionArn=arn)
        except states.exceptions.ExecutionDoesNotExist:
            return ""
        return arn

    return site.eventually(look, PATIENCE, f"the start of {name}")


def _approve(site: Site, project: str) -> None:
    """Approve the project's first version, as a person would."""
    sagemaker, group = site.client("sagemaker"), names.model_group(site.tenant, project)

    def look() -> list[dict[str, Any]]:
        try:
            listed = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus=packages.PENDING)
        except sagemaker.exceptions.ClientError:
            return []  # there is no such group yet
        found: list[dict[str, Any]] = listed["ModelPackageSummaryList"]
        return found

    try:
        (package,) = site.eventually(look, PATIENCE, f"a version of {project} to approve")
    except Stuck:
        return  # the run ended before
    sagemaker.update_model_package(ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus=packages.APPROVED)


def _copy(lab: Lab, project: str, deploy: Deploy) -> str:
    """Register a copy of the lab's version in a project; return its ARN."""
    sagemaker, group = lab.site.client("sagemaker"), names.model_group(lab.site.tenant, project)
    try:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    except sagemaker.exceptions.ClientError as error:
        if "already exists" not in str(error):
            raise
    found = sagemaker.describe_model_package(ModelPackageName=lab.package)
    properties = {k: v for k, v in found["CustomerMetadataProperties"].items() if not k.startswith(packages.DEPLOY)}
    properties |= {name: packages.encode(value) for name, value in packages.deploy_properties(deploy).items()}
    container = found["InferenceSpecification"]["Containers"][0]
    answer = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=packages.APPROVED,
        CustomerMetadataProperties={**properties, "project": project},
        InferenceSpecification={
            "Containers": [{name: container[name] for name in ("Image", "ModelDataUrl")}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    return str(answer["ModelPackageArn"])


def _deploys(*versions: Deploy) -> Callable[[Lab, str], str]:
    """Deploy versions one after the other; the last is the one that the cell is about."""

    def begin(lab: Lab, project: str) -> str:
        *earlier, last = versions
        for number, deploy in enumerate(earlier):
            arn = _start(lab, project, deploy, f"{project}-setup-{number}")
            lab.site.ended(arn, PATIENCE)
        return _start(lab, project, last, f"{project}-d")

    return begin


def _start(lab: Lab, project: str, deploy: Deploy, name: str) -> str:
    package = _copy(lab, project, deploy)
    request = {"tenant": lab.site.tenant, "project": project, "run": "chaos", "package_arn": package}
    return lab.site.start("deployment", name, request)


def _answers(lab: Lab, project: str) -> str:
    """Have the champion answer a file; the event of its arrival is ours."""
    _deploys(Deploy(target="serverless"))(lab, project)
    lab.site.ended(execution_arn(lab.site, "deployment", f"{project}-d"), PATIENCE)
    key, s3 = keys.batch_file(lab.site.tenant, project, "rows.csv"), lab.site.client("s3")
    body = b"\n".join(line.rpartition(b",")[0] for line in rows(5).splitlines())
    with LAB.inject(
        LostEvent(type="Object Created", detail=f"*/{project}/batch/*", target="*tandem-batch*", times=ALWAYS)
    ):
        version = s3.put_object(Bucket=lab.site.data, Key=key, Body=body)["VersionId"]
    entry = {"bucket": {"name": lab.site.data}, "object": {"key": key, "version-id": version, "size": len(body)}}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": entry}
    return lab.site.start("batch", f"{project}-b", event)


SERVERLESS = Deploy(target="serverless")
REALTIME = Deploy(target="realtime")
WATCHED = dataclasses.replace(REALTIME, shadow_percent=50, shadow_minutes=1, ab_percent=10, bake_minutes=1)
SPOT = Route(name="spot", machine="pipeline", good=DEPLOYED, begin=_uploads(spot=True), redriven=True, data="rows.csv")
ROUTES = {
    route.name: route
    for route in (
        SPOT,
        Route(
            name="in jobs",
            machine="pipeline",
            good=DEPLOYED,
            begin=_uploads(
                spot=False,
                prepare="lambda_limit_mb = 0",
                more='[gate]\napprove = "manual"\n',
                approved=True,
            ),
            redriven=True,
            data="rows.csv",
        ),
        Route(name="first version", machine="deployment", good="Deployed", begin=_deploys(SERVERLESS)),
        Route(name="next version", machine="deployment", good="Deployed", begin=_deploys(SERVERLESS, SERVERLESS)),
        Route(
            name="shadow and A/B",
            machine="deployment",
            good="Deployed",
            begin=_deploys(REALTIME, WATCHED),
            target="realtime",
        ),
        Route(
            name="function",
            machine="deployment",
            good="Deployed",
            begin=_deploys(Deploy(target="lambda"), Deploy(target="lambda")),
            target="lambda",
        ),
        Route(name="batch", machine="batch", good="Answered", begin=_answers),
    )
}


def prepare(site: Site, folder: Path) -> Lab:
    """Run the way ``spot`` once, for its jobs' work and a version to copy."""
    lab, project = Lab(site=site, folder=folder), new_project()
    with LAB.inject(*SPOT.recalls(lab, project, set())):
        arn = SPOT.begin(lab, project)
        end: End = site.ended(arn, PATIENCE)
    if end.name != DEPLOYED:
        raise Stuck(f"without a fault, the run ended {end}: {json.dumps(site.runs(project), default=str)}")
    (row,) = site.runs(project)
    return dataclasses.replace(lab, package=row["package_arn"])
