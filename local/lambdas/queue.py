"""Asynchronous invocation: an event is accepted at once and tried up to three times.

Lambda waits one minute before the second attempt and two before the third
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html);
what still fails goes to the function's dead-letter queue and OnFailure destination.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from local.delivery import deliver
from local.lambdas.outcome import Result
from local.lambdas.service import Invocation, Lambdas, Throttled

RETRY_WAITS_S = (60, 120)
THROTTLE_WAIT_S = 1
MAX_AGE_S = 6 * 3600

log = logging.getLogger(__name__)


class AsynchronousQueue:
    """Lambda's internal queue of events."""

    def __init__(self, lambdas: Lambdas) -> None:
        self._lambdas, self._cloud = lambdas, lambdas.cloud

    def put(self, invocation: Invocation) -> None:
        """Accept an event; return at once."""
        self._cloud.spawn(self._handle, invocation, name=f"lambda-async-{invocation.request_id}")

    def _handle(self, invocation: Invocation) -> None:
        settings = _settings(invocation)
        retries = settings.get("MaximumRetryAttempts", len(RETRY_WAITS_S))
        oldest = time.monotonic() + self._cloud.clock.seconds(settings.get("MaximumEventAgeInSeconds", MAX_AGE_S))
        attempts = 0
        while True:
            result = self._try(invocation)
            attempts += result is not None
            if result is not None and not result.error:
                return self._deliver("OnSuccess", invocation, result, attempts, "Success")
            if result is not None and attempts > retries:
                return self._give_up(invocation, result, attempts, "RetriesExhausted")
            wait = RETRY_WAITS_S[attempts - 1] if result is not None else THROTTLE_WAIT_S
            if self._cloud.clock.sleep(wait, self._cloud.stopping):
                return None
            if time.monotonic() > oldest:
                return self._give_up(invocation, result, attempts, "EventAgeExceeded")

    def _try(self, invocation: Invocation) -> Result | None:
        """Return the attempt's result, or None when it was throttled."""
        try:
            return self._lambdas.run(invocation)
        except Throttled:
            return None

    def _give_up(self, invocation: Invocation, result: Result | None, attempts: int, condition: str) -> None:
        log.warning("asynchronous event failed: function=%s request=%s", invocation.arn, invocation.request_id)
        target = getattr(invocation.function, "dead_letter_config", {}).get("TargetArn", "")
        if target:
            self._send_dead_letter(target, invocation, result)
        self._deliver("OnFailure", invocation, result, attempts, condition)

    def _send_dead_letter(self, target: str, invocation: Invocation, result: Result | None) -> None:
        """Send the event as it was, with the error in message attributes."""
        error = json.loads(result.payload).get("errorMessage", "") if result else "Throttled"
        texts = {"RequestID": invocation.request_id, "ErrorCode": "200", "ErrorMessage": error[:1024] or "unknown"}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
        role = invocation.function.role
        deliver(self._cloud, target, invocation.payload.decode(), attributes=attributes, role=role)

    def _deliver(self, kind: str, invocation: Invocation, result: Result | None, attempts: int, condition: str) -> None:
        """Send the invocation record to the destination configured for ``kind``, if any."""
        destination = _settings(invocation).get("DestinationConfig", {}).get(kind, {}).get("Destination", "")
        if destination:
            record = json.dumps(_record(invocation, result, attempts, condition))
            deliver(self._cloud, destination, record, role=invocation.function.role)


def _settings(invocation: Invocation) -> dict[str, Any]:
    """The EventInvokeConfig of the function, or {}."""
    configs = invocation.function.event_invoke_config
    return configs[0].response() if configs else {}


def _record(invocation: Invocation, result: Result | None, attempts: int, condition: str) -> dict[str, Any]:
    """The JSON that Lambda sends to destinations."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": invocation.request_id,
            "functionArn": invocation.arn,
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": json.loads(invocation.payload),
    }
    if result is not None:
        context = {"statusCode": 200, "executedVersion": result.version}
        record["responseContext"] = {**context, "functionError": result.error} if result.error else context
        record["responsePayload"] = json.loads(result.payload)
    return record
