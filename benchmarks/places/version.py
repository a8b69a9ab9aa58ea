"""A version of a model in a registry, and what answers for it."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from cli import ledger
from cli.aws import Account
from contract import keys, names, packages
from contract.config import Deploy
from contract.manifest import ModelManifest
from contract.run import RUNNING

PATIENCE = 300.0  # seconds, for whatever is waited for
Send = Callable[[bytes], bytes]
"""Asks with a request's body; returns that of the answer."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A version that answers.

    Args:
        send: asks it.
        again: brings it up once more, from nothing, beside the one that answers; None where every request does.
    """

    send: Send
    again: Callable[[], AbstractContextManager[Send]] | None


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version in a registry.

    Args:
        account: whose.
        tenant: the team.
        project: the line of models.
        package_arn: the version.
        folder: for what is exported.
    """

    account: Account
    tenant: str
    project: str
    package_arn: str
    folder: Path

    @property
    def number(self) -> int:
        """Its number."""
        return packages.version(self.package_arn)

    def files(self) -> tuple[ModelManifest, bytes]:
        """Return its manifest, and its network as ONNX."""
        package = self.account.client("sagemaker").describe_model_package(ModelPackageName=self.package_arn)
        bucket, key = keys.parse_uri(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
        archive = self.account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            manifest, onnx = (tar.extractfile(name) for name in (keys.MODEL_MANIFEST, keys.MODEL_ONNX))
            assert manifest is not None
            assert onnx is not None
            return ModelManifest.from_dict(json.load(manifest)), onnx.read()

    def release(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Put it into service under other settings of ``[deploy]``; return the champion's row.

        Raises:
            RuntimeError: when the deployment fails.
        """
        arn = register(self.account.client("sagemaker"), self.package_arn, settings)
        request = {"tenant": self.tenant, "project": self.project, "run": "release", "package_arn": arn}
        states, machine = self.account.client("stepfunctions"), self.account.installation.deployment_arn
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(request))["executionArn"]

        def ended() -> Any:
            execution = states.describe_execution(executionArn=started)
            return execution if execution["status"] != RUNNING else None

        execution = eventually(ended)
        if execution["status"] != "SUCCEEDED":
            raise RuntimeError(f"the deployment ended so: {execution}")
        return ledger.champion(self.account, self.tenant, self.project) or {}


def register(sagemaker: Any, package_arn: str, settings: Mapping[str, Any], url: str = "") -> str:
    """Register a copy of a version, approved, with other settings of ``[deploy]``; return its ARN.

    Args:
        sagemaker: the client.
        package_arn: the version.
        settings: those that are not the default.
        url: S3 URI of another archive.
    """
    found = sagemaker.describe_model_package(ModelPackageName=package_arn)
    properties = {k: v for k, v in found["CustomerMetadataProperties"].items() if not k.startswith(packages.DEPLOY)}
    deploy = packages.deploy_properties(Deploy(**settings))
    properties |= {name: packages.encode(value) for name, value in deploy.items()}
    container = {name: found["InferenceSpecification"]["Containers"][0][name] for name in ("Image", "ModelDataUrl")}
    answer = sagemaker.create_model_package(
        ModelPackageGroupName=names.model_group(properties["tenant"], properties["project"]),
        ModelApprovalStatus=packages.APPROVED,
        CustomerMetadataProperties=properties,
        InferenceSpecification={
            "Containers": [container | ({"ModelDataUrl": url} if url else {})],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    return str(answer["ModelPackageArn"])


def eventually(look: Callable[[], Any], seconds: float = 0.05) -> Any:
    """Return the first true value that ``look`` returns; it looks again after ``seconds``."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it never came: {look}")
        time.sleep(seconds)
    return found
