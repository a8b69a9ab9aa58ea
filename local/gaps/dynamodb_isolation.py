"""Gap: moto's DynamoDB neither isolates writes from each other, nor a transaction from anything.

AWS does each conditional write, and each transaction, as if it were alone
("Amazon DynamoDB Transactions: How it works", developer guide). moto reads,
compares and writes in as many steps, between which the server's other threads
do theirs; and a transaction that is cancelled puts back the whole table as it
was when it began, so that what others wrote meanwhile is gone.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import DynamoDBBackend

if TYPE_CHECKING:
    from local.cloud import Cloud

WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")
_LOCK = threading.RLock()


def alone(write: Callable[..., Any]) -> Callable[..., Any]:
    """Return a write that waits until no other is under way."""

    @functools.wraps(write)
    def locked(*arguments: Any, **named: Any) -> Any:
        with _LOCK:
            return write(*arguments, **named)

    locked.alone = True  # type: ignore[attr-defined]
    return locked


def install(cloud: Cloud) -> None:
    """Do one write at a time."""
    for name in WRITES:
        write = getattr(DynamoDBBackend, name)
        if not hasattr(write, "alone"):
            setattr(DynamoDBBackend, name, alone(write))
