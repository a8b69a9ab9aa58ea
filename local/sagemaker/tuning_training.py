"""A training job of a tuning job: it tells what becomes of its objective, and may run on several instance types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.sagemaker.jobs import Ended
from local.sagemaker.objects import Location
from local.sagemaker.records import Record
from local.sagemaker.training import TrainingJob

if TYPE_CHECKING:
    from local.cloud import Cloud


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a tuning job hears.

    Args:
        kind: ``value`` or ``end`` of a training job; ``stop``, ``expired`` or ``close`` of the tuning job itself.
        job: the training job's name.
        value: of its objective metric.
    """

    kind: str
    job: str = ""
    value: float = 0.0


class TunedTrainingJob(TrainingJob):
    """One training job of a tuning job.

    Args:
        instances: ResourceConfigs to try in this order.
        metric: the name of the objective metric.
        tell: takes events, from any thread.
    """

    def __init__(
        self,
        cloud: Cloud,
        record: Record,
        output: Location,
        *,
        instances: list[dict[str, Any]],
        metric: str,
        tell: Callable[[Event], None],
    ) -> None:
        super().__init__(cloud, record, output)
        self.instances, self.metric, self.tell = instances, metric, tell

    def provision(self) -> Any:
        """Return what the first of the instance types with capacity gives."""
        *preferred, last = self.instances
        for resources in preferred:
            try:
                return self._provision(resources)
            except Ended:
                continue  # no capacity: the next
        return self._provision(last)

    def on_metric(self, name: str, value: float) -> None:
        """Tell the tuning job of its objective."""
        if name == self.metric:
            self.tell(Event(kind="value", job=self.record.name, value=value))

    def finish(self, end: Ended) -> None:
        """Record the end, then tell the tuning job."""
        try:
            super().finish(end)
        finally:
            self.tell(Event(kind="end", job=self.record.name))

    def _provision(self, resources: dict[str, Any]) -> Any:
        self.request = {**self.request, "ResourceConfig": resources}
        found = super().provision()
        self.record.update(ResourceConfig={**resources, **(self.record.get("ResourceConfig") or {})})
        return found
