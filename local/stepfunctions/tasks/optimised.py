"""Optimised integrations: ``arn:aws:states:::<service>:<action>``.

"Integrating optimized services with Step Functions" (developer guide). Their
errors are named as in the AWS SDK for Java 1.x: a class that the service's
model has, ``DynamoDB.ConditionalCheckFailedException``, or the service's
own, ``DynamoDB.AmazonDynamoDBException``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.stepfunctions.errors import StateFailed
from local.stepfunctions.history import dumps
from local.stepfunctions.tasks.integration import REQUEST, SYNC, SYNC2, TOKEN, Integration, Task, unusable


def _errors(prefix: str, otherwise: str) -> Callable[[str, bool], str]:
    return lambda code, modelled: f"{prefix}.{_suffixed(code) if modelled else otherwise}"


def _suffixed(code: str) -> str:
    return code if code.endswith("Exception") else f"{code}Exception"


class LambdaIntegration(Integration):
    """``lambda:invoke``: the response's Payload is parsed, a function's error is the state's."""

    def call(self, task: Task) -> Any:
        """Invoke and return the response, with what the optimised integration adds to it."""
        answer: dict[str, Any] = super().call(task)
        payload = _json_or_text(answer.pop("Payload", "null"))
        if answer.get("FunctionError"):
            kind = payload.get("errorType") if isinstance(payload, Mapping) else None
            raise StateFailed(kind or "Lambda.Unknown", dumps(payload))
        return {
            "ExecutedVersion": answer.get("ExecutedVersion", "$LATEST"),
            "Payload": payload,
            "SdkHttpMetadata": {"HttpStatusCode": answer["StatusCode"]},
            "SdkResponseMetadata": answer["SdkResponseMetadata"],
            "StatusCode": answer["StatusCode"],
        }

    def result(self, answer: Any, shape: Any) -> Any:
        """Return the response, and the id of the request, which is the invocation's."""
        metadata = {"RequestId": answer["ResponseMetadata"]["RequestId"]}
        return {**super().result(answer, shape), "SdkResponseMetadata": metadata}


class FunctionIntegration(LambdaIntegration):
    """A function's own ARN as Resource: Arguments are its payload, its return value the result."""

    def call(self, task: Task) -> Any:
        """Invoke and return what the function returned."""
        payload = task.arguments if task.arguments is not None else {}
        invoke = {"FunctionName": task.resource.arn, "Payload": payload}
        return super().call(dataclasses.replace(task, arguments=invoke))["Payload"]

    def check(self, action: str, arguments: Any, path: str) -> list[tuple[str, str]]:
        """Return no mistake: any JSON is a payload."""
        return []


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json_fields(*names: str) -> Callable[[dict[str, Any], Task], dict[str, Any]]:
    """Make a ``prepare`` that writes JSON values of these fields as text."""

    def prepare(arguments: dict[str, Any], task: Task) -> dict[str, Any]:
        return {
            key: value if key not in names or isinstance(value, str) else dumps(value)
            for key, value in arguments.items()
        }

    return prepare


def _prepare_events(arguments: dict[str, Any], task: Task) -> dict[str, Any]:
    context = task.context
    for entry in arguments.get("Entries", []):
        if not isinstance(entry, dict):
            raise unusable(task, ["every entry must be a JSON object"])
        if "Detail" in entry and not isinstance(entry["Detail"], str):
            entry["Detail"] = dumps(entry["Detail"])
        entry["Resources"] = [*entry.get("Resources", []), context["StateMachine"]["Id"], context["Execution"]["Id"]]
    return arguments


def _finish_events(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("FailedEntryCount"):
        raise StateFailed("EventBridge.FailedEntry", dumps(result))
    return result


def _prepare_execution(arguments: dict[str, Any], task: Task) -> dict[str, Any]:
    given = arguments.get("Input", {})
    return {**arguments, "Input": given if isinstance(given, str) else dumps(given)}


class SageMakerIntegration(Integration):
    """SageMaker's errors have one name for all: throttling, quota and validation alike."""

    def failure(self, error: ClientError) -> StateFailed:
        """Return the service's error, told apart only by its cause."""
        failure = super().failure(error)
        return StateFailed("SageMaker.AmazonSageMakerException", failure.cause)


_LAMBDA_ERRORS = _errors("Lambda", "AWSLambdaException")
_REQUEST_OR_JOB = frozenset({REQUEST, SYNC})
_REQUEST_ONLY = frozenset({REQUEST})
_REQUEST_OR_TOKEN = frozenset({REQUEST, TOKEN})

INTEGRATIONS: dict[str, Integration] = {
    "function": FunctionIntegration(service="lambda", error=_LAMBDA_ERRORS),
    "lambda": LambdaIntegration(service="lambda", error=_LAMBDA_ERRORS),
    "dynamodb": Integration(service="dynamodb", error=_errors("DynamoDB", "AmazonDynamoDBException")),
    "sns": Integration(service="sns", error=_errors("SNS", "AmazonSNSException"), prepare=_json_fields("Message")),
    "sqs": Integration(service="sqs", error=_errors("SQS", "AmazonSQSException"), prepare=_json_fields("MessageBody")),
    "events": Integration(
        service="events",
        error=_errors("EventBridge", "AmazonEventBridgeException"),
        prepare=_prepare_events,
        finish=_finish_events,
    ),
    "sagemaker": SageMakerIntegration(service="sagemaker", error=_errors("SageMaker", "AmazonSageMakerException")),
    "codebuild": Integration(service="codebuild", error=_errors("CodeBuild", "AWSCodeBuildException")),
    "states": Integration(
        service="stepfunctions",
        error=_errors("StepFunctions", "AWSStepFunctionsException"),
        prepare=_prepare_execution,
    ),
}

PATTERNS: dict[tuple[str, str], frozenset[str]] = {
    ("function", "invoke"): _REQUEST_ONLY,
    ("lambda", "invoke"): _REQUEST_OR_TOKEN,
    ("dynamodb", "getItem"): _REQUEST_ONLY,
    ("dynamodb", "putItem"): _REQUEST_ONLY,
    ("dynamodb", "updateItem"): _REQUEST_ONLY,
    ("dynamodb", "deleteItem"): _REQUEST_ONLY,
    ("sns", "publish"): _REQUEST_OR_TOKEN,
    ("sqs", "sendMessage"): _REQUEST_OR_TOKEN,
    ("events", "putEvents"): _REQUEST_OR_TOKEN,
    ("sagemaker", "createEndpoint"): _REQUEST_ONLY,
    ("sagemaker", "createEndpointConfig"): _REQUEST_ONLY,
    ("sagemaker", "createHyperParameterTuningJob"): _REQUEST_OR_JOB,
    ("sagemaker", "createModel"): _REQUEST_ONLY,
    ("sagemaker", "createProcessingJob"): _REQUEST_OR_JOB,
    ("sagemaker", "createTrainingJob"): _REQUEST_OR_JOB,
    ("sagemaker", "createTransformJob"): _REQUEST_OR_JOB,
    ("sagemaker", "updateEndpoint"): _REQUEST_ONLY,
    ("codebuild", "startBuild"): _REQUEST_OR_JOB,
    ("codebuild", "stopBuild"): _REQUEST_ONLY,
    ("codebuild", "batchGetBuilds"): _REQUEST_ONLY,
    ("states", "startExecution"): frozenset({REQUEST, SYNC, SYNC2, TOKEN}),
}
