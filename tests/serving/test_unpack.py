"""Archives that would write elsewhere, fill the disk, or are none."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.archives import unpack
from contract.errors import InvalidModel
from serving.model import load
from tests.serving import archives

LIMIT = 1_000_000


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"owned") -> Callable[..., None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(data) if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(data))

    return add


def packed(path: Path, *members: Callable[..., None]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for add in members:
            add(tar)
    return path


EVIL = {
    "up": [member("../evil")],
    "up from below": [member("a/../../evil")],
    "a link out": [member("model.onnx", tarfile.SYMTYPE, "/etc/passwd")],
    "through a link": [member("out", tarfile.SYMTYPE, ".."), member("out/evil")],
    "a hard link out": [member("model.onnx", tarfile.LNKTYPE, "../secret")],
    "a device": [member("model.onnx", tarfile.CHRTYPE)],
    "a pipe": [member("model.onnx", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("name", EVIL)
def test_what_would_reach_outside_is_refused_and_writes_nothing_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    archive = packed(tmp_path / "model.tar.gz", *EVIL[name])
    with pytest.raises(InvalidModel, match="cannot be unpacked"):
        unpack(archive, tmp_path / "folder" / "model", limit=LIMIT)
    assert list(tmp_path.rglob("evil")) == []


def test_modes_and_owners_of_an_archive_are_not_taken(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        for name, kind, data in (("run.sh", tarfile.REGTYPE, b"echo"), ("a/b", tarfile.DIRTYPE, b"")):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.uid = kind, 0o4777, len(data), 12345
            tar.addfile(info, io.BytesIO(data))
    unpack(tmp_path / "model.tar.gz", tmp_path / "model", limit=LIMIT)
    written = tmp_path / "model" / "run.sh"
    assert written.read_bytes() == b"echo"
    assert written.stat().st_mode & 0o7111 == 0
    assert written.stat().st_uid != 12345
    assert (tmp_path / "model/a/b").is_dir()


def test_an_absolute_name_lands_in_the_folder_and_is_then_not_in_the_listing(tmp_path: Path) -> None:
    good = archives.write(tmp_path / "good", archives.CREDIT)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(good, ".")
        member("/tmp/evil")(tar)
    unpack(tmp_path / "model.tar.gz", tmp_path / "model", limit=LIMIT)
    with pytest.raises(InvalidModel, match=r"does not list: tmp/evil"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        gzip.compress(b"no tar"),
        gzip.compress(bytes(range(256)) * 40)[:-20],
        b"PK\x03\x04" + bytes(99),
    ],
    ids=["empty", "text", "gzip of text", "cut", "zip"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(InvalidModel, match="cannot be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "model", limit=LIMIT)


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "model.tar.gz", member("a", data=bytes(range(256)) * 400))
    damaged = bytearray(archive.read_bytes())
    damaged[60:70] = bytes(10)
    archive.write_bytes(damaged)
    with pytest.raises(InvalidModel, match="cannot be unpacked"):
        unpack(archive, tmp_path / "model", limit=LIMIT)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = packed(tmp_path / "model.tar.gz", member("zeros", data=bytes(1_000_001)))
    assert archive.stat().st_size < 10_000
    with pytest.raises(InvalidModel, match=r"would unpack to 1,000,001 bytes; at most 1,000,000"):
        unpack(archive, tmp_path / "model", limit=LIMIT)
    assert not (tmp_path / "model").exists()
