"""Tidy up: after every deployment, what a project no longer needs goes, however the deployment ended.

What is needed is told by the champion's row and by its endpoint alone; all else
that bears the project's name was made by a deployment that is over. It runs
while the lease is held, and may run again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from contract import batch, ledger, names
from contract.errors import EndpointBusy
from contract.lambda_calls import ALIAS
from functions import lambda_versions, stages, table
from functions.live import BROKEN, STEADY, describe_endpoint
from functions.shared import client, error_code, logger


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Tidy up after a deployment of a project.

    Args:
        event: ``{"tenant", "project", "alarms"}``; the last names those that the deployment made, None when it failed.
        context: unused.

    Returns:
        ``{"deleted", "stages"}``: names of endpoints, configurations, models and alarms, and the new stages of versions
        in the registry.

    Raises:
        EndpointBusy: while the project's endpoint changes, because its old configuration is needed until then.
    """
    tenant, project = names.check_name("tenant", event["tenant"]), names.check_name("project", event["project"])
    row = table.get(ledger.champion_key(tenant, project)) or {}
    live, recorded = row.get("endpoint") or "", row.get("configuration") or ""
    asleep = bool(row.get("asleep"))
    deleted = list(tidy(tenant, project, live, recorded, event.get("alarms"), asleep=asleep))
    staged = dict(stages.keep(tenant, project, row))
    logger.info("tidied up", extra={"project": f"{tenant}/{project}", "deleted": deleted, "stages": staged})
    return {"deleted": deleted, "stages": staged}


def tidy(
    tenant: str, project: str, live: str, recorded: str, made: list[str] | None = None, *, asleep: bool = False
) -> Iterator[str]:
    """Delete all but what ``live``, the champion's endpoint, consists of; yield what was deleted.

    Args:
        tenant: whose.
        project: which.
        live: name of the champion's endpoint.
        recorded: its configuration by the champion's row; it stays while the endpoint is not there, too.
        made: the alarms of a deployment that went well; None keeps any alarm of a variant that is live.
        asleep: whether the champion sleeps, so that its endpoint goes, too; what it is made of stays.
    """
    own = [names.endpoint(tenant, project, target) for target in names.ENDPOINT_TARGETS]
    for endpoint in (names.staging_endpoint(tenant, project), *own):
        if endpoint != live or asleep:
            yield from _delete_endpoint(endpoint)
    yield from _tidy_function(names.function(tenant, project), live)
    variants, configs, models = in_use("" if asleep else live, recorded)
    yield from _delete_alarms(tenant, project, {names.alarm(live, variant, "") for variant in variants}, made)
    yield from _delete_others(tenant, project, "endpoint_config", "EndpointConfig", configs)
    yield from _delete_others(tenant, project, "model", "Model", models)
    yield from _delete_batch_models(tenant, project)


def in_use(endpoint: str, recorded: str) -> tuple[set[str], set[str], set[str]]:
    """Return the names of an endpoint's variants, configurations and models.

    Raises:
        EndpointBusy: while it changes.
    """
    is_endpoint = endpoint.rpartition("--")[2] in names.ENDPOINT_TARGETS  # a champion may be served by something else
    status, config = describe_endpoint(endpoint) if is_endpoint else (None, None)
    if status is not None and status not in (*STEADY, *BROKEN):
        raise EndpointBusy(f"endpoint {endpoint} is {status}")
    configs = {name for name in (config, recorded) if name}
    variants = [variant for name in configs for variant in _variants(name)]
    return {each["VariantName"] for each in variants}, configs, {each["ModelName"] for each in variants}


def _variants(config: str) -> list[dict[str, Any]]:
    try:
        found = client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    except ClientError as error:
        if error_code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        return []
    return [*found["ProductionVariants"], *found.get("ShadowProductionVariants", [])]


def _delete_endpoint(endpoint: str) -> Iterator[str]:
    status, _ = describe_endpoint(endpoint)
    if status in (*STEADY, *BROKEN):
        client("sagemaker").delete_endpoint(EndpointName=endpoint)
        yield endpoint
    elif status not in (None, "Deleting"):
        raise EndpointBusy(f"endpoint {endpoint} is {status}, and cannot be deleted yet")


def _tidy_function(name: str, live: str) -> Iterator[str]:
    """Delete the project's function if something else serves, else its versions that the alias does not name."""
    if lambda_versions.describe(name) is None:
        return
    if live != f"{name}:{ALIAS}":
        client("lambda").delete_function(FunctionName=name)
        yield name
        return
    alias = client("lambda").get_alias(FunctionName=name, Name=ALIAS)
    kept = {"$LATEST", alias["FunctionVersion"], *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})}
    pages = client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=name)
    for version in [each["Version"] for page in pages for each in page["Versions"]]:
        if version not in kept:
            client("lambda").delete_function(FunctionName=name, Qualifier=version)
            yield f"{name}:{version}"


def _delete_alarms(tenant: str, project: str, kept: set[str], made: list[str] | None) -> Iterator[str]:
    """Delete the alarms of variants that are gone; ``kept`` are the beginnings of the others' names."""
    pages = (
        client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{tenant}--{project}--", AlarmTypes=["MetricAlarm"])
    )
    found = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    wanted = {name for name in found if name.startswith(tuple(kept)) and (made is None or name in made)}
    unwanted = [name for name in found if name not in wanted]
    if unwanted:
        client("cloudwatch").delete_alarms(AlarmNames=unwanted)
    yield from unwanted


def _delete_others(tenant: str, project: str, kind: str, noun: str, kept: set[str]) -> Iterator[str]:
    """Delete what deployments of endpoints named, but for ``kept``."""
    made_here = re.compile(rf"{tenant}--{project}--v\d+-[0-9a-f]{{8}}(-[sw])?")
    for name in _named(kind, noun, f"{tenant}--{project}--v"):
        if made_here.fullmatch(name) and name not in kept:
            _unless_gone(getattr(client("sagemaker"), f"delete_{kind}"), **{f"{noun}Name": name})
            yield name


def _delete_batch_models(tenant: str, project: str) -> Iterator[str]:
    """Delete the models that batches could not, because SageMaker refused; those of batches that run stay."""
    start = names.batch_model(tenant, project, "")
    for name in _named("model", "Model", start):
        row = table.get(ledger.batch_key(tenant, project, name.removeprefix(start))) or {}
        if name.startswith(start) and row.get("status") != batch.RUNNING:
            _unless_gone(client("sagemaker").delete_model, ModelName=name)
            yield name


def _named(kind: str, noun: str, part: str) -> list[str]:
    """Return the names with this part, of configurations or models."""
    pages = client("sagemaker").get_paginator(f"list_{kind}s").paginate(NameContains=part)
    return [item[f"{noun}Name"] for page in pages for item in page[f"{noun}s"]]


def _unless_gone(delete: Callable[..., Any], **arguments: str) -> None:
    try:
        delete(**arguments)
    except ClientError as error:
        if error_code(error) != "ResourceNotFound" and "Could not find" not in str(error):
            raise
