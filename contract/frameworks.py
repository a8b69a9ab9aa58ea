"""The frameworks that recipes are written in, and what each cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from contract.config import Train
from contract.errors import InvalidConfig
from contract.parsing import to_dict


@dataclass(frozen=True, kw_only=True)
class Framework:
    """One way to compute.

    Attributes:
        title: its name for people.
        program: module that trains on one host.
        unsupported: settings of [train] that must stay at their defaults.
        remedy: what to do instead of setting them.
    """

    title: str
    program: str
    unsupported: tuple[str, ...] = ()
    remedy: str = "leave it out, or take a PyTorch recipe"


TORCH, TENSORFLOW, SCRIPT = "torch", "tensorflow", "script"
MACHINES = frozenset({
    "hosts", "instance", "fallback_instances", "spot", "spot_wait_minutes", "max_minutes", "volume_gb", "isolation",
    "min_gpu_percent", "idle_gpu_minutes",
})  # fmt: skip
"""Settings of [train] that say where to train, not how."""

FRAMEWORKS: Mapping[str, Framework] = {
    TORCH: Framework(title="PyTorch", program="training.train"),
    TENSORFLOW: Framework(
        title="TensorFlow",
        program="training.keras.train",
        unsupported=("start", "accumulation", "compile", "strategy", "communication", "shares", "rebalance", "groups"),
    ),
    SCRIPT: Framework(
        title="Script",
        program="",  # the user's own, which the image's toolkit starts
        unsupported=tuple(field.name for field in fields(Train) if field.name not in MACHINES),
        remedy="what the program is to know stands in recipe.hyperparameters",
    ),
}


def check(train: Train, framework: str) -> None:
    """Refuse settings that a framework cannot follow.

    Raises:
        InvalidConfig: for the first of them.
    """
    chosen, defaults = FRAMEWORKS[framework], Train()
    for name in chosen.unsupported:
        value, default = to_dict(getattr(train, name)), to_dict(getattr(defaults, name))
        if value != default:
            why = f"{chosen.title} recipes cannot follow it: {chosen.remedy}."
            raise InvalidConfig(f"train.{name}", value, f"nothing, or the default {default!r}", why)
