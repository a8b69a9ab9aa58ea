"""What a model that is served as a Lambda function is asked, and answers: a request to /invocations in JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALIAS = "live"
"""The alias that is called; its weights move traffic to a new version."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request."""

    body: bytes
    content_type: str
    accept: str = ""

    def to_event(self) -> dict[str, str]:
        """Return the function's event; a body may be any bytes."""
        return {
            "body": base64.b64encode(self.body).decode(),
            "content_type": self.content_type,
            "accept": self.accept,
        }

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Asked:
        """Read an event.

        Raises:
            ValueError: when it is none.
        """
        texts = {name: event.get(name, "") for name in ("body", "content_type", "accept")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("body, content_type and accept are texts")
        try:
            body = base64.b64decode(texts["body"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"the body is not base64: {error}") from error
        return cls(body=body, content_type=texts["content_type"], accept=texts["accept"])


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer: as the server's over HTTP."""

    status: int
    content_type: str
    body: bytes

    def to_result(self) -> dict[str, Any]:
        """Return what the function returns; both formats of the server's answers are UTF-8."""
        return {"status": self.status, "content_type": self.content_type, "body": self.body.decode()}

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> Answered:
        """Read what the function returned."""
        return cls(status=result["status"], content_type=result["content_type"], body=result["body"].encode())
