"""Stacks are what their templates say.

AWS makes every resource with every property, or fails and rolls back. moto's
CloudFormation says CREATE_COMPLETE for types it skips, applies only encryption
and tags to buckets, drops Layers, EphemeralStorage and DeadLetterConfig of
functions, sends custom resources ``True``, tells no event of a resource, updates
only what was edited and not what refers to it, and fails half-way without undoing.
Here its API is answered by ``local.cloudformation``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.cloudformation import urls

from local.cloudformation.api import Api
from local.cloudformation.service import CloudFormation

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer CloudFormation's API."""
    service = CloudFormation(cloud)
    api = type("CloudFormationApi", (Api,), {"service": service})
    urls.url_paths = {
        "{0}/$": api.dispatch,  # type: ignore[attr-defined]
        "{0}/cloudformation_(?P<region>[^/]+)/cfnresponse$": api.take_answer,  # type: ignore[attr-defined]
    }
