"""The model registry: package groups, their versions, approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.events import publish
from local.sagemaker.errors import Conflict, NotEmulated, Refused
from local.sagemaker.listing import page
from local.sagemaker.records import Record, arn_of

if TYPE_CHECKING:
    from local.cloud import Cloud

NOT_EMULATED = ("ValidationSpecification", "SourceAlgorithmSpecification")
UPDATED = (
    "ModelApprovalStatus", "ApprovalDescription", "ModelCard", "ModelLifeCycle", "InferenceSpecification", "SourceUri",
)  # fmt: skip

TOLD = (
    "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "ModelPackageDescription", "ModelPackageStatus",
    "CertifyForMarketplace", "ModelApprovalStatus", "ModelLifeCycle",
)  # fmt: skip
"""What its event tells of a package, as far as there is something."""


class Groups:
    """CreateModelPackageGroup, DescribeModelPackageGroup, ListModelPackageGroups, DeleteModelPackageGroup."""

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Make a group."""
        name = request["ModelPackageGroupName"]
        arn = arn_of(backend, "model-package-group", name)
        if name in backend.model_package_groups:
            raise Refused(f"Model Package Group already exists: {arn}")
        record = Record(name=name, arn=arn, request=request, fields={"LastVersion": 0})
        record.update(ModelPackageGroupArn=arn, ModelPackageGroupStatus="Completed")
        backend.model_package_groups[name] = record
        return {"ModelPackageGroupArn": arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return the group."""
        description = find_group(backend, request["ModelPackageGroupName"]).describe()
        return {name: value for name, value in description.items() if name not in ("LastVersion", "LastModifiedTime")}

    def list_groups(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of summaries."""
        fields = (
            "ModelPackageGroupName", "ModelPackageGroupArn", "ModelPackageGroupDescription", "CreationTime",
            "ModelPackageGroupStatus",
        )  # fmt: skip
        return page(
            backend.model_package_groups.values(),
            request,
            key="ModelPackageGroupSummaryList",
            status="",
            summary=lambda record: _chosen(record, fields),
            order="Ascending",
        )

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Delete an empty group."""
        group = find_group(backend, request["ModelPackageGroupName"])
        if any(_is_in(package, group.name) for package in list(backend.model_packages.values())):
            raise Conflict(f"Model Package Group {group.arn} cannot be deleted because it still has model packages")
        del backend.model_package_groups[group.name]


class Packages:
    """CreateModelPackage, DescribeModelPackage, ListModelPackages, UpdateModelPackage, DeleteModelPackage."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def create(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Make the next version of a group; the same ClientToken gives the same package."""
        for member in NOT_EMULATED:
            if member in request:
                raise NotEmulated(f"CreateModelPackage's {member}")
        if "ModelPackageName" in request:
            raise NotEmulated("an unversioned model package (ModelPackageName)")
        if "ModelPackageGroupName" not in request:
            raise Refused("ModelPackageGroupName is required for a versioned model package")
        for package in list(backend.model_packages.values()):
            if request.get("ClientToken") and package.request.get("ClientToken") == request["ClientToken"]:
                return {"ModelPackageArn": package.arn}
        group = find_group(backend, request["ModelPackageGroupName"])
        with group.lock:
            version = group.get("LastVersion") + 1
            group.update(LastVersion=version)
        arn = arn_of(backend, "model-package", f"{group.name}/{version}")
        record = Record(name=f"{group.name}/{version}", arn=arn, request=request)
        record.update(
            LastModifiedTime=None,
            ModelPackageGroupName=group.name,
            ModelPackageVersion=version,
            ModelPackageArn=arn,
            ModelPackageStatus="Completed",
            ModelPackageStatusDetails={"ValidationStatuses": [], "ImageScanStatuses": []},
            CertifyForMarketplace=request.get("CertifyForMarketplace", False),
            ModelApprovalStatus=request.get("ModelApprovalStatus", "PendingManualApproval"),
        )
        backend.model_packages[arn] = record
        self._tell(record)
        return {"ModelPackageArn": arn}

    def describe(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return a package, by ARN."""
        package = find_package(backend, request["ModelPackageName"])
        required: dict[str, Any] = {
            "ModelPackageStatusDetails": {"ValidationStatuses": []}
        }  # AWS leaves this one in, empty
        return {**package.describe(), **required}

    def list_packages(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Return one page of a group's versions, or of all packages of the type asked for."""
        fields = (
            "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "ModelPackageDescription",
            "CreationTime", "ModelPackageStatus", "ModelApprovalStatus", "ModelLifeCycle",
        )  # fmt: skip
        group = request.get("ModelPackageGroupName", "").rpartition("/")[2]
        if group:
            find_group(backend, group)
        elif request.get("ModelPackageType", "Unversioned") == "Unversioned":
            return {"ModelPackageSummaryList": []}
        approval = request.get("ModelApprovalStatus")
        chosen = [
            package
            for package in list(backend.model_packages.values())
            if (not group or _is_in(package, group)) and approval in (None, package.get("ModelApprovalStatus"))
        ]
        return page(
            chosen,
            request,
            key="ModelPackageSummaryList",
            status="",
            summary=lambda record: _chosen(record, fields),
            order="Ascending",
        )

    def update(self, backend: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Change what is given and nothing else."""
        if "AdditionalInferenceSpecificationsToAdd" in request:
            raise NotEmulated("UpdateModelPackage's AdditionalInferenceSpecificationsToAdd")
        package = find_package(backend, request["ModelPackageArn"])
        with package.lock:
            before = _state(package)
            properties = dict(package.describe().get("CustomerMetadataProperties", {}))
            properties |= request.get("CustomerMetadataProperties", {})
            for name in request.get("CustomerMetadataPropertiesToRemove", []):
                properties.pop(name, None)
            package.request = {**package.request, "CustomerMetadataProperties": properties}
            package.update(**{name: request[name] for name in UPDATED if name in request})
        if _state(package) != before:
            self._tell(package)
        return {"ModelPackageArn": package.arn}

    def delete(self, backend: Any, request: dict[str, Any]) -> None:
        """Delete a version; its number is not used again."""
        del backend.model_packages[find_package(backend, request["ModelPackageName"]).arn]

    def _tell(self, package: Record) -> None:
        """Put the event "SageMaker Model Package State Change" on the bus."""
        detail = {name: value for name, value in package.describe().items() if name in TOLD}
        publish(
            self.cloud,
            source="aws.sagemaker",
            detail_type="SageMaker Model Package State Change",
            detail=detail,
            resources=[package.arn],
        )


def find_group(backend: Any, name: str) -> Record:
    """Return a group by name or ARN."""
    key = name.rpartition("/")[2]
    if key not in backend.model_package_groups:
        raise Refused(f"ModelPackageGroup {arn_of(backend, 'model-package-group', key)} does not exist.")
    group: Record = backend.model_package_groups[key]
    return group


def find_package(backend: Any, arn: str) -> Record:
    """Return a package by ARN."""
    if arn not in backend.model_packages:
        raise Refused(f"ModelPackage {arn} does not exist.")
    package: Record = backend.model_packages[arn]
    return package


def _state(package: Record) -> tuple[Any, Any]:
    """Return what an event tells the changes of: approval and stage."""
    description = package.describe()
    return description.get("ModelApprovalStatus"), description.get("ModelLifeCycle")


def _is_in(package: Record, group: str) -> bool:
    return bool(package.get("ModelPackageGroupName") == group)


def _chosen(record: Record, fields: tuple[str, ...]) -> dict[str, Any]:
    description = record.describe()
    return {name: description[name] for name in fields if name in description}
