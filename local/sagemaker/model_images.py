"""What the servers of a model are made of: an image, the model's files, the environment of a container on AWS."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract import archives, names
from contract.errors import InvalidModel
from local.sagemaker import containers
from local.sagemaker.machines import Host
from local.sagemaker.objects import Location, MissingInput, Objects
from local.sagemaker.servers import Server

if TYPE_CHECKING:
    from local.cloud import Cloud

MODEL_BYTES = 30 * 2**30
"""What unpacks to more is taken for a bomb, before it fills the laptop's disk."""
_addresses = itertools.count(1)


class NoFleet(Exception):
    """Servers cannot be brought into service; the message is the endpoint's FailureReason."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image with a model's container definition.

    Args:
        name: the image's URI.
        definition: the model's container definition, with EnableNetworkIsolation and ExecutionRoleArn.
        container: what the image means on this machine.
    """

    name: str
    definition: dict[str, Any]
    container: containers.Container


class ModelImages:
    """Makes the servers of an endpoint's models.

    Args:
        cloud: where they run.
        folder: for their files.
        model: returns a model's container definition by name, with its isolation.
        on_line: called with ``<variant>/<instance>`` and each line printed.
    """

    def __init__(
        self,
        *,
        cloud: Cloud,
        folder: Path,
        model: Callable[[str], dict[str, Any]],
        on_line: Callable[[str, str], None],
    ) -> None:
        self.cloud, self.folder, self._model, self._on_line = cloud, folder, model, on_line

    def of(self, variant: str, model: str) -> Image:
        """Return what the servers of a variant are made of; raises NoFleet when there is no such image."""
        definition = self._model(model)
        name = definition["Image"]
        try:
            container = containers.resolve(self.cloud, name, definition["ExecutionRoleArn"])
        except containers.NoImage as error:
            raise NoFleet(f"The image for production variant {variant} cannot be started: {error}") from error
        if container.deep_learning:
            raise NoFleet(
                f"The image {name} for production variant {variant} has no server that the laptop cloud "
                "can run: serving with a Deep Learning Container is not emulated"
            )
        return Image(name=name, definition=definition, container=container)

    def server(self, image: Image, variant: str, number: int) -> Server:
        """Return a server that is not started yet, with the model in its folder; raises NoFleet without a model."""
        folder = self.folder / f"{variant}-{number}"
        root = folder / "ml"
        (folder / "tmp").mkdir(parents=True)
        (root / "model").mkdir(parents=True)
        self._fetch_model(image.definition, root / "model", folder)

        def host(port: int) -> Host:
            return Host(
                name="model",
                address=f"127.255.{next(_addresses) % 256}.1",
                root=root,
                command=[*image.container.entrypoint, "serve"],
                environment=self._environment(image, folder, port),
                folder=image.container.folder,
                binds=image.container.binds,
            )

        stream = f"{variant}/i-{number:017x}"
        return Server(folder=folder, host=host, on_line=lambda line: self._on_line(stream, line))

    def _environment(self, image: Image, folder: Path, port: int) -> dict[str, str]:
        region = self.cloud.region
        return {
            **image.container.environment,
            "HOME": str(folder / "tmp"),
            "TMPDIR": str(folder / "tmp"),
            names.BASE_DIR: str(folder / "ml"),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "PORT": str(port),
            names.SERVING_HOST: "127.0.0.1",  # a laptop's endpoints are nobody else's
            "SAGEMAKER_REGION": region,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            **self._reach(image.definition),
            **image.definition.get("Environment", {}),
        }

    def _reach(self, definition: dict[str, Any]) -> dict[str, str]:
        if definition.get("EnableNetworkIsolation"):
            return {}
        return self.cloud.callers.environment(definition["ExecutionRoleArn"], "SageMaker")

    def _fetch_model(self, definition: dict[str, Any], folder: Path, scratch: Path) -> None:
        url = definition.get("ModelDataUrl")
        if url is None:
            return
        archive = scratch / "model.tar.gz"
        try:
            s3 = self.cloud.callers.client(definition["ExecutionRoleArn"], "s3", "SageMaker")
            Objects(s3).download(Location.parse(url), archive)
            archives.unpack(archive, folder, limit=MODEL_BYTES)
        except MissingInput as error:
            raise NoFleet(f'Failed to download model data from URL "{url}": {error}') from error
        except InvalidModel as error:
            raise NoFleet(
                f'Failed to extract model data archive from URL "{url}". Please ensure that the object located at the '
                f"URL is a valid tar.gz archive ({error})"
            ) from error
        archive.unlink()
