"""Objects of S3 as a container's files, and back: channels, archives, outputs, checkpoints."""

from __future__ import annotations

import json
import shutil
import tarfile
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

from botocore.exceptions import ClientError

CHUNK = 1 << 20
SYNC_SECONDS = 0.5  # between looks at a folder that is uploaded continuously


class MissingInput(Exception):
    """An input that is not in S3, in SageMaker's words."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """``s3://bucket/key``."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """Return the location that ``uri`` names; raises MissingInput for anything but s3://."""
        parts = urlparse(uri, allow_fragments=False)
        if parts.scheme != "s3" or not parts.netloc:
            raise MissingInput(f"{uri!r} is not an S3 URI (s3://bucket/key)")
        query = f"?{parts.query}" if parts.query else ""
        return cls(bucket=parts.netloc, key=parts.path.removeprefix("/") + query)

    def __truediv__(self, name: str) -> Location:
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        return Location(bucket=self.bucket, key=f"{prefix}{name}")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Objects:
    """Moves files between folders and buckets.

    Args:
        client: an S3 client.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def keys(self, prefix: Location) -> list[str]:
        """Return the keys that start with ``prefix``, in S3's order, without folder markers."""
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
            return [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
        except ClientError as error:
            raise MissingInput(f"{error.response['Error']['Message']} ({prefix})") from error

    def choose(self, uri: str, data_type: str) -> list[tuple[Location, str]]:
        """Return (object, path below the channel's folder) of every object of an S3 data source.

        Args:
            data_type: ``S3Prefix`` or ``ManifestFile``.
        """
        location = Location.parse(uri)
        if data_type == "ManifestFile":
            return self._manifest(location)
        found = [
            (Location(bucket=location.bucket, key=key), local_name(location.key, key)) for key in self.keys(location)
        ]
        if not found:
            raise MissingInput(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
                "exists in the selected region, that objects exist under that S3 prefix, and that the role may list it"
            )
        return found

    def _manifest(self, location: Location) -> list[tuple[Location, str]]:
        try:
            manifest = json.loads(self.read(location))
            base, names = Location.parse(manifest[0]["prefix"]), manifest[1:]
        except (ValueError, TypeError, LookupError) as error:
            raise MissingInput(f"the manifest {location} is not a list of a prefix and names: {error}") from error
        return [(Location(bucket=base.bucket, key=base.key + name), name) for name in names]

    def read(self, location: Location) -> bytes:
        """Return an object's bytes."""
        try:
            body: bytes = self.client.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
        except ClientError as error:
            raise MissingInput(f"{error.response['Error']['Message']} ({location})") from error
        return body

    def download(self, location: Location, path: Path) -> None:
        """Write an object to ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = self.client.get_object(Bucket=location.bucket, Key=location.key)["Body"]
        except ClientError as error:
            raise MissingInput(f"{error.response['Error']['Message']} ({location})") from error
        with path.open("wb") as file:
            shutil.copyfileobj(body, file, CHUNK)

    def download_all(self, chosen: list[tuple[Location, str]], folder: Path) -> None:
        """Write chosen objects below ``folder``; a key may not lead out of it."""
        folder.mkdir(parents=True, exist_ok=True)
        for location, name in chosen:
            if ".." in PurePosixPath(name).parts:
                raise MissingInput(f"the key {location} would be written outside its channel")
            self.download(location, folder / name.lstrip("/"))

    def write(self, body: Any, location: Location, key: str = "") -> None:
        """Store an object, encrypted with a key, or as its bucket says."""
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self.client.put_object(Bucket=location.bucket, Key=location.key, Body=body, **encryption)

    def upload(self, path: Path, location: Location, key: str = "") -> None:
        """Store a file."""
        with path.open("rb") as file:
            self.write(file, location, key)

    def delete(self, location: Location) -> None:
        """Delete an object; one that is not there is deleted already."""
        self.client.delete_object(Bucket=location.bucket, Key=location.key)

    def upload_all(self, folder: Path, prefix: Location, key: str = "") -> int:
        """Store every file of ``folder`` below ``prefix``; return how many."""
        files = files_of(folder)
        for path in files:
            self.upload(path, prefix / path.relative_to(folder).as_posix(), key)
        return len(files)

    def upload_archive(self, folders: list[Path], location: Location, scratch: Path, key: str = "") -> bool:
        """Store the files of ``folders`` as one tar.gz, the first folder winning; False if there are none."""
        files = {path.relative_to(folder).as_posix(): path for folder in reversed(folders) for path in files_of(folder)}
        if not files:
            return False
        scratch.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(scratch, "w:gz", compresslevel=1) as archive:
            for name, path in sorted(files.items()):
                archive.add(path, name, recursive=False)
        self.upload(scratch, location, key)
        scratch.unlink()
        return True


class Sync:
    """Keeps S3 like a folder: uploads continuously what is new or changed, then deletes what is gone.

    A file that another one replaces by renaming is never seen half written. Source: "Checkpoints in Amazon SageMaker
    AI" (its Developer Guide).
    """

    def __init__(self, objects: Objects, folder: Path, prefix: Location) -> None:
        self.objects, self.folder, self.prefix = objects, folder, prefix
        self.known = {path: _version(path) for path in files_of(folder)}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name=f"sync-{prefix}")

    def start(self) -> Sync:
        """Begin; returns at once."""
        self._thread.start()
        return self

    def finish(self) -> None:
        """Do the rest and end."""
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(SYNC_SECONDS):
            self._look()

    def _look(self) -> None:
        found = files_of(self.folder)
        for path in found:
            try:
                version = _version(path)
                if self.known.get(path) != version:
                    self.objects.upload(path, self._location(path))
                    self.known[path] = version
            except FileNotFoundError:
                continue  # renamed or removed since the folder was read; the next look sees what there is
        for path in sorted(set(self.known) - set(found)):
            self.objects.delete(self._location(path))
            del self.known[path]

    def _location(self, path: Path) -> Location:
        return self.prefix / path.relative_to(self.folder).as_posix()


def files_of(folder: Path) -> list[Path]:
    """Return the regular files below ``folder``, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def local_name(prefix: str, key: str) -> str:
    """Return where SageMaker puts ``key`` below the channel whose S3Uri has ``prefix``.

    Example: ``a/train`` and ``a/train/x.npy`` give ``x.npy``; ``a/x.csv`` twice gives ``x.csv``.
    """
    if not prefix or prefix.endswith("/"):
        return key.removeprefix(prefix)
    if key.startswith(f"{prefix}/"):
        return key.removeprefix(f"{prefix}/")
    return key[prefix.rfind("/") + 1 :]


def shard(chosen: list[tuple[Location, str]], distribution: str, host: int, hosts: int) -> list[tuple[Location, str]]:
    """Return the objects of one host: all of them, or every ``hosts``-th for ShardedByS3Key."""
    return chosen[host::hosts] if distribution == "ShardedByS3Key" else chosen


def _version(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
