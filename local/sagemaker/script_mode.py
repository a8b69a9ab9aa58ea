"""Script mode: what AWS's Deep Learning Containers do with a job that names no entry point.

Their own ``train`` program is the official toolkit (``sagemaker-training`` with ``sagemaker-pytorch-training``), and
that runs here too: it reads ``sagemaker_program`` and ``sagemaker_submit_directory``, sets the SM_* variables, installs
requirements, starts the user's program and writes ``output/failure``.
"""

from __future__ import annotations

import zlib
from typing import Any

from local.sagemaker.errors import NotEmulated

MODULE = "sagemaker_pytorch_container.training:main"  # SAGEMAKER_TRAINING_MODULE of AWS's PyTorch images
SHARED_NETWORK_MODULE = "shared_network:main"
FIRST_PORT, PORTS = 20_000, 10_000  # below the ports that systems hand out to clients
ENTRYPOINT = ["bash", "-c", 'eval "$@"', "start_with_right_hostname.sh"]
"""What the images' own entry script does with its arguments, of which ``train`` is the usual one."""

LAUNCHERS = {
    "sagemaker_mpi_enabled": "MPI",
    "sagemaker_distributed_dataparallel_enabled": "SageMaker's distributed data parallel library",
    "sagemaker_pytorch_ddp_enabled": "SageMaker's launcher of its data parallel library",
    "sagemaker_pytorch_xla_multi_worker_enabled": "PyTorch/XLA",
}
"""Launchers that need programs or hardware that only AWS's images and instances have, by hyperparameter."""


def environment(job: str, *, own_network: bool) -> dict[str, str]:
    """Return the variables of the image that the toolkit reads.

    Args:
        job: the job's name.
        own_network: whether the job's hosts see no other job's ports.
    """
    if own_network:
        return {"SAGEMAKER_TRAINING_MODULE": MODULE}
    port = FIRST_PORT + zlib.crc32(job.encode()) % PORTS
    return {"SAGEMAKER_TRAINING_MODULE": SHARED_NETWORK_MODULE, "LAPTOP_MASTER_PORT": str(port)}


def check(hyperparameters: dict[str, Any]) -> None:
    """Raise NotEmulated for a launcher that only AWS has."""
    for name, launcher in LAUNCHERS.items():
        if hyperparameters.get(name) == "true":
            raise NotEmulated(f"{launcher} ({name}), which torch_distributed replaces,")
