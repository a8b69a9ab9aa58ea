"""A table of texts as a source of rows: one column is read word by word, another is learned.

It is read three times, like any table (training.table): to see which column holds the text,
to learn the vocabulary from the training rows, and to encode.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Feature, Schema, Tensor
from contract.values import word_codes, words
from training import targets
from training.columns import Words
from training.data import LABEL, ROW
from training.recipes import Chunk, Preparation
from training.rejection import Rejected
from training.rows import Block, Rows
from training.split import TEST, TRAIN

TEXT = "text"


class Texts:
    """The texts of an upload, and their classes.

    Args:
        rows: its rows.
        work: what preparation lends.
        column: the column of texts; empty for the one with the longest values.
        length: words of a text that are read.
        max_vocabulary: words that are told apart.

    Raises:
        Rejected: when there is no text to learn from.
    """

    def __init__(self, rows: Rows, work: Preparation, *, column: str, length: int, max_vocabulary: int) -> None:
        self.notes: list[str] = []
        self.anonymised = rows.anonymised
        self._rows, self._splitter, self._length = rows, work.splitter, length
        self._target = targets.Classes(work.request.prepare.target)
        self._column = self._choose(column)
        if self._column in work.request.privacy.hash:
            raise Rejected(f"[privacy] hashes the column of texts, {self._column!r}: no word is left to learn from")
        self._vocabulary = self._learn(max_vocabulary)

    def _choose(self, wanted: str) -> str:
        """Return the column of texts."""
        columns = self._rows.columns
        if wanted and wanted not in columns:
            raise Rejected(f"recipe.text is {wanted!r}; the columns to learn from are {', '.join(map(repr, columns))}")
        if not columns:
            raise Rejected(f"there is no column to learn from besides the target {self._target.name!r}")
        sizes = dict.fromkeys(columns, 0)
        for block in self._rows.blocks():
            for name in columns:
                sizes[name] += sum(map(len, block.column(name)))
        chosen = wanted or max(sizes, key=lambda name: sizes[name])
        others = [repr(name) for name in columns if name != chosen]
        if others:
            self.notes.append(f"the texts are those of {chosen!r}; {', '.join(others[:5])} are not read")
        return chosen

    def _learn(self, limit: int) -> tuple[str, ...]:
        """Return the vocabulary of the training rows; rows without a word are set aside."""
        seen = Words()
        for block in self._rows.blocks():
            texts = [words(cell) for cell in block.column(self._column)]
            for line, text in zip(block.lines, texts, strict=True):
                if not text:
                    self._rows.set_aside(line, f"has no word in the column {self._column!r}")
            block, texts = block.where([bool(text) for text in texts]), [text for text in texts if text]
            train = self._split(self._digests(texts)) == TRAIN
            self._target.learn(block.column(self._target.name), train)
            seen.add([word for text, learned in zip(texts, train, strict=True) if learned for word in text])
        vocabulary = seen.vocabulary(limit)
        if not vocabulary:
            raise Rejected(f"no word occurs twice in the column {self._column!r}: there is nothing to learn from")
        return vocabulary

    def chunks(self) -> Iterator[Chunk]:
        """Yield the good rows, encoded."""
        known = {word: code for code, word in enumerate(self._vocabulary, start=1)}
        for block in self._rows.blocks():
            texts = [words(cell) for cell in block.column(self._column)]
            digests = self._digests(texts)
            split = self._split(digests)
            yield Chunk(
                arrays={
                    TEXT: np.array([word_codes(text, known, self._length) for text in texts], np.int64),
                    LABEL: self._target.encode(block.column(self._target.name)),
                    ROW: np.array([line.number for line in block.lines], np.int64),
                },
                content=digests,
                split=split,
                originals=self._originals(block.where((split == TEST).tolist())),
            )

    def schema(self) -> Schema:
        """Return the signature: one row of word codes."""
        return Schema(
            inputs=(Tensor(name=TEXT, dtype="int64", shape=(-1, self._length)),),
            features=(Feature(name=self._column, kind="text", vocabulary=self._vocabulary),),
            **self._target.schema(),
        )

    def _originals(self, block: Block) -> list[bytes]:
        names = [name for name in block.places if name != self._target.name]
        rows = zip(*(block.column(name) for name in names), strict=True)
        return [json.dumps(dict(zip(names, cells, strict=True))).encode() for cells in rows]

    def _digests(self, texts: Sequence[Sequence[str]]) -> list[bytes]:
        """Return digests of the words, so that texts that differ in their commas alone stay together."""
        return [self._splitter.digest(" ".join(text).encode(errors="surrogatepass")) for text in texts]

    def _split(self, digests: Sequence[bytes]) -> NDArray[np.int8]:
        return np.array([self._splitter.split(digest) for digest in digests], np.int8)


def encode(cells: Sequence[str], schema: Schema) -> dict[str, NDArray]:
    """Return texts as inputs of a model with this schema."""
    (feature,), length = schema.features, schema.inputs[0].shape[1]
    known = {word: code for code, word in enumerate(feature.vocabulary, start=1)}
    return {TEXT: np.array([word_codes(words(cell), known, length) for cell in cells], np.int64)}


def decode(arrays: Mapping[str, NDArray], schema: Schema) -> dict[str, str]:
    """Return a request's row that the server encodes as ``arrays`` (of one row, without a batch dimension)."""
    (feature,) = schema.features
    strange = "strange"  # stands for the words that are not known
    while strange in feature.vocabulary:
        strange += "r"
    known = ("", *feature.vocabulary, strange)
    return {feature.name: " ".join(known[code] for code in arrays[TEXT].tolist() if code)}
