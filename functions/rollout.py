"""What a deployment to an endpoint is made of: variants, the way traffic moves, alarms. Pure: it calls nothing.

Variants: ``AllTraffic`` serves; ``Shadow`` gets a copy of its requests before it does; ``Challenger`` gets a share of
them in an A/B test. SageMaker shifts traffic step by step only where both configurations have variants of the same
names ("Exclusions" of deployment guardrails), so ``AllTraffic`` is always called so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contract import deploying, keys, names
from contract.config import Deploy
from contract.lambda_calls import ALIAS
from contract.runbooks import Runbook

VARIANT, SHADOW, CHALLENGER = "AllTraffic", "Shadow", "Challenger"
MARGIN_SECONDS = 3600
"""What an update may take beyond its waiting: machines are got, images are fetched, fleets are drained."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """What serves behind the project's endpoint.

    Args:
        config: name of its endpoint configuration.
        variants: its ProductionVariants, as configured, with as many instances as serve now.
    """

    config: str
    variants: tuple[Mapping[str, Any], ...]

    @property
    def champion(self) -> Mapping[str, Any]:
        """The champion's variant, which has all traffic, but for a challenger's share."""
        return next(variant for variant in self.variants if variant["VariantName"] == VARIANT)


def variant(model: str, deploy: Deploy, *, name: str = VARIANT, weight: float = 1.0) -> dict[str, Any]:
    """Return a ProductionVariant."""
    common = {"VariantName": name, "ModelName": model, "InitialVariantWeight": weight}
    if deploy.target == "serverless":
        size = {"MemorySizeInMB": deploy.memory_mb, "MaxConcurrency": deploy.max_concurrency}
        return {**common, "ServerlessConfig": size}
    return {**common, "InstanceType": deploy.instance, "InitialInstanceCount": deploy.instances}


def as_many(model: str, deploy: Deploy, live: Live | None) -> dict[str, Any]:
    """Return the variant of a version that takes over: with as many instances as the champion was scaled to."""
    found = variant(model, deploy)
    if not live or not deploy.max_instances:
        return found
    serving = live.champion.get("InitialInstanceCount", 0)
    return {**found, "InitialInstanceCount": min(max(serving, deploy.instances), deploy.max_instances)}


def staging_variant(model: str, deploy: Deploy) -> dict[str, Any]:
    """Return the variant on which golden samples are checked, one after the other: the smallest of its kind."""
    found = variant(model, deploy)
    if deploy.target == "serverless":
        return {**found, "ServerlessConfig": {**found["ServerlessConfig"], "MaxConcurrency": 1}}
    return {**found, "InitialInstanceCount": 1}


def ab_variants(model: str, deploy: Deploy, live: Live) -> list[dict[str, Any]]:
    """Return the champion's variant as it serves, and the challenger's beside it, with their shares."""
    champion = {**live.champion, "InitialVariantWeight": 100.0 - deploy.ab_percent}
    return [champion, variant(model, deploy, name=CHALLENGER, weight=float(deploy.ab_percent))]


def shadow_configuration(model: str, deploy: Deploy, live: Live) -> dict[str, Any]:
    """Return the variants while the new version only gets a copy of requests.

    The share that is copied is the shadow's weight in proportion to the champion's ("Create a shadow test" by API).
    """
    return {
        "ProductionVariants": [{**live.champion, "InitialVariantWeight": 100.0}],
        "ShadowProductionVariants": [variant(model, deploy, name=SHADOW, weight=float(deploy.shadow_percent))],
    }


def capture(deploy: Deploy, bucket: str, prefix: str, key: str) -> dict[str, Any]:
    """Return the DataCaptureConfig of an endpoint configuration; nothing where nothing is captured.

    ``key`` encrypts what is captured.
    """
    if not deploy.capture_percent:
        return {}
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": deploy.capture_percent,
            "DestinationS3Uri": f"s3://{bucket}/{prefix}",
            "KmsKeyId": key,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
        }
    }


def asynchronous(deploy: Deploy, bucket: str, prefix: str, key: str) -> dict[str, Any]:
    """Return the AsyncInferenceConfig of an endpoint configuration; nothing for other targets.

    Args:
        deploy: settings.
        bucket: the artifacts bucket.
        prefix: of the project's asynchronous requests (:func:`contract.keys.async_prefix`).
        key: ARN of the key that encrypts the answers, or of its alias.
    """
    if deploy.target != "async":
        return {}
    folder = f"s3://{bucket}/{prefix}"
    return {
        "AsyncInferenceConfig": {
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": deploy.max_concurrency},
            "OutputConfig": {
                "KmsKeyId": key,
                "S3OutputPath": folder + keys.ASYNC_ANSWERS,
                "S3FailurePath": folder + keys.ASYNC_FAILURES,
            },
        }
    }


def deployment_config(deploy: Deploy, alarms: Iterable[str]) -> dict[str, Any]:
    """Return how UpdateEndpoint moves traffic, and the alarms that take it back."""
    seconds = deploy.bake_minutes * 60
    step = {"Type": "CAPACITY_PERCENT", "Value": deploy.step_percent}
    routing: dict[str, dict[str, Any]] = {
        "all": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "canary": {"Type": "CANARY", "WaitIntervalInSeconds": seconds, "CanarySize": step},
        "linear": {"Type": "LINEAR", "WaitIntervalInSeconds": seconds, "LinearStepSize": step},
    }
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing[deploy.rollout],
            "TerminationWaitInSeconds": seconds,
            "MaximumExecutionTimeoutInSeconds": deploying.waiting_minutes(deploy) * 60 + MARGIN_SECONDS,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


def alarms(endpoint: str, name: str, deploy: Deploy, tags: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return PutMetricAlarm's requests for one variant of an endpoint.

    SageMaker counts 1 for each request that was answered 5xx and 0 for any other, so the average is their share; its
    latencies are in microseconds ("Amazon SageMaker AI metrics in Amazon CloudWatch").
    """
    if deploy.target not in names.INSTANCE_TARGETS:
        return []
    common = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": name}],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": tags,
    }
    errors = {
        **common,
        "AlarmName": names.alarm(endpoint, name, "errors"),
        "AlarmDescription": Runbook.MODEL_ERRORS.after(
            f"More than {deploy.max_error_percent:g} % of requests are answered 5xx"
        ),
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Average",
        "Threshold": deploy.max_error_percent / 100,
    }
    latency = {
        **common,
        "AlarmName": names.alarm(endpoint, name, "latency"),
        "AlarmDescription": Runbook.MODEL_LATENCY.after(
            f"The 99th percentile of latency is above {deploy.max_latency_ms} ms"
        ),
        "MetricName": "ModelLatency",
        "ExtendedStatistic": "p99",
        "Threshold": deploy.max_latency_ms * 1000.0,
    }
    return [errors, *([latency] if deploy.max_latency_ms else [])]


def function_plan(tenant: str, project: str, deploy: Deploy, model_sha256: str, at_once: bool) -> dict[str, Any]:
    """Return what the states of a Lambda function make; ``steps`` are percent of the requests."""
    name, size = names.function(tenant, project), deploy.step_percent
    steps = {"all": [100], "canary": [size, 100], "linear": [*range(size, 100, size), 100]}
    return {
        "function": name,
        "endpoint": f"{name}:{ALIAS}",
        "config_name": "",
        "model_sha256": model_sha256,
        "memory_mb": deploy.memory_mb,
        "steps": [100] if at_once else steps[deploy.rollout],
        "watch_last": deploy.rollout != "all" and not at_once,
        "bake_seconds": deploy.bake_minutes * 60,
        "max_error_percent": deploy.max_error_percent,
        "max_latency_ms": deploy.max_latency_ms,
        "alarms": [],  # those of the version are made with it
    }


def offline_plan(tenant: str, project: str, deploy: Deploy, model: str) -> dict[str, Any]:
    """Return what the states of a version without an endpoint make; ``prefix`` is of its golden samples as files."""
    return {
        "model_name": model,
        "endpoint": "",
        "config_name": "",
        "prefix": keys.golden_prefix(tenant, project, model),
        "batch_instance": deploy.batch_instance,
        "alarms": [],
    }


def poll_seconds(deploy: Deploy) -> int:
    """Return how often to look at an endpoint: seldom in a long rollout, whose execution has 25,000 events."""
    return max(5, deploying.waiting_minutes(deploy) // 15)
