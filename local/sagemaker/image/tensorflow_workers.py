"""AWS's TensorFlow module for hosts that are one machine: each worker's server listens at a port of its own.

In AWS's image all of them listen at 8890. A server of TensorFlow takes its port on all addresses of its machine.
"""

from __future__ import annotations

import os
from typing import Any

from sagemaker_tensorflow_container import training


def main() -> None:
    """Train as in AWS's image, but with the laptop cloud's ports in TF_CONFIG."""
    of_image, first = training._build_tf_config_for_mwms, int(os.environ["LAPTOP_MASTER_PORT"])

    def tf_config(hosts: list[str], current_host: str) -> dict[str, Any]:
        config: dict[str, Any] = of_image(hosts, current_host)
        config["cluster"]["worker"] = [f"{host}:{first + number}" for number, host in enumerate(hosts)]
        return config

    training._build_tf_config_for_mwms = tf_config
    training.main()
