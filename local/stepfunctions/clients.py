"""boto3 clients of this cloud, as the interpreter needs them: shared, patient, never retrying."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from local.cloud import Cloud

LONGEST_CALL = 960  # a Lambda invocation may take 15 minutes


class Clients:
    """One client a service, made when first asked for.

    Args:
        cloud: the cloud to call.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()  # making a client is not thread-safe; using one is
        self._by_service: dict[str, Any] = {}

    def get(self, service: str) -> Any:
        """Return the client of a service, by boto3's name."""
        with self._lock:
            if service not in self._by_service:
                self._by_service[service] = self._make(service)
            return self._by_service[service]

    def _make(self, service: str) -> Any:
        environment = self._cloud.environment
        make: Any = boto3.client  # its stubs know the services by literal names only
        return make(
            service,
            endpoint_url=self._cloud.url,
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                retries={"total_max_attempts": 1},
                read_timeout=LONGEST_CALL,
                max_pool_connections=50,
                s3={"addressing_style": "path"},
            ),
        )
