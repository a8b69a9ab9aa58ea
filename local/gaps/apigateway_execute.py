"""Gap: a REST API answers no requests.

AWS serves a deployed stage at ``https://<api>.execute-api.<region>.amazonaws.com/<stage>/``. moto answers only
integrations of type HTTP and AWS, and those only to clients in its own process. Closed by ``local/apigateway``:
the stage is at ``<endpoint>/_aws/execute-api/<api>/<stage>/``, which is also what outputs of stacks say here.

Not emulated (refused when it is asked for): other integrations than Lambda proxy, authorisers, caching, mapping
templates of integrations, custom domains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.apigateway.models import RestAPI

from local.apigateway import address
from local.apigateway.gateway import Gateway
from local.apigateway.release import Release

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Serve the paths of APIs, and have each deployment freeze its API."""
    cloud.mount(address.PREFIX, Gateway(cloud))
    create = RestAPI.create_deployment

    def create_deployment(self: RestAPI, name: str, description: str, stage_variables: Any = None) -> Any:
        deployment = create(self, name, description, stage_variables)
        deployment.release = Release.of(self)  # type: ignore[attr-defined]
        return deployment

    setattr(RestAPI, "create_deployment", create_deployment)  # noqa: B010
