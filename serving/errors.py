"""Requests that are refused: HTTP status, what is wrong, and where.

Each becomes ``{"error": {"type", "message", "path"}}``. The message names the
bad value, what is allowed and, where there is one, the nearest valid name.
"""

from __future__ import annotations

import reprlib

from contract.errors import InvalidInput

_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxlist, _repr.maxdict, _repr.maxstring, _repr.maxother = 2, 4, 4, 60, 60


def show(value: object) -> str:
    """Return ``value`` as a short literal for a message, however large or deep it is."""
    return _repr.repr(value)


class Refused(InvalidInput):
    """A request that does not fit the model's signature; the base of all refusals.

    Args:
        message: the bad value, what is allowed, how to fix it.
        path: where in the request, e.g. ``instances[3].age``; empty for the whole.
    """

    status = 400
    type = "InvalidInput"
    retry_after = 0  # seconds, for the header of that name; 0: the same request will never be answered

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message, self.path = message, path


class NotFound(Refused):
    """No such path."""

    status, type = 404, "NotFound"


class MethodNotAllowed(Refused):
    """The path exists, for another method.

    Args:
        message: what is allowed.
        allow: the methods, for the ``Allow`` header (RFC 9110, 15.5.6).
    """

    status, type = 405, "MethodNotAllowed"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class NotAcceptable(Refused):
    """The ``Accept`` header allows none of the formats of the answer."""

    status, type = 406, "NotAcceptable"


class TooLarge(Refused):
    """The body is larger than the server takes."""

    status, type = 413, "PayloadTooLarge"


class UnsupportedContentType(Refused):
    """The body is in a format that this model does not read."""

    status, type = 415, "UnsupportedContentType"


class HeadTooLarge(Refused):
    """The request's line and headers are longer than the server takes."""

    status, type = 431, "HeadTooLarge"


class Overloaded(Refused):
    """As many requests wait as may; later there is room again.

    Args:
        message: how many wait.
        retry_after: seconds until those that wait now will be answered.
    """

    status, type = 429, "Overloaded"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(Refused):
    """The model is still loading, or the server is about to end: another instance may answer."""

    status, type, retry_after = 503, "NotReady", 1
