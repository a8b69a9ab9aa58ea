"""The SageMaker container contract: where a job finds its inputs and leaves its outputs.

Source: "How Amazon SageMaker AI Provides Training Information" and "Build Your
Own Processing Container", Amazon SageMaker AI Developer Guide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contract import names

STOPPED = 143  # 128 + SIGTERM: stopped from outside, after a checkpoint


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The machines of this job, as resourceconfig.json tells; ``types`` is each host's instance type."""

    current: str
    all: tuple[str, ...]
    interface: str = ""
    instance: str = ""
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """This host's place among the sorted hosts; 0 leads."""
        return self.all.index(self.current)

    def in_order(self, numbers: Sequence[float], types: Sequence[str]) -> tuple[float, ...]:
        """Return a number for each host in the order of their ranks.

        Args:
            numbers: as settings name the hosts: type by type where there are ``types``, else by rank.
            types: instance types of a cluster of several, in the order of the settings.
        """
        if len(numbers) != len(self.all) or not types:
            return tuple(numbers)
        listed = sorted(self.all, key=lambda host: types.index(self.types[host]))
        of_host = dict(zip(listed, numbers, strict=True))
        return tuple(of_host[host] for host in self.all)

    @property
    def leader(self) -> str:
        """The host that the others meet at."""
        return self.all[0]


@dataclass(frozen=True, kw_only=True)
class Container:
    """The folders of one container below its base folder (``/opt/ml``)."""

    base: Path

    @classmethod
    def here(cls) -> Container:
        """Return this process's container; ``SAGEMAKER_BASE_DIR`` moves it, as in sagemaker-training."""
        return cls(base=Path(os.environ.get(names.BASE_DIR, names.DEFAULT_BASE_DIR)))

    def channel(self, name: str) -> Path:
        """Return the folder of a training input channel."""
        return self.base / names.TRAINING_INPUTS / name

    def processing_input(self, name: str) -> Path:
        """Return the folder of a processing input."""
        return self.base / names.PROCESSING_INPUTS / name

    @property
    def processing_output(self) -> Path:
        """Where a processing job leaves its results."""
        return self.base / names.PROCESSING_OUTPUT

    @property
    def model(self) -> Path:
        """What training leaves here becomes model.tar.gz."""
        return self.base / "model"

    @property
    def checkpoints(self) -> Path:
        """SageMaker copies this folder to and from S3 while the job runs."""
        return self.base / "checkpoints" / os.environ.get(names.CHECKPOINT_FOLDER, "")

    @property
    def failure(self) -> Path:
        """A training job's failure text; SageMaker shows its first 1,024 characters."""
        return self.base / "output/failure"

    @property
    def message(self) -> Path:
        """A processing job's failure text, shown as its ExitMessage."""
        return self.base / "output/message"

    def hyperparameters(self) -> dict[str, str]:
        """Return hyperparameters.json: every value is a string."""
        path = self.base / "input/config/hyperparameters.json"
        data: dict[str, str] = json.loads(path.read_text())
        return data

    def hosts(self) -> Hosts:
        """Return the job's hosts, from resourceconfig.json."""
        data = json.loads((self.base / "input/config/resourceconfig.json").read_text())
        return Hosts(
            current=data["current_host"],
            all=tuple(sorted(data["hosts"], key=_natural)),
            interface=data.get("network_interface_name", ""),
            instance=data.get("current_instance_type", ""),
            types={
                host: group["instance_type"] for group in data.get("instance_groups", []) for host in group["hosts"]
            },
        )


def gpus() -> int:
    """Return how many GPUs of NVIDIA this host has, whether or not its driver suits."""
    return len([name for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdigit()])


def _natural(host: str) -> tuple[str, int]:
    """Sort algo-2 before algo-10."""
    stem, _, number = host.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (host, 0)
