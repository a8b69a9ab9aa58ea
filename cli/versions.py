"""Versions of objects: every one there is, deleted for good, a thousand at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from cli.aws import Account, error_code
from cli.errors import CommandError

BATCH = 1000
"""Most objects that DeleteObjects takes."""
NO_LOCKS = ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an object, or a marker that says that the object is deleted."""

    bucket: str
    key: str
    version_id: str
    is_latest: bool
    bytes: int = 0
    is_marker: bool = False

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}@{self.version_id}"


def below(account: Account, bucket: str, prefix: str) -> Iterator[Version]:
    """Yield every version of every object below a prefix, markers included."""
    pages = account.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for member, is_marker in (("Versions", False), ("DeleteMarkers", True)):
            for each in page.get(member, ()):
                yield Version(
                    bucket=bucket, key=each["Key"], version_id=each["VersionId"], is_latest=each["IsLatest"],
                    bytes=each.get("Size", 0), is_marker=is_marker,
                )  # fmt: skip


def of(account: Account, bucket: str, key: str) -> Iterator[Version]:
    """Yield the versions of one object."""
    return (version for version in below(account, bucket, key) if version.key == key)


def read(account: Account, version: Version) -> bytes:
    """Return a version's bytes."""
    answer = account.client("s3").get_object(Bucket=version.bucket, Key=version.key, VersionId=version.version_id)
    body: bytes = answer["Body"].read()
    return body


def fetch(account: Account, version: Version, folder: Path) -> Path:
    """Download a version, however large, into a folder; return the file."""
    path = folder / f"table{Path(version.key).suffix.lower()}"
    extra = {"VersionId": version.version_id}
    account.client("s3").download_file(version.bucket, version.key, str(path), ExtraArgs=extra)
    return path


def delete(account: Account, versions: Iterable[Version]) -> int:
    """Delete versions for good; return how many. One that is gone already is fine.

    Raises:
        CommandError: when S3 keeps some.
    """
    rest, done = iter(versions), 0
    while some := list(itertools.islice(rest, BATCH)):
        for bucket in {version.bucket for version in some}:
            mine = [version for version in some if version.bucket == bucket]
            objects = [{"Key": version.key, "VersionId": version.version_id} for version in mine]
            answer = account.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            if errors := answer.get("Errors"):
                told = "; ".join(f"{each['Key']}: {each['Code']}" for each in errors[:5])
                raise CommandError(f"S3 did not delete {len(errors)} objects of {bucket}: {told}", "Run it again.")
            done += len(mine)
    return done


def check_locks(account: Account, versions: Iterable[Version]) -> None:
    """Refuse what a legal hold or a retention of S3 Object Lock keeps.

    Raises:
        CommandError: with the first of them, before anything is deleted.
    """
    found = list(versions)
    locking = {bucket for bucket in {version.bucket for version in found} if can_lock(account, bucket)}
    held = (version for version in found if version.bucket in locking and not version.is_marker)
    if locked := [f"{version.uri} {why}" for version in held if (why := _lock(account, version))]:
        raise CommandError(
            f"{len(locked)} objects are locked, so nothing is erased: {'; '.join(locked[:5])}",
            "Have the hold released (aws s3api put-object-legal-hold), or wait until the retention ends.",
        )


def can_lock(account: Account, bucket: str) -> bool:
    """Say whether a bucket's objects can be locked."""
    try:
        account.client("s3").get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if error_code(error) not in NO_LOCKS:
            raise
        return False
    return True


def _lock(account: Account, version: Version) -> str:
    asked = {"Bucket": version.bucket, "Key": version.key, "VersionId": version.version_id}
    head: dict[str, Any] = account.client("s3").head_object(**asked)
    if head.get("ObjectLockLegalHoldStatus") == "ON":
        return "is under a legal hold"
    until = head.get("ObjectLockRetainUntilDate")
    return f"is kept until {until:%Y-%m-%d}" if until and until > datetime.now(UTC) else ""
