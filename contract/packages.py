"""What a model package says of its model, in CustomerMetadataProperties: lineage, and how to deploy it.

A package deployed months later, by a rollback, carries everything that its
deployment needs. SageMaker allows 50 properties of 256 characters, from letters,
digits, spaces and ``_ . : / = + - @``: :func:`encode` writes any other
character as ``=XX``, a byte in hex.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from contract import keys, names
from contract.config import Deploy
from contract.parsing import from_strings, to_dict
from contract.reports import EvaluationReport
from contract.request import RunRequest

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
"""What ModelApprovalStatus can be."""
DEVELOPMENT, STAGING, PRODUCTION, ARCHIVED = (
    {"Stage": stage, "StageStatus": status}
    for stage, status in (
        ("Development", "InProgress"), ("Staging", "InProgress"), ("Production", "Approved"), ("Archived", "Retired"),
    )
)  # fmt: skip
"""What ModelLifeCycle can be: registered; beside the champion, in an A/B test; champion; replaced.

The words are SageMaker's ("Set up Staging Construct Examples"), whose examples have ``Staging``, too.
"""
NOTE_LIMIT = 1024
"""Characters of ApprovalDescription: why somebody approved or rejected."""
LIMIT = 256
DEPLOY = "deploy."
METRIC = "metric."
MAX_METRICS = 10


def encode(value: str) -> str:
    """Return ``value`` in the characters that SageMaker allows, cut to 256.

    Example: ``a 50%.csv`` becomes ``a 50=25.csv``.
    """
    safe = re.sub(r"[^A-Za-z0-9 _.:/+@-]", lambda m: "".join(f"={byte:02X}" for byte in m[0].encode()), value)
    return re.sub(r"=[0-9A-F]?$", "", safe[:LIMIT]) or "-"


def recorded(value: float) -> float:
    """Return a metric as a package records it: with six digits."""
    return float(f"{value:.6g}")


def group(tenant: str, project: str) -> dict[str, Any]:
    """Return the request that makes a project's model package group."""
    return {
        "ModelPackageGroupName": names.model_group(tenant, project),
        "ModelPackageGroupDescription": f"Models of {tenant}/{project}",
        "Tags": [tag for tag in names.tags(tenant, project, run="") if tag["Key"] != names.TAG_RUN],
    }


def metadata(
    request: RunRequest, evaluation: EvaluationReport, origin: Mapping[str, str], bucket: str
) -> dict[str, str]:
    """Return the properties of a run's package.

    Args:
        request: what the run was asked.
        evaluation: what it measured.
        origin: ``training_job``, ``training_image``, ``code_uri``, and more of the kind.
        bucket: the artifacts bucket.
    """
    folder = f"s3://{bucket}/{request.prefix}"
    properties = {
        "run": request.run,
        "tenant": request.tenant,
        "project": request.project,
        "recipe": request.recipe.name,
        "upload": request.upload.uri,
        "upload_version": request.upload.version_id,
        "seed": str(request.train.seed),
        "form": evaluation.chosen,
        "model_sha256": evaluation.model_sha256,
        "request": folder + keys.REQUEST,
        "golden": folder + keys.GOLDEN,
        **origin,
    }
    properties |= {METRIC + name: f"{value:.6g}" for name, value in list(evaluation.metrics.items())[:MAX_METRICS]}
    properties |= deploy_properties(request.deploy)
    return {name: encode(value) for name, value in properties.items()}


def deploy_properties(deploy: Deploy) -> dict[str, str]:
    """Return the target, and the ``[deploy]`` settings that are not the default."""
    default = to_dict(Deploy())
    given = to_dict(deploy).items()
    return {DEPLOY + name: str(value) for name, value in given if value != default[name] or name == "target"}


def deploy_settings(properties: Mapping[str, str]) -> Deploy:
    """Return the ``[deploy]`` settings that a package was registered with.

    Raises:
        InvalidConfig: when they are not of this version of Tandem.
    """
    given = {name.removeprefix(DEPLOY): value for name, value in properties.items() if name.startswith(DEPLOY)}
    return from_strings(Deploy, given, "deploy")


def version(arn: str) -> int:
    """Return the number of a package in its group: the last part of its ARN."""
    return int(arn.rpartition("/")[2])
