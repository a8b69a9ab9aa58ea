"""Pages of the API: one self-contained file each, which tells nothing by itself and asks the API for the rest."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

from functions.api import Response

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "public, max-age=300",
}


@functools.cache
def page(name: str) -> Response:
    """Return a page of this folder; its policy lets it run its own script, style itself, and talk to this API only."""
    body = Path(__file__).with_name(name).read_bytes()
    script, style = (_digest(body, tag) for tag in (b"script", b"style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {**HEADERS, "Content-Security-Policy": policy}
    return Response(body=body, content_type="text/html; charset=utf-8", headers=headers)


def _digest(body: bytes, tag: bytes) -> str:
    """Return an element's text as a policy names it."""
    text = body.partition(b"<" + tag + b">")[2].partition(b"</" + tag + b">")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
