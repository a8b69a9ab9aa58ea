"""What a sandbox finds around it: the cloud's address and Lambda's reserved variables."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.apigateway.address import on_this_machine
from local.lambdas.config import FunctionConfig
from local.lambdas.output import PublishMetrics
from local.logs import LogStream


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a sandbox gets from the cloud.

    Args:
        account, region: whose function it is.
        environment: returns the variables that point AWS clients at the cloud, as the role with this ARN.
        stream: makes the log stream of a sandbox by its name.
        scratch: folder under which sandboxes have their TMPDIR.
        publish: what to do with embedded metrics.
    """

    account: str
    region: str
    environment: Callable[[str], dict[str, str]]
    stream: Callable[[str], LogStream]
    scratch: Path
    publish: PublishMetrics


def variables(
    config: FunctionConfig, around: Surroundings, code: list[Path], tmp: Path, api: str, stream: str
) -> dict[str, str]:
    """Return the environment of a sandbox: nothing of the laptop's but PATH.

    ``code`` is the task root, then the layers; of a layer Python sees ``python/``, as in AWS's ``/opt``.

    Lambda's reserved variables win over the function's own
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html).
    """
    layers = [str(layer / "python") for layer in code[1:]]
    reach = around.environment(config.role)
    installed = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        **{name: on_this_machine(value, reach["AWS_ENDPOINT_URL"]) for name, value in config.environment.items()},
        **reach,
        "PYTHONPATH": os.pathsep.join([str(code[0]), *layers, *installed]),
        "LAMBDA_TASK_ROOT": str(code[0]),
        "LAMBDA_RUNTIME_DIR": str(Path(__file__).parent),
        "_HANDLER": config.handler,
        "AWS_SDK_UA_APP_ID": tmp.name,  # each call says which sandbox makes it
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": config.name,
        "AWS_LAMBDA_FUNCTION_VERSION": config.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": config.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_LOG_FORMAT": config.log_format,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
        "AWS_REGION": around.region,
        "AWS_DEFAULT_REGION": around.region,
    }
