"""Gap: endpoints do nothing.

AWS starts containers and says InService when they answer GET /ping. moto says
InService at once, overwrites an endpoint of the same name, has no
UpdateEndpoint (internal error), and knows only instance types of 2021. Closed by
``local/sagemaker/{models,fleets,endpoints,rollouts}.py``: real servers.

Not emulated: inference components and pipelines.
Serverless endpoints stay warm, so there is no cold start.
A container that exits before it was healthy fails the endpoint at once, where
AWS tries again for minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.models import EndpointConfigs, Models
from local.sagemaker.runtime import Runtime

from . import sagemaker_runtime

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations on models, endpoint configurations and endpoints."""
    models, configs, endpoints = Models(cloud), EndpointConfigs(), Endpoints(cloud)
    api.answer(
        CreateModel=models.create,
        DescribeModel=models.describe,
        ListModels=models.list_models,
        DeleteModel=models.delete,
        CreateEndpointConfig=configs.create,
        DescribeEndpointConfig=configs.describe,
        ListEndpointConfigs=configs.list_configs,
        DeleteEndpointConfig=configs.delete,
        CreateEndpoint=endpoints.create,
        UpdateEndpoint=endpoints.update,
        DeleteEndpoint=endpoints.delete,
        DescribeEndpoint=endpoints.describe,
        ListEndpoints=endpoints.list_endpoints,
        UpdateEndpointWeightsAndCapacities=endpoints.update_weights,
    )
    sagemaker_runtime.answer_with(Runtime(cloud, endpoints))
