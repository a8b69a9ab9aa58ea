"""A split in S3 as a stream, with no file in between: for programs that have credentials.

    RemoteStream("bucket", "acme/digits/runs/run-1/dataset/train", memory=2**30)

A training container is isolated and has none; there, SageMaker's FastFile mode shows the same shards as files.
A piece is one GET, whatever columns it has, when it is a whole shard; else one of each column.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from numpy.typing import NDArray

from training.data import Shard
from training.stream import READERS, Stream

HEADER_BYTES = 16_384  # asked for first; more only where a shard's header is longer


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
        self._client = boto3.client("s3", config=Config(max_pool_connections=READERS))
        super().__init__(Path(prefix), memory=memory)

    def _find(self, folder: Path) -> Sequence[Shard]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"{folder}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return list(self._readers.map(self._open_shard, (key for key in keys if key.endswith(".safetensors"))))

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

    def read(self, arrays: Mapping[str, NDArray], first: int = 0) -> None:
        """Fill arrays with the rows from ``first`` on; neighbours in the object come with one GET."""
        runs: list[tuple[int, int, list[memoryview]]] = []
        for offset, wanted in self.places(arrays, first):
            if runs and runs[-1][1] == offset:
                start, _, views = runs.pop()
                runs.append((start, offset + len(wanted), [*views, wanted]))
            else:
                runs.append((offset, offset + len(wanted), [wanted]))
        for start, end, views in runs:
            body = _get(self.client, self.bucket, self.path.as_posix(), start, end)
            for wanted in views:
                self.fill(wanted, body.readinto)


def _get(client: Any, bucket: str, key: str, start: int, end: int) -> Any:
    """Return the body of a part of an object; S3 cuts ``end`` to the object's."""
    return client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}")["Body"]
