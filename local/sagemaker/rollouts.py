"""An update of an endpoint as it happens: the new fleet comes up, takes traffic step by step, or goes again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends

from local.sagemaker.fleets import Fleet
from local.sagemaker.records import now
from local.sagemaker.rollout_policy import Policy
from local.sagemaker.traffic import Traffic

if TYPE_CHECKING:
    from local.cloud import Cloud

LOOK_SECONDS = 0.05  # real seconds between two looks at the alarms


class Alarms:
    """The alarms that watch one rollout.

    Args:
        cloud: whose CloudWatch.
        names: of the alarms.
    """

    def __init__(self, cloud: Cloud, names: Iterable[str]) -> None:
        self._known = cloudwatch_backends[cloud.account][cloud.region].alarms
        self.names, self._since = tuple(names), now()

    @property
    def missing(self) -> list[str]:
        """Names of alarms that do not exist."""
        return [name for name in self.names if name not in self._known]

    @property
    def tripped(self) -> list[str]:
        """Names of alarms that are in ALARM, or were since the rollout began."""
        return [name for name in self.names if name in self._known and self._has_tripped(self._known[name])]

    def _has_tripped(self, alarm: Any) -> bool:
        # moto's history has the states that were left; an alarm may have gone off and recovered between two looks.
        left = [(state, since) for _, _, _, state, since in alarm.history]
        states = [*left, (alarm.state_value, alarm.state_updated_timestamp)]
        return alarm.state_value == "ALARM" or any(s == "ALARM" and since >= self._since for s, since in states)


class Rollout:
    """Moves the traffic of an endpoint from one fleet to another, and back when an alarm goes off.

    Args:
        cloud: whose clock the waits follow.
        traffic: of the endpoint.
        blue, green: the fleet in service, and the new one.
        policy: how traffic moves.
        stopping: set when the cloud stops.
    """

    def __init__(
        self, *, cloud: Cloud, traffic: Traffic, blue: Fleet, green: Fleet, policy: Policy, stopping: threading.Event
    ) -> None:
        self.cloud, self.traffic, self.blue, self.green, self.policy = cloud, traffic, blue, green, policy
        self.alarms = Alarms(cloud, policy.alarms)
        self.started = now()
        self._enter("Creating")
        self.whole = len(blue.variants[0].servers)  # what a rolling deployment replaces
        self._stopping = stopping

    def start(self) -> None:
        """Bring the new fleet up; raises NoFleet."""
        self.green.start()

    def shift(self) -> str:
        """Give the new fleet all traffic, step by step; return '', or why it must be taken back.

        Raises NoFleet when a step's servers do not come up.
        """
        for number, share in enumerate(self.policy.shares):
            self._enter("ActivatingTraffic")
            self.step(number, share)
            self._enter("Baking")
            if tripped := self._watch(self.policy.bake):
                return _reason(tripped)
            self.settle(number)
        if tripped := self._watch(self.policy.linger):
            return _reason(tripped)
        return ""

    def step(self, number: int, share: float) -> None:
        """Give the new fleet this share of the traffic; raises NoFleet."""
        self.traffic.send_to((self.blue, 1 - share), (self.green, share))

    def settle(self, number: int) -> None:
        """Do what is due when a step has been watched."""

    def finish(self) -> None:
        """Let the old fleet go: its requests end first."""
        self.traffic.send_to((self.green, 1.0))
        self.blue.drain()

    def back(self) -> None:
        """Return all traffic to the old fleet, and let the new one go; raises NoFleet when the old one is not back."""
        self._enter("Deleting")
        self.traffic.send_to((self.blue, 1.0))
        self.green.drain()

    def _enter(self, stage: str) -> None:
        """Note what happens to the new variants, as VariantStatus names it."""
        self.stage, self.since = stage, now()

    def _watch(self, seconds: float) -> list[str]:
        """Wait on the cloud's clock; return the alarms that went off, at once when they do."""
        deadline = time.monotonic() + self.cloud.clock.seconds(seconds)
        while not (tripped := self.alarms.tripped) and (left := deadline - time.monotonic()) > 0:
            if self._stopping.wait(min(left, LOOK_SECONDS)):
                break
        return tripped


class Rolling(Rollout):
    """Replaces the instances of a variant batch by batch, so that there are never many more than before."""

    def start(self) -> None:
        """Bring the first batch up."""
        self.green.variants[0].desired = self.policy.batches[0]
        self.green.start()

    def step(self, number: int, share: float) -> None:
        """Bring a batch up, and give it its share of the traffic."""
        self.green.scale(self.green.variants[0], self.policy.batches[number])
        super().step(number, share)

    def settle(self, number: int) -> None:
        """Let as many old instances go as new ones came; the last ones go when the rollout is finished."""
        if left := math.floor(self.whole * (1 - self.policy.shares[number]) + 1e-9):
            self.blue.scale(self.blue.variants[0], left)

    def back(self) -> None:
        """Bring the old instances up again, in batches of their own size."""
        old = self.blue.variants[0]
        while (there := len(old.servers)) < self.whole:
            self.traffic.send_to((self.blue, there / self.whole), (self.green, 1 - there / self.whole))
            self.blue.scale(old, min(self.whole, there + self.policy.rollback_batch))
        super().back()


def _reason(tripped: list[str]) -> str:
    return f"The deployment was rolled back because of CloudWatch alarms in ALARM state: {', '.join(tripped)}"
