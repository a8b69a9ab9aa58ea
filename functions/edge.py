"""Make bundle: a version with its server as one file for devices, and the recipe of its Greengrass component.

The server is the source that this function was deployed with, of the same commit as the serving image.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from contract import bundle, keys, names
from contract.errors import InvalidModel
from functions import documents
from functions.shared import client, environment, logger

ROOT = Path(__file__).parents[1]
"""Where serving/ and contract/ are."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Make the bundle of the version that ``event["deployment"]`` plans.

    Returns:
        ``{"bundle", "recipe", "sha256"}``: S3 addresses, and the bundle's digest.

    Raises:
        InvalidModel: when archive or golden samples are gone, or the archive holds what no bundle may.
    """
    tenant, project, plan = event["tenant"], event["project"], event["deployment"]
    archive, golden = read(plan["model_data_url"]), read(plan["golden_uri"])
    packed = bundle.zipped(bundle.files(ROOT, archive, golden))
    bucket, prefix = environment(names.ARTIFACTS_BUCKET), keys.edge_prefix(tenant, project, plan["version"])
    uri = f"s3://{bucket}/{prefix}{keys.EDGE_BUNDLE}"
    recipe = bundle.component(tenant, project, plan["version"], packed, uri)
    client("s3").put_object(Bucket=bucket, Key=prefix + keys.EDGE_BUNDLE, Body=packed, ContentType="application/zip")
    documents.write_text(prefix + keys.EDGE_RECIPE, json.dumps(recipe, indent=2), "application/json")
    logger.info("bundle made", extra={"uri": uri, "bytes": len(packed)})
    digest = hashlib.sha256(packed).hexdigest()
    return {"bundle": uri, "recipe": f"s3://{bucket}/{prefix}{keys.EDGE_RECIPE}", "sha256": digest}


def read(uri: str) -> bytes:
    """Return an object.

    Raises:
        InvalidModel: when it is gone.
    """
    body = documents.read_bytes(*keys.parse_uri(uri))
    if body is None:
        raise InvalidModel(f"{uri} is gone, and no bundle can be made without it")
    return body
