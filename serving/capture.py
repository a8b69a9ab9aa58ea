"""A sample of requests and answers, kept as SageMaker's data capture keeps them.

JSON lines in ``<folder>/<yyyy>/<mm>/<dd>/<hh>/<mm-ss-mmm>-<id>.jsonl``, a new file each minute or
:data:`FILE_BYTES`; a file that is being written ends in ``.part``, so that whoever uploads takes whole
ones. SageMaker's endpoints capture by themselves; this is for the edge and for containers elsewhere.

A thread writes. Requests never wait for it: what its queue cannot take is dropped, and counted.
"""

from __future__ import annotations

import base64
import datetime
import queue
import random
import threading
import time
import uuid
from pathlib import Path
from typing import Any, TextIO

import orjson

from serving.calls import Asked
from serving.http import Response
from serving.logs import logger

WAITING = 1000  # records
WAITING_BYTES = 32 * 2**20
FILE_BYTES = 16 * 2**20
FILE_SECONDS = 60.0
ENCODINGS = {"application/json": "JSON", "text/csv": "CSV"}

Record = tuple[float, Asked, Response]


class Capture:
    """Keeps a share of requests and answers.

    Args:
        folder: where the files go.
        percent: of requests, above 0 to 100.
    """

    def __init__(self, folder: Path, percent: float) -> None:
        self._folder, self._share = folder, percent / 100
        self._queue: queue.Queue[Record | None] = queue.Queue(WAITING)
        self._bytes = 0
        self.kept = self.dropped = 0
        self._file: TextIO | None = None
        self._opened = 0.0
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def offer(self, call: Asked, response: Response) -> None:
        """Keep this one, if chance has it and there is room; returns at once."""
        if random.random() >= self._share:
            return
        size = len(call.body) + len(response.body)
        try:
            if self._bytes + size > WAITING_BYTES:
                raise queue.Full
            self._queue.put_nowait((time.time(), call, response))
            self._bytes += size
            self.kept += 1
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                record = self._queue.get(timeout=FILE_SECONDS)
            except queue.Empty:
                self._roll(everything=True)
                continue
            if record is None:
                self._roll(everything=True)
                return
            self._bytes -= len(record[1].body) + len(record[2].body)
            try:
                self._write(record)
            except OSError:  # a full disk must not stop predictions; the next record tries again
                self.kept, self.dropped = self.kept - 1, self.dropped + 1
                self._file = None
                logger.error("capture failed", exc_info=True)

    def _write(self, record: Record) -> None:
        self._roll()
        if self._file is None:
            self._file, self._opened = self._open(record[0]), time.monotonic()
        self._file.write(orjson.dumps(to_line(*record)).decode() + "\n")
        self._file.flush()

    def _open(self, moment: float) -> TextIO:
        now = datetime.datetime.fromtimestamp(moment, datetime.UTC)
        name = f"{now:%M-%S}-{now.microsecond // 1000:03}-{uuid.uuid4()}.jsonl.part"
        path = self._folder / f"{now:%Y/%m/%d/%H}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")

    def _roll(self, *, everything: bool = False) -> None:
        """Finish the file if it is old or large enough."""
        if self._file is None:
            return
        if everything or time.monotonic() - self._opened > FILE_SECONDS or self._file.tell() > FILE_BYTES:
            self._file.close()
            path = Path(self._file.name)
            path.rename(path.with_suffix(""))
            self._file = None


def to_line(moment: float, call: Asked, response: Response) -> dict[str, Any]:
    """Return one line of SageMaker's capture files ("Capture data from real-time endpoint")."""
    return {
        "captureData": {
            "endpointInput": _side("INPUT", call.body, call.content_type),
            "endpointOutput": _side("OUTPUT", response.body, response.content_type),
        },
        "eventMetadata": {
            "eventId": str(uuid.uuid4()),
            "inferenceTime": datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "eventVersion": "0",
    }


def _side(mode: str, data: bytes, content_type: str) -> dict[str, str]:
    encoding = ENCODINGS.get(content_type, "BASE64")
    if encoding != "BASE64":
        try:
            text = data.decode()
        except UnicodeDecodeError:  # a table in UTF-16
            encoding = "BASE64"
    if encoding == "BASE64":
        text = base64.b64encode(data).decode()
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
