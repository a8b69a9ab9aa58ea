"""Functions from container images: which image, and what runs in it.

Here an image is a folder (local/images.py). Of a function's ImageConfig the entry point must be the Python runtime
client, which the sandboxes run for every function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import images
from local.lambdas.config import FunctionConfig

if TYPE_CHECKING:
    from local.cloud import Cloud

RUNTIME_CLIENT = ["python", "-m", "awslambdaric"]


@dataclass(frozen=True, kw_only=True)
class Container:
    """What an image function's sandboxes run.

    Args:
        root: the working directory, on this machine.
        handler: ``module.function``.
        environment: the image's ENV.
    """

    root: Path
    handler: str
    environment: dict[str, str]

    def configure(self, config: FunctionConfig) -> FunctionConfig:
        """Return a function's configuration with what the image adds; the function's own variables win."""
        environment = {**self.environment, **config.environment}
        return replace(config, handler=self.handler, environment=environment, runtime="python3")


def container(cloud: Cloud, function: Any) -> Container:
    """Return what moto's function of package type Image runs.

    Raises:
        images.ImageNotFound: when ECR has no such image.
        NotImplementedError: for an entry point other than the Python runtime client.
    """
    image, config = images.find(cloud, function.code["ImageUri"]), function.image_config
    entrypoint, command = config.entry_point or image.entrypoint, config.cmd or image.arguments
    if entrypoint != RUNTIME_CLIENT or len(command) != 1:
        raise NotImplementedError(
            f"function {function.function_name}: image with entry point {entrypoint} {command}; "
            f"{' '.join(RUNTIME_CLIENT)} with one handler runs here"
        )
    folder = config.working_directory or image.folder
    return Container(root=image.files / folder.lstrip("/"), handler=command[0], environment=image.environment)
