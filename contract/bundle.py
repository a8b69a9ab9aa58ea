"""A model with the server that answers for it, as files that need nothing of the cloud.

    serving/ contract/     the server's source, with requirements.txt and Dockerfile
    model/                 the model archive, unpacked; the server checks every file against its manifest
    golden.json            held-out rows, and what the evaluated model answered

``SAGEMAKER_BASE_DIR=<folder> python -m serving serve`` in the folder serves it. The same folder is a
container's build context, the artefact of an AWS IoT Greengrass v2 component, and what `tandem edge run` takes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from contract import keys, names
from contract.errors import InvalidModel

SOURCES = ("serving", "contract")
GOLDEN, MODEL = "golden.json", "model"
PORT = 8080
ROUTES = "v2,metrics"
"""What a bundle's server answers besides SageMaker's routes (contract.names.SERVING_ROUTES)."""
STILL = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip, so that the same files are the same bytes."""

DOCKERFILE = "Dockerfile"
BEFORE = 'ENTRYPOINT ["python", "-m", "serving"]'
"""Line of serving/Dockerfile before which the model goes into the image."""


def files(root: Path, archive: bytes, golden: bytes) -> dict[str, bytes]:
    """Return a bundle's files by path.

    Args:
        root: folder that holds ``serving/`` and ``contract/``.
        archive: model.tar.gz.
        golden: golden.json.

    Raises:
        InvalidModel: for an archive with anything but plain files below it.
    """
    found = {GOLDEN: golden, DOCKERFILE: dockerfile((root / "serving/Dockerfile").read_text()).encode()}
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found | {f"{MODEL}/{name}": content for name, content in members(archive)}


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a model archive.

    Raises:
        InvalidModel: for what is no archive, or holds a link, a device or a path that leads out.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if member.isdir():
                    continue
                if not member.isfile() or path.is_absolute() or ".." in path.parts:
                    raise InvalidModel(f"the archive holds {member.name!r}, which is no plain file below it")
                file = tar.extractfile(member)
                assert file is not None
                yield path.as_posix().removeprefix("./"), file.read()
    except (tarfile.TarError, EOFError) as error:
        raise InvalidModel(f"the model archive cannot be read: {error}") from error


def dockerfile(text: str) -> str:
    """Return serving/Dockerfile with the model in the image, and the routes for monitoring and KServe.

    Raises:
        ValueError: when the server's Dockerfile is not as it was when this was written.
    """
    if text.count(BEFORE) != 1:
        raise ValueError(f"serving/Dockerfile has no line {BEFORE!r}")
    more = f"COPY {MODEL} {names.DEFAULT_BASE_DIR}/{MODEL}\nENV {names.SERVING_ROUTES}={ROUTES}\n"
    return text.replace(BEFORE, more + BEFORE)


def zipped(content: Mapping[str, bytes]) -> bytes:
    """Return a zip of files: the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(content):
            info = zipfile.ZipInfo(name, STILL)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(info, content[name])
    return buffer.getvalue()


def component(tenant: str, project: str, version: int, bundle: bytes, uri: str) -> dict[str, Any]:
    """Return the recipe of a Greengrass v2 component that serves a bundle on port 8080 of its device.

    Source: "AWS IoT Greengrass component recipe reference". The device needs Python 3.11 or 3.12, and its token
    exchange role ``s3:GetObject`` of the bundle.

    Args:
        tenant: the team.
        project: the line of models.
        version: the model version, which becomes the component's minor version.
        bundle: the zip.
        uri: where its object is.
    """
    folder = f"{{artifacts:decompressedPath}}/{PurePosixPath(keys.parse_uri(uri)[1]).stem}"
    python = "{work:path}/venv/bin/python"
    install = f"python3 -m venv {{work:path}}/venv && {python} -m pip install -r {folder}/serving/requirements.txt"
    run = (
        f"cd {folder} && {names.BASE_DIR}={folder} {names.SERVING_HOST}={{configuration:/host}} "
        f"PORT={{configuration:/port}} {names.SERVING_ROUTES}={ROUTES} exec {python} -m serving serve"
    )
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": f"tandem.{tenant}.{project}",
        "ComponentVersion": f"1.{version}.0",
        "ComponentType": "aws.greengrass.generic",
        "ComponentDescription": f"Version {version} of {tenant}/{project}; sha256 {hashlib.sha256(bundle).hexdigest()}",
        "ComponentPublisher": tenant,
        "ComponentConfiguration": {"DefaultConfiguration": {"host": "127.0.0.1", "port": PORT}},
        "Manifests": [
            {
                "Platform": {"os": "linux"},
                "Lifecycle": {
                    "install": {"Script": install, "Timeout": 1800},
                    "run": {"Script": run},
                },
                "Artifacts": [{"URI": uri, "Unarchive": "ZIP", "Permission": {"Read": "OWNER"}}],
            }
        ],
    }


def inference_service(tenant: str, project: str, version: int, image: str) -> dict[str, Any]:
    """Return a KServe InferenceService that runs a bundle's image and speaks the Open Inference Protocol (V2).

    Source: "Custom predictor" and "Open Inference Protocol" of KServe's documentation.

    Args:
        tenant: the team.
        project: the line of models, which names the service with the team.
        version: the model version.
        image: where the image was pushed.
    """
    probes = {
        name: {"httpGet": {"path": f"/v2/health/{path}", "port": PORT}}
        for name, path in (("readinessProbe", "ready"), ("livenessProbe", "live"))
    }
    container = {
        "name": "kserve-container",
        "image": image,
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "env": [{"name": names.SERVING_MODEL_NAME, "value": project}],
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        **probes,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": f"{tenant}-{project}",
            "labels": {"app.kubernetes.io/managed-by": names.APP},
            "annotations": {"tandem/version": str(version)},
        },
        "spec": {"predictor": {"containers": [container]}},
    }
