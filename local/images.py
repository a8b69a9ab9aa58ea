"""Process images: what a Dockerfile describes, as a folder that runs without Docker.

``dockerfile`` builds them and ``builds`` is the CodeBuild that asks for it. Images
live in ``<root>/images/<digest>/`` (``image.json`` and ``files/``); ECR holds a
manifest that names the digest, so tags and deletions are ECR's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
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


class PushFailed(Exception):
    """ECR refused an image; the message is its own."""


class ImageNotFound(Exception):
    """No such image in this cloud's ECR; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A built image.

    Args:
        entrypoint: its ENTRYPOINT.
        arguments: its CMD, which arguments from outside replace.
        environment: its ENV.
        folder: its WORKDIR, inside.
        files: the folder that holds its files, outside.
    """

    entrypoint: list[str]
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    files: Path

    @property
    def binds(self) -> dict[str, Path]:
        """Path inside -> path outside, of what the image has and this machine has not."""
        return dict(_binds(self.files, Path("/")))


def _binds(files: Path, inside: Path) -> Iterator[tuple[str, Path]]:
    for path in files.iterdir():
        place = inside / path.name
        if path.is_dir() and place.is_dir():
            yield from _binds(path, place)
        else:
            yield str(place), path


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
        entrypoint=told["entrypoint"],
        arguments=told["cmd"],
        environment=told["environment"],
        folder=told["folder"],
        files=folder / "files",
    )


def push(cloud: Cloud, digest: str, repository_uri: str, tag: str) -> str:
    """Put an image into ECR as ``repository_uri:tag``; return ECR's digest of its manifest.

    Raises PushFailed.
    """
    match = URI.fullmatch(f"{repository_uri}:{tag}")
    if not match or not match["tag"]:
        raise PushFailed(f"{repository_uri}:{tag} is not the URI of an image in ECR")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest, "size": _size(cloud.root, digest)},
        "layers": [],
    }
    ecr, repository = cloud.client("ecr"), match["repository"]
    try:
        ecr.describe_repositories(registryId=match["account"], repositoryNames=[repository])
        ecr.put_image(
            registryId=match["account"],
            repositoryName=repository,
            imageManifest=json.dumps(manifest, sort_keys=True),
            imageManifestMediaType=MANIFEST_TYPE,
            imageTag=tag,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ImageAlreadyExistsException":
            raise PushFailed(error.response["Error"]["Message"]) from error
    pushed: str = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"][0][
        "imageDigest"
    ]
    return pushed


def _size(root: Path, digest: str) -> int:
    return sum(path.stat().st_size for path in load(root, digest).files.rglob("*") if path.is_file())
