"""The readers of benchmarks/s3_load.py: one epoch of batches from S3, each in the way that its own documentation shows.

    python -m benchmarks.s3_readers READER DATASET WORKERS     prints what one cold epoch took, as JSON

A fresh process each time: no reader finds anything of an earlier epoch.

- ours: ``training.remote.RemoteStream``.
- webdataset: tars through ``pipe:curl``, a shuffle buffer of 1,000, ``batched`` in the pipeline and ``WebLoader``:
  https://github.com/webdataset/webdataset/blob/main/README.md
- mosaicml-streaming: MDS shards, ``StreamingDataset(shuffle=True)`` and a DataLoader; its default shard size is 64 MiB:
  https://docs.mosaicml.com/projects/streaming
- s3torchconnector: ``S3MapDataset``, an object a row, and a DataLoader:
  https://github.com/awslabs/s3-connector-for-pytorch/blob/main/README.md
- s3torchconnector (tar): ``S3IterableDataset`` over tars, as in its own benchmarks.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
import numpy as np

BUCKET, BATCH, BUFFER = "loading", 256, 1000
Batches = Iterable[tuple[Any, Any]]  # images, labels


def ours(dataset: str, workers: int) -> Batches:
    """Read packed shards; ``workers`` does not apply, because threads read ahead."""
    from training.remote import RemoteStream

    split = RemoteStream(BUCKET, f"{dataset}/safetensors", memory=2**30)
    order = split.order(seed=0, epoch=0)
    for start in range(0, len(split), BATCH):
        rows = split.take(order[start : start + BATCH])
        yield rows["image"], rows["label"]


def webdataset(dataset: str, workers: int) -> Batches:
    """Read tars through curl."""
    import webdataset as wds

    client = boto3.client("s3")
    places = [{"Bucket": BUCKET, "Key": key} for key in _keys(f"{dataset}/tar/")]
    urls = [f"pipe:curl -s -f -L '{client.generate_presigned_url('get_object', place)}'" for place in places]
    rows = wds.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(BUFFER).decode().to_tuple("npy", "cls")
    return wds.WebLoader(rows.batched(BATCH), batch_size=None, num_workers=workers)


def mosaicml_streaming(dataset: str, workers: int) -> Batches:
    """Read MDS shards into a fresh local folder, which it needs."""
    from streaming import StreamingDataset
    from torch.utils.data import DataLoader

    os.environ["S3_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    local = tempfile.mkdtemp()
    rows = StreamingDataset(remote=f"s3://{BUCKET}/{dataset}/mds", local=local, shuffle=True, batch_size=BATCH)
    for batch in DataLoader(rows, batch_size=BATCH, num_workers=workers):
        yield batch["image"], batch["label"]


def s3torchconnector(dataset: str, workers: int) -> Batches:
    """Read an object a row, in random order."""
    from s3torchconnector import S3MapDataset
    from torch.utils.data import DataLoader

    rows = S3MapDataset.from_prefix(f"s3://{BUCKET}/{dataset}/objects/", transform=_row, **_connection())
    return DataLoader(rows, batch_size=BATCH, shuffle=True, num_workers=workers)


def s3torchconnector_tar(dataset: str, workers: int) -> Batches:
    """Read tars, a shuffle buffer behind them."""
    from s3torchconnector import S3IterableDataset
    from torch.utils.data import DataLoader, IterableDataset

    tars = S3IterableDataset.from_prefix(
        f"s3://{BUCKET}/{dataset}/tar/", transform=_tar_rows, enable_sharding=True, **_connection()
    )

    class Rows(IterableDataset):
        def __iter__(self) -> Iterator[tuple[Any, int]]:
            return _buffered(row for tar in tars for row in tar)

    return DataLoader(Rows(), batch_size=BATCH, num_workers=workers)


READERS: dict[str, Callable[[str, int], Batches]] = {
    "ours": ours,
    "webdataset": webdataset,
    "mosaicml-streaming": mosaicml_streaming,
    "s3torchconnector": s3torchconnector,
    "s3torchconnector (tar)": s3torchconnector_tar,
}
PACKAGES = {
    "ours": ["torch"],
    "webdataset": ["webdataset", "torch"],
    "mosaicml-streaming": ["streaming", "torch"],
    "s3torchconnector": ["s3torchconnector", "torch"],
    "s3torchconnector (tar)": ["s3torchconnector", "torch"],
}


def _connection() -> dict[str, Any]:
    from s3torchconnector import S3ClientConfig

    config = S3ClientConfig(force_path_style=True)
    return {"region": "us-east-1", "endpoint": os.environ["AWS_ENDPOINT_URL"], "s3client_config": config}


def _keys(prefix: str) -> list[str]:
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page["Contents"]]


def _row(reader: Any) -> tuple[Any, int]:
    """Return the image in an object, and the label in its name."""
    return np.load(io.BytesIO(reader.read())), int(reader.key.rpartition("-")[2].removesuffix(".npy"))


def _tar_rows(reader: Any) -> Iterator[tuple[Any, int]]:
    with tarfile.open(fileobj=reader, mode="r|") as tar:
        image = None
        for member in tar:
            content = tar.extractfile(member).read()  # type: ignore[union-attr]
            if member.name.endswith(".npy"):
                image = np.load(io.BytesIO(content))
            else:
                yield image, int(content)


def _buffered(rows: Iterator[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
    source = random.Random(0)
    waiting: list[tuple[Any, int]] = []
    for row in rows:
        if len(waiting) < BUFFER:
            waiting.append(row)
            continue
        place = source.randrange(BUFFER)
        yield waiting[place]
        waiting[place] = row
    source.shuffle(waiting)
    yield from waiting


def main() -> None:
    """Read one epoch; the time is from opening the dataset to its last batch, imports not counted."""
    reader, dataset, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for package in PACKAGES[reader]:
        __import__(package)
    import torch.utils.data  # noqa: F401 - imported now, so that it is not in the time

    __import__("training.remote")
    started, used = time.perf_counter(), processor_seconds()
    count = labels = 0
    for images, classes in READERS[reader](dataset, workers):
        count += len(images)
        labels += int(classes.sum())
    seconds, used = time.perf_counter() - started, processor_seconds() - used
    print(json.dumps({"rows": count, "labels": labels, "seconds": seconds, "processor_seconds": used}))


def processor_seconds() -> float:
    """Return what this process has used, with its workers and curls that have ended."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
