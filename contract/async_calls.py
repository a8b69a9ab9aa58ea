"""Asynchronous inference: what is asked lies in S3, and so does, later, the answer or what went wrong.

Sources: ``InvokeEndpointAsync`` of SageMaker's API reference, "Check prediction results" and "Monitor asynchronous
endpoints" of the developer guide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

MAX_PAYLOAD_MB = 100
"""Largest request; SageMaker takes up to 1 GB, but a server holds it in memory several times while it reads it."""
WAITS_SECONDS, WORKS_SECONDS = 21_600, 900
"""How long a request may wait and its answer may take: SageMaker's defaults of RequestTTLSeconds and of
InvocationTimeoutSeconds."""
KEPT_SECONDS = 7 * 86_400
"""How long the ledger knows of a request that came through the public API."""

STATUS = {
    "InvalidInput": 400,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "PayloadTooLarge": 413,
    "UnsupportedContentType": 415,
    "Overloaded": 429,
    "HeadTooLarge": 431,
    "NotReady": 503,
}
"""HTTP status of each error of our server (serving/errors.py), by its type."""
RECEIVED = re.compile(r'Received (?:client|server) error \((\d+)\) from [\w-]+ with message "(.*)"', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a request has no answer.

    Attributes:
        status: HTTP's, as the model's server answered it; 500 where it did not answer, or nobody knows.
        body: what it answered, or what SageMaker says.
    """

    status: int
    body: bytes

    @classmethod
    def of(cls, told: bytes) -> Failure:
        """Read the object at FailureLocation: what the container answered, alone or quoted by SageMaker."""
        if quoted := RECEIVED.search(told.decode(errors="replace")):
            return cls(status=int(quoted[1]), body=quoted[2].encode())
        try:
            kind = json.loads(told)["error"]["type"]
        except (ValueError, LookupError, TypeError):
            kind = ""
        return cls(status=STATUS.get(kind, 500), body=told)

    @property
    def is_the_requests(self) -> bool:
        """Whether the request was at fault: sent again, it would fail again."""
        return 400 <= self.status < 500 and self.status != STATUS["Overloaded"]
