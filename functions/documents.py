"""JSON and HTML documents of a run, in the artifacts bucket."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from contract import names
from functions.shared import client, environment, error_code

MISSING = ("NoSuchKey", "NoSuchVersion", "404")


def read_bytes(bucket: str, key: str, **version: str) -> bytes | None:
    """Return an object, or None when it does not exist."""
    try:
        return client("s3").get_object(Bucket=bucket, Key=key, **version)["Body"].read()
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        return None


def read(key: str) -> Any | None:
    """Return a JSON document of the artifacts bucket, or None when it does not exist."""
    text = read_text(key)
    return None if text is None else json.loads(text)


def read_text(key: str) -> str | None:
    """Return a text of the artifacts bucket, or None when it does not exist."""
    body = read_bytes(environment(names.ARTIFACTS_BUCKET), key)
    return None if body is None else body.decode()


def write(key: str, document: Any) -> None:
    """Write a JSON document into the artifacts bucket."""
    write_text(key, json.dumps(document, indent=1, ensure_ascii=False), "application/json")


def write_text(key: str, text: str, content_type: str) -> None:
    """Write a text into the artifacts bucket."""
    client("s3").put_object(
        Bucket=environment(names.ARTIFACTS_BUCKET), Key=key, Body=text.encode(), ContentType=content_type
    )
