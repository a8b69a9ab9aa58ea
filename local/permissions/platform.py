"""What the services do in a role's name without a call that could be seen: they write logs and pull images.

Lambda, SageMaker and CodeBuild document what the roles that they take must allow for it: "Lambda execution role",
"SageMaker execution roles", "CodeBuild service role". Without permission for logs nothing is logged, as on AWS.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from moto.logs.models import logs_backends

from local.logs import LogStream
from local.permissions.needs import Need

if TYPE_CHECKING:
    from local.cloud import Cloud

PULL = ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage")
PUSH = ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")
_IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<repository>[^:@]+)")

log = logging.getLogger(__name__)


class NoStream(LogStream):
    """A log stream that nobody may write."""

    def write(self, messages: object) -> None:
        """Write nothing."""


def log_stream(cloud: Cloud, role: str, session: str, group: str, name: str, *, described: bool = False) -> LogStream:
    """Return the stream that a platform writes in a role's name.

    Args:
        cloud: where.
        role: its ARN.
        session: the platform's name for it.
        group, name: of the stream.
        described: whether the platform is to be allowed to make the group and look at it, whatever there is, as
            SageMaker's documentation wants it.
    """
    here = cloud.guard.here
    groups = here.arn("logs", f"log-group:{group}")
    asked = [Need(action=f"logs:{verb}", resource=f"{groups}:log-stream:{name}") for verb in ("CreateLogStream",
             "PutLogEvents")]  # fmt: skip
    if described:
        asked.insert(0, Need(action="logs:DescribeLogStreams", resource=f"{groups}:log-stream:"))
    if described or group not in logs_backends[here.account][here.region].groups:
        asked.insert(0, Need(action="logs:CreateLogGroup", resource=f"{groups}:log-stream:"))
    refusal = cloud.guard.refusal(role, session, *asked)
    if refusal:
        log.warning("no logs in %s: %s", group, refusal)
    return (NoStream if refusal else LogStream)(account=here.account, region=here.region, group=group, name=name)


def moving(cloud: Cloud, role: str, session: str, image: str, verbs: tuple[str, ...]) -> str:
    """Return why a role may not pull or push an image of ECR; "" when it may.

    Args:
        cloud: where.
        role: its ARN.
        session: the platform's name for it.
        image: its URI.
        verbs: PULL, PUSH or both.
    """
    if not (found := _IMAGE.match(image)):
        return ""
    repository = f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    asked = [Need(action=f"ecr:{verb}", resource=repository) for verb in verbs]
    return cloud.guard.refusal(role, session, Need(action="ecr:GetAuthorizationToken"), *asked)
