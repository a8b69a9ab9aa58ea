"""A function keeps its dead-letter queue, logging configuration and ephemeral storage.

AWS returns them from GetFunctionConfiguration and acts on them. moto drops
DeadLetterConfig and LoggingConfig, and ignores updates of EphemeralStorage,
TracingConfig and KMSKeyArn. Every change counts as a new revision, so that warm
sandboxes of the old one are not used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaFunction

if TYPE_CHECKING:
    from local.cloud import Cloud


def _keep(function: LambdaFunction, spec: dict[str, Any]) -> None:
    """Take over from ``spec`` what moto drops."""
    if "DeadLetterConfig" in spec:
        function.dead_letter_config = spec["DeadLetterConfig"] or {}  # type: ignore[attr-defined]
    if "LoggingConfig" in spec:
        function.logging_config = spec["LoggingConfig"] or {}  # type: ignore[attr-defined]
    if "EphemeralStorage" in spec:
        function.ephemeral_storage = spec["EphemeralStorage"]["Size"]
    if "TracingConfig" in spec:
        function.tracing_config = spec["TracingConfig"]
    if "KMSKeyArn" in spec:
        function.kms_key_arn = spec["KMSKeyArn"]
    function.revision = getattr(function, "revision", 0) + 1  # type: ignore[attr-defined]


def install(cloud: Cloud) -> None:
    """Wrap creation, updates and the description of functions."""
    create, configure = LambdaFunction.__init__, LambdaFunction.update_configuration
    update_code, describe = LambdaFunction.update_function_code, LambdaFunction.get_configuration

    def __init__(self: LambdaFunction, account_id: str, spec: dict[str, Any], region: str, version: Any = 1) -> None:
        create(self, account_id, spec, region, version)
        self.dead_letter_config = {}  # type: ignore[attr-defined]
        self.logging_config = {}  # type: ignore[attr-defined]
        _keep(self, spec)

    def update_configuration(self: LambdaFunction, updates: dict[str, Any]) -> dict[str, Any]:
        _keep(self, updates)
        return configure(self, updates)

    def update_function_code(self: LambdaFunction, updates: dict[str, Any]) -> dict[str, Any]:
        _keep(self, {})
        return update_code(self, updates)

    def get_configuration(self: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
        group = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        config = {**describe(self, on_create), "LoggingConfig": {**group, **self.logging_config}}  # type: ignore[attr-defined]
        if self.dead_letter_config:  # type: ignore[attr-defined]
            config["DeadLetterConfig"] = self.dead_letter_config  # type: ignore[attr-defined]
        return {name: value for name, value in config.items() if value is not None}

    setattr(LambdaFunction, "__init__", __init__)  # noqa: B010
    setattr(LambdaFunction, "update_configuration", update_configuration)  # noqa: B010
    setattr(LambdaFunction, "update_function_code", update_function_code)  # noqa: B010
    setattr(LambdaFunction, "get_configuration", get_configuration)  # noqa: B010
