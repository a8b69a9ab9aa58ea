"""The files that SageMaker writes below ``/opt/ml`` before a container starts, and reads after it.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.sagemaker import namespace
from local.sagemaker.errors import Refused

INSIDE = "/opt/ml"
GROUP = "homogeneousCluster"
FAILURE_LIMIT = 1024  # characters of output/failure that reach FailureReason
SUBMIT_DIRECTORY = "sagemaker_submit_directory"
INTERFACE = "lo"  # AWS: eth0. Programs hand it to NCCL and gloo, so it must exist.


def path_in(root: Path, inside: str, what: str) -> Path:
    """Return where the container's path ``inside`` is below a host's ``root``.

    Raises Refused unless it is below /opt/ml, the only folder that the laptop replaces.
    """
    if inside != INSIDE and (not inside.startswith(f"{INSIDE}/") or ".." in inside.split("/")):
        raise Refused(f"{what} {inside!r} is not allowed; expected an absolute path below {INSIDE}")
    return root / inside.removeprefix(INSIDE).lstrip("/")


def group(hosts: list[str], instance_type: str, name: str = GROUP) -> dict[str, Any]:
    """Return an entry of ``instance_groups``; by default that of a cluster of equal machines."""
    return {"instance_group_name": name, "instance_type": instance_type, "hosts": hosts}


def resource_config(host: str, groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Return ``resourceconfig.json`` of one host of a cluster of instance groups."""
    own = next(each for each in groups if host in each["hosts"])
    return {
        "current_host": host,
        "current_instance_type": own["instance_type"],
        "current_group_name": own["instance_group_name"],
        "hosts": [name for each in groups for name in each["hosts"]],
        "instance_groups": groups,
        "network_interface_name": INTERFACE,
    }


def write_training(root: Path, request: dict[str, Any], resources: dict[str, Any]) -> None:
    """Make the folders and configuration files of a training host."""
    for folder in ("input/config", "input/data", "model", "output/data", "checkpoints", "code"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    config = root / "input" / "config"
    write_json(config / "hyperparameters.json", _hyperparameters(root, request))
    write_json(config / "resourceconfig.json", resources)
    write_json(config / "inputdataconfig.json", _input_data(request))
    if "CheckpointConfig" in request:
        write_json(config / "checkpointconfig.json", request["CheckpointConfig"])
    write_json(config / "metric-definition-regex.json", request["AlgorithmSpecification"].get("MetricDefinitions", []))


def _hyperparameters(root: Path, request: dict[str, Any]) -> dict[str, str]:
    """Return the hyperparameters; the toolkit finds the sources below ``root`` where there is no /opt/ml."""
    values: dict[str, str] = request.get("HyperParameters", {})
    source = values.get(SUBMIT_DIRECTORY, "").strip('"')
    if source.startswith(f"{INSIDE}/") and namespace.unavailable():
        return {**values, SUBMIT_DIRECTORY: json.dumps(str(path_in(root, source, SUBMIT_DIRECTORY)))}
    return values


def _input_data(request: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", request["AlgorithmSpecification"]["TrainingInputMode"]),
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in request.get("InputDataConfig", [])
    }


def write_processing(root: Path, description: dict[str, Any], resources: dict[str, Any]) -> None:
    """Make the folders and configuration files of a processing host."""
    for folder in ("config", "processing", "output"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    write_json(root / "config" / "processingjobconfig.json", description)
    write_json(root / "config" / "resourceconfig.json", resources)


def told(root: Path, name: str) -> str:
    """Return what the container wrote to ``output/<name>`` (``failure``, ``message``), shortened as SageMaker does."""
    path = root / "output" / name
    return path.read_text(errors="replace")[:FAILURE_LIMIT] if path.is_file() else ""


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON; times as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, default=str))
