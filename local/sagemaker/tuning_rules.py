"""What SageMaker refuses of a tuning job beyond what its model says.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

from __future__ import annotations

import re
from typing import Any

from local.sagemaker import rules
from local.sagemaker.errors import NotEmulated, Refused
from local.sagemaker.tuning_request import (
    EPOCHS,
    definitions,
    hyperband,
    objective,
    ranges,
    training_request,
)
from local.sagemaker.tuning_search import combinations
from local.sagemaker.tuning_space import Parameter, number, parameters

MOST_HYPERPARAMETERS = 30
MOST_JOBS = 750  # of one tuning job, its parents' included


def check(request: dict[str, Any]) -> None:
    """Raise Refused or NotEmulated for a CreateHyperParameterTuningJob that AWS, or the laptop, does not take."""
    config = request["HyperParameterTuningJobConfig"]
    if "Autotune" in request:
        raise NotEmulated("CreateHyperParameterTuningJob's Autotune")
    if config.get("TuningJobCompletionCriteria", {}).get("ConvergenceDetected", {}).get("CompleteOnConvergence") == (
        "Enabled"
    ):
        raise NotEmulated("TuningJobCompletionCriteria.ConvergenceDetected")
    _check_definitions(request)
    for definition in definitions(request):
        _check_ranges(definition, ranges(request, definition))
        _check_objective(definition, objective(request, definition))
        _check_resources(definition)
        rules.check_training(training_request(request, definition, f"{request['HyperParameterTuningJobName']}-001", {}))
    if len({objective(request, each)["Type"] for each in definitions(request)}) > 1:
        raise Refused("All training job definitions must have the same objective Type: Maximize or Minimize")
    _check_strategy(request)
    _check_limits(request)


def _check_definitions(request: dict[str, Any]) -> None:
    config = request["HyperParameterTuningJobConfig"]
    if ("TrainingJobDefinition" in request) == ("TrainingJobDefinitions" in request):
        raise Refused("Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be given")
    if "TrainingJobDefinition" in request:
        for member in ("HyperParameterTuningJobObjective", "ParameterRanges"):
            if member not in config:
                raise Refused(f"HyperParameterTuningJobConfig.{member} is required with TrainingJobDefinition")
        for member in ("TuningObjective", "HyperParameterRanges"):
            if member in request["TrainingJobDefinition"]:
                raise Refused(f"TrainingJobDefinition.{member} can only be given in TrainingJobDefinitions")
        return
    for member in ("HyperParameterTuningJobObjective", "ParameterRanges"):
        if member in config:
            raise Refused(f"HyperParameterTuningJobConfig.{member} cannot be given with TrainingJobDefinitions")
    for index, each in enumerate(request["TrainingJobDefinitions"], 1):
        for member in ("DefinitionName", "TuningObjective", "HyperParameterRanges"):
            if member not in each:
                raise Refused(f"TrainingJobDefinitions.{index}.member.{member} is required with several definitions")
    names = [each["DefinitionName"] for each in request["TrainingJobDefinitions"]]
    if len(set(names)) < len(names):
        raise Refused(f"DefinitionName must be unique within a tuning job: {', '.join(names)}")
    if "WarmStartConfig" in request:
        raise Refused("WarmStartConfig is not supported with TrainingJobDefinitions")
    if config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise Refused("TrainingJobEarlyStoppingType Auto is not supported with TrainingJobDefinitions")


def _check_ranges(definition: dict[str, Any], given: dict[str, Any]) -> None:
    if given.get("AutoParameters"):
        raise NotEmulated("AutoParameters")
    for kind, member in (("Integer", "IntegerParameterRanges"), ("Continuous", "ContinuousParameterRanges")):
        for each in given.get(member, []):
            _check_bounds(each, kind)
    for each in given.get("CategoricalParameterRanges", []):
        if len(set(each["Values"])) < len(each["Values"]):
            raise Refused(f"Hyperparameter {each['Name']!r} has a value twice: {', '.join(each['Values'])}")
    names = [each.name for each in parameters(given)]
    if not names:
        raise Refused("At least one hyperparameter range must be given")
    if len(names) > MOST_HYPERPARAMETERS:
        raise Refused(f"A tuning job can have at most {MOST_HYPERPARAMETERS} ranges; given: {len(names)}")
    static = definition.get("StaticHyperParameters", {})
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"Hyperparameter {name!r} has more than one range")
        if name in static:
            raise Refused(f"Hyperparameter {name!r} is given both a range and a value in StaticHyperParameters")


def _check_bounds(each: dict[str, Any], kind: str) -> None:
    name, scaling = each["Name"], each.get("ScalingType", "Auto")
    low, high = number(each["MinValue"], kind), number(each["MaxValue"], kind)
    what = f"Hyperparameter {name!r}: MinValue {each['MinValue']!r} and MaxValue {each['MaxValue']!r}"
    if low is None or high is None:
        raise Refused(f"{what} must be {'integers' if kind == 'Integer' else 'finite numbers'} written as text")
    if low >= high:
        raise Refused(f"{what} are not allowed; MinValue must be less than MaxValue")
    if scaling == "Logarithmic" and low <= 0:
        raise Refused(f"{what} are not allowed with ScalingType Logarithmic; all values must be greater than 0")
    if scaling == "ReverseLogarithmic" and kind == "Integer":
        raise Refused(f"Hyperparameter {name!r}: ScalingType ReverseLogarithmic is not supported for integers")
    if scaling == "ReverseLogarithmic" and not 0 <= low < high < 1:
        raise Refused(f"{what} are not allowed with ScalingType ReverseLogarithmic; the range must be in 0 <= x < 1")


def _check_objective(definition: dict[str, Any], wanted: dict[str, Any]) -> None:
    metrics = definition["AlgorithmSpecification"].get("MetricDefinitions", [])
    for each in metrics:
        try:
            groups = re.compile(each["Regex"]).groups
        except re.error as error:
            raise Refused(f"MetricDefinitions {each['Name']!r}: invalid Regex {each['Regex']!r}: {error}") from error
        if not groups:
            raise Refused(f"MetricDefinitions {each['Name']!r}: Regex {each['Regex']!r} has no group for the value")
    known = [each["Name"] for each in metrics]
    if wanted["MetricName"] not in known:
        raise Refused(
            f"The objective metric {wanted['MetricName']!r} is not in the MetricDefinitions of the algorithm; "
            f"defined are: {', '.join(known) or 'none'}"
        )


def _check_resources(definition: dict[str, Any]) -> None:
    if ("ResourceConfig" in definition) == ("HyperParameterTuningResourceConfig" in definition):
        raise Refused("Exactly one of ResourceConfig and HyperParameterTuningResourceConfig must be given")
    resources = definition.get("HyperParameterTuningResourceConfig")
    if resources is None:
        return
    single = [name for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if name in resources]
    if "InstanceConfigs" not in resources:
        if "InstanceType" not in resources:
            raise Refused("HyperParameterTuningResourceConfig must have InstanceType or InstanceConfigs")
        return
    if single:
        raise Refused(f"HyperParameterTuningResourceConfig cannot have both InstanceConfigs and {', '.join(single)}")
    types = [each["InstanceType"] for each in resources["InstanceConfigs"]]
    if len(set(types)) < len(types):
        raise Refused(f"An instance type can appear only once in InstanceConfigs: {', '.join(types)}")


def _check_strategy(request: dict[str, Any]) -> None:
    config = request["HyperParameterTuningJobConfig"]
    strategy = config["Strategy"]
    if "StrategyConfig" in config and strategy != "Hyperband":
        raise Refused(f"StrategyConfig is only for the Hyperband strategy; Strategy is {strategy}")
    if strategy == "Hyperband":
        _check_hyperband(request)
    if strategy == "Grid":
        spaces = [each for definition in definitions(request) for each in parameters(ranges(request, definition))]
        others = [each.name for each in spaces if each.kind != "Categorical"]
        if others:
            raise Refused(f"The Grid strategy takes categorical ranges only; not categorical: {', '.join(others)}")
        if "WarmStartConfig" in request:
            raise Refused("WarmStartConfig is not supported with the Grid strategy")


def _check_hyperband(request: dict[str, Any]) -> None:
    if request["HyperParameterTuningJobConfig"].get("TrainingJobEarlyStoppingType", "Off") != "Off":
        raise Refused("TrainingJobEarlyStoppingType must be Off with the Hyperband strategy, which stops jobs itself")
    resource = hyperband(request)
    if resource is None:
        raise Refused(
            "The Hyperband strategy needs StrategyConfig.HyperbandStrategyConfig.MaxResource, or one of "
            f"{', '.join(EPOCHS)} in StaticHyperParameters"
        )
    if resource.least > resource.most:
        raise Refused(f"MinResource {resource.least} is greater than MaxResource {resource.most}")


def _check_limits(request: dict[str, Any]) -> None:
    config = request["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    jobs, parallel = limits.get("MaxNumberOfTrainingJobs"), limits["MaxParallelTrainingJobs"]
    if config["Strategy"] == "Grid":
        count = len(combinations({str(index): space for index, space in enumerate(_spaces(request))}))
        if jobs not in (None, count):
            raise Refused(
                f"MaxNumberOfTrainingJobs {jobs} is not allowed with the Grid strategy: the ranges have {count} "
                "combinations; leave it out or give that"
            )
        jobs = count
    elif jobs is None:
        raise Refused("ResourceLimits.MaxNumberOfTrainingJobs is required unless Strategy is Grid")
    if jobs > MOST_JOBS:
        raise Refused(f"A tuning job can launch at most {MOST_JOBS} training jobs; this makes {jobs}")
    if parallel > jobs:
        raise Refused(f"MaxParallelTrainingJobs {parallel} is greater than MaxNumberOfTrainingJobs {jobs}")


def _spaces(request: dict[str, Any]) -> list[list[Parameter]]:
    return [parameters(ranges(request, each)) for each in definitions(request)]
