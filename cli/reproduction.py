"""A version's training, done again from its lineage, and compared with what it made the first time.

The job that trained the version is the lineage: the same code archive, image, prepared dataset, settings and
machines, by the addresses that the version was registered with. Only the names of what it writes are new.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli import ledger
from cli.aws import Account
from cli.errors import CommandError, NotFound
from contract import bundle, keys
from contract.prices import load_prices

POLL_SECONDS = 2
ENDED = ("Completed", "Failed", "Stopped")
TIMES = ("seconds", "samples_per_second")
"""What an epoch measures that is no result."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one training made."""

    weights_sha256: str
    epochs: tuple[dict[str, float], ...]  # as training measured them, without its times


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two trainings side by side."""

    first: Result
    again: Result

    @property
    def is_identical(self) -> bool:
        """Whether every bit of the weights is the same."""
        return self.first.weights_sha256 == self.again.weights_sha256

    @property
    def metrics(self) -> dict[str, tuple[float, float]]:
        """The last epoch's metrics, first and again."""
        before, after = self.first.epochs[-1], self.again.epochs[-1]
        return {name: (value, after[name]) for name, value in before.items() if name in after and name != "epoch"}

    @property
    def difference(self) -> float:
        """The largest relative difference of a metric."""
        return max((abs(a - b) / max(abs(a), 1e-12) for a, b in self.metrics.values()), default=0.0)


def check_rows(account: Account, package: Mapping[str, Any]) -> None:
    """Refuse a version whose run's rows were forgotten.

    Raises:
        CommandError: with the erasure.
    """
    row = ledger.find_run(account, package["CustomerMetadataProperties"]["run"])
    if row and row.forgotten:
        raise CommandError(
            f"Rows that this version learned from were forgotten (erasure {row.forgotten}), so that run {row.run}"
            " cannot be done again.",
            "Train a new version on what is left: submit it.",
        )
    if row and not any(_is_there(account, row.prefix + part) for part in (keys.DATASET, keys.UPLOAD)):
        raise CommandError(
            f"The dataset of run {row.run} is not there any more: it was older than datasets are kept.",
            "tandem:keep_days of the installation says how long.",
        )


def _is_there(account: Account, prefix: str) -> bool:
    bucket = account.installation.artifacts_bucket
    return bool(account.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))


def original(account: Account, package: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job that trained a version, as DescribeTrainingJob has it.

    Raises:
        NotFound: when the account does not know it any more.
    """
    arn = package["CustomerMetadataProperties"]["training_job"]
    try:
        job: dict[str, Any] = account.client("sagemaker").describe_training_job(TrainingJobName=arn.rpartition("/")[2])
    except ClientError as error:
        if "not found" not in str(error) and "does not exist" not in str(error):
            raise
        raise NotFound(f"The training job {arn} is not there any more.", "It cannot be done again.") from error
    return job


def request(account: Account, job: Mapping[str, Any], tags: list[dict[str, str]]) -> dict[str, Any]:
    """Return the CreateTrainingJob that does ``job`` again, beside what it wrote."""
    client = account.client("sagemaker")
    known = client.meta.service_model.operation_model("CreateTrainingJob").input_shape.members
    again = {name: value for name, value in job.items() if name in known and value not in (None, "", [], {})}
    name = f"{job['TrainingJobName'][:46].rstrip('-')}-again-{secrets.token_hex(4)}"
    again |= {"TrainingJobName": name, "Tags": tags}
    if "CheckpointConfig" in again:  # the old one's last checkpoint is the end: nothing would be left to do
        checkpoints = again["CheckpointConfig"]
        again["CheckpointConfig"] = {**checkpoints, "S3Uri": f"{checkpoints['S3Uri'].rstrip('/')}-{name}/"}
    return again


def worst_usd(job: Mapping[str, Any]) -> float | None:
    """Return what doing it again costs at most, at on-demand prices; None for a machine without a known price."""
    resources, hours = job["ResourceConfig"], job["StoppingCondition"]["MaxRuntimeInSeconds"] / 3600
    groups = resources.get("InstanceGroups") or [resources]
    prices = load_prices().training
    if any(group.get("InstanceType") not in prices for group in groups):
        return None
    return sum(prices[group["InstanceType"]] * group["InstanceCount"] for group in groups) * hours


def train(account: Account, asked: Mapping[str, Any]) -> Iterator[str]:
    """Start the job and yield its secondary status whenever it changes, until it ends.

    Raises:
        CommandError: when it does not end well.
    """
    client, told = account.client("sagemaker"), ""
    client.create_training_job(**asked)
    while True:
        job = client.describe_training_job(TrainingJobName=asked["TrainingJobName"])
        if job["SecondaryStatus"] != told:
            told = job["SecondaryStatus"]
            yield told
        if job["TrainingJobStatus"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if job["TrainingJobStatus"] != "Completed":
        reason = job.get("FailureReason", "no reason given")
        raise CommandError(f"Training again ended as {job['TrainingJobStatus']}: {reason}", "The version is untouched.")


def result(account: Account, name: str) -> Result:
    """Read what a training job made, without unpacking anything.

    Raises:
        CommandError: when its archive is not one of Tandem's recipes.
    """
    job = account.client("sagemaker").describe_training_job(TrainingJobName=name)
    bucket, key = keys.parse_uri(job["ModelArtifacts"]["S3ModelArtifacts"])
    body = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    wanted = (keys.MODEL_WEIGHTS, keys.MODEL_METRICS)
    found = {path: content for path, content in bundle.members(body) if path in wanted}
    if lacking := [path for path in wanted if path not in found]:
        fix = "Only what Tandem's recipes train can be compared."
        raise CommandError(f"The archive of training job {name} has no {' and no '.join(lacking)}.", fix)
    weights, lines = (found[path] for path in wanted)
    epochs = tuple(
        {name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines.splitlines()
    )
    return Result(weights_sha256=hashlib.sha256(weights).hexdigest(), epochs=epochs)
