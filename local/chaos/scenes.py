"""What people and events do: the beginnings of the executions that meet faults, and what must be there before."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import random
import tarfile
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from contract import keys, ledger, names, packages
from contract.config import Deploy
from local.chaos.faults import ALWAYS, LostEvent, StoppedExecution
from local.chaos.lab import LAB
from local.chaos.site import Site, Stuck

PATIENCE = 300.0
"""Laptop seconds without any sign of life, after which something is stuck."""
IDLE_SECONDS = 60.0
"""Laptop seconds without a run, after which nobody looks for versions to approve any more."""
EXECUTION_ENDS, BATCH = "Step Functions Execution Status Change", "*tandem-batch*"
_numbers = itertools.count(1)

TOML = """
recipe = "{recipe}"
[prepare]
target = "risk"
{prepare}
[train]
epochs = 30
spot = {spot}
hosts = {hosts}
instance = "ml.m5.xlarge"
max_minutes = 10
rank_timeout_seconds = 10
{more}
"""
FIXED = "batch_size = 32\nlearning_rate = 0.02\n"
"""What a search is free to choose."""
SCRIPT_TOML = """
[recipe]
name = "script"
metric = "val:acc"
regex = "val_acc=([0-9.]+);"
"""
SCRIPT = """
import os, time
print("val_acc=0.5;", flush=True)
open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w").write("a model")
"""
Scene = Callable[["Site", str, str], None]
"""Makes for a project, with copies of a version where it wants any, what an execution finds."""
Begin = Callable[["Site", str, str], str]
"""Starts an execution likewise; returns its ARN."""


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


# --- runs ---


def toml(*, spot: bool = False, hosts: int = 1, recipe: str = "tabular", prepare: str = "", more: str = FIXED) -> Scene:
    """Configure the project; ``more`` goes on with [train]."""
    text = TOML.format(spot=str(spot).lower(), hosts=hosts, recipe=recipe, prepare=prepare, more=more)
    return lambda site, project, package: site.configure(project, text)


def script(site: Site, project: str, package: str) -> None:
    """Configure a project whose model a program of its owner trains."""
    site.configure(project, SCRIPT_TOML)
    key = f"{site.tenant}/{project}/source/source.tar.gz"
    site.client("s3").put_object(Bucket=site.data, Key=key, Body=archive({"train.py": SCRIPT}))


def after_a_run(scene: Scene) -> Scene:
    """Make a scene, and have an upload go through it once."""

    def make(site: Site, project: str, package: str) -> None:
        scene(site, project, package)
        site.ended(upload(site, project, package), PATIENCE)

    return make


def upload(site: Site, project: str, package: str) -> str:
    """Upload rows."""
    return execution_arn(site, "pipeline", site.upload(project, "rows.csv", rows()))


def upload_approved(site: Site, project: str, package: str) -> str:
    """Upload rows, and approve the versions that come of them, as a person would."""
    execution = upload(site, project, package)
    threading.Thread(target=_approve, args=(site, project), daemon=True, name=f"approve-{project}").start()
    return execution


def _approve(site: Site, project: str) -> None:
    """Approve the project's versions as they come, until it has had no run for a minute: failed ones are redriven.

    An upload that changes has a run of its own.
    """
    sagemaker, group = site.client("sagemaker"), names.model_group(site.tenant, project)
    seen = time.monotonic()
    with contextlib.suppress(EndpointConnectionError):  # the laptop cloud is no more
        while time.monotonic() - seen < IDLE_SECONDS:
            seen = time.monotonic() if site.running(project) else seen
            with contextlib.suppress(ClientError):  # there is no such group yet
                asked = {"ModelPackageGroupName": group, "ModelApprovalStatus": packages.PENDING}
                for found in sagemaker.list_model_packages(**asked)["ModelPackageSummaryList"]:
                    arn = found["ModelPackageArn"]
                    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=packages.APPROVED)
            time.sleep(0.5)


# --- deployments ---


def version(site: Site, project: str, package: str, deploy: Deploy) -> str:
    """Register a copy of ``package`` in a project; return its ARN."""
    sagemaker, group = site.client("sagemaker"), names.model_group(site.tenant, project)
    try:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    except sagemaker.exceptions.ClientError as error:
        if "already exists" not in str(error):
            raise
    found = sagemaker.describe_model_package(ModelPackageName=package)
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


def deploys(deploy: Deploy, **more: Any) -> Begin:
    """Deploy a copy of the version with these settings; ``more`` is of the request."""

    def begin(site: Site, project: str, package: str) -> str:
        return _deploy(site, project, package, deploy, f"{project}-d{next(_numbers)}", more)

    return begin


def champion(deploy: Deploy) -> Scene:
    """Have a copy of the version in service."""

    def make(site: Site, project: str, package: str) -> None:
        arn = _deploy(site, project, package, deploy, f"{project}-setup-{next(_numbers)}", {})
        must_end(site, arn, "Deployed")

    return make


def _deploy(site: Site, project: str, package: str, deploy: Deploy, name: str, more: dict[str, Any]) -> str:
    arn = version(site, project, package, deploy)
    request = {"tenant": site.tenant, "project": project, "run": "chaos", "package_arn": arn, **more}
    return site.start("deployment", name, request)


def must_end(site: Site, execution: str, good: str) -> None:
    """Wait for an execution's end.

    Raises:
        Stuck: when it ends otherwise.
    """
    if (end := str(site.ended(execution, PATIENCE))) != good:
        raise Stuck(f"what had to be there before is not: {execution} ended {end}")


# --- files to answer ---


def answers(site: Site, project: str, package: str) -> str:
    """Have the champion answer a file; the event of its arrival is ours."""
    return site.start("batch", f"{project}-b{next(_numbers)}", _arrived(site, project))


def answers_again(site: Site, project: str, package: str) -> str:
    """Have it answer a file twice, as an event that comes twice does."""
    event = _arrived(site, project)
    must_end(site, site.start("batch", f"{project}-setup-{next(_numbers)}", event), "Answered")
    return site.start("batch", f"{project}-b{next(_numbers)}", event)


def takes_over(site: Site, project: str, package: str) -> str:
    """Stop an answer half-way; what the event of its end starts is started by ourselves, under a name of the lab."""
    name, event = f"{project}-setup-{next(_numbers)}", _arrived(site, project)
    lost = LostEvent(type=EXECUTION_ENDS, detail=f"*{name}*", target=BATCH, times=ALWAYS)
    with LAB.inject(lost, StoppedExecution(state="Transform", execution=name)) as (waiting, _):
        arn = site.start("batch", name, event)
        end = site.ended(arn, PATIENCE)
        site.eventually(lambda: waiting.strikes, PATIENCE, f"the event of the end of {name}")
    detail = {"executionArn": arn, "status": end.status, "input": json.dumps(event)}
    return site.start("batch", f"{project}-b{next(_numbers)}", {"source": "aws.states", "detail": detail})


def _arrived(site: Site, project: str) -> dict[str, Any]:
    """Put a file where files are answered; return its event, which nobody else gets."""
    key, s3 = keys.batch_file(site.tenant, project, "rows.csv"), site.client("s3")
    body = b"\n".join(line.rpartition(b",")[0] for line in rows(5).splitlines())
    lost = LostEvent(type="Object Created", detail=f"*/{project}/batch/*", target=BATCH, times=ALWAYS)
    with LAB.inject(lost) as (waiting,):
        put = s3.put_object(Bucket=site.data, Key=key, Body=body)["VersionId"]
        site.eventually(lambda: waiting.strikes, PATIENCE, f"the event of {key}")
    entry = {"bucket": {"name": site.data}, "object": {"key": key, "version-id": put, "size": len(body)}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": entry}


# --- sleep ---


def sleeps(asleep: bool) -> Begin:
    """Put the champion to sleep, or wake it."""

    def begin(site: Site, project: str, package: str) -> str:
        return _sleep(site, project, asleep, f"{project}-n{next(_numbers)}")

    return begin


def asleep(deploy: Deploy) -> Scene:
    """Have a champion that sleeps."""

    def make(site: Site, project: str, package: str) -> None:
        champion(deploy)(site, project, package)
        must_end(site, _sleep(site, project, True, f"{project}-setup-{next(_numbers)}"), "As wanted")
        endpoint = site.row(ledger.champion_key(site.tenant, project))["endpoint"]
        site.eventually(lambda: not site.endpoint(endpoint), PATIENCE, f"the end of {endpoint}")

    return make


def _sleep(site: Site, project: str, asleep: bool, name: str) -> str:
    return site.start("sleep", name, {"tenant": site.tenant, "project": project, "asleep": asleep, "by": "person"})


def nothing(site: Site, project: str, package: str) -> None:
    """Find nothing."""


def archive(files: dict[str, str]) -> bytes:
    """Return a tar.gz file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()
