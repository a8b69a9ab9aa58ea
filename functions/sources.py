"""The sources of a user's own script: found, checked, and copied into the run as they were."""

from __future__ import annotations

from contract import keys, names, script
from contract.errors import InvalidConfig, InvalidUpload
from contract.request import RunRequest
from functions import uploads
from functions.shared import client, environment

GZIP = b"\x1f\x8b"
SETTING = "recipe.source"


def pin(request: RunRequest) -> None:
    """Copy the archive that ``recipe.source`` names into the run.

    Raises:
        InvalidConfig: when it is missing, another tenant's, or no tar.gz.
    """
    given = script.read(request.recipe.options).source
    bucket, key = locate(given, request.tenant, request.project)
    try:
        found = uploads.head(uploads.Source(bucket=bucket, key=key))
    except InvalidUpload as error:
        fix = f"Put the sources, packed as tar.gz, at s3://{bucket}/{key}, or name where they are."
        raise InvalidConfig(SETTING, given, "an object that exists", fix) from error
    start = client("s3").get_object(Bucket=bucket, Key=key, VersionId=found.version_id, Range="bytes=0-1")["Body"]
    if start.read() != GZIP:
        fix = "Pack them with: tar -czf source.tar.gz -C FOLDER ."
        raise InvalidConfig(SETTING, given, "a tar.gz archive", fix)
    uploads.copy({request.prefix + keys.SOURCE + script.ARCHIVE: found})


def locate(given: str, tenant: str, project: str) -> tuple[str, str]:
    """Return bucket and key of the sources.

    Raises:
        InvalidConfig: for an address that is not the tenant's.
    """
    own = environment(names.DATA_BUCKET)
    if not given.startswith("s3://"):
        bucket, key = own, f"{tenant}/{project}/{given}"
    else:
        try:
            bucket, key = keys.parse_uri(given)
        except InvalidUpload as error:
            raise InvalidConfig(SETTING, given, "s3://<bucket>/<key>") from error
    plain = not any(part in ("", ".", "..") for part in key.split("/"))
    if bucket != own or not key.startswith(f"{tenant}/") or not plain:
        raise InvalidConfig(SETTING, given, f"an object below s3://{own}/{tenant}/")
    return bucket, key
