"""How text becomes a value: the same in preparation, which learns from it, and in the server, which predicts from it.

Text is taken without surrounding space. Empty text, and what programs write
instead (``NA``, ``N/A``, ``#N/A``, ``NaN``, ``null``, ``?``, in any case), says that the value
is missing. Numbers are decimal, with an optional exponent, and fit float32.
"""

from __future__ import annotations

import math
import re

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
LARGEST = (2 - 2**-23) * 2.0**127  # of float32
# Possessive, so that long text that is no number is told apart in one pass.
NUMBER = re.compile(r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
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


def round_down(value: float, multiple: float) -> float:
    """Return the largest multiple that is not above ``value``.

    A value that was rounded before, and kept as float32 since, stays as it is.
    """
    steps = value / multiple
    near = round(steps)
    whole = near if abs(steps - near) <= _STORED * max(1.0, abs(steps)) else math.floor(steps)
    return whole * multiple
