"""An upload of who chose what: a table with a user, an item, and perhaps a rating.

With a rating (``prepare.target``) each row is learned as it is. Without one, every row is a choice, and what was not
chosen has to be made up: each training choice is learned with some items that its user is not seen to choose there, and
each held-out choice is ranked among items that its user never chose (X. He et al., "Neural Collaborative Filtering",
2017, https://arxiv.org/abs/1708.05031). Which ones is drawn with a fixed seed.

Rows are split by user and item, so that a choice that is repeated stays in one split.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contract.keys import SPLITS
from contract.manifest import Feature, Schema
from training.choices import JUDGED, RIVALS, Choices, Part
from training.columns import Words
from training.data import LABEL, ROW
from training.encoding import CATEGORY, encode, tensors
from training.privacy import check_columns
from training.recipes import Chunk, Preparation
from training.rejection import Rejected
from training.rows import Block, Rows
from training.split import TEST, TRAIN
from training.tables import open_table
from training.targets import Values

GROUP = "group"  # array of a shard: the choice that a row is ranked with
NO, YES = "no", "yes"
SEED = 0


class Settings(Protocol):
    """What the recipe's options say of reading (training.recipes.recommend)."""

    @property
    def user(self) -> str:
        """Column of the users."""

    @property
    def item(self) -> str:
        """Column of the items."""

    @property
    def max_vocabulary(self) -> int:
        """Users, and items, that are told apart."""

    @property
    def negatives(self) -> int:
        """Items not chosen that are learned with each choice."""


class Ratings:
    """The ratings or choices of an upload.

    Args:
        files: CSV and Parquet files with the same columns.
        work: what preparation lends.
        settings: the recipe's options.

    Raises:
        Rejected: when no user or no item comes back.
    """

    def __init__(self, files: Sequence[Path], work: Preparation, settings: Settings) -> None:
        self.notes: list[str] = []
        self._work, self._settings = work, settings
        self._columns = (settings.user, settings.item)
        _check_roles(open_table(files[0]).columns, settings, work.request.prepare.target)
        self._target = Values(work.request.prepare.target) if work.request.prepare.target else None
        self._rows = Rows(files, work, self._target.name if self._target else settings.user)
        self.anonymised = self._rows.anonymised
        self._features = self._learn()
        others = [name for name in self._rows.columns if name not in self._columns]
        if others:
            shown = ", ".join(map(repr, others[:5])) + (" ..." if len(others) > 5 else "")
            self.notes.append(f"left out, because only users and items are learned from: {shown}")

    def _learn(self) -> tuple[Feature, Feature]:
        """Gather users, items and the ratings' statistics from the training rows; set rows with mistakes aside."""
        words = [Words(), Words()]
        good = 0
        for block in self._rows.blocks():
            block = block.where(self._check(block))
            good += len(block)
            train = self._split(self._digests(block)) == TRAIN
            learned = block.where(train.tolist())
            for name, found in zip(self._columns, words, strict=True):
                found.add(learned.column(name))
            if self._target:
                self._target.learn(block.column(self._target.name), train)
        self._work.quarantine.good = good
        if not good:
            raise Rejected("the upload holds no good row below the header")
        user, item = (self._feature(name, found) for name, found in zip(self._columns, words, strict=True))
        return user, item

    def _feature(self, name: str, words: Words) -> Feature:
        vocabulary = words.vocabulary(self._settings.max_vocabulary)
        if len(vocabulary) < 2:
            raise Rejected(
                f"{len(vocabulary)} values of {name!r} come twice among the training rows, at least two must: "
                "nothing can be learned of who or what is seen once"
            )
        hashed = name in self._work.request.privacy.hash
        return Feature(name=name, kind="category", vocabulary=vocabulary, hashed=hashed, statistics=words.statistics())

    def _check(self, block: Block) -> list[bool]:
        """Return which rows can be learned; the others are set aside."""
        good = [True] * len(block)
        cells = block.column(self._target.name) if self._target else []
        mistakes = self._target.mistakes(cells).tolist() if self._target else [False] * len(block)
        columns = [block.column(name) for name in self._columns]
        for index, (line, mistake) in enumerate(zip(block.lines, mistakes, strict=True)):
            value, empty = "", [name for name, column in zip(self._columns, columns, strict=True) if not column[index]]
            if empty:
                reason = f"has no value in the column {empty[0]!r}"
            elif mistake:
                assert self._target
                reason = f"in column {self._target.name!r} is no number, or too large a one"
                value = cells[index]
            else:
                continue
            good[index] = False
            self._rows.set_aside(line, reason, value)
        return good

    def chunks(self) -> Iterator[Chunk]:
        """Yield the good rows; of choices, those that are made up too."""
        if self._target:
            yield from self._ratings(self._target)
        else:
            yield from self._choices()

    def _ratings(self, target: Values) -> Iterator[Chunk]:
        for block in self._rows.blocks():
            digests = self._digests(block)
            split = self._split(digests)
            arrays: dict[str, NDArray] = {
                LABEL: target.encode(block.column(target.name)),
                ROW: np.array([line.number for line in block.lines], np.int64),
                **encode(self._features, block.column),
            }
            pairs = zip(*(block.column(name) for name in self._columns), strict=True)
            held_out = [self._original(*pair) for pair, part in zip(pairs, split, strict=True) if part == TEST]
            yield Chunk(arrays=arrays, content=digests, split=split, originals=held_out)

    def _choices(self) -> Iterator[Chunk]:
        """Yield training choices with items not chosen, then held-out choices with their rivals."""
        choices, texts = self._gather()
        source, items, row = np.random.default_rng(SEED), len(self._features[1].vocabulary), 0
        for split, name in enumerate(SPLITS):
            if split == TRAIN:
                parts = choices.learned(items=items, negatives=self._settings.negatives, source=source)
                rare = int(((choices.split == split) & (choices.items == 0)).sum())
                left_out = f"{rare:,} of items that come once are left out, the others are " if rare else ""
                made_up = f"{left_out}learned with {self._settings.negatives} items"
            else:
                parts = choices.ranked(split, items=items, source=source)
                made_up = f"at most {JUDGED:,} of them are ranked among {RIVALS} items"
            self.notes.append(f"{name}: {(choices.split == split).sum():,} choices; {made_up} that were not chosen")
            for part in parts:
                yield self._chunk(part, split, row, texts)
                row += len(part.labels)

    def _gather(self) -> tuple[Choices, dict[int, tuple[str, str]]]:
        """Return all choices, each once, and the names in those that are held out for the test."""
        codes, splits, keys = [], [], []
        texts: dict[int, tuple[str, str]] = {}
        count = 0
        for block in self._rows.blocks():
            digests = self._digests(block)
            split = self._split(digests)
            codes.append(encode(self._features, block.column)[CATEGORY])
            splits.append(split)
            keys.append(np.frombuffer(b"".join(digest[:8] for digest in digests), np.uint64))
            pairs = list(zip(*(block.column(name) for name in self._columns), strict=True))
            texts |= {count + int(index): pairs[index] for index in np.flatnonzero(split == TEST)}
            count += len(block)
        once = np.sort(np.unique(np.concatenate(keys), return_index=True)[1])
        if len(once) < count:
            self.notes.append(f"{count - len(once):,} rows repeat a choice; it counts once")
        users, items = np.concatenate(codes)[once].T
        return Choices(users=users, items=items, split=np.concatenate(splits)[once], places=once), texts

    def _chunk(self, part: Part, split: int, row: int, texts: Mapping[int, tuple[str, str]]) -> Chunk:
        held_out = []
        if split == TEST:
            words = self._features[1].vocabulary
            for place, item, label in zip(part.places, part.items, part.labels, strict=True):
                user, own = texts[int(place)]
                held_out.append(self._original(user, own if label else words[item - 1]))
        arrays: dict[str, NDArray] = {
            LABEL: part.labels,
            ROW: np.arange(row, row + len(part.labels)),
            GROUP: part.places,
            CATEGORY: np.stack([part.users, part.items], axis=1),
        }
        content = [self._work.splitter.digest(pair.tobytes()) for pair in arrays[CATEGORY]]
        return Chunk(
            arrays=arrays, content=content, split=np.full(len(part.labels), split, np.int8), originals=held_out
        )

    def schema(self) -> Schema:
        """Return the signature: the codes of user and item."""
        features = self._features
        if self._target:
            return Schema(inputs=tensors(features), features=features, metric="rmse", **self._target.schema())
        return Schema(
            task="classification", inputs=tensors(features), features=features, labels=(NO, YES),
            target="chosen", metric="ndcg_at_10",
        )  # fmt: skip

    def _original(self, user: str, item: str) -> bytes:
        return json.dumps(dict(zip(self._columns, (user, item), strict=True))).encode()

    def _digests(self, block: Block) -> list[bytes]:
        pairs = zip(*(block.column(name) for name in self._columns), strict=True)
        return [self._work.splitter.digest("\x1f".join(pair).encode()) for pair in pairs]

    def _split(self, digests: Sequence[bytes]) -> NDArray[np.int8]:
        return np.array([self._work.splitter.split(digest) for digest in digests], np.int8)


def _check_roles(columns: Sequence[str], settings: Settings, target: str) -> None:
    """Refuse settings that name no column, or one column twice.

    Raises:
        Rejected: with the setting.
    """
    roles = {"recipe.user": settings.user, "recipe.item": settings.item, "prepare.target": target}
    for path, name in roles.items():
        if name:
            check_columns(path, [name], columns)
        twice = [other for other in roles if other != path and roles[other] == name]
        if twice and name:
            raise Rejected(f"{path} and {twice[0]} both name {name!r}; they are different columns")
