"""Gap: an image's digest is not the digest of its manifest.

AWS's ECR names an image by the sha256 of its manifest, and says
RepositoryNotFoundException to PutImage without a repository. moto hashes the
names of the layers, so different images can share a digest, and answers the
missing repository with an internal error. Closed by hashing the manifest and
looking for the repository first.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from moto.core.responses import ActionResult
from moto.ecr.exceptions import RepositoryNotFoundException
from moto.ecr.models import Image
from moto.ecr.responses import ECRResponse

if TYPE_CHECKING:
    from local.cloud import Cloud

_put_image = ECRResponse.put_image


def install(cloud: Cloud) -> None:
    """Name images by their manifests."""

    def create_digest(self: Image) -> None:
        self._image_digest = f"sha256:{hashlib.sha256(self.image_manifest.encode()).hexdigest()}"

    def put_image(self: ECRResponse) -> ActionResult:
        name = json.loads(self.body)["repositoryName"]
        if name not in self.ecr_backend.repositories:
            raise RepositoryNotFoundException(name, self.current_account)
        return _put_image(self)

    setattr(Image, "_create_digest", create_digest)  # noqa: B010
    setattr(ECRResponse, "put_image", put_image)  # noqa: B010
