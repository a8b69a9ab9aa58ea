"""Splits that are read from S3 itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from local.cloud import Cloud
from tests.training.test_data import MEMORY, ROWS, epoch, write
from training.data import LABEL, Split
from training.remote import RemoteStream

BUCKET = "remote-splits"


@pytest.fixture(scope="module")
def folder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, s3 = write(tmp_path_factory.mktemp("split")), cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for path in folder.iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"a/train/{path.name}", Body=path.read_bytes())
    s3.put_object(Bucket=BUCKET, Key="a/train2/other", Body=b"another folder")
    return folder


pytestmark = pytest.mark.usefixtures("account")


@pytest.mark.parametrize("memory", [MEMORY, 10**6])
def test_rows_come_from_s3_in_the_order_of_files(folder: Path, memory: int) -> None:
    local, remote = Split(folder, memory=memory), RemoteStream(BUCKET, "a/train", memory=memory)
    assert len(remote) == ROWS
    assert remote.labels.tolist() == local.labels.tolist()
    for number in range(2):
        orders = [split.order(seed=1, epoch=number) for split in (local, remote)]
        for one, two in zip(epoch(local, orders[0], 250), epoch(remote, orders[1], 250), strict=True):
            assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_prefix_without_shards_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a/nothing"):
        RemoteStream(BUCKET, "a/nothing", memory=MEMORY)


@pytest.mark.parametrize(("memory", "gets"), [(10**6, "one a shard"), (MEMORY, "one a column of each piece")])
def test_few_requests_bring_the_rows(folder: Path, memory: int, gets: str) -> None:
    split = RemoteStream(BUCKET, "a/train", memory=memory)
    ranges: list[str] = []
    opened = len(split.shards)  # one GET each for the headers
    split._client.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: ranges.append(params["Range"])
    )
    order = split.order(seed=1, epoch=0)
    assert sum(len(batch[LABEL]) for batch in epoch(split, order, 250)) == ROWS
    split._readers.shutdown()
    if gets == "one a shard":
        assert (len(ranges), len(split.pieces.rows)) == (0, opened)
    else:
        assert len(ranges) == len(split.pieces.rows) * len(split.shards[0].columns)
