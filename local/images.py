"""Process images: what a Dockerfile describes, as a folder that runs without Docker.

An image is built from the part of the Dockerfile language that our images use;
any other instruction is refused by its line. ``FROM python:*-slim*`` means this
Python environment, so ``RUN pip install`` is a check that it has what the image
asks for. Images live in ``<root>/images/<digest>/`` (``image.json`` and
``files/``); ECR holds a manifest that names the digest, so tags, scans and
deletions are ECR's own.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from local.cloud import Cloud

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[a-z0-9][a-z0-9._/-]*)(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?"
)


class ImageNotFound(Exception):
    """No such image in this cloud's ECR; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A built image.

    Args:
        command: ENTRYPOINT and, without arguments from SageMaker, CMD.
        environment: its ENV.
        folder: its WORKDIR, inside.
        files: the folder that holds its files, outside.
        labels: its LABELs.
    """

    command: list[str]
    environment: dict[str, str]
    folder: str
    files: Path
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def binds(self) -> dict[str, Path]:
        """Path inside -> path outside: each file or folder that COPY or WORKDIR made."""
        tops: dict[str, Path] = {}
        for made in json.loads((self.files.parent / "image.json").read_text())["paths"]:
            tops[made] = self.files / made.lstrip("/")
        return tops


def find(cloud: Cloud, uri: str) -> Image:
    """Return the image that ``uri`` names in this cloud's ECR; raises ImageNotFound."""
    match = URI.fullmatch(uri)
    if not match:
        raise ImageNotFound(f"{uri!r} is not an ECR image URI")
    wanted = {"imageDigest": match["digest"]} if match["digest"] else {"imageTag": match["tag"] or "latest"}
    try:
        found = cloud.client("ecr").batch_get_image(
            registryId=match["account"], repositoryName=match["repository"], imageIds=[wanted]
        )["images"]
    except ClientError as error:
        raise ImageNotFound(error.response["Error"]["Message"]) from error
    if not found:
        raise ImageNotFound(f"ECR repository {match['repository']!r} has no image {next(iter(wanted.values()))!r}")
    return load(cloud.root, json.loads(found[0]["imageManifest"])["config"]["digest"])


def load(root: Path, digest: str) -> Image:
    """Return a built image by the digest in its manifest; raises ImageNotFound."""
    folder = root / "images" / digest.removeprefix("sha256:")
    if not (folder / "image.json").is_file():
        raise ImageNotFound(f"image {digest} was not built by this laptop cloud")
    told: dict[str, Any] = json.loads((folder / "image.json").read_text())
    return Image(
        command=told["entrypoint"] or told["cmd"],
        environment=told["environment"],
        folder=told["folder"],
        files=folder / "files",
        labels=told["labels"],
    )


def push(cloud: Cloud, digest: str, repository_uri: str, tag: str) -> str:
    """Put an image into ECR as ``repository_uri:tag``; return ECR's digest of its manifest."""
    match = URI.fullmatch(repository_uri)
    if not match:
        raise ValueError(f"{repository_uri!r} is not an ECR repository URI")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest, "size": 0},
        "layers": [],
    }
    text = json.dumps(manifest, sort_keys=True)
    answer = cloud.client("ecr").put_image(
        registryId=match["account"],
        repositoryName=match["repository"],
        imageManifest=text,
        imageManifestMediaType=MANIFEST_TYPE,
        imageTag=tag,
        imageDigest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
    )["image"]
    pushed: str = answer["imageId"]["imageDigest"]
    return pushed
