"""Gap: InvokeEndpoint answers with a constant, InvokeEndpointAsync with another.

AWS passes the request to a container of the endpoint and its answer back. moto
returns ``body`` for any endpoint, existing or not, and puts it into S3 in a bucket
of its own. Closed by ``local/sagemaker/runtime.py``, which ``sagemaker_endpoints``
hands over here.

Not emulated: streaming invocations (refused).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from local.sagemaker.runtime import ATTRIBUTES, Runtime, Throttled

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Take request bodies as bytes."""
    SageMakerRuntimeResponse.use_raw_body = True


def answer_with(runtime: Runtime) -> None:
    """Have InvokeEndpoint answered by ``runtime``."""

    def invoke_endpoint(self: SageMakerRuntimeResponse) -> Any:
        endpoint = self.path.split("/")[2]
        try:
            given = {name.lower(): value for name, value in self.headers.items()}
            answer, variant = runtime.invoke(self.current_account, self.region, endpoint, given, self.raw_body)
        except Throttled as error:
            # The runtime's model has no such error: it is common to all services.
            body = json.dumps({"message": error.message})
            return body, {"status": 429, "x-amzn-errortype": error.code, "Content-Type": "application/json"}
        headers = {
            "Content-Type": answer.headers.get("content-type", "application/octet-stream"),
            "x-Amzn-Invoked-Production-Variant": variant,
        }
        if attributes := answer.headers.get(ATTRIBUTES.lower()):
            headers[ATTRIBUTES] = attributes
        return 200, headers, answer.body

    def invoke_endpoint_async(self: SageMakerRuntimeResponse) -> Any:
        endpoint = self.path.split("/")[2]
        given = {name.lower(): value for name, value in self.headers.items()}
        request = runtime.invoke_async(self.current_account, self.region, endpoint, given, self.raw_body or b"")
        headers = {"Content-Type": "application/json", "X-Amzn-SageMaker-OutputLocation": str(request.answer)}
        if request.failure:
            headers["X-Amzn-SageMaker-FailureLocation"] = str(request.failure)
        return json.dumps({"InferenceId": request.id}), {"status": 202, **headers}

    setattr(SageMakerRuntimeResponse, "invoke_endpoint", invoke_endpoint)  # noqa: B010
    setattr(SageMakerRuntimeResponse, "invoke_endpoint_async", invoke_endpoint_async)  # noqa: B010
