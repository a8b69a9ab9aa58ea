"""Publishing: the files of a cloud assembly go into the bucket that ``cdk bootstrap`` made.

The same objects under the same keys as the CDK command line's, so that either
can go on where the other stopped.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError


class NotBootstrapped(Exception):
    """The account and region have no bucket for assets."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to deploy: what the placeholders of an assembly stand for."""

    account: str
    region: str
    partition: str

    @classmethod
    def of(cls, session: boto3.Session) -> Target:
        """Ask AWS who we are."""
        identity = session.client("sts").get_caller_identity()
        partition = identity["Arn"].split(":")[1]
        return cls(account=identity["Account"], region=str(session.region_name), partition=partition)

    def fill(self, text: str) -> str:
        """Replace the placeholders."""
        for name, value in {"AccountId": self.account, "Region": self.region, "Partition": self.partition}.items():
            text = text.replace(f"${{AWS::{name}}}", value)
        return text


@dataclass(frozen=True, kw_only=True)
class File:
    """One asset: a file, or a folder to zip, and the object it becomes."""

    source: Path
    packaging: str
    bucket: str
    key: str


def files(assembly: Path, target: Target) -> Iterator[File]:
    """Yield every file asset of an assembly, each once."""
    seen = set()
    for manifest in sorted(assembly.glob("*.assets.json")):
        for asset in json.loads(manifest.read_text())["files"].values():
            for destination in asset["destinations"].values():
                bucket, key = target.fill(destination["bucketName"]), destination["objectKey"]
                if (bucket, key) not in seen:
                    seen.add((bucket, key))
                    source = assembly / asset["source"]["path"]
                    yield File(source=source, packaging=asset["source"]["packaging"], bucket=bucket, key=key)


def publish(s3: Any, file: File) -> bool:
    """Upload an asset unless it is there; keys are hashes of contents. Return whether it was uploaded.

    Raises:
        NotBootstrapped: when there is no such bucket.
    """
    try:
        s3.head_object(Bucket=file.bucket, Key=file.key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NoSuchBucket"):
            raise
    else:
        return False
    with tempfile.TemporaryDirectory() as folder:
        body = file.source if file.packaging == "file" else pack(file.source, Path(folder, "asset.zip"))
        _upload(s3, body, file)
    return True


def _upload(s3: Any, body: Path, file: File) -> None:
    try:
        with body.open("rb") as stream:
            s3.put_object(Bucket=file.bucket, Key=file.key, Body=stream)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        raise NotBootstrapped(
            f"there is no bucket {file.bucket}; prepare the account and region once with 'cdk bootstrap'"
        ) from error


def pack(folder: Path, archive: Path) -> Path:
    """Zip a folder's files, sorted and dated as CDK does, so that the same files make the same zip."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = stat.S_IMODE(os.stat(path).st_mode) << 16
                zipped.writestr(entry, path.read_bytes())
    return archive
