"""Gap: a REST API forgets its binary media types.

CreateRestApi takes ``binaryMediaTypes``; UpdateRestApi adds and removes one by the path
``/binaryMediaTypes/image~1png``. moto drops the first and looks for a value that no client sends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.apigateway.models import RestAPI
from moto.apigateway.responses import APIGatewayResponse

if TYPE_CHECKING:
    from local.cloud import Cloud

MEDIA = "/binaryMediaTypes/"


def install(cloud: Cloud) -> None:
    """Keep what moto drops."""
    patch_api = RestAPI.apply_patch_operations
    create = APIGatewayResponse.create_rest_api

    def create_rest_api(self: APIGatewayResponse) -> Any:
        answered: Any = create(self)
        media = self._get_param("binaryMediaTypes")
        if answered[0] != 200 or not media:
            return answered
        api = self.backend.get_rest_api(json.loads(answered[2])["id"])
        api.binaryMediaTypes = list(media)
        return 200, {}, json.dumps(api.to_dict())

    def apply_to_api(self: RestAPI, patch_operations: list[dict[str, Any]]) -> None:
        for operation in patch_operations:
            if operation["path"].startswith(MEDIA):
                kind = operation["path"].removeprefix(MEDIA).replace("~1", "/").replace("~0", "~")
                kept = [each for each in self.binaryMediaTypes if each != kind]
                self.binaryMediaTypes = kept if operation["op"] == "remove" else [*kept, kind]
            else:
                patch_api(self, [operation])

    setattr(APIGatewayResponse, "create_rest_api", create_rest_api)  # noqa: B010
    setattr(RestAPI, "apply_patch_operations", apply_to_api)  # noqa: B010
