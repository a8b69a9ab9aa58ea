"""``GET /v1/{tenant}/{project}``, ``/openapi.json`` and ``/docs``: what may be asked of the model in service.

The first two need a key, as predictions do. The page is the same for every project and tells nothing of any:
it asks for a key, and shows what the document says that it then fetches.
"""

from __future__ import annotations

import functools
import json
import tarfile
from contextlib import closing
from typing import Any

from botocore.exceptions import ClientError

from contract import keys
from contract.manifest import ModelManifest
from functions import api, openapi, pages
from functions.api import ApiError, Request, Response
from functions.documents import MISSING
from functions.shared import client, error_code

PAGE = "api_page.html"
MANIFEST_LIMIT = 64 * api.MIB


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway."""
    if event["resource"].endswith("/docs"):
        return pages.page(PAGE).to_event(event["requestContext"]["requestId"])
    return api.serve(event, describe)


def describe(request: Request) -> Response:
    """Return the schema of the champion, or its OpenAPI document."""
    champion = api.champion(request)
    manifest, version, target = read_manifest(champion["model_uri"]), champion["version"], champion["target"]
    make = openapi.document if request.resource.endswith("/openapi.json") else openapi.describe
    return Response(body=json.dumps(make(manifest, version, target), ensure_ascii=False).encode())


@functools.lru_cache(maxsize=32)
def read_manifest(uri: str) -> ModelManifest:
    """Return the manifest of a model archive; no more of it is downloaded than it takes to find it.

    Raises:
        ApiError: 404 when the archive is gone, or of a format of its own.
    """
    bucket, key = keys.parse_uri(uri)
    try:
        body = client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        raise ApiError(404, "NotFound", "The model in service has no archive any more.") from error
    with closing(body), tarfile.open(fileobj=body, mode="r|gz") as archive:
        for member in archive:
            if member.name == keys.MODEL_MANIFEST and member.isfile() and member.size <= MANIFEST_LIMIT:
                file = archive.extractfile(member)
                assert file is not None
                return ModelManifest.from_dict(json.loads(file.read()))
    raise ApiError(404, "NotFound", "The model in service has no manifest that says what it takes.")
