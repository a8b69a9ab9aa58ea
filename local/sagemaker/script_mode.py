"""Script mode: what AWS's Deep Learning Containers do with a job that names no entry point.

Their own ``train`` program is the official toolkit (``sagemaker-training`` with ``sagemaker-pytorch-training`` or
``sagemaker-tensorflow-training``), and that runs here too: it reads ``sagemaker_program`` and
``sagemaker_submit_directory``, sets the SM_* variables and TF_CONFIG, installs requirements, starts the user's program
and writes ``output/failure``.
"""

from __future__ import annotations

import importlib.util
import zlib
from typing import Any

from local.sagemaker.errors import NotEmulated

PYTORCH, TENSORFLOW = "pytorch", "tensorflow"
MODULE = "sagemaker_pytorch_container.training:main"  # SAGEMAKER_TRAINING_MODULE of AWS's PyTorch images
SHARED_NETWORK_MODULE = "shared_network:main"
TENSORFLOW_MODULE = "tensorflow_workers:main"  # around sagemaker_tensorflow_container.training:main of the images
FIRST_PORT, PORTS = 20_000, 10_000  # below the ports that systems hand out to clients
ENTRYPOINT = ["bash", "-c", 'eval "$@"', "start_with_right_hostname.sh"]
"""What the images' own entry script does with its arguments, of which ``train`` is the usual one."""

BY_TORCH = "which torch_distributed replaces"
LAUNCHERS = {
    "sagemaker_mpi_enabled": ("MPI", BY_TORCH),
    "sagemaker_distributed_dataparallel_enabled": ("SageMaker's distributed data parallel library", BY_TORCH),
    "sagemaker_pytorch_ddp_enabled": ("SageMaker's launcher of its data parallel library", BY_TORCH),
    "sagemaker_pytorch_xla_multi_worker_enabled": ("PyTorch/XLA", BY_TORCH),
    "sagemaker_parameter_server_enabled": (
        "TensorFlow's parameter servers",
        "which multi_worker_mirrored_strategy replaces",
    ),
}
"""Launchers that need programs, hardware or fixed ports that only AWS's images and instances have, by hyperparameter;
and what there is instead."""


def missing(framework: str) -> str:
    """Return why script mode of an image for this framework cannot run here, or ""; "" is an image of one's own."""
    if framework != TENSORFLOW or importlib.util.find_spec(TENSORFLOW) is not None:
        return ""
    return (
        "AWS's TensorFlow images in script mode are not emulated by a laptop cloud whose Python lacks TensorFlow: "
        "start it from an environment in which `pip install --constraint requirements.lock -e '.[tensorflow]'` was run"
    )


def environment(job: str, framework: str, *, own_network: bool) -> dict[str, str]:
    """Return the variables of the image that the toolkit reads.

    Args:
        job: the job's name.
        framework: of AWS's image; "" is an image of one's own.
        own_network: whether the job's hosts see no other job's ports.
    """
    if not framework:
        return {}
    if framework == PYTORCH and own_network:
        return {"SAGEMAKER_TRAINING_MODULE": MODULE}
    module = TENSORFLOW_MODULE if framework == TENSORFLOW else SHARED_NETWORK_MODULE
    port = FIRST_PORT + zlib.crc32(job.encode()) % PORTS
    return {"SAGEMAKER_TRAINING_MODULE": module, "LAPTOP_MASTER_PORT": str(port)}


def check(hyperparameters: dict[str, Any]) -> None:
    """Raise NotEmulated for a launcher that only AWS has."""
    for name, (launcher, instead) in LAUNCHERS.items():
        if hyperparameters.get(name) == "true":
            raise NotEmulated(f"{launcher} ({name}), {instead},")
