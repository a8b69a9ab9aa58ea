"""What SageMaker refuses beyond what its model says: fields that exclude or need each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local.sagemaker import script_mode
from local.sagemaker.errors import NotEmulated, Refused
from local.sagemaker.opt_ml import path_in

DAY = 86_400
MAX_RUNTIME = 28 * DAY
PROCESSING_ROOT = "/opt/ml/processing"


def check_training(request: dict[str, Any]) -> None:
    """Raise Refused or NotEmulated for a CreateTrainingJob that AWS, or the laptop, does not take."""
    # RetryStrategy is taken: it retries SageMaker's own internal errors, and the laptop's jobs have none.
    if "ServerlessJobConfig" in request:
        raise NotEmulated("CreateTrainingJob's ServerlessJobConfig")
    for member in ("ResourceConfig", "StoppingCondition"):
        if member not in request:
            raise Refused(f"{member} is required for a training job on instances")
    algorithm = request["AlgorithmSpecification"]
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise Refused("Exactly one of TrainingImage and AlgorithmName must be given in AlgorithmSpecification")
    if "AlgorithmName" in algorithm:
        raise NotEmulated("an algorithm resource (AlgorithmName)")
    _check_instances(request)
    _check_spot(request)
    for channel in request.get("InputDataConfig", []):
        _check_channel(channel, algorithm["TrainingInputMode"])
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(names)) < len(names):
        raise Refused(f"Duplicate channel names are not allowed: {', '.join(names)}")
    script_mode.check(request.get("HyperParameters", {}))
    if "CheckpointConfig" in request:
        path_in_opt_ml(
            request["CheckpointConfig"].get("LocalPath", "/opt/ml/checkpoints"), "CheckpointConfig.LocalPath"
        )


def _check_instances(request: dict[str, Any]) -> None:
    resources = request["ResourceConfig"]
    for member in ("SelectedInstanceType", "SelectedInstanceCount"):
        if member in resources:
            raise Refused(f"ResourceConfig.{member} is read-only and isn't accepted in CreateTrainingJob requests")
    ways = [way for way in ("InstanceType", "InstanceGroups", "InstancePreferences") if way in resources]
    if len(ways) != 1:
        given = " and ".join(ways) or "none"
        raise Refused(
            f"ResourceConfig must have exactly one of InstanceType, InstanceGroups, InstancePreferences; given: {given}"
        )
    if "InstanceGroups" in resources:
        _check_groups(resources)
    elif "InstancePreferences" in resources:
        _check_preferences(resources["InstancePreferences"], resources.get("InstanceCount"))
        if request.get("EnableManagedSpotTraining"):
            raise Refused("InstancePreferences is mutually exclusive with EnableManagedSpotTraining")
    elif resources.get("InstanceCount", 0) < 1:
        raise Refused("ResourceConfig.InstanceCount is required with InstanceType, and must be at least 1")


def _check_groups(resources: dict[str, Any]) -> None:
    groups = resources["InstanceGroups"]
    if "InstanceCount" in resources:
        raise Refused("InstanceType or InstanceCount cannot be specified with InstanceGroups")
    names = [each["InstanceGroupName"] for each in groups]
    if not names or len(set(names)) < len(names):
        raise Refused(f"InstanceGroups must name each group, and none twice; given: {', '.join(names) or 'none'}")
    if empty := [each["InstanceGroupName"] for each in groups if each["InstanceCount"] < 1]:
        raise Refused(f"InstanceCount of instance group {empty[0]} must be at least 1")


def _check_preferences(preferences: list[dict[str, Any]], count: int | None) -> None:
    types = [each["InstanceType"] for each in preferences]
    if len(set(types)) < len(types):
        raise Refused(f"An instance type can appear only once in InstancePreferences: {', '.join(types)}")
    counted = sum("InstanceCount" in each for each in preferences)
    if not ((count and counted == 0) or (count is None and counted == len(preferences))):
        raise Refused(
            "InstanceCount must be set either on every entry of InstancePreferences or once in ResourceConfig"
        )


def _check_spot(request: dict[str, Any]) -> None:
    condition = request["StoppingCondition"]
    runtime, wait = condition.get("MaxRuntimeInSeconds", DAY), condition.get("MaxWaitTimeInSeconds")
    spot = request.get("EnableManagedSpotTraining", False)
    if runtime > MAX_RUNTIME:
        raise Refused(f"MaxRuntimeInSeconds {runtime} is not allowed; the most is {MAX_RUNTIME} (28 days)")
    if spot and wait is None:
        raise Refused("MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true")
    if not spot and wait is not None:
        raise Refused("MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true")
    if wait is not None and wait < runtime:
        raise Refused(
            f"Invalid MaxWaitTimeInSeconds {wait}. It must be present and be greater than or equal to "
            f"MaxRuntimeInSeconds ({runtime})"
        )
    if spot and request["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
        raise Refused("KeepAlivePeriodInSeconds (warm pools) is mutually exclusive with EnableManagedSpotTraining")


def _check_channel(channel: dict[str, Any], mode: str) -> None:
    name = channel["ChannelName"]
    if list(channel["DataSource"]) != ["S3DataSource"]:
        raise NotEmulated(f"channel {name!r} with a data source other than S3DataSource")
    source = channel["DataSource"]["S3DataSource"]
    if source.get("InstanceGroupNames"):
        raise NotEmulated(f"channel {name!r} for some instance groups only (InstanceGroupNames)")
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise NotEmulated(f"channel {name!r} with S3DataType {source['S3DataType']}")
    if channel.get("InputMode", mode) == "Pipe":
        raise NotEmulated(f"channel {name!r} in Pipe mode")
    if channel.get("InputMode", mode) == "FastFile" and source["S3DataType"] != "S3Prefix":
        raise Refused(
            f"channel {name!r}: FastFile mode supports the S3DataType S3Prefix only, not {source['S3DataType']}"
        )
    if channel.get("CompressionType", "None") != "None":
        raise Refused(f"channel {name!r}: CompressionType is for Pipe mode only; leave it out in File mode")
    if channel.get("RecordWrapperType", "None") != "None":
        raise NotEmulated(f"channel {name!r} with RecordWrapperType {channel['RecordWrapperType']}")


def check_processing(request: dict[str, Any]) -> None:
    """Raise Refused or NotEmulated for a CreateProcessingJob that AWS, or the laptop, does not take."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if ("InstanceType" in cluster) == ("InstancePreferences" in cluster):
        raise Refused("ClusterConfig must have exactly one of InstanceType and InstancePreferences")
    if "InstancePreferences" in cluster and cluster["InstancePreferences"] and "InstanceCount" not in cluster:
        _check_preferences(cluster["InstancePreferences"], None)
    inputs = request.get("ProcessingInputs", [])
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    for each in inputs:
        _check_processing_input(each)
    for each in outputs:
        if "S3Output" not in each:
            raise NotEmulated(f"output {each['OutputName']!r} other than S3Output")
        _check_processing_path(each["S3Output"].get("LocalPath"), f"output {each['OutputName']!r}")
    for names in ([each["InputName"] for each in inputs], [each["OutputName"] for each in outputs]):
        if len(set(names)) < len(names):
            raise Refused(f"Input and output names must be unique: {', '.join(names)}")


def _check_processing_input(each: dict[str, Any]) -> None:
    name = each["InputName"]
    if "S3Input" not in each:
        raise NotEmulated(f"input {name!r} other than S3Input")
    source = each["S3Input"]
    if source.get("S3InputMode", "File") != "File":
        raise NotEmulated(f"input {name!r} in {source['S3InputMode']} mode")
    if source.get("S3CompressionType", "None") != "None":
        raise NotEmulated(f"input {name!r} with S3CompressionType {source['S3CompressionType']}")
    _check_processing_path(source.get("LocalPath"), f"input {name!r}")


def _check_processing_path(path: str | None, what: str) -> None:
    if path is None:
        raise Refused(f"{what}: LocalPath is required unless AppManaged is true")
    if not path.startswith(f"{PROCESSING_ROOT}/"):
        raise Refused(f"{what}: LocalPath {path!r} is not allowed; it must be below {PROCESSING_ROOT}/")
    path_in_opt_ml(path, what)


def path_in_opt_ml(path: str, what: str) -> None:
    """Raise Refused for a path outside /opt/ml."""
    path_in(Path("/"), path, what)
