"""The upload behind a run: one file, or a manifest of many; found, checked, and copied as it was.

A run works on copies of exact object versions: whatever happens to the inbox
meanwhile, the run sees what arrived.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError

from contract import keys, names
from contract.errors import InvalidConfig, InvalidUpload
from contract.parsing import parse, setting
from contract.request import Upload
from functions import documents
from functions.shared import CONNECTIONS, client, environment, error_code

MAX_FILES = 10_000
MAX_MANIFEST_BYTES = 10 * 1024 * 1024
MIB = 1024 * 1024
COPY = TransferConfig(multipart_threshold=256 * MIB, multipart_chunksize=128 * MIB, max_concurrency=CONNECTIONS)
"""S3 copies 5 GB at once at most; parts go side by side. boto3 makes them larger where 10,000 are too few."""
SALT_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Source:
    """An object as somebody named it; without a version, the newest."""

    bucket: str
    key: str
    version_id: str | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class File:
    """One version of one data file."""

    bucket: str
    key: str
    version_id: str
    bytes: int

    def copy_name(self, number: int | None) -> str:
        """Return its name in the run: flat, plain ASCII, with its ending; unique by its number in a batch."""
        path = PurePosixPath(self.key)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)[:60].strip("._") or "file"
        prefix = "" if number is None else f"{number:05d}-"
        return f"{prefix}{stem}{path.suffix.lower()}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """manifest.json of a batch."""

    files: tuple[str, ...] = setting("Names relative to the manifest, or s3:// addresses of this project's objects.")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """An upload with the version of every file."""

    source: File
    files: tuple[File, ...]

    @property
    def suffix(self) -> str:
        """The data files' ending, which they share."""
        return PurePosixPath(self.files[0].key).suffix

    def summary(self) -> Upload:
        """Return what the RunRequest says of it."""
        return Upload(
            bucket=self.source.bucket,
            key=self.source.key,
            version_id=self.source.version_id,
            bytes=sum(file.bytes for file in self.files),
            files=len(self.files),
        )


def resolve(source: Source, tenant: str, project: str, *, any_kind: bool = False) -> Resolved:
    """Find every file of an upload; ``any_kind``: a batch may mix files of several kinds.

    Raises:
        InvalidUpload: for a missing, empty or foreign object; one line a file.
    """
    found = head(source)
    if not found.key.endswith("/manifest.json"):
        _refuse_all([_fault(found)])
        return Resolved(source=found, files=(found,))
    named = _read_manifest(found, tenant, project)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        outcomes = list(pool.map(_try_head, named))
    files = tuple(file for file in outcomes if isinstance(file, File))
    _refuse_all([_fault(outcome) if isinstance(outcome, File) else outcome for outcome in outcomes])
    endings = sorted({PurePosixPath(file.key).suffix.lower() for file in files})
    if len(endings) > 1 and not any_kind:
        raise InvalidUpload(f"{found.key} names files of several kinds ({', '.join(endings)}); a batch has one")
    return Resolved(source=found, files=files)


def _refuse_all(faults: list[str]) -> None:
    faults = [fault for fault in faults if fault]
    if faults:
        raise InvalidUpload("\n".join(faults))


def _fault(file: File) -> str:
    return "" if file.bytes else f"s3://{file.bucket}/{_shown(file.key)} is empty (0 bytes)"


def _shown(key: str) -> str:
    """Return a key on one line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in key)


def _try_head(source: Source) -> File | str:
    try:
        return head(source)
    except InvalidUpload as error:
        return str(error)


def head(source: Source) -> File:
    """Return the version of an object.

    Raises:
        InvalidUpload: when it does not exist.
    """
    version = {"VersionId": source.version_id} if source.version_id else {}
    try:
        head = client("s3").head_object(Bucket=source.bucket, Key=source.key, **version)
    except ClientError as error:
        if error_code(error) in (*documents.MISSING, "400"):
            which = f" (version {source.version_id})" if source.version_id else ""
            raise InvalidUpload(f"s3://{source.bucket}/{_shown(source.key)}{which} does not exist") from error
        raise
    return File(
        bucket=source.bucket, key=source.key, version_id=head.get("VersionId", "null"), bytes=head["ContentLength"]
    )


def _read_manifest(found: File, tenant: str, project: str) -> list[Source]:
    """Return what the manifest names.

    Raises:
        InvalidUpload: when it is no manifest, or names what this project may not read.
    """
    if found.bytes > MAX_MANIFEST_BYTES:
        raise InvalidUpload(f"{found.key} has {found.bytes:,} bytes; at most {MAX_MANIFEST_BYTES:,} are allowed")
    body = documents.read_bytes(found.bucket, found.key, VersionId=found.version_id)
    try:
        manifest = parse(Manifest, json.loads(body or b""), "manifest.json")
    except InvalidConfig as error:
        raise InvalidUpload(str(error)) from error
    except ValueError as error:
        raise InvalidUpload(f'manifest.json is not JSON ({error}); expected {{"files": ["a.csv", ...]}}') from error
    if not 1 <= len(manifest.files) <= MAX_FILES:
        raise InvalidUpload(f"manifest.json names {len(manifest.files)} files; expected 1 to {MAX_FILES:,}")
    return _locate(manifest, found, f"{tenant}/{project}/")


def _locate(manifest: Manifest, found: File, folder: str) -> list[Source]:
    base, sources, faults = found.key.rpartition("/")[0] + "/", {}, []
    for number, name in enumerate(manifest.files):
        where = f"manifest.json: files[{number}] {name!r}"
        bucket, key = keys.parse_uri(name) if name.startswith("s3://") else (found.bucket, base + name)
        if any(part in ("", ".", "..") for part in key.split("/")):
            faults.append(f"{where} is no plain name: it may not be empty, nor hold '.' or '..' between slashes")
        elif bucket != found.bucket or not key.startswith(folder):
            faults.append(f"{where} is not of this project; expected objects below s3://{found.bucket}/{folder}")
        elif key in sources:
            faults.append(f"{where} is named twice")
        sources[key] = Source(bucket=bucket, key=key)
    _refuse_all(faults)
    return list(sources.values())


def pin(upload: Resolved, prefix: str, *, as_named: bool = False, replay: File | None = None) -> None:
    """Copy the files' versions into the run, and write down which they were.

    ``replay``: rows of earlier uploads, which are prepared with them.
    ``as_named``: under their own names, a batch's with its folders, because a script looks for them.
    Doing it again gives the same copies, and takes away those of an earlier
    try that found other files.
    """
    target, copies = environment(names.ARTIFACTS_BUCKET), {}
    folder = upload.source.key.rpartition("/")[0] + "/"
    for number, file in enumerate(upload.files):
        flat = file.copy_name(number if len(upload.files) > 1 else None)
        copies[prefix + keys.UPLOAD + (file.key.removeprefix(folder) if as_named else flat)] = file
    if replay:
        copies[prefix + keys.UPLOAD + PurePosixPath(replay.key).name] = replay
    copy(copies)
    _remove_others(target, prefix + keys.UPLOAD, set(copies))
    documents.write(
        prefix + keys.UPLOAD_FILES,
        [_record(key.removeprefix(prefix + keys.UPLOAD), file) for key, file in copies.items()],
    )


def copy(copies: Mapping[str, File]) -> None:
    """Copy each object version to its key in the artifacts bucket."""
    with create_transfer_manager(client("s3"), COPY) as manager:
        copying = [
            manager.copy(
                {"Bucket": file.bucket, "Key": file.key, "VersionId": file.version_id},
                environment(names.ARTIFACTS_BUCKET),
                key,
                # Tags and metadata of the upload mean nothing here, and reading them needs more rights.
                extra_args={"TaggingDirective": "REPLACE", "MetadataDirective": "REPLACE"},
            )
            for key, file in copies.items()
        ]
        for future in copying:
            future.result()


def _record(name: str, file: File) -> dict[str, Any]:
    return {"name": name, "key": file.key, "version_id": file.version_id, "bytes": file.bytes}


def _remove_others(bucket: str, prefix: str, keep: set[str]) -> None:
    for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            if item["Key"] not in keep:
                client("s3").delete_object(Bucket=bucket, Key=item["Key"])


def make_salt(tenant: str) -> None:
    """Make the tenant's salt for keyed hashes, if there is none; it never changes after that."""
    try:
        client("s3").put_object(
            Bucket=environment(names.DATA_BUCKET),
            Key=keys.salt(tenant),
            Body=secrets.token_bytes(SALT_BYTES),
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error_code(error) not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise
