"""Who makes an API call: which state of which execution, which sandbox of a function."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from local.permissions import requests

STATE, EXECUTION = "X-Tandem-State", "X-Tandem-Execution"
SANDBOX = re.compile(r"\bapp/(\S+)")
READS = ("Get", "List", "Describe", "Head", "Query", "Scan", "BatchGet", "Invoke", "Assume", "Select")
# Services whose credential scope has another name than boto3's.
_SIGNED_AS = {"states": "stepfunctions", "monitoring": "cloudwatch"}
_asking: ContextVar[tuple[str, str]] = ContextVar("asking", default=("", ""))


@dataclass(frozen=True, kw_only=True)
class Call:
    """One API call.

    Args:
        service: boto3's name, but ``sagemaker`` for its runtime, too.
        action: as the API names it; "" where the request fits none.
        sandbox: the Lambda sandbox that asks, or "".
        state, execution: the state that asks and its execution's name, or "".
    """

    service: str
    action: str
    sandbox: str = ""
    state: str = ""
    execution: str = ""

    @property
    def name(self) -> str:
        """``service:Action``."""
        return f"{self.service}:{self.action}"

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return not self.action.startswith(READS)


@contextlib.contextmanager
def asking(state: str, execution: str) -> Iterator[None]:
    """Have the calls of this thread say that a state makes them."""
    token = _asking.set((state, execution))
    try:
        yield
    finally:
        _asking.reset(token)


def say_who_asks(client: Any) -> None:
    """Have a boto3 client tell the front door which state asks."""

    def tell(params: dict[str, Any], **_: Any) -> None:
        state, execution = _asking.get()
        if state:
            params["headers"] |= {STATE: state, EXECUTION: execution}

    client.meta.events.register("before-call", tell)


def read(environ: dict[str, Any]) -> Call:
    """Return what a request (WSGI) asks for; its body can be read again afterwards."""
    service = requests.signer(environ)[1]
    found = SANDBOX.search(environ.get("HTTP_USER_AGENT", ""))
    return Call(
        service=_SIGNED_AS.get(service, service),
        action=requests.read(environ, service).operation,
        sandbox=found[1] if found else "",
        state=_header(environ, STATE),
        execution=_header(environ, EXECUTION),
    )


def _header(environ: dict[str, Any], name: str) -> str:
    value: str = environ.get(f"HTTP_{name.upper().replace('-', '_')}", "")
    return value.encode("latin-1").decode("utf-8", "replace")
