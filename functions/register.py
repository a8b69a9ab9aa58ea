"""Register model: one model package a run, with its card and lineage.

The gate has passed, so the package is Approved, unless a person is to say so. Registering
again, after a retry or a second evaluation of the same model, finds the first package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from contract import keys, names, packages
from contract.prices import load_prices
from contract.reports import EvaluationReport
from contract.request import RunRequest
from functions import documents, model_card, runs
from functions.shared import client, environment, error_code, logger

CONTENT_TYPES = ["application/json", "text/csv", "application/x-npy", "image/png"]


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Register the model of ``event["run"]``.

    Args:
        event: ``{"run", "evaluation", "training_job", "training_image", "code_uri", "image_tag"}``, the last of the
            serving image; of a script ``model`` in its place, the address of the archive that it wrote.
        context: unused.

    Returns:
        ``{"package_arn", "version"}``.
    """
    request = RunRequest.from_dict(event["run"])
    evaluation = EvaluationReport.from_dict(event["evaluation"])
    known = ("training_job", "training_image", "code_uri", "model")
    origin: dict[str, str] = {name: str(event[name]) for name in known if name in event}
    tag = event.get("image_tag") or environment(names.SERVING_IMAGE_TAG)  # an execution of before does not say it
    arn = find(request, evaluation) or create(request, evaluation, origin, tag)
    version = packages.version(arn)
    runs.note(request.run, {"package_arn": arn, "version": version})
    logger.info("model registered", extra={"run": request.run, "package": arn})
    return {"package_arn": arn, "version": version}


def find(request: RunRequest, evaluation: EvaluationReport) -> str | None:
    """Return the package that this run already made of this model, if any."""
    group = make_group(request)
    pages = client("sagemaker").get_paginator("list_model_packages")
    for page in pages.paginate(ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"):
        for summary in page["ModelPackageSummaryList"]:
            arn = summary["ModelPackageArn"]
            made = client("sagemaker").describe_model_package(ModelPackageName=arn)
            properties = made.get("CustomerMetadataProperties", {})
            if properties.get("run") == request.run and properties.get("model_sha256") == evaluation.model_sha256:
                return arn
    return None


def make_group(request: RunRequest) -> str:
    """Make the project's model package group if it is missing; return its name."""
    asked = packages.group(request.tenant, request.project)
    try:
        client("sagemaker").create_model_package_group(**asked)
    except ClientError as error:
        if error_code(error) != "ValidationException" or "already exists" not in str(error):
            raise
    return str(asked["ModelPackageGroupName"])


def create(request: RunRequest, evaluation: EvaluationReport, origin: Mapping[str, str], image_tag: str) -> str:
    """Create the package; return its ARN."""
    bucket = environment(names.ARTIFACTS_BUCKET)
    image = f"{environment(names.SERVING_IMAGE_REPOSITORY)}:{image_tag}"
    # Only its owner can serve what a script wrote; the image that wrote it can read it, too.
    model_url = origin.get("model") or f"s3://{bucket}/{request.prefix}{keys.MODEL}"
    image = origin["training_image"] if request.script else image
    card = model_card.content(request, evaluation, origin, model_url)
    container = {"Image": image, "ModelDataUrl": model_url}
    manual = request.gate.approve == "manual"
    asked = {
        "ModelPackageGroupName": names.model_group(request.tenant, request.project),
        "ModelPackageDescription": f"Run {request.run}: {'; '.join(evaluation.verdict.reasons)}"[:1024],
        "ModelApprovalStatus": packages.PENDING if manual else packages.APPROVED,
        "ModelLifeCycle": packages.DEVELOPMENT,
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": CONTENT_TYPES,
            "SupportedResponseMIMETypes": ["application/json"],
            "SupportedRealtimeInferenceInstanceTypes": list(load_prices().hosting),
        },
        "CustomerMetadataProperties": packages.metadata(request, evaluation, origin, bucket),
        "ModelCard": {
            "ModelCardStatus": "PendingReview" if manual else "Approved",
            "ModelCardContent": json.dumps(card, ensure_ascii=False),
        },
    }
    documents.write(request.prefix + keys.PACKAGE, asked)
    token = hashlib.sha256(f"{request.prefix}{evaluation.model_sha256}".encode()).hexdigest()[:36]
    return client("sagemaker").create_model_package(**asked, ClientToken=token)["ModelPackageArn"]
