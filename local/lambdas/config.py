"""What a function version is made of, independent of moto's model of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """One function version as its sandboxes see it.

    Args:
        name: function name.
        version: ``$LATEST`` or a number.
        arn: qualified as it was invoked, without alias.
        handler: ``module.function``.
        runtime: ``python3.x``.
        role: execution role's ARN.
        code_sha256: base64 digest of the zip, as GetFunction shows it.
        environment: the function's own variables.
        memory_mb: MemorySize.
        timeout_s: Timeout; never scaled by the clock, because a handler's work is real.
        log_group: where its output goes.
        log_format: ``Text`` or ``JSON``.
        changed: when configuration or code last changed; a new value is a cold start.
    """

    name: str
    version: str
    arn: str
    handler: str
    runtime: str
    role: str
    code_sha256: str
    environment: dict[str, str]
    memory_mb: int
    timeout_s: int
    log_group: str
    log_format: str
    changed: str

    @property
    def log_stream(self) -> str:
        """The name of a log stream, without date and sandbox: in a group of several functions it names the function."""
        own = self.log_group == f"/aws/lambda/{self.name}"
        return f"[{self.version}]" if own else f"{self.name}[{self.version}]"

    @property
    def fingerprint(self) -> str:
        """Equal for two configurations that can share warm sandboxes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def from_moto(function: Any) -> FunctionConfig:
    """Read a configuration from moto's ``LambdaFunction``."""
    logging = getattr(function, "logging_config", {})
    version = str(function.version)
    return FunctionConfig(
        name=function.function_name,
        version=version if version.isdigit() and function.function_arn.endswith(f":{version}") else "$LATEST",
        arn=function.function_arn,
        handler=function.handler or "",
        runtime=function.run_time or "",
        role=function.role,
        code_sha256=function.code_sha_256,
        environment={name: str(value) for name, value in function.environment_vars.items()},
        memory_mb=int(function.memory_size),
        timeout_s=int(function.timeout),
        log_group=logging.get("LogGroup") or f"/aws/lambda/{function.function_name}",
        log_format=logging.get("LogFormat", "Text"),
        changed=f"{function.last_modified}#{getattr(function, 'revision', 0)}",
    )
