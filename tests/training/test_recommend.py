"""The recipe recommend: ratings are predicted, choices are ranked, and unknown people get what most like."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from contract.errors import InvalidConfig
from contract.manifest import Schema
from contract.reports import DatasetReport
from serving.inputs import reader_for
from tests.training.builders import ROOT, request, run_prepare, train_here, training_job
from training import choices, optimise, originals, recipes
from training.data import LABEL, Split, read_schema
from training.factors import Factors
from training.optimise import Answers

RECOMMEND = recipes.load("recommend")
CIRCLES, USERS, ITEMS = 4, 80, 60


def bought(*, seed: int = 0, each: int = 20) -> list[str]:
    """Return purchases: people of four circles, who buy nine in ten things from the fifteen of their circle."""
    source, lines = random.Random(seed), []
    for user in range(USERS):
        own = range(user % CIRCLES, ITEMS, CIRCLES)
        things = {source.choice(own) if source.random() < 0.9 else source.randrange(ITEMS) for _ in range(each)}
        lines += [f"u{user},i{thing}" for thing in sorted(things)]
    return lines


def text(*lines: str, header: str = "user,item") -> str:
    return "\n".join([header, *lines]) + "\n"


def prepared(folder: Path, content: str, *, target: str = "", **options: Any) -> tuple[DatasetReport, Path]:
    sections = {"recipe": {"name": "recommend", **options}, "prepare": {"target": target}}
    return run_prepare(folder, {"rows.csv": content}, sections)


def split(out: Path, name: str) -> dict[str, NDArray]:
    return Split(out / "dataset" / name).everything()


def learned(out: Path, base: Path, **train: Any) -> tuple[Answers, Schema, dict[str, NDArray]]:
    """Train with the recipe's defaults but for ``train``; return the model, its schema and the test rows."""
    train_here(training_job(base, out, **train))
    schema, options = read_schema(out / "dataset"), json.loads((out / "request.json").read_text())["recipe"]["options"]
    network = RECOMMEND.network(schema, RECOMMEND.parse_options(options))
    network.load_state_dict(load_file(base / "model/weights.safetensors"))
    return Answers(network, RECOMMEND, schema), schema, split(out, "test")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing the example."""
    content = (ROOT / "examples/films/ratings.csv").read_text()
    folder = tmp_path_factory.mktemp("films")
    report, out = prepared(folder, content, target="stars", user="person", item="film")
    assert report.accepted, report.reasons
    return out


@pytest.fixture(scope="module")
def choice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of preparing purchases."""
    report, out = prepared(tmp_path_factory.mktemp("choices"), text(*bought()))
    assert report.accepted, report.reasons
    return out


def test_stars_are_predicted_better_than_by_means(films: Path, tmp_path: Path) -> None:
    model, schema, rows = learned(films, tmp_path / "job")
    answers = optimise.predict_with_torch(model, rows, schema)
    means = RECOMMEND.baseline(Split(films / "dataset/train"), rows, schema)
    found, baseline = (RECOMMEND.metrics(each, rows, schema)["rmse"] for each in (answers, means))
    assert found < 0.9 * baseline
    assert baseline < 0.9 * schema.scale  # which is no straw man
    unknown = {"category": np.stack([np.zeros_like(rows["category"][:, 0]), rows["category"][:, 1]], axis=1)}
    stranger = optimise.predict_with_torch(model, unknown, schema)
    assert RECOMMEND.metrics(stranger, rows, schema)["rmse"] < schema.scale  # what most people think of the film


def test_choices_are_ranked_better_than_by_popularity(choice: Path, tmp_path: Path) -> None:
    model, schema, rows = learned(choice, tmp_path / "job")
    answers = optimise.predict_with_torch(model, rows, schema)
    popular = RECOMMEND.baseline(Split(choice / "dataset/train"), rows, schema)
    found, baseline = (RECOMMEND.metrics(each, rows, schema)["ndcg_at_10"] for each in (answers, popular))
    assert found > 2 * baseline
    assert schema.metric == "ndcg_at_10"
    assert schema.labels == ("no", "yes")


def test_what_was_not_chosen_is_made_up_from_what_was_not_seen(choice: Path) -> None:
    train, test = split(choice, "train"), split(choice, "test")
    pairs = {name: {*map(tuple, part["category"].tolist())} for name, part in (("train", train), ("test", test))}
    positive = {*map(tuple, train["category"][train[LABEL] == 1].tolist())}
    negative = {*map(tuple, train["category"][train[LABEL] == 0].tolist())}
    assert not positive & negative
    assert 3.9 < (train[LABEL] == 0).sum() / (train[LABEL] == 1).sum() <= 4
    held_out = {*map(tuple, test["category"][test[LABEL] == 1].tolist())}
    rivals = {*map(tuple, test["category"][test[LABEL] == 0].tolist())}
    assert not (positive | held_out) & rivals
    assert not held_out & positive
    assert pairs["test"]
    for group in np.unique(test["group"]):
        mine = test["group"] == group
        assert (test[LABEL][mine] == 1).sum() == 1
        assert len(np.unique(test["category"][mine], axis=0)) == mine.sum()


def test_the_same_upload_makes_the_same_rows_and_choices_stay_in_their_split(choice: Path, tmp_path: Path) -> None:
    lines = bought()
    again, _ = prepared(tmp_path / "a", text(*lines))
    assert again.fingerprint == json.loads((choice / "dataset_report.json").read_text())["fingerprint"]
    report, out = prepared(tmp_path / "b", text(*lines, *lines[:100]))
    assert "100 rows repeat a choice; it counts once" in report.reasons
    chosen = []
    for folder in (choice, out):
        asked = zip(split(folder, "test")[LABEL], originals.read(folder / "dataset/originals"), strict=True)
        chosen.append([original for label, original in asked if label])
    assert chosen[0] == chosen[1]


def test_rows_with_mistakes_are_set_aside(tmp_path: Path) -> None:
    lines = [f"{line},{number % 5}" for number, line in enumerate(bought())]
    bad = ["u1,i1,many", ",i2,3", "u2,,3", "u3,i3,", "u4,i4,1e99"]
    report, out = prepared(tmp_path, text(*lines, *bad, header="user,item,stars"), target="stars")
    assert report.accepted
    kept = [json.loads(line) for line in (out / "quarantine/rows.jsonl").read_text().splitlines()]
    assert {line["row"] - len(lines): line["reason"] for line in kept} == {
        1: "'many' in column 'stars' is no number, or too large a one",
        2: "has no value in the column 'user'",
        3: "has no value in the column 'item'",
        4: "has no value in the column 'stars'",
        5: "'1e99' in column 'stars' is no number, or too large a one",
    }


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (text(*bought()), {"user": "who"}, "recipe.user names 'who', which is no column"),
        (text(*bought()), {"item": "itme"}, "recipe.item names 'itme', .* Did you mean 'item'"),
        (text(*bought()), {"item": "user"}, "recipe.user and recipe.item both name 'user'"),
        (text(*(f"u{n},i{n % 5}" for n in range(200))), {}, "0 values of 'user' come twice among the training rows"),
        (text(*(f"u{n % 5},i" for n in range(200))), {}, "1 values of 'item' come twice"),
        (text(), {}, "no good row"),
        (text(*(f"u{n % 5},i{n % 7},3" for n in range(200)), header="user,item,stars"), {"target": "stars"},
         "the same value, 3"),
        (text(*bought(), *(",i1" for _ in range(90))), {}, r"90 of \d+ rows are bad"),
    ],
    ids=["user", "item", "both", "once", "one item", "empty", "constant", "bad"],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_with_the_fix(
    content: str, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    report, _ = prepared(tmp_path, content, **options)
    assert not report.accepted
    assert re.search(reason, report.reasons[0]), report.reasons


@pytest.mark.parametrize(("option", "value"), [("embedding", 0), ("negatives", -1), ("max_vocabulary", 1)])
def test_settings_out_of_range_are_refused_before_anything_runs(option: str, value: int) -> None:
    with pytest.raises(InvalidConfig, match=f"recipe.{option}: {value}"):
        request({"recipe": {"name": "recommend", option: value}})


def test_a_huge_vocabulary_is_cut_to_the_most_frequent(tmp_path: Path) -> None:
    lines = [*bought(), *(f"x{n},i{n % 60}" for n in range(600) for _ in range(2))]
    report, out = prepared(tmp_path, text(*lines), max_vocabulary=50)
    assert report.accepted, report.reasons
    schema = read_schema(out / "dataset")
    assert [len(feature.vocabulary) for feature in schema.features] == [50, 50]
    assert not any(word.startswith("x") for word in schema.features[0].vocabulary)
    assert (split(out, "train")["category"] == 0).any()


def test_users_are_hashed_and_asked_for_by_their_hashes(tmp_path: Path) -> None:
    sections = {"recipe": {"name": "recommend"}, "prepare": {"target": ""}, "privacy": {"hash": ["user"]}}
    report, out = run_prepare(tmp_path, {"rows.csv": text(*bought())}, sections)
    assert report.anonymised == {"user": "hashed with the tenant's salt"}
    user = read_schema(out / "dataset").features[0]
    assert user.hashed
    assert all(re.fullmatch("[0-9a-f]{32}", word) for word in user.vocabulary)
    assert b"u1" not in b"".join(originals.read(out / "dataset/originals"))


def test_champion_golden_rows_and_server_read_alike(choice: Path) -> None:
    schema, rows = read_schema(choice / "dataset"), split(choice, "test")
    encoded = RECOMMEND.encode(list(originals.read(choice / "dataset/originals")), schema)
    np.testing.assert_array_equal(encoded["category"], rows["category"])
    instances = [RECOMMEND.instance({"category": codes}, schema) for codes in rows["category"][:50]]
    body = json.dumps({"instances": instances}).encode()
    asked = reader_for(schema).decoders["application/json"](body)
    np.testing.assert_array_equal(asked["category"], rows["category"][:50])


def test_a_tie_counts_half_of_its_rivals() -> None:
    scores, labels = np.array([0.5, 0.5, 0.5, 0.9, 0.1]), np.array([1, 0, 0, 0, 1])
    found = choices.ranking(scores, labels, np.array([7, 7, 7, 7, 9]))
    assert found["ndcg_at_10"] == pytest.approx((1 / np.log2(1 + 3) + 1) / 2)
    assert found["recall_at_10"] == 1
    flat = choices.ranking(np.zeros(100), np.array([1] + [0] * 99), np.zeros(100, np.int64))
    assert flat == {"ndcg_at_10": 0, "recall_at_10": 0}  # who says the same of all has ranked nothing


def test_users_who_chose_everything_do_not_end_the_drawing() -> None:
    users, items = map(np.array, zip(*itertools.product([1, 2], [1, 2, 3]), strict=True))
    everything = choices.Choices(
        users=users, items=items, split=np.array([0, 0, 0, 0, 0, 2], np.int8), places=np.arange(6)
    )
    part = next(everything.learned(items=3, negatives=2, source=np.random.default_rng(0)))
    assert part.labels.sum() == 5
    assert set(zip(part.users[part.labels == 0].tolist(), part.items[part.labels == 0].tolist(), strict=True)) == {
        (2, 3)
    }
    ranked = next(everything.ranked(2, items=3, source=np.random.default_rng(0)))
    assert ranked.labels.tolist() == [1]


def test_items_that_are_not_told_apart_are_not_learned_as_always_chosen() -> None:
    users, items = np.array([1, 1, 2, 2, 2]), np.array([1, 0, 2, 0, 0])
    some = choices.Choices(users=users, items=items, split=np.array([0, 0, 0, 0, 2], np.int8), places=np.arange(5))
    part = next(some.learned(items=3, negatives=1, source=np.random.default_rng(0)))
    assert part.items.min() > 0
    assert part.places[part.labels == 1].tolist() == [0, 2]
    ranked = next(some.ranked(2, items=3, source=np.random.default_rng(0)))
    assert ranked.items[ranked.labels == 1].tolist() == [0]  # it counts, as what it is: not known


def test_which_rows_hide_their_user_is_no_matter_of_chance() -> None:
    network = Factors(users=50, items=50, size=4, classes=False)
    rows = torch.stack([torch.arange(1, 51).repeat_interleave(50), torch.arange(1, 51).repeat(50)], dim=1)
    with torch.no_grad():
        network.generous.weight.uniform_(1, 2)
        network.generous.weight[0] = 9.0
    first, second = network(rows), network(rows)
    assert torch.equal(first, second)
    assert 0.005 < (first > 8).float().mean() < 0.05
    assert not (network.eval()(rows) > 8).any()
