"""Every error that Tandem raises on purpose.

    TandemError
    ├── InvalidConfig     a request, project.toml or hyperparameter that cannot be meant
    ├── InvalidUpload     an upload (or manifest) that cannot become a dataset
    ├── InvalidInput      a prediction request that does not fit the model's signature
    ├── InvalidModel      a model archive that is incomplete, altered or unsafe
    ├── TrainingFailed    training that cannot go on (a loss that is not a number, ...)
    ├── GoldenSamplesDiffer  an endpoint that does not answer as the model was evaluated
    ├── EndpointBusy      an endpoint or a function that is still changing; it passes by itself
    └── AlarmWentOff      a new version that failed, or was slow, while it got its first traffic

A ``TandemError`` is the user's to fix and says how; anything else that escapes
is ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN = 200  # characters of a bad value in a message


class TandemError(Exception):
    """Base of all errors that name a mistake and its remedy."""


class InvalidConfig(TandemError):
    """A setting with a mistake: where it is, what it says, what is allowed.

    Args:
        path: dotted path of the setting, e.g. ``train.epochs``.
        value: what was given.
        allowed: what may be given, as a phrase: ``an integer from 1 to 1000``.
        hint: the nearest valid name, or how to fix it.
    """

    def __init__(self, path: str, value: object, allowed: str, hint: str = "") -> None:
        self.path, self.value, self.allowed, self.hint = path, value, allowed, hint
        shown = _shown(value)
        if len(shown) > MAX_SHOWN:
            shown = f"{shown[: MAX_SHOWN - 3]}..."
        message = f"{path}: {shown} is not allowed; expected {allowed}"
        super().__init__(f"{message}. {hint}" if hint else message)


def _shown(value: object) -> str:
    """Return a value as a person wrote it: TOML and JSON say ``true``, and leave out what is missing."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


class InvalidUpload(TandemError):
    """An upload that cannot become a dataset."""


class InvalidInput(TandemError):
    """A prediction request that does not fit the model's signature."""


class InvalidModel(TandemError):
    """A model archive that is incomplete, altered or unsafe."""


class TrainingFailed(TandemError):
    """Training that cannot go on."""


class GoldenSamplesDiffer(TandemError):
    """An endpoint that does not answer as the model was evaluated."""


class EndpointBusy(TandemError):
    """An endpoint that is still being made, changed or deleted; it passes by itself, so try again."""


class AlarmWentOff(TandemError):
    """An alarm of a new version went off while it got its first traffic."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` for the closest of ``names``, or ``''``."""
    if len(name) > MAX_SHOWN:  # nobody's slip of the pen, and the comparison takes quadratic time
        return ""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""
