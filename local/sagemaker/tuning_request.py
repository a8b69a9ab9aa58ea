"""Reads a CreateHyperParameterTuningJob: its definitions, and the training jobs that they make."""

from __future__ import annotations

from typing import Any

from local.sagemaker.tuning_search import Resource, Spaces, combinations
from local.sagemaker.tuning_space import number, parameters

OBJECTIVE = "_tuning_objective_metric"  # a hyperparameter that SageMaker adds to every training job
EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")  # where MaxResource is inferred from
COPIED = (
    "RoleArn", "AlgorithmSpecification", "InputDataConfig", "VpcConfig", "OutputDataConfig", "StoppingCondition",
    "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "RetryStrategy",
    "Environment",
)  # fmt: skip


def definitions(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the training job definitions; one or several."""
    found: list[dict[str, Any]] = request.get("TrainingJobDefinitions") or [request["TrainingJobDefinition"]]
    return found


def name_of(definition: dict[str, Any]) -> str:
    """Return a definition's name; a single one may have none."""
    return str(definition.get("DefinitionName", ""))


def ranges(request: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
    """Return the parameter ranges of a definition."""
    found: dict[str, Any] = (
        definition.get("HyperParameterRanges") or request["HyperParameterTuningJobConfig"]["ParameterRanges"]
    )
    return found


def objective(request: dict[str, Any], definition: dict[str, Any]) -> dict[str, str]:
    """Return ``Type`` and ``MetricName`` of a definition's objective."""
    found: dict[str, str] = (
        definition.get("TuningObjective")
        or request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    )
    return found


def with_objective(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request as Describe repeats it: SageMaker adds the objective's name to the static values."""

    def added(definition: dict[str, Any]) -> dict[str, Any]:
        static = {
            OBJECTIVE: objective(request, definition)["MetricName"],
            **definition.get("StaticHyperParameters", {}),
        }
        return {**definition, "StaticHyperParameters": static}

    if "TrainingJobDefinition" in request:
        return {**request, "TrainingJobDefinition": added(request["TrainingJobDefinition"])}
    return {**request, "TrainingJobDefinitions": [added(each) for each in definitions(request)]}


def spaces(request: dict[str, Any]) -> Spaces:
    """Return the hyperparameters to tune of each definition."""
    return {name_of(each): parameters(ranges(request, each)) for each in definitions(request)}


def most_jobs(request: dict[str, Any]) -> int:
    """Return how many training jobs there will be at most; of a grid, all combinations."""
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    if "MaxNumberOfTrainingJobs" in limits:
        return int(limits["MaxNumberOfTrainingJobs"])
    return len(combinations(spaces(request)))


def hyperband(request: dict[str, Any]) -> Resource | None:
    """Return Hyperband's resource; None for another strategy, or if MaxResource is nowhere to be found."""
    config = request["HyperParameterTuningJobConfig"]
    if config["Strategy"] != "Hyperband":
        return None
    given = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    static = definitions(request)[0].get("StaticHyperParameters", {})
    inferred = [value for name in EPOCHS if (value := number(static.get(name, ""), "Integer"))]
    most = given.get("MaxResource") or next(iter(inferred), None)
    return Resource(least=given.get("MinResource", 1), most=int(most)) if most else None


def instances(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ResourceConfigs to try for a training job, in order of preference."""
    if "ResourceConfig" in definition:
        return [definition["ResourceConfig"]]
    given = definition["HyperParameterTuningResourceConfig"]
    shared = {name: value for name, value in given.items() if name not in ("InstanceConfigs", "AllocationStrategy")}
    return [{**shared, **each} for each in given.get("InstanceConfigs", [{}])]


def training_request(
    request: dict[str, Any], definition: dict[str, Any], name: str, tuned: dict[str, str]
) -> dict[str, Any]:
    """Return the CreateTrainingJob of one training job.

    Args:
        request: the tuning job's.
        definition: one of its definitions.
        name: the training job's.
        tuned: the values chosen for it.
    """
    made = {member: definition[member] for member in COPIED if member in definition}
    if "CheckpointConfig" in definition:
        # Jobs that shared a place would resume from each other's checkpoints.
        checkpoints = definition["CheckpointConfig"]
        made["CheckpointConfig"] = {**checkpoints, "S3Uri": f"{checkpoints['S3Uri'].rstrip('/')}/{name}"}
    return {
        **made,
        "TrainingJobName": name,
        "ResourceConfig": instances(definition)[0],
        "HyperParameters": {**definition.get("StaticHyperParameters", {}), **tuned},
        "Tags": request.get("Tags", []),
    }
