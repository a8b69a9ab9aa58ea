"""The champion may have been learned from other columns, words, classes and sizes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from contract import keys
from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor
from tests.training.builders import csv, pictures, png, run_prepare, zipped
from training import archive, champion, optimise, originals, recipes
from training.champion import CannotRead
from training.data import LABEL, Split

TABULAR, IMAGE = recipes.load("tabular"), recipes.load("image")


def table(*features: Feature, labels: Sequence[str] = ("a", "b")) -> Schema:
    numbers = sum(feature.kind == "number" for feature in features)
    inputs = [Tensor(name="numeric", dtype="float32", shape=(-1, numbers))] if numbers else []
    words = len(features) - numbers
    inputs += [Tensor(name="category", dtype="int64", shape=(-1, words))] if words else []
    return Schema(
        task="classification", inputs=tuple(inputs), features=features, labels=tuple(labels), target="t"
    )  # fmt: skip


def number(name: str, multiple: float | None = None) -> Feature:
    return Feature(name=name, kind="number", multiple=multiple)


def words(name: str, *known: str, hashed: bool = False) -> Feature:
    return Feature(name=name, kind="category", vocabulary=known, hashed=hashed)


def rows(*values: dict[str, str]) -> list[bytes]:
    return [json.dumps(row).encode() for row in values]


ROWS = rows({"x": "1", "y": "27", "colour": "red"}, {"x": "", "y": "-3", "colour": "mauve"})


def test_rows_are_read_by_the_champions_own_columns_words_and_multiples() -> None:
    given = TABULAR.encode(ROWS, table(number("y", 10), words("colour", "blue", "red"), number("x")))
    np.testing.assert_array_equal(given["numeric"], [[20, 1], [-10, np.nan]])
    np.testing.assert_array_equal(given["category"], [[2], [0]])
    assert (given["numeric"].dtype, given["category"].dtype) == (np.float32, np.int64)


def test_text_is_a_missing_number_and_a_number_is_a_word() -> None:
    given = TABULAR.encode(ROWS, table(number("colour"), words("x", "1")))
    assert np.isnan(given["numeric"]).all()
    np.testing.assert_array_equal(given["category"], [[1], [0]])


def test_images_are_read_in_the_champions_size_and_colours() -> None:
    schema = Schema(
        task="classification",
        inputs=(Tensor(name="image", dtype="uint8", shape=(-1, 12, 12, 3)),),
        features=(Feature(name="image", kind="image"),),
        labels=("a", "b"),
        target="label",
    )
    given = IMAGE.encode([png(30, seed=1), png((9, 5), seed=2)], schema)["image"]
    assert (given.shape, given.dtype) == ((2, 12, 12, 3), np.uint8)


def test_originals_are_the_test_rows_in_their_order_without_target_and_dropped_columns(tmp_path: Path) -> None:
    settings = {
        "prepare": {"exclude": ["region"]},
        "privacy": {"drop": ["income"], "generalise": {"age": 10.0}},
    }
    _, out = run_prepare(tmp_path / "a", {"rows.csv": csv(200)}, settings)
    kept = [json.loads(each) for each in originals.read(out / keys.DATASET_ORIGINALS)]
    test = Split(out / keys.DATASET / "test").everything()
    assert [float(row["age"]) for row in kept] == test["numeric"][:, 0].tolist()
    assert {tuple(row) for row in kept} == {("age", "region")}


def test_originals_of_images_are_their_files(tmp_path: Path) -> None:
    files = pictures(30)
    _, out = run_prepare(tmp_path / "a", {"p.zip": zipped(files)})
    kept = list(originals.read(out / keys.DATASET_ORIGINALS))
    assert len(kept) == len(Split(out / keys.DATASET / "test").labels)
    assert set(kept) <= set(files.values())


def test_originals_survive_being_cut_into_files(tmp_path: Path) -> None:
    written = [bytes([n]) * n for n in range(50)]
    writer = originals.Writer(tmp_path / "o", shard_bytes=100)
    writer.add(written[:20])
    writer.add(written[20:])
    writer.close()
    assert len(list((tmp_path / "o").iterdir())) > 5
    assert list(originals.read(tmp_path / "o")) == written


class Constant(torch.nn.Module):
    """Answers every row alike."""

    logits: torch.Tensor

    def __init__(self, logits: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, numeric: torch.Tensor) -> torch.Tensor:
        return numeric[:, :1] * 0 + self.logits


def answers(logits: Sequence[float], schema: Schema) -> optimise.Answers:
    """Return a model that answers every row alike."""
    return optimise.Answers(Constant(logits), TABULAR, schema)


def predict(folder: Path, theirs: Schema, *, recipe: str = "tabular", **changed: Any) -> NDArray[np.float32]:
    """Ask a champion that answers every row alike; ours has the classes a and b."""
    logits = [0.0, 5.0, 3.0][: len(theirs.labels)]
    onnx = optimise.export(
        answers(logits, table(number("x"))), table(number("x")), {"numeric": np.ones((2, 1), np.float32)}
    )
    manifest = ModelManifest(format=FORMAT, tenant="t", project="p", run="r", recipe=recipe, options={}, schema=theirs)
    files = {"model.onnx": onnx, "manifest.json": json.dumps(manifest.to_dict()).encode()}
    archive.pack(folder / "model.tar.gz", files)
    settings = {"schema": table(number("x")), "recipe": TABULAR, "hashed": (), **changed}
    return champion.predict(folder / "model.tar.gz", folder / "unpacked", rows({"x": "1"}, {"x": "2"}), **settings)


class Careless(type(TABULAR)):  # type: ignore[misc]
    """A recipe whose network does not know what to do where nothing is known."""

    def network(self, schema: Schema, options: Any) -> torch.nn.Module:
        return Constant([0.0, 1.0])


def test_a_form_that_answers_no_number_where_nothing_is_known_never_agrees(tmp_path: Path) -> None:
    schema, known = table(number("x")), {"numeric": np.ones((2, 1), np.float32)}
    save_file(Constant([0.0, 1.0]).state_dict(), tmp_path / keys.MODEL_WEIGHTS)
    manifest = ModelManifest(
        format=FORMAT, tenant="t", project="p", run="r", recipe="tabular", options={}, schema=schema
    )
    trained = optimise.trained(tmp_path, Careless(), manifest, known)
    session = optimise.open_session(trained.onnx)
    apart = [optimise.apart(session, rows, expected, schema) for rows, expected in trained.answered]
    assert apart[0] < 1e-6
    assert np.isnan(apart[1])


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    got = predict(tmp_path, table(number("x"), labels=("b", "other", "a")))
    assert got.shape == (2, 3)  # a, b, and what only the champion knows
    expected = np.exp([3.0, 0.0, 5.0]) / np.exp([3.0, 0.0, 5.0]).sum()
    np.testing.assert_allclose(got[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("theirs", "changed", "says"),
    [
        (table(number("x"), labels=("c", "d")), {}, "knows none of these classes"),
        (table(number("w")), {}, "column 'w' is not among these rows"),
        (table(words("x", hashed=True)), {}, r"learned 'x' from hashes; \[privacy\] makes it text now"),
        (table(words("x", "1")), {"hashed": ("x",)}, "learned 'x' from text"),
        (table(number("x")), {"recipe": "image"}, "reads images, these rows are table"),
        (table(number("x")), {"recipe": "forest"}, "a recipe that is gone"),
    ],
)
def test_a_champion_that_cannot_be_compared_says_why(
    tmp_path: Path, theirs: Schema, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(CannotRead, match=says):
        predict(tmp_path, theirs, **changed)


def test_labels_stay_with_their_rows(tmp_path: Path) -> None:
    _, out = run_prepare(tmp_path / "a", {"rows.csv": csv(200)})
    test = Split(out / keys.DATASET / "test").everything()
    lines = csv(200).splitlines()[1:]
    expected = [int(lines[row].endswith("low")) for row in test["row"]]
    assert test[LABEL].tolist() == expected
