"""The serving image: in the registry, or built in the account, before a model version refers to it."""

from __future__ import annotations

from infra.asl import State, caught, task, transient
from infra.steps.parts import Parts

BUILD_SECONDS = 2700


def find(parts: Parts, *, then: str, missing: str) -> State:
    """Look for the image's tag, the hash of its source."""
    return task(
        "aws-sdk:ecr:describeImages",
        {"RepositoryName": parts.image_repository, "ImageIds": [{"ImageTag": parts.image_tag}]},
        then=then,
        seconds=60,
        retry=[transient("Ecr.EcrException", "Ecr.ServerException", "Ecr.SdkClientException")],
        output={"tag": parts.image_tag},
        catch=[caught("Ecr.ImageNotFoundException", then=missing)],
    )


def build(parts: Parts, *, then: str) -> State:
    """Build the image in the account, so that whoever deploys needs no Docker."""
    return task(
        "codebuild:startBuild.sync",
        {"ProjectName": parts.image_build},
        then=then,
        seconds=BUILD_SECONDS,
        retry=[transient("CodeBuild.AWSCodeBuildException", "CodeBuild.SdkClientException", first=10)],
        output={"tag": parts.image_tag},
    )
