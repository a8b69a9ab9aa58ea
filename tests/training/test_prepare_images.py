"""Zip uploads of images, good and bad."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract import keys
from contract.manifest import Tensor
from tests.training.builders import pictures, png, run_prepare, zipped
from training import zips
from training.data import Split, read_schema


def test_class_folders_become_images_of_their_own_size(tmp_path: Path) -> None:
    files = pictures(40)
    report, out = run_prepare(tmp_path / "a", {"pictures.zip": zipped(files)})
    assert report.accepted, report.reasons
    schema = read_schema(out / keys.DATASET)
    assert schema.labels == ("left", "right")
    assert schema.inputs == (Tensor(name="image", dtype="uint8", shape=(-1, 8, 8, 1)),)
    contents = list(files.items())
    for split in keys.SPLITS:
        rows = Split(out / keys.DATASET / split).everything()
        for image, label, number in zip(rows["image"], rows["label"], rows["row"], strict=True):
            name, content = contents[number]
            np.testing.assert_array_equal(image[:, :, 0], np.asarray(Image.open(io.BytesIO(content))))
            assert name.startswith(schema.labels[label])


def test_statistics_are_of_the_training_images(tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "a", {"pictures.zip": zipped(pictures(40))})
    train = Split(out / keys.DATASET / "train").everything()["image"]
    statistics = read_schema(out / keys.DATASET).features[0].statistics
    assert statistics["mean"] == pytest.approx(train.mean())
    assert statistics["std"] == pytest.approx(train.std())


def test_a_folder_around_the_class_folders_and_desktop_litter_do_not_matter(tmp_path: Path) -> None:
    plain, _ = run_prepare(tmp_path / "a", {"p.zip": zipped(pictures(30))})
    files = {f"my pictures/{name}": content for name, content in pictures(30).items()}
    litter = {
        "__MACOSX/my pictures/left/._0000.png": b"x",
        "my pictures/.DS_Store": b"x",
        "my pictures/left/Thumbs.db": b"x",
    }
    report, _ = run_prepare(tmp_path / "b", {"p.zip": zipped(files | litter)})
    assert report.fingerprint == plain.fingerprint
    assert report.rejected_rows == 0


def test_windows_separators_are_folders_too(tmp_path: Path) -> None:
    content = zipped({name.replace("/", "\\"): body for name, body in pictures(30).items()})
    report, _ = run_prepare(tmp_path / "a", {"p.zip": content})
    assert report.labels == {"left": 30, "right": 30}


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (-1, 20, 20, 3)),
        ({"image_size": 12}, (-1, 12, 12, 3)),
        ({"colours": "grey", "image_size": 10}, (-1, 10, 10, 1)),
    ],
)
def test_colour_and_size_can_be_chosen(tmp_path: Path, options: dict[str, object], shape: tuple[int, ...]) -> None:
    content = zipped(pictures(30, size=20, mode="RGB"))
    report, out = run_prepare(tmp_path / "a", {"p.zip": content}, {"recipe": {"name": "image", **options}})
    assert report.accepted, report.reasons
    assert read_schema(out / keys.DATASET).inputs[0].shape == shape


def test_sizes_and_formats_may_be_mixed_and_large_images_are_bounded(tmp_path: Path) -> None:
    files = {}
    for number in range(60):
        kind = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")[number % 6]
        files[f"{'ab'[number % 2]}/{number}.{kind}"] = png((90 + number, 200), seed=number, kind=kind)
    report, out = run_prepare(tmp_path / "a", {"p.zip": zipped(files)})
    assert report.accepted, report.reasons
    assert read_schema(out / keys.DATASET).inputs[0].shape == (-1, 64, 64, 3)  # a GIF has a palette: colour


def test_equal_pictures_stay_together(tmp_path: Path) -> None:
    files = pictures(40)
    twins = {name.replace("/", "/twin-"): content for name, content in files.items()}
    report, out = run_prepare(tmp_path / "a", {"p.zip": zipped(files | twins)})
    assert report.duplicate_rows == 80
    split_of: dict[int, str] = {}
    for split in keys.SPLITS:
        split_of |= dict.fromkeys(Split(out / keys.DATASET / split).everything()["row"].tolist(), split)
    assert all(split_of[number] == split_of[number + 80] for number in range(80))


def damaged() -> dict[str, bytes]:
    """Return files that are no whole images, each in its own way."""
    whole = png((40, 40), mode="RGB")
    jpeg = png((64, 64), mode="RGB", kind="JPEG")
    huge = bytearray(png((8, 8), mode="RGB", kind="BMP"))
    huge[18:26] = struct.pack("<ii", 60_000, 60_000)
    return {
        "left/text.png": b"no image",
        "left/header-only.png": b"\x89PNG broken",
        "left/cut.png": whole[: len(whole) // 2],
        "left/cut.jpg": jpeg[: len(jpeg) // 3],
        "left/flipped.png": whole[:60] + bytes(40) + whole[100:],
        "left/huge.bmp": bytes(huge),
        "left/empty.png": b"",
        "readme.txt": b"hello",
    }


def test_corrupt_images_among_many_go_to_quarantine(tmp_path: Path) -> None:
    files = pictures(100) | damaged()
    report, out = run_prepare(tmp_path / "a", {"p.zip": zipped(files)})
    assert report.accepted, report.reasons
    assert report.rejected_rows == len(damaged())
    assert sum(report.rows.values()) == 200
    lines = [json.loads(line) for line in (out / keys.QUARANTINE / "rows.jsonl").read_text().splitlines()]
    assert {line["reason"].split(":")[0] for line in lines} == set(damaged())
    for line in lines:
        name = line["reason"].split(":")[0]
        assert (out / keys.QUARANTINE / line["raw"]).read_bytes() == damaged()[name]
    assert any("readme.txt: is in no class folder" in reason for reason in report.reasons)
    assert any("huge.bmp" in reason and "pixels" in reason for reason in report.reasons)


def test_damaged_files_of_one_name_in_two_zips_are_both_kept(tmp_path: Path) -> None:
    uploads = {f"{name}.zip": zipped({"left/1.png": name.encode(), **pictures(30)}) for name in "ab"}
    _, out = run_prepare(tmp_path / "a", uploads)
    kept = sorted((out / keys.QUARANTINE / "files").iterdir())
    assert [path.read_bytes() for path in kept] == [b"a", b"b"]


def test_what_is_no_image_is_said_in_words(tmp_path: Path) -> None:
    report, _ = run_prepare(tmp_path / "a", {"p.zip": zipped(pictures(60) | {"left/x.png": b"text"})})
    assert "it is none of PNG, JPEG, GIF, BMP, WEBP, TIFF" in report.reasons[0]
    assert "0x" not in report.reasons[0]


def test_a_damaged_member_of_the_zip_goes_to_quarantine(tmp_path: Path) -> None:
    content = bytearray(zipped(pictures(60)))
    inside = content.index(b"left/0010.png") + 60
    content[inside] ^= 0xFF
    report, _ = run_prepare(tmp_path / "a", {"p.zip": bytes(content)})
    assert report.accepted, report.reasons
    assert report.rejected_rows == 1
    assert "left/0010.png: cannot be unzipped" in report.reasons[0]


def encrypted() -> bytes:
    content = bytearray(zipped(pictures(30)))
    position = content.index(b"PK\x01\x02")
    content[position + 8] |= 1  # the flag of the first entry in the directory
    return bytes(content)


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros.png", bytes(4 * 2**20))
    return buffer.getvalue()


HOPELESS = [
    (b"", "is empty (0 bytes)"),
    (b"not a zip", "is not a zip file"),
    (zipped(pictures(30))[:-50], "is not a zip file, or is cut short"),
    (zipped({}), "no class folders"),
    (zipped({"a.png": png()}), "no class folders"),
    (zipped({"a/readme.txt": b"hello"}), "no file in a class folder is an image"),
    (zipped({f"only/{n}.png": png(seed=n) for n in range(60)}), "only one class ('only')"),
    (zipped(pictures(60) | {"rare/1.png": png(seed=1)}), "'rare' (1)"),
    (zipped({"../../etc/left/x.png": png()}), "unsafe name '../../etc/left/x.png'"),
    (zipped({"/left/x.png": png()}), "unsafe name"),
    (zipped({"C:/left/x.png": png()}), "unsafe name"),
    (encrypted(), "is encrypted"),
    (zipped({".": b""}), "unsafe name '.'"),
    (zipped({"é/x.png": png()}).replace("é".encode(), b"\xff\xff"), "is not a zip file, or is cut short"),
]


@pytest.mark.parametrize(("content", "says"), HOPELESS, ids=[says for _, says in HOPELESS])
def test_a_hopeless_zip_is_rejected_with_the_reason(tmp_path: Path, content: bytes, says: str) -> None:
    report, _ = run_prepare(tmp_path / "a", {"p.zip": content})
    assert (report.accepted, report.outcome) == (False, "REJECTED")
    assert says in " | ".join(report.reasons)


def test_a_zip_bomb_is_rejected_before_it_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "FREE_BYTES", 2**20)
    report, _ = run_prepare(tmp_path / "a", {"p.zip": bomb()})
    assert "would inflate to 4,194,304 bytes" in report.reasons[0]
