"""What a transform job sends in one request, and how the answers become one object again.

"SplitType", "BatchStrategy", "MaxPayloadInMB" and "AssembleWith" (CreateTransformJob, Amazon SageMaker API
Reference).
"""

from __future__ import annotations

from collections.abc import Iterator

MIB = 1 << 20


class TooMuch(Exception):
    """A record that is larger than MaxPayloadInMB allows."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"Too much data for max payload size: a record has {size} bytes, MaxPayloadInMB is {limit}")


def payloads(body: bytes, split: str, strategy: str, limit: int) -> Iterator[bytes]:
    """Yield the bodies of the requests that an object makes, in its order.

    Args:
        body: the object.
        split: ``None``, where it is one record, or ``Line``.
        strategy: ``SingleRecord``, or ``MultiRecord``: as many records as the payload takes.
        limit: MaxPayloadInMB; 0 for no limit.

    Raises:
        TooMuch: for a record that fits into no payload.
    """
    records = [body] if split == "None" else body.splitlines(keepends=True)
    most = limit * MIB or len(body)
    waiting: list[bytes] = []
    size = 0
    for record in records:
        if len(record) > most:
            raise TooMuch(len(record), limit)
        if waiting and (strategy == "SingleRecord" or size + len(record) > most):
            yield b"".join(waiting)
            waiting, size = [], 0
        waiting.append(record)
        size += len(record)
    if waiting:
        yield b"".join(waiting)


def assemble(answers: list[bytes], with_lines: bool) -> bytes:
    """Return the answers as one object: one after the other, each closed by a line feed where that is asked for."""
    return b"".join(answer + b"\n" * with_lines for answer in answers)
