"""What SageMaker, or our server, cannot combine: found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from contract import names
from contract.errors import InvalidConfig
from contract.prices import load_prices
from contract.reports import DatasetReport
from contract.request import RunRequest
from functions import tuning

GPU_FAMILIES = {
    # family: whether its tensor cores do bf16 (NVIDIA Ampere and later)
    "g4dn": False,
    "g5": True,
    "g6": True,
    "g6e": True,
    "p3": False,
    "p3dn": False,
    "p4d": True,
    "p4de": True,
    "p5": True,
    "p5e": True,
    "p5en": True,
}
TUNING_LADDER = frozenset({"ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.xlarge", "ml.c5.2xlarge"})
"""The types among which a tuning job's training jobs may choose, by SageMaker's HyperParameterTuningInstanceConfig
(https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_HyperParameterTuningInstanceConfig.html)."""


def find_mistakes(request: RunRequest, dataset: DatasetReport, *, prepared_in_job: bool) -> list[InvalidConfig]:
    """Return every setting that cannot be meant together with the others; empty when all is well."""
    checks = (
        _prices(request, prepared_in_job),
        _precision(request),
        _groups(request),
        _tuning_ladder(request),
        _sizes(request, dataset),
        _serving(request),
    )
    found = [mistake for check in checks for mistake in check]
    try:
        tuning.candidates(request, dataset)
    except InvalidConfig as mistake:
        found.append(mistake)
    return found


def _family(instance: str) -> str:
    """Return ``g5`` of ``ml.g5.xlarge``."""
    return instance.split(".")[1]


def _prices(request: RunRequest, prepared_in_job: bool) -> Iterator[InvalidConfig]:
    """Types without a known price: the worst case could not be told."""
    train = request.train
    wanted = [("training", name, f"train.groups.{name}") for name in train.groups]
    wanted = wanted or [("training", train.instance, "train.instance")]
    wanted += [("training", name, f"train.fallback_instances[{i}]") for i, name in enumerate(train.fallback_instances)]
    wanted.append(("processing", request.evaluate.instance, "evaluate.instance"))
    if prepared_in_job:
        wanted.append(("processing", request.prepare.instance, "prepare.instance"))
    if request.deploy.target in names.INSTANCE_TARGETS:
        wanted.append(("hosting", request.deploy.instance, "deploy.instance"))
    wanted.append(("transform", request.deploy.batch_instance, "deploy.batch_instance"))
    for use, instance, path in wanted:
        try:
            load_prices().hourly(use, instance, path)
        except InvalidConfig as mistake:
            yield mistake


def _precision(request: RunRequest) -> Iterator[InvalidConfig]:
    train = request.train
    if train.precision != "bf16":
        return
    for instance in (*train.machines, *train.fallback_instances):
        if not GPU_FAMILIES.get(_family(instance), False):
            fix = f"{instance} has no GPU that computes in bf16; take fp32, or an instance with one, like ml.g5.xlarge."
            yield InvalidConfig("train.precision", "bf16", "'fp32' on this instance", fix)


def _groups(request: RunRequest) -> Iterator[InvalidConfig]:
    """A cluster of several types has one image, and its ranks one way to talk."""
    groups = request.train.groups
    if len({_family(name) in GPU_FAMILIES for name in groups}) > 1:
        fix = "Ranks on GPUs and ranks on CPUs cannot exchange gradients."
        yield InvalidConfig("train.groups", groups, "instance types that all have GPUs, or none", fix)
    if groups and request.candidates:
        fix = "Tuning jobs have one instance type a training job; take train.instance and train.hosts."
        yield InvalidConfig("train.groups", groups, "nothing together with tuning", fix)


def _tuning_ladder(request: RunRequest) -> Iterator[InvalidConfig]:
    """A tuning job has a ladder of some types only; a single type can be any."""
    train = request.train
    if not request.candidates or not train.fallback_instances:
        return
    for instance in dict.fromkeys((train.instance, *train.fallback_instances)):
        if instance not in TUNING_LADDER:
            allowed = f"nothing together with tuning on {instance}"
            fix = f"Only {', '.join(sorted(TUNING_LADDER))} can stand in for each other there; search on one type."
            yield InvalidConfig("train.fallback_instances", list(train.fallback_instances), allowed, fix)


def _sizes(request: RunRequest, dataset: DatasetReport) -> Iterator[InvalidConfig]:
    if request.script:
        return  # a script divides its files among the hosts as it likes
    train, rows = request.train, dataset.rows.get("train", 0)
    smallest = min([train.batch_size, *_searched_batch_sizes(request)])
    if smallest < train.host_count:
        yield InvalidConfig("train.batch_size", smallest, f"at least {train.host_count}, a row for each host")
    if rows < train.host_count:
        yield InvalidConfig("train.hosts", train.host_count, f"at most {rows}, the number of training rows")


def _searched_batch_sizes(request: RunRequest) -> Iterator[int]:
    for candidate in request.candidates:
        if found := candidate.ranges.get("batch_size"):
            yield from found.choices or (found.min,)
        elif "batch_size" in candidate.train:
            yield candidate.train["batch_size"]


def _serving(request: RunRequest) -> Iterator[InvalidConfig]:
    deploy = request.deploy
    if _family(deploy.instance) not in GPU_FAMILIES:
        return
    if deploy.target == "serverless":
        fix = "Serverless endpoints have no GPU; leave deploy.instance out, or set deploy.target to 'realtime'."
    else:
        fix = "The server computes on CPUs, so a GPU would be paid for nothing."
    yield InvalidConfig("deploy.instance", deploy.instance, "an instance type without a GPU", fix)
