"""Warm start: what a tuning job may inherit from earlier ones.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-warm-start.html
"""

from __future__ import annotations

from typing import Any

from local.sagemaker.errors import Refused
from local.sagemaker.tuning_request import definitions, objective, ranges
from local.sagemaker.tuning_space import Parameter, parameters

ENDED = ("Completed", "Stopped", "Failed")
MOST_CHANGES = 10  # of hyperparameters that became static or changed their static value


def check(request: dict[str, Any], parents: dict[str, dict[str, Any]], statuses: dict[str, str]) -> None:
    """Raise Refused for a warm start that AWS does not do.

    Args:
        request: of the new tuning job, which has one definition.
        parents: name -> request of its parents.
        statuses: name -> status of its parents.
    """
    for name, parent in parents.items():
        if statuses[name] not in ENDED:
            raise Refused(f"Parent tuning job {name} is {statuses[name]}; it must be {', '.join(ENDED)}")
        if "TrainingJobDefinition" not in parent:
            raise Refused(f"Parent tuning job {name} has several training job definitions: it cannot be a parent")
        _check_parent(request, name, parent)
    changes = _changes(request, list(parents.values()))
    if sum(changes.values()) > MOST_CHANGES:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(changes.items()))
        raise Refused(
            f"Static hyperparameters have {sum(changes.values())} changes since the parent tuning jobs, at most "
            f"{MOST_CHANGES} are allowed: {listed}"
        )


def _check_parent(request: dict[str, Any], name: str, parent: dict[str, Any]) -> None:
    mine, theirs = definitions(request)[0], definitions(parent)[0]
    wanted, had = objective(request, mine), objective(parent, theirs)
    if wanted != had:
        raise Refused(
            f"The objective metric must be the same as the parent tuning jobs': {wanted['Type']} "
            f"{wanted['MetricName']!r} is not {had['Type']} {had['MetricName']!r} of {name}"
        )
    if differing := sorted(_names(request) ^ _names(parent)):
        raise Refused(
            "The set of tunable plus static HyperParameter names is not the same across current and parent tuning "
            f"jobs. Please ensure this set is constant when warm starting. Not in both, here and in {name}: "
            f"{', '.join(differing)}"
        )
    before = _tunable(parent)
    for each in _tunable(request).values():
        if each.name in before and before[each.name].kind != each.kind:
            raise Refused(f"Hyperparameter {each.name!r} is {each.kind}, but {before[each.name].kind} in {name}")
    if request["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm":
        _check_identical(mine, theirs, name)


def _check_identical(mine: dict[str, Any], theirs: dict[str, Any], name: str) -> None:
    same = {
        "AlgorithmSpecification.TrainingImage": lambda each: each["AlgorithmSpecification"]["TrainingImage"],
        "InputDataConfig": lambda each: each.get("InputDataConfig"),
    }
    for member, read in same.items():
        if read(mine) != read(theirs):
            raise Refused(
                f"WarmStartType IdenticalDataAndAlgorithm: {member} differs from that of {name}; "
                "use TransferLearning for other data or another image"
            )


def _changes(request: dict[str, Any], parents: list[dict[str, Any]]) -> dict[str, int]:
    """Count as AWS does: a static value that changes counts as two, the old and the new one."""
    found = {}
    for name, value in definitions(request)[0].get("StaticHyperParameters", {}).items():
        values, numeric = {value}, 0
        for parent in parents:
            before = _tunable(parent).get(name)
            if before is None:
                values.add(definitions(parent)[0]["StaticHyperParameters"][name])
            else:
                values.update(before.values)
                numeric += before.kind != "Categorical"
        if count := numeric + (len(values) if len(values) > 1 else 0):
            found[name] = count
    return found


def _names(request: dict[str, Any]) -> set[str]:
    return set(_tunable(request)) | set(definitions(request)[0].get("StaticHyperParameters", {}))


def _tunable(request: dict[str, Any]) -> dict[str, Parameter]:
    return {each.name: each for each in parameters(ranges(request, definitions(request)[0]))}
