"""AWS's PyTorch module for jobs that share the machine's network: ranks of different jobs must not meet at one port."""

from __future__ import annotations

import os

from sagemaker_pytorch_container import training
from sagemaker_training import torch_distributed


def main() -> None:
    """Train as in AWS's image, but meet at the port that the laptop cloud chose for this job."""
    training.MASTER_PORT = torch_distributed.MASTER_PORT = os.environ["LAPTOP_MASTER_PORT"]
    training.main()
