"""A file is refused before it is uploaded, with what is wrong with it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from cli import upload
from cli.errors import BadArgument
from contract.errors import InvalidConfig, InvalidUpload

TABLE: dict[str, Any] = {"recipe": "tabular", "prepare": {"target": "species"}}


def _write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _zip(folder: Path, *names: str) -> Path:
    path = folder / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


def test_a_zip_is_read_by_the_image_recipe(tmp_path: Path) -> None:
    assert upload.check(_zip(tmp_path, "0/a.png"), {}).name == "image"


def test_a_script_takes_any_file(tmp_path: Path) -> None:
    table = {"recipe": {"name": "script", "metric": "rmse", "regex": "rmse=([0-9.]+)", "direction": "minimise"}}
    assert upload.check(_write(tmp_path, "points.bin", b"x"), table).name == "script"
    assert upload.check(_write(tmp_path, "points.csv", b"x,y\n"), table).name == "script"


def test_a_table_needs_its_target_in_the_header(tmp_path: Path) -> None:
    good = _write(tmp_path, "a.csv", 'size,"species"\n1,x\n'.encode("utf-8-sig"))
    assert upload.check(good, TABLE).name == "tabular"
    bad = _write(tmp_path, "b.csv", b"size,Species\n1,x\n")
    with pytest.raises(InvalidUpload, match=r"no column 'species'.*size, Species\. Did you mean 'Species'\?"):
        upload.check(bad, TABLE)


@pytest.mark.parametrize(
    ("name", "content", "config", "error", "says"),
    [
        ("a.zip", b"PK but no zip", {}, InvalidUpload, "not a zip file"),
        ("a.zip", b"", {}, InvalidUpload, "empty"),
        ("a.parquet", b"1,2\n", TABLE, InvalidUpload, "not a Parquet file"),
        ("a.csv", b"\xff\xfe\x00", TABLE, InvalidUpload, "UTF-8"),
        ("a.xlsx", b"x", TABLE, InvalidUpload, "does not read .xlsx"),
        ("a.xlsx", b"x", {}, InvalidConfig, "no recipe reads '.xlsx'"),
        ("a.csv", b"x\n", {"recipe": "tabular"}, InvalidConfig, "prepare.target"),
        ("a.zip", b"x", {"train": {"epoch": 3}}, InvalidConfig, "Did you mean 'epochs'"),
        ("a.zip", b"x", {"train": {"epochs": 0}}, InvalidConfig, "train.epochs: 0 is not allowed"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, name: str, content: bytes, config: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        upload.check(_write(tmp_path, name, content), config)


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidUpload, match="holds no files"):
        upload.check(_zip(tmp_path), {})


def test_a_folder_is_to_be_zipped(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"is a folder(.|\n)*zipfile -c"):
        upload.check(tmp_path, {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_header_is_read_as_preparation_reads_it(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = delimiter.join(('"size, in cm"', " species ")) + "\n"
    path = _write(tmp_path, "a.csv", text.encode(encoding))
    assert upload.check(path, TABLE).name == "tabular"
    other = {**TABLE, "prepare": {"target": "specie"}}
    with pytest.raises(InvalidUpload, match=r"has no column 'specie'.*Did you mean 'species'"):
        upload.check(path, other)


def test_a_config_that_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"project\.toml, line 2: '\[train' is not allowed; expected TOML"):
        upload.read_config(_write(tmp_path, "project.toml", b"\n[train\n"))
