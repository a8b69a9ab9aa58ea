"""Gap: the model registry forgets and answers DeleteModelPackageGroup with an internal error.

AWS keeps what UpdateModelPackage does not name, never gives a version number
twice, starts a version as PendingManualApproval, keeps its model card, and
deletes packages and empty groups. moto clears the metadata and the approval
when an update leaves them out, counts versions (so a number comes again after
a deletion), drops ModelCard, and has no deletion. Closed by
``local/sagemaker/registry.py``.

Not emulated: unversioned packages, validation jobs, marketplace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api
from local.sagemaker.registry import Groups, Packages

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations on model packages and their groups."""
    groups, packages = Groups(), Packages(cloud)
    api.answer(
        CreateModelPackageGroup=groups.create,
        DescribeModelPackageGroup=groups.describe,
        ListModelPackageGroups=groups.list_groups,
        DeleteModelPackageGroup=groups.delete,
        CreateModelPackage=packages.create,
        DescribeModelPackage=packages.describe,
        ListModelPackages=packages.list_packages,
        UpdateModelPackage=packages.update,
        DeleteModelPackage=packages.delete,
    )
