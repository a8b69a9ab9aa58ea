"""Stages of a project's versions in the registry (ModelLifeCycle), as the champion's row has them.

The row is the truth: after every deployment, however it ended, the registry is brought in line with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from contract import names, packages
from functions.shared import client

SERVED = (packages.PRODUCTION["Stage"], packages.STAGING["Stage"])


def keep(tenant: str, project: str, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Change the stages that are not as the champion's row has them; yield version and new stage of each."""
    for summary in list(_versions(tenant, project)):
        found, arn = summary.get("ModelLifeCycle"), summary["ModelPackageArn"]
        wanted = stage(arn, found, row)
        if wanted != found:
            client("sagemaker").update_model_package(ModelPackageArn=arn, ModelLifeCycle=wanted)
            yield str(packages.version(arn)), str((wanted or {}).get("Stage"))


def stage(arn: str, found: Mapping[str, str] | None, row: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Return a version's ModelLifeCycle; one that never served keeps what it has.

    Args:
        arn: the version.
        found: its ModelLifeCycle; None where nobody gave it one.
        row: the champion's, empty where there is none.
    """
    if arn == row.get("package_arn"):
        return packages.PRODUCTION
    if arn == (row.get("challenger") or {}).get("package_arn"):
        return packages.STAGING
    return packages.ARCHIVED if found and found["Stage"] in SERVED else found


def _versions(tenant: str, project: str) -> Iterator[Mapping[str, Any]]:
    pages = client("sagemaker").get_paginator("list_model_packages")
    try:
        for page in pages.paginate(ModelPackageGroupName=names.model_group(tenant, project)):
            yield from page["ModelPackageSummaryList"]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
