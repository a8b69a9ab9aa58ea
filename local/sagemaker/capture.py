"""Data capture: a sample of requests and answers, kept in S3 as JSON lines, written beside the requests.

Source: "Capture data" of Model Monitor. Answers that are no success are not kept.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from local.sagemaker.objects import Location

if TYPE_CHECKING:
    from local.cloud import Cloud

WRITE_SECONDS, SHORTEST_WRITE = 60.0, 0.2  # of the clock; real seconds
MOST_PENDING = 10_000  # what comes beyond between two writes is dropped: capturing must not fill the memory
log = logging.getLogger(__name__)


class Part(NamedTuple):
    """A request or an answer: its content type and its body."""

    content_type: str
    body: bytes


class Place(NamedTuple):
    """Where the records of one variant go."""

    uri: str
    key: str
    endpoint: str
    variant: str
    role: str


class Capture:
    """Keeps what endpoints are asked and answer.

    Args:
        cloud: whose S3.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._lock = threading.Lock()
        self._pending: dict[Place, list[dict[str, Any]]] = defaultdict(list)
        self._count = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_until_stopped, daemon=True, name="data-capture")
        self._thread.start()
        cloud.on_stop(self.close)

    def note(
        self,
        config: dict[str, Any],
        endpoint: str,
        variant: str,
        asked: Part,
        answered: Part,
        metadata: dict[str, Any],
        role: str,
    ) -> None:
        """Keep a request and its answer if the sample wants them; returns at once.

        Args:
            config: DataCaptureConfig; {} captures nothing.
            endpoint, variant: names.
            asked, answered: what went to the container, and what came.
            metadata: more fields of eventMetadata.
            role: the ARN of the role that writes it.
        """
        if not is_on(config) or random.random() * 100 >= config["InitialSamplingPercentage"]:
            return
        place = Place(config["DestinationS3Uri"], config.get("KmsKeyId", ""), endpoint, variant, role)
        moment = datetime.now(UTC)
        with self._lock:
            if self._count < MOST_PENDING:
                self._count += 1
                self._pending[place].append(
                    {"config": config, "asked": asked, "answered": answered, "metadata": metadata, "moment": moment}
                )

    def close(self) -> None:
        """Write the rest and end."""
        self._stop.set()
        self._thread.join()

    def _write_until_stopped(self) -> None:
        wait = max(self.cloud.clock.seconds(WRITE_SECONDS), SHORTEST_WRITE)
        ended = False
        while not ended:
            ended = self._stop.wait(wait)
            with self._lock:
                pending, self._pending, self._count = self._pending, defaultdict(list), 0
            for place, events in pending.items():
                self._write(place, events)

    def _write(self, place: Place, events: list[dict[str, Any]]) -> None:
        location, moment = Location.parse(place.uri), events[0]["moment"]
        name = f"{moment:%Y/%m/%d/%H/%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join(filter(None, [location.key.strip("/"), place.endpoint, place.variant, name]))
        body = "".join(json.dumps(_record(**event), separators=(",", ":")) + "\n" for event in events)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": place.key} if place.key else {}
        try:
            s3 = self.cloud.callers.client(place.role, "s3", "SageMaker")
            s3.put_object(Bucket=location.bucket, Key=key, Body=body.encode(), **encryption)
        except (ClientError, BotoCoreError) as error:
            log.warning("%d captured requests of %s are lost: %s", len(events), place.endpoint, error)


def is_on(config: dict[str, Any]) -> bool:
    """Say whether a DataCaptureConfig captures."""
    return bool(config) and config.get("EnableCapture", True) is not False


def summary(config: dict[str, Any]) -> dict[str, Any]:
    """Return DataCaptureConfig as DescribeEndpoint shows it."""
    if not config:
        return {}
    on = is_on(config)
    shown = {
        "EnableCapture": on,
        "CaptureStatus": "Started" if on else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
    return {"DataCaptureConfig": shown}


def _record(
    config: dict[str, Any], asked: Part, answered: Part, metadata: dict[str, Any], moment: datetime
) -> dict[str, Any]:
    """Return one line of a capture file."""
    modes = {each["CaptureMode"] for each in config["CaptureOptions"]}
    types = config.get("CaptureContentTypeHeader", {})
    data = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = {**_part(asked, types), "mode": "INPUT"}
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = {**_part(answered, types), "mode": "OUTPUT"}
    event = {"eventId": str(uuid.uuid4()), **metadata, "inferenceTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def _part(part: Part, types: dict[str, list[str]]) -> dict[str, str]:
    """Return a payload as text, if its content type is among those named as text, or in Base64."""
    media = part.content_type.split(";")[0].strip().lower()
    encodings = {"CSV": types.get("CsvContentTypes", []), "JSON": types.get("JsonContentTypes", [])}
    encoding = next((name for name, listed in encodings.items() if media in map(str.lower, listed)), "BASE64")
    try:
        text = part.body.decode() if encoding != "BASE64" else base64.b64encode(part.body).decode()
    except UnicodeDecodeError:
        encoding, text = "BASE64", base64.b64encode(part.body).decode()
    return {"observedContentType": part.content_type, "data": text, "encoding": encoding}
