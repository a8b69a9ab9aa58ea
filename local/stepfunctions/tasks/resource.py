"""The Resource of a Task: which integration, which action, which pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SERVICE = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]*:\d*:(?P<service>aws-sdk:[a-z0-9]+|[a-z]+):(?P<action>[A-Za-z0-9]+)"
    r"(?:\.(?P<pattern>sync|sync:2|waitForTaskToken))?"
)
_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A parsed Resource.

    Args:
        arn: as it stands in the definition.
        service: ``sagemaker``, ``aws-sdk:s3`` ...; ``function`` for a Lambda function's own ARN.
        action: ``createTrainingJob``.
        pattern: ``sync``, ``sync:2``, ``waitForTaskToken`` or empty for request-response.
    """

    arn: str
    service: str
    action: str
    pattern: str

    @property
    def event_fields(self) -> dict[str, str]:
        """``resourceType`` and ``resource`` of its history events."""
        action = f"{self.action}.{self.pattern}" if self.pattern else self.action
        return {"resourceType": self.service, "resource": action}

    @property
    def works(self) -> bool:
        """Whether the state's time is real work here, which no clock scale can shorten."""
        return self.pattern != "waitForTaskToken"


def parse(arn: str) -> Resource:
    """Parse a Resource.

    Raises:
        ValueError: it is none that Step Functions knows.
    """
    if _FUNCTION.fullmatch(arn):
        return Resource(arn=arn, service="function", action="invoke", pattern="")
    match = _SERVICE.fullmatch(arn)
    if match is None:
        raise ValueError(unknown(arn))
    return Resource(arn=arn, service=match["service"], action=match["action"], pattern=match["pattern"] or "")


def unknown(arn: str) -> str:
    """What Step Functions says of a Resource it does not know."""
    return (
        f"The resource provided {arn} is not recognized. "
        "The value is not a valid resource ARN, or the resource is not available in this region."
    )
