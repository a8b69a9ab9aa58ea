"""The folders of tenants and projects in a bucket, without a look at what is in them."""

from __future__ import annotations

from collections.abc import Iterator

from functions.shared import client


def projects(bucket: str) -> Iterator[str]:
    """Yield the prefixes ``<tenant>/<project>/`` of what is there."""
    for tenant in _below(bucket, ""):
        yield from _below(bucket, tenant)


def _below(bucket: str, prefix: str) -> Iterator[str]:
    """Yield the prefixes one level below a prefix."""
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    yield from (each["Prefix"] for page in pages for each in page.get("CommonPrefixes", []))
