"""How text becomes a value: the same in preparation, which learns from it, and in the server, which predicts from it.

Text is taken without surrounding space. Empty text, and what programs write
instead (``NA``, ``N/A``, ``#N/A``, ``NaN``, ``null``, ``?``, in any case), says that the value
is missing. Numbers are decimal, with an optional exponent, and fit float32.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
LARGEST = (2 - 2**-23) * 2.0**127  # of float32
# Possessive, so that long text that is no number is told apart in one pass.
NUMBER = re.compile(r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
WORD = re.compile(r"[^\W_]++(?:'[^\W_]++)*+")
HASH_DIGITS = 32
HASH = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}")
"""A hashed value: the first 128 bits of HMAC-SHA256 of the text with the tenant's salt, in hex."""

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between the values of an uploaded CSV file."""
BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
"""Encodings of an uploaded CSV file by its first bytes; UTF-8 where it has none of them."""

_STORED = 1e-6  # relative; float32 keeps numbers to 6e-8


def clean(text: str | None) -> str:
    """Return text without surrounding space; empty when it says that the value is missing."""
    stripped = (text or "").strip()
    return "" if stripped.lower() in MISSING else stripped


def to_number(text: str) -> float:
    """Return cleaned text as a number; NaN when it is none, or too large for float32."""
    if not NUMBER.fullmatch(text):
        return math.nan
    value = float(text)
    return value if abs(value) <= LARGEST else math.nan


def category_code(text: str, known: Mapping[str, int], buckets: int) -> int:
    """Return the code of a category's cleaned text.

    It is 0 for a missing value, k for the vocabulary's k-th, and above these a bucket by hash for any
    other; without buckets other values are 0 as well.

    Args:
        text: the value.
        known: codes of the vocabulary, from 1 on without gaps.
        buckets: how many there are.
    """
    if text in known:
        return known[text]
    if not text or not buckets:
        return 0
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return 1 + len(known) + int.from_bytes(digest, "big") % buckets


def round_down(value: float, multiple: float) -> float:
    """Return the largest multiple that is not above ``value``.

    A value that was rounded before, and kept as float32 since, stays as it is.
    """
    steps = value / multiple
    near = round(steps)
    whole = near if abs(steps - near) <= _STORED * max(1.0, abs(steps)) else math.floor(steps)
    return whole * multiple


def words(text: str) -> list[str]:
    """Return the words of a text: lower-case letters and digits of any script, an apostrophe inside kept.

    Compatible forms are made equal first (Unicode NFKC): full-width letters, ligatures; and so are both apostrophes.
    """
    return WORD.findall(unicodedata.normalize("NFKC", text).replace("\u2019", "'").lower())


def word_codes(text: Sequence[str], known: Mapping[str, int], length: int) -> list[int]:
    """Return the codes of the first ``length`` words, then zeros.

    A word has the code of the vocabulary, from 1 on; one that is not known the code above all of these.
    """
    codes = [known.get(word, len(known) + 1) for word in text[:length]]
    return codes + [0] * (length - len(codes))
