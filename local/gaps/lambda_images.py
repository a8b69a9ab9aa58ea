"""Gap: a function takes an image that is not there.

CreateFunction and UpdateFunctionCode look for the image in ECR. moto does not by default. What runs a
function's image is ``local/lambdas/container.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction

from local import images

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Look for the image whenever a function's code is set."""
    set_code = LambdaFunction._set_function_code

    def set_function_code(self: LambdaFunction, updated_spec: dict[str, Any]) -> None:
        if "ImageUri" in updated_spec:
            try:
                images.find(cloud, updated_spec["ImageUri"])
            except images.ImageNotFound as error:
                text = f"Source image {updated_spec['ImageUri']} is not valid. Provide a valid source image. {error}"
                raise LambdaClientError("InvalidParameterValueException", text) from error
        set_code(self, updated_spec)

    setattr(LambdaFunction, "_set_function_code", set_function_code)  # noqa: B010
