"""The default event bus: what the rest of the account may hear of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contract import names
from functions.shared import client


def put(detail_type: str, detail: Mapping[str, Any]) -> None:
    """Put one event of ours on the bus.

    Raises:
        RuntimeError: when the bus did not take it.
    """
    entry = {
        "Source": names.EVENT_SOURCE,
        "DetailType": detail_type,
        "Detail": json.dumps(detail, ensure_ascii=False),
    }
    answer = client("events").put_events(Entries=[entry])
    if answer.get("FailedEntryCount"):
        raise RuntimeError(f"the event {detail_type!r} of {dict(detail)} was not taken: {answer['Entries']}")
