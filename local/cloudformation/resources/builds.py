"""AWS::ECR::Repository and AWS::CodeBuild::Project."""

from __future__ import annotations

import json

from local.cloudformation.resources.base import Context, Made, Properties, Provider, lower_first, pick
from local.cloudformation.resources.calls import call


class Repository(Provider):
    """AWS::ECR::Repository."""

    known = frozenset(
        {"RepositoryName", "ImageScanningConfiguration", "ImageTagMutability", "EncryptionConfiguration",
         "LifecyclePolicy", "RepositoryPolicyText", "EmptyOnDelete", "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the repository with its policies."""
        self.check(properties)
        ecr, name = context.client("ecr"), properties.get("RepositoryName") or context.name(256).lower()
        settings = pick(properties, "ImageScanningConfiguration", "ImageTagMutability", "EncryptionConfiguration")
        encryption = settings.pop("EncryptionConfiguration", None)
        parameters = lower_first(settings)
        if encryption:
            parameters["encryptionConfiguration"] = lower_first(encryption, KmsKey="kmsKey")
        made = call(ecr, "create_repository", repositoryName=name, tags=context.tag_list(properties), **parameters)
        _put_policies(context, name, properties)
        return _repository(made["repository"])

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Update scanning, mutability and policies; a new name or encryption is a new repository."""
        if any(old.get(name) != new.get(name) for name in ("RepositoryName", "EncryptionConfiguration")):
            return self.create(context, new)
        self.check(new)
        ecr = context.client("ecr")
        if "ImageTagMutability" in new:
            ecr.put_image_tag_mutability(repositoryName=physical_id, imageTagMutability=new["ImageTagMutability"])
        if "ImageScanningConfiguration" in new:
            scanning = lower_first(new["ImageScanningConfiguration"])
            call(
                ecr, "put_image_scanning_configuration", repositoryName=physical_id, imageScanningConfiguration=scanning
            )
        _put_policies(context, physical_id, new)
        return _repository(ecr.describe_repositories(repositoryNames=[physical_id])["repositories"][0])

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the repository; images in it keep it, unless EmptyOnDelete."""
        force = str(properties.get("EmptyOnDelete", False)).lower() == "true"
        context.client("ecr").delete_repository(repositoryName=physical_id, force=force)


def _put_policies(context: Context, name: str, properties: Properties) -> None:
    ecr = context.client("ecr")
    if "LifecyclePolicy" in properties:
        text = properties["LifecyclePolicy"]["LifecyclePolicyText"]
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=text)
    if "RepositoryPolicyText" in properties:
        policy = properties["RepositoryPolicyText"]
        text = policy if isinstance(policy, str) else json.dumps(policy)
        ecr.set_repository_policy(repositoryName=name, policyText=text)


def _repository(made: Properties) -> Made:
    attributes = {"Arn": made["repositoryArn"], "RepositoryUri": made["repositoryUri"]}
    return Made(physical_id=made["repositoryName"], attributes=attributes)


class Project(Provider):
    """AWS::CodeBuild::Project."""

    known = frozenset(
        {"Name", "Description", "Source", "SourceVersion", "Artifacts", "Environment", "ServiceRole",
         "TimeoutInMinutes", "QueuedTimeoutInMinutes", "EncryptionKey", "Cache", "LogsConfig", "ConcurrentBuildLimit",
         "Visibility", "Tags"}
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Create the project."""
        self.check(properties)
        return self._create(context, properties.get("Name") or context.name(), properties)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Delete and create under the same name: every setting is replaced, as UpdateProject would."""
        self.check(new)
        self.delete(context, physical_id, old)
        return self._create(context, new.get("Name") or physical_id, new)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the project."""
        context.client("codebuild").delete_project(name=physical_id)

    def _create(self, context: Context, name: str, properties: Properties) -> Made:
        settings = {key: value for key, value in properties.items() if key not in ("Name", "Tags", "Visibility")}
        parameters = lower_first(settings, BuildSpec="buildspec", KmsKeyId="kmsKeyId")
        tags = [{"key": tag["Key"], "value": tag["Value"]} for tag in context.tag_list(properties)]
        made = call(context.client("codebuild"), "create_project", name=name, tags=tags, **parameters)
        return Made(physical_id=name, attributes={"Arn": made["project"]["arn"]})


PROVIDERS: dict[str, Provider] = {"AWS::ECR::Repository": Repository(), "AWS::CodeBuild::Project": Project()}
