"""Judge script: is the model of a user's own script better than the last version that was registered?

What the script measured is all there is to compare: the final value of its metric, which SageMaker read from the
training job's log, with the value that the last version of the project was registered with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from contract import keys, names, packages
from contract.config import Gate
from contract.errors import TandemError
from contract.gate import Verdict, decide
from contract.reports import Champion, EvaluationReport
from contract.request import RunRequest
from contract.script import Script, read
from functions import documents
from functions.shared import client, error_code, logger

CHUNK = 8 * 1024 * 1024


class MetricMissing(TandemError):
    """A training job whose log never told the metric; it may take a little until SageMaker shows the last value."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Judge the model of ``event["training_job"]`` and write evaluation_report.json.

    Args:
        event: ``{"run", "training_job", "model"}``; ``model`` is the address of its model.tar.gz.
        context: unused.

    Returns:
        The report.

    Raises:
        MetricMissing: when no line of the log matched.
    """
    request = RunRequest.from_dict(event["run"])
    script = read(request.recipe.options)
    value = final_value(event["training_job"], script)
    rival = last_version(request, script.metric)
    report = EvaluationReport(
        run=request.run,
        metric=script.metric,
        higher_is_better=script.higher_is_better,
        rows=0,
        metrics={script.metric: value},
        baseline={},
        forms=(),
        chosen="",
        champion=rival,
        labels=(),
        model_sha256=sha256(*keys.parse_uri(event["model"])),
        verdict=verdict(request.gate, script, value, rival),
    )
    documents.write(request.prefix + keys.EVALUATION_REPORT, report.to_dict())
    logger.info("script judged", extra={"run": request.run, "promote": report.verdict.promote})
    return report.to_dict()


def final_value(job: str, script: Script) -> float:
    """Return the metric's final value.

    Raises:
        MetricMissing: when the job has none.
    """
    described = client("sagemaker").describe_training_job(TrainingJobName=job)
    found = {each["MetricName"]: float(each["Value"]) for each in described.get("FinalMetricDataList", [])}
    if script.metric not in found:
        raise MetricMissing(
            f"no line of the log of training job {job} matched recipe.regex {script.regex!r}, so the metric "
            f"{script.metric!r} has no value. Print it in one piece (f'...', not several arguments), or correct regex."
        )
    return found[script.metric]


def last_version(request: RunRequest, metric: str) -> Champion | None:
    """Return the last version of the project that was registered with this metric."""
    group = names.model_group(request.tenant, request.project)
    pages = client("sagemaker").get_paginator("list_model_packages")
    query = {"SortBy": "CreationTime", "SortOrder": "Descending", "ModelApprovalStatus": packages.APPROVED}
    try:
        for page in pages.paginate(ModelPackageGroupName=group, **query):
            for summary in page["ModelPackageSummaryList"]:
                arn = summary["ModelPackageArn"]
                properties = (
                    client("sagemaker")
                    .describe_model_package(ModelPackageName=arn)
                    .get("CustomerMetadataProperties", {})
                )
                if packages.METRIC + metric in properties and properties.get("run") != request.run:
                    recorded = {metric: float(properties[packages.METRIC + metric])}
                    return Champion(package_arn=arn, version=packages.version(arn), metrics=recorded)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):  # no group: the first run
            raise
    return None


def verdict(gate: Gate, script: Script, value: float, rival: Champion | None) -> Verdict:
    """Compare with the last version and with ``gate.required``; the first version has nobody to beat."""
    numbers: Mapping[str, Any] = {
        "metric": script.metric, "higher_is_better": script.higher_is_better, "challenger": packages.recorded(value),
    }  # fmt: skip
    if rival is not None:
        return decide(gate, **numbers, baseline=0.0, champion=rival.metrics[script.metric])
    sign = 1 if script.higher_is_better else -1
    first = f"{script.metric} {value:.4f}: no earlier version recorded {script.metric!r}, so there is none to beat"
    if gate.required is None:
        return Verdict(promote=True, reasons=(first,))
    enough = sign * (value - gate.required) >= 0
    required = f"{script.metric} {value:.4f} {'meets' if enough else 'misses'} the required {gate.required:.4f}"
    return Verdict(promote=enough, reasons=(first, required))


def sha256(bucket: str, key: str) -> str:
    """Return the sha256 of an object, in hex."""
    digest = hashlib.sha256()
    for chunk in client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
