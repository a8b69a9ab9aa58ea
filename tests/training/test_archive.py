"""Archives are unpacked only when safe and unaltered."""

from __future__ import annotations

import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from contract.errors import InvalidModel
from training import archive

SCHEMA = {"task": "classification", "inputs": [], "features": [], "labels": ["a", "b"], "target": "t"}
MANIFEST: dict[str, Any] = {
    "format": 1, "tenant": "t", "project": "p", "run": "r", "recipe": "tabular", "options": {}, "schema": SCHEMA,
}  # fmt: skip


def manifest(**files: str) -> bytes:
    return json.dumps({**MANIFEST, "files": files}).encode()


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    archive.pack(tmp_path / "a.tar.gz", {"b": b"2", "a": b"1"})
    archive.pack(tmp_path / "other name.tar.gz", {"a": b"1", "b": b"2"})
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "other name.tar.gz").read_bytes()


def test_what_was_packed_is_unpacked_and_checked(tmp_path: Path) -> None:
    files = {"model.onnx": b"onnx", "manifest.json": manifest(**{"model.onnx": archive.digest(b"onnx")})}
    archive.pack(tmp_path / "a.tar.gz", files)
    assert archive.unpack(tmp_path / "a.tar.gz", tmp_path / "out").recipe == "tabular"
    assert (tmp_path / "out/model.onnx").read_bytes() == b"onnx"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"model.onnx": b"other", "manifest.json": manifest(**{"model.onnx": archive.digest(b"onnx")})},
            "sha256 differs",
        ),
        ({"manifest.json": manifest(**{"model.onnx": "0"})}, "lacks model.onnx"),
        ({"manifest.json": manifest(**{"../a.tar.gz": "0"})}, r"lacks \.\./a\.tar\.gz"),
        ({"model.onnx": b"onnx"}, "has no manifest.json"),
        ({"manifest.json": b"{"}, "cannot be read"),
        ({"manifest.json": b'{"format": 2}'}, "cannot be read"),
    ],
)
def test_an_altered_or_incomplete_archive_is_refused(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    archive.pack(tmp_path / "a.tar.gz", files)
    with pytest.raises(InvalidModel, match=says):
        archive.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def evil(path: Path, **member: Any) -> None:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo()
        for name, value in member.items():
            setattr(info, name, value)
        tar.addfile(info, io.BytesIO(b"x" * info.size))


@pytest.mark.parametrize(
    "member",
    [
        {"name": "../outside", "size": 1},
        {"name": "/etc/outside", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "../../outside"},
        {"name": "device", "type": tarfile.CHRTYPE},
    ],
)
def test_members_that_lead_outside_are_refused(tmp_path: Path, member: dict[str, Any]) -> None:
    evil(tmp_path / "evil.tar.gz", **member)
    with pytest.raises(InvalidModel, match="cannot be unpacked"):
        archive.unpack(tmp_path / "evil.tar.gz", tmp_path / "a/b")
    assert not (tmp_path / "outside").exists()


def test_a_bomb_and_garbage_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.pack(tmp_path / "bomb.tar.gz", {"zeros": bytes(2**20)})
    monkeypatch.setattr(archive, "MAX_BYTES", 2**19)
    with pytest.raises(InvalidModel, match="at most 524,288 are allowed"):
        archive.unpack(tmp_path / "bomb.tar.gz", tmp_path / "out")
    (tmp_path / "garbage.tar.gz").write_bytes(b"garbage")
    with pytest.raises(InvalidModel, match="cannot be unpacked"):
        archive.unpack(tmp_path / "garbage.tar.gz", tmp_path / "out")


def test_damage_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    model = bytes(range(256)) * 40
    files = {"model.onnx": model, "manifest.json": manifest(**{"model.onnx": archive.digest(model)})}
    archive.pack(tmp_path / "whole.tar.gz", files)
    whole, source, refused = (tmp_path / "whole.tar.gz").read_bytes(), random.Random(0), 0
    for number in range(200):
        damaged, out = bytearray(whole), tmp_path / f"out{number}"
        damaged[source.randrange(10, len(whole))] ^= 1 << source.randrange(8)
        (tmp_path / "a.tar.gz").write_bytes(damaged)
        try:
            archive.unpack(tmp_path / "a.tar.gz", out)
        except InvalidModel:
            refused += 1
        else:  # a bit of a header that says nothing may go unnoticed
            assert {name: (out / name).read_bytes() for name in files} == files
    assert refused > 100
