"""What every integration with an AWS service does: arguments in, one call, result out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from local.chaos.calls import asking
from local.stepfunctions.callbacks import Callback
from local.stepfunctions.errors import RUNTIME, StateFailed
from local.stepfunctions.history import Trail, dumps
from local.stepfunctions.scope import Scope
from local.stepfunctions.tasks import shapes
from local.stepfunctions.tasks.resource import Resource

if TYPE_CHECKING:
    from local.cloud import Cloud

REQUEST, SYNC, SYNC2, TOKEN = "", "sync", "sync:2", "waitForTaskToken"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One attempt of a Task state.

    Args:
        resource: what it calls.
        arguments: Arguments, evaluated.
        context: the context object (``$states.context``).
        scope: what interrupts it; runs out with the state's time-out.
        trail: where its events go.
        cloud: where the services are.
        callback: its task token, where it waits for one.
        heartbeat: laptop seconds between two heartbeats; None for no limit.
    """

    resource: Resource
    arguments: Any
    context: Mapping[str, Any]
    scope: Scope
    trail: Trail
    cloud: Cloud
    callback: Callback | None = None
    heartbeat: float | None = None

    def client(self, service: str) -> Any:
        """Return the client that the machine's role calls with."""
        return self.cloud.callers.client(self.context["Execution"]["RoleArn"], service, "StepFunctions")


@dataclass(frozen=True, kw_only=True)
class Integration:
    """How Step Functions calls one service.

    Args:
        service: boto3's name of the service.
        error: makes the error's name from the API's error code and whether the
            service's model has it.
        prepare: changes boto3's arguments before the call.
        finish: changes or refuses the result.
        millis: times in results are epoch milliseconds, not ISO 8601.
    """

    service: str
    error: Callable[[str, bool], str]
    prepare: Callable[[dict[str, Any], Task], dict[str, Any]] = field(default=lambda arguments, task: arguments)
    finish: Callable[[dict[str, Any]], Any] = field(default=lambda result: result)
    millis: bool = True

    def check(self, action: str, arguments: Any, path: str) -> list[tuple[str, str]]:
        """Return (path, message) for each mistake in literal Arguments."""
        return self._mistakes(action, arguments, path)

    def call(self, task: Task) -> Any:
        """Make the call and return its result in Step Functions' form.

        Raises:
            StateFailed: the service, or botocore's validation, refused it.
        """
        model = shapes.operation(self.service, task.resource.action)
        arguments = task.arguments if task.arguments is not None else {}
        if not isinstance(arguments, Mapping):
            raise unusable(task, [f"expected a JSON object, but was {dumps(arguments)}"])
        raw = self.prepare(copy.deepcopy(dict(arguments)), task)
        mistakes = [message for _, message in self._mistakes(task.resource.action, raw, "Arguments")]
        if mistakes:
            raise unusable(task, mistakes)
        method = getattr(task.client(self.service), xform_name(model.name))
        try:
            answer = self._answer(method, shapes.request(raw, model.input_shape), task)
        except ClientError as error:
            raise self.failure(error) from error
        except HTTPClientError as error:
            raise StateFailed(self.error("SdkClient", True), f"Unable to execute HTTP request: {error}") from error
        except BotoCoreError as error:
            raise unusable(task, [str(error)]) from error
        return self.finish(self.result(answer, model.output_shape))

    def _answer(self, method: Callable[..., Any], arguments: dict[str, Any], task: Task) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            with asking(task.context["State"]["Name"], task.context["Execution"]["Name"]):
                return _read(method(**arguments))

        if task.resource.pattern in (SYNC, SYNC2):
            return ask()  # short, and never left behind: the job it starts must be known
        return task.scope.call(ask)

    def result(self, answer: Any, shape: Any) -> Any:
        """Return a boto3 answer in Step Functions' form."""
        return shapes.response(answer, shape, millis=self.millis) if shape is not None else {}

    def failure(self, error: ClientError) -> StateFailed:
        """Return a service's error as the state sees it."""
        details, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        code = details.get("Code", "")
        name = self.error(code, self._is_modelled(code))
        status, request_id = metadata.get("HTTPStatusCode"), metadata.get("RequestId", "")
        where = f"Service: {name.split('.')[0]}; Status Code: {status}; Error Code: {code}; Request ID: {request_id}"
        return StateFailed(name, f"{details.get('Message', '')} ({where})")

    def _mistakes(self, action: str, arguments: Any, path: str) -> list[tuple[str, str]]:
        if not isinstance(arguments, Mapping):
            return []  # an expression: known only when it is evaluated
        return list(shapes.problems(arguments, shapes.operation(self.service, action).input_shape, path))

    def _is_modelled(self, code: str) -> bool:
        errors: Any = shapes.service_model(self.service).error_shapes
        return any(code in (shape.error_code, shape.name) for shape in errors)


def unusable(task: Task, mistakes: list[str]) -> StateFailed:
    """Return Step Functions' answer to arguments that no call can be made of."""
    listed = ", ".join(mistakes)
    cause = f"The Arguments '{dumps(task.arguments)}' could not be used to start the Task: [{listed}]"
    return StateFailed(RUNTIME, cause)


def _read(answer: dict[str, Any]) -> dict[str, Any]:
    # Streams are read in the calling thread, so that an interruption is never stuck in one.
    return {key: value.read() if hasattr(value, "read") else value for key, value in answer.items()}
