"""What a request for a SageMaker job may cost at most, by its own words.

On-demand prices of the dated snapshot (``contract/prices.json``), the dearest
type where SageMaker may choose among several. Disks, S3 and Lambda are cents,
and not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from contract.prices import load_prices

STOP_SECONDS = 120
"""SageMaker gives a stopped training job this long to save its model, and bills it; others stop sooner."""
STATE_SECONDS = "TimeoutSeconds"
"""In a request as it is priced: the longest time of the state that makes it, which stops its job then."""
Request = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Price:
    """Machines for some time, some times over; nothing by default."""

    instance: str = ""
    hosts: int = 0
    seconds: int = 0
    hourly: float = 0.0  # US dollars of all hosts
    times: int = 1
    more: float = 0.0  # US dollars of what runs beside them: other branches

    @property
    def usd(self) -> float:
        """US dollars."""
        return self.hourly * self.seconds / 3600 * self.times + self.more

    def __mul__(self, times: int) -> Price:
        """Return it some times over."""
        return replace(self, times=self.times * times, more=self.more * times)

    def __add__(self, other: Price) -> Price:
        """Return both; the first that costs names its machines."""
        first, second = (self, other) if self.hourly else (other, self)
        return replace(first, more=first.more + second.usd)

    def line(self) -> dict[str, Any]:
        """Return it as the plan and the report have it."""
        sizes = {"instance": self.instance, "hosts": self.hosts, "seconds": self.seconds, "attempts": self.times}
        return {**sizes, "usd": round(self.usd, 4)}


def training(asked: Request, state: str) -> Price:
    """Return a training job's price: its longest time, and the time to stop."""
    seconds = asked["StoppingCondition"]["MaxRuntimeInSeconds"] + STOP_SECONDS
    return _machines("training", asked["ResourceConfig"], seconds, state)


def processing(asked: Request, state: str) -> Price:
    """Return a processing job's price."""
    seconds = asked["StoppingCondition"]["MaxRuntimeInSeconds"]
    return _machines("processing", asked["ProcessingResources"]["ClusterConfig"], seconds, state)


def transform(asked: Request, state: str) -> Price:
    """Return a transform job's price: it has no limit of its own, but that of its state."""
    return _machines("transform", asked["TransformResources"], asked[STATE_SECONDS] + STOP_SECONDS, state)


def tuning(asked: Request, state: str) -> Price:
    """Return a search's price: all its jobs, each as its dearest definition.

    A limit of the whole search bounds them together: no more than that, times those at once.
    """
    limits = asked["HyperParameterTuningJobConfig"]["ResourceLimits"]
    jobs, whole = limits["MaxNumberOfTrainingJobs"], limits.get("MaxRuntimeInSeconds")
    definitions = asked.get("TrainingJobDefinitions") or [asked["TrainingJobDefinition"]]
    each = max((_of_definition(definition, state) for definition in definitions), key=lambda price: price.usd)
    if whole:
        together = math.ceil((whole + STOP_SECONDS) * limits["MaxParallelTrainingJobs"] / jobs)
        each = replace(each, seconds=min(each.seconds, together))
    return each * jobs


def _of_definition(definition: Request, state: str) -> Price:
    several = definition.get("HyperParameterTuningResourceConfig")
    return training({**definition, "ResourceConfig": several or definition["ResourceConfig"]}, state)


def _machines(use: str, resources: Request, seconds: int, state: str) -> Price:
    hourly: Callable[[str], float] = lambda name: load_prices().hourly(use, name, state)  # noqa: E731
    if groups := resources.get("InstanceGroups"):
        cost = sum(hourly(each["InstanceType"]) * each["InstanceCount"] for each in groups)
        names, hosts = [each["InstanceType"] for each in groups], sum(each["InstanceCount"] for each in groups)
        return Price(instance="+".join(names), hosts=hosts, seconds=seconds, hourly=cost)
    among = resources.get("InstancePreferences") or resources.get("InstanceConfigs") or [resources]
    dearest = max(among, key=lambda each: hourly(each["InstanceType"]) * each["InstanceCount"])
    name, count = dearest["InstanceType"], dearest["InstanceCount"]
    return Price(instance=name, hosts=count, seconds=seconds, hourly=hourly(name) * count)


KINDS: dict[str, Callable[[Request, str], Price]] = {
    "sagemaker:createTrainingJob.sync": training,
    "sagemaker:createProcessingJob.sync": processing,
    "sagemaker:createTransformJob.sync": transform,
    "aws-sdk:sagemaker:createHyperParameterTuningJob": tuning,
}
"""Integrations that start paid jobs."""
