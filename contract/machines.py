"""The machines that a run could use, and which of them it may have beside others (Service Quotas)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contract.names import INSTANCE_TARGETS
from contract.quotas import SPOT, Quota, name_of
from contract.request import RunRequest

Machines = Mapping[str, int]
"""How many of each quota, by its name."""
Quotas = Mapping[str, Quota]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a run could use.

    Attributes:
        always: what it needs at some time, whichever way it goes.
        ways: each rung of the ladder on demand, by its name: one of them is enough.
        spot: what it uses first, where it can; without a rung on demand only if the account may have none.
        later: what its deployment needs, which no run holds.
    """

    always: Machines
    ways: Mapping[str, Machines]
    spot: Machines
    later: Machines

    @property
    def names(self) -> set[str]:
        """The names of all quotas."""
        return {name for each in (self.always, self.spot, self.later, *self.ways.values()) for name in each}


def wish(request: RunRequest) -> Wish:
    """Return what a run could use; a search trains some jobs at the same time."""
    train, deploy = request.train, request.deploy
    jobs = request.tune.parallel if request.candidates else 1

    def times(machines: Mapping[str, int], use: str) -> dict[str, int]:
        return {name_of(use, each): count * jobs for each, count in machines.items()}

    rungs = list(dict.fromkeys((*train.machines, *train.fallback_instances)))
    ladder = {each: times({each: train.hosts}, "training") for each in rungs}
    group = {"+".join(train.groups): times(train.machines, "training")}
    served = not request.script and deploy.target in INSTANCE_TARGETS
    return Wish(
        always={} if request.script else {name_of("processing", request.evaluate.instance): 1},
        ways=group if train.groups else ladder,
        spot=times(train.machines, SPOT) if train.spot else {},
        later={name_of("hosting", deploy.instance): deploy.instances} if served else {},
    )


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a run got.

    Attributes:
        ways: names of the rungs that it may go, and SPOT.
        held: what it holds from now on.
        refused: why it never can have enough; empty where it can.
        waits: what it has to wait for; empty where it has enough.
    """

    ways: tuple[str, ...] = ()
    held: Machines = field(default_factory=dict)
    refused: str = ""
    waits: str = ""


def decide(wish: Wish, limits: Quotas, taken: Machines) -> Grant:
    """Return what a run may have, where others have ``taken`` some; a quota that AWS has none of limits nothing."""

    def lacks(machines: Machines, used: Machines) -> dict[str, int]:
        known = {name: count for name, count in machines.items() if name in limits}
        return {name: count for name, count in known.items() if count + used.get(name, 0) > limits[name].limit}

    hopeless = lacks({**wish.always, **wish.later}, {})
    possible = {way: machines for way, machines in wish.ways.items() if not lacks(machines, {})}
    spot = {SPOT: wish.spot} if wish.spot and not lacks(wish.spot, {}) else {}
    if hopeless or not (possible or spot):
        every = {way: lacks(machines, {}) for way, machines in {**wish.ways, SPOT: wish.spot}.items()}
        return Grant(refused=_refusal(hopeless or together(every.values()), limits))
    free = {way: machines for way, machines in {**possible, **spot}.items() if not lacks(machines, taken)}
    enough = free.keys() & (possible or spot).keys()
    busy = {} if enough else {way: lacks(machines, taken) for way, machines in (possible or spot).items()}
    if lacking := lacks(wish.always, taken) or together(busy.values()):
        return Grant(waits=_waiting(lacking, limits, taken))
    return Grant(ways=tuple(free), held=together([wish.always, *free.values()]))


def together(each: Iterable[Machines]) -> dict[str, int]:
    """Add machines up."""
    return dict(sum((Counter(machines) for machines in each), Counter()))


def _refusal(wanted: Machines, limits: Quotas) -> str:
    each = (
        f"{count} x {name} is wanted, and the account's quota is {limits[name].limit};"
        f" ask AWS for more: {limits[name].raise_to(count)}"
        for name, count in wanted.items()
    )
    return "; or ".join(each)


def _waiting(wanted: Machines, limits: Quotas, taken: Machines) -> str:
    each = (
        f"{count} x {name}, of which {taken.get(name, 0)} of {limits[name].limit} are in use"
        for name, count in wanted.items()
    )
    return " or ".join(each)
