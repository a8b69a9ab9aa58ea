"""A split in S3 as a stream, with no file in between: for programs that have credentials.

    RemoteStream("bucket", "acme/digits/runs/run-1/dataset/train", memory=2**30)

A training container is isolated and has none; there, SageMaker's FastFile mode shows the same shards as files.
A piece is one GET, whatever columns it has, when it is a whole shard; else one of each column, side by side.
Of a split that fits into memory, a shard's only GET is the one that its header came with.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from numpy.typing import NDArray

from training.data import Shard
from training.stream import Stream

CONNECTIONS = 64
HEADER_BYTES = 16_384  # asked for first; more only where a shard's header is longer
COPY_BYTES = 2**18
"""Taken from a connection at a time. HTTP's libraries hold what they are asked for twice before it is copied to where
it belongs: of a piece as a whole that would be memory beyond the split's, and outside of the processor's cache."""


class RemoteStream(Stream):
    """A split whose shards are objects of S3.

    Args:
        bucket: its name.
        prefix: of the split's shards, without a slash at its end.
        memory: bytes of rows in memory.

    Raises:
        FileNotFoundError: when it holds no shard.
    """

    def __init__(self, bucket: str, prefix: str, *, memory: int) -> None:
        self._bucket = bucket
        self._memory = memory
        self._client = boto3.client("s3", config=Config(max_pool_connections=CONNECTIONS))
        super().__init__(Path(prefix), memory=memory)

    def _find(self, folder: Path) -> Sequence[Shard]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{folder}/")
        entries = [entry for page in pages for entry in page.get("Contents", [])]
        sizes = {entry["Key"]: entry["Size"] for entry in entries if entry["Key"].endswith(".safetensors")}
        fits = sum(sizes.values()) <= self._memory and len(sizes) <= CONNECTIONS
        return list(self._readers.map(self._begin if fits else self._open_shard, sizes))

    def _begin(self, key: str) -> Shard:
        """Return a shard whose object is on its way: what comes after its header is read when it is wanted."""
        body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
        shard = Shard.parse(Path(key), body.read)
        return _RemoteShard(**vars(shard), client=self._client, bucket=self._bucket, begun=[body])

    def _open_shard(self, key: str) -> Shard:
        start = _get(self._client, self._bucket, key, 0, HEADER_BYTES).read()
        length = int.from_bytes(start[:8], "little")
        if length + 8 > len(start):
            start += _get(self._client, self._bucket, key, len(start), length + 8).read()
        shard = Shard.parse(Path(key), io.BytesIO(start).read)
        return _RemoteShard(**vars(shard), client=self._client, bucket=self._bucket)


@dataclass(frozen=True, kw_only=True)
class _RemoteShard(Shard):
    client: Any
    bucket: str
    begun: list[Any] = field(default_factory=list)  # the body that the header was read from, until it is used

    def requests(self, arrays: Mapping[str, NDArray], first: int = 0) -> list[Mapping[str, NDArray]]:
        """Divide arrays into those that one GET brings, because they are neighbours in the object."""
        runs: list[dict[str, NDArray]] = []
        end = -1
        for name in sorted(arrays, key=lambda name: self.columns[name].offset):
            column, array = self.columns[name], arrays[name]
            start = column.offset + first * column.row_bytes
            if start == end:
                runs[-1][name] = array
            else:
                runs.append({name: array})
            end = start + array.nbytes
        return list(runs)

    def read(self, arrays: Mapping[str, NDArray], first: int = 0) -> None:
        """Fill arrays with the rows from ``first`` on."""
        for run in self.requests(arrays, first):
            places = self.places(run, first)
            body = self._body(places[0][0], places[-1][0] + len(places[-1][1]))
            for _, wanted in places:
                for first_byte in range(0, len(wanted), COPY_BYTES):
                    self.fill(wanted[first_byte : first_byte + COPY_BYTES], body.readinto)

    def _body(self, start: int, end: int) -> Any:
        if self.begun and start == min(column.offset for column in self.columns.values()):
            return self.begun.pop()
        return _get(self.client, self.bucket, self.path.as_posix(), start, end)


def _get(client: Any, bucket: str, key: str, start: int, end: int) -> Any:
    """Return the body of a part of an object; S3 cuts ``end`` to the object's."""
    return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}")["Body"]
