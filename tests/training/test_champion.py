"""The champion may have been learned from other columns, words, classes and sizes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor
from training import archive, champion, optimise
from training.champion import CannotRead, translate


def table(numbers: Sequence[str], words: dict[str, tuple[str, ...]], labels: Sequence[str] = ("a", "b")) -> Schema:
    inputs = [Tensor(name="numeric", dtype="float32", shape=(-1, len(numbers)))] if numbers else []
    inputs += [Tensor(name="category", dtype="int64", shape=(-1, len(words)))] if words else []
    features = [Feature(name=name, kind="number") for name in numbers]
    features += [Feature(name=name, kind="category", vocabulary=known) for name, known in words.items()]
    return Schema(
        task="classification", inputs=tuple(inputs), features=tuple(features), labels=tuple(labels), target="t"
    )


OURS = table(["x", "y", "z"], {"colour": ("red", "green"), "shape": ("round",)})
ROWS: dict[str, NDArray] = {
    "numeric": np.array([[1, 2, 3], [4, np.nan, 6]], np.float32),
    "category": np.array([[1, 1], [2, 0]], np.int64),
}


def test_columns_are_found_by_name_and_words_by_text() -> None:
    theirs = table(["z", "x"], {"colour": ("blue", "green", "red")})
    given = translate(ROWS, ours=OURS, theirs=theirs)
    np.testing.assert_array_equal(given["numeric"], [[3, 1], [6, 4]])
    np.testing.assert_array_equal(given["category"], [[3], [2]])


def test_words_the_champion_never_saw_are_unknown_to_it() -> None:
    given = translate(ROWS, ours=OURS, theirs=table([], {"colour": ("green",), "shape": ("round",)}))
    assert list(given) == ["category"]
    np.testing.assert_array_equal(given["category"], [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("theirs", "says"),
    [(table(["w"], {}), "needs 'w'"), (table(["colour"], {}), "'colour' is a number to the champion and a category")],
)
def test_rows_that_lack_what_it_needs_are_refused(theirs: Schema, says: str) -> None:
    with pytest.raises(CannotRead, match=says):
        translate(ROWS, ours=OURS, theirs=theirs)


def pictures(side: int, channels: int) -> Schema:
    shape = (-1, side, side, channels)
    return Schema(
        task="classification",
        inputs=(Tensor(name="image", dtype="uint8", shape=shape),),
        features=(Feature(name="image", kind="image"),),
        labels=("a", "b"),
        target="label",
    )


def test_images_are_brought_to_its_size_and_colours() -> None:
    rows = {"image": np.full((3, 8, 8, 1), 77, np.uint8)}
    given = translate(rows, ours=pictures(8, 1), theirs=pictures(12, 3))["image"]
    assert given.shape == (3, 12, 12, 3)
    assert given.dtype == np.uint8
    assert (given == 77).all()


class Constant(torch.nn.Module):
    """Answers every row alike."""

    logits: torch.Tensor

    def __init__(self, logits: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, numeric: torch.Tensor) -> torch.Tensor:
        return numeric[:, :1] * 0 + self.logits


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    theirs = table(["x"], {}, labels=("b", "other", "a"))
    onnx = optimise.export(Constant([0.0, 5.0, 3.0]), theirs, {"numeric": np.ones((2, 1), np.float32)})
    manifest = ModelManifest(
        format=FORMAT, tenant="t", project="p", run="r", recipe="tabular", options={}, schema=theirs
    )
    archive.pack(
        tmp_path / "model.tar.gz",
        {"model.onnx": onnx, "manifest.json": json.dumps(manifest.to_dict()).encode()},
    )
    rows = {"numeric": np.ones((2, 3), np.float32), "category": ROWS["category"]}
    got = champion.predict(tmp_path / "model.tar.gz", tmp_path / "unpacked", rows, OURS)
    assert got.shape == (2, 3)  # a, b, and what only the champion knows
    expected = np.exp([3.0, 0.0, 5.0]) / np.exp([3.0, 0.0, 5.0]).sum()
    np.testing.assert_allclose(got[0], expected, rtol=1e-5)


def test_a_champion_of_other_classes_cannot_be_compared(tmp_path: Path) -> None:
    theirs = table(["x"], {}, labels=("c", "d"))
    manifest = ModelManifest(
        format=FORMAT, tenant="t", project="p", run="r", recipe="tabular", options={}, schema=theirs
    )
    archive.pack(tmp_path / "model.tar.gz", {"manifest.json": json.dumps(manifest.to_dict()).encode()})
    with pytest.raises(CannotRead, match="knows none of these classes"):
        champion.predict(tmp_path / "model.tar.gz", tmp_path / "unpacked", ROWS, OURS)
