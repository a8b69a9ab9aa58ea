"""Gap: a version's number is given again, and its image changes with the function's.

AWS numbers versions upwards and never twice, and what was published stays as it was. moto counts the
versions that are there, so that after a deletion a number comes twice; and all versions share one description
of their code, which UpdateFunctionCode changes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaFunction, LambdaStorage

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Number versions upwards, each with code of its own."""
    publish = LambdaStorage.publish_version

    def publish_version(self: LambdaStorage, name_or_arn: str, description: str = "") -> LambdaFunction | None:
        latest: Any = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
        there = list(self._functions[latest.function_name]["versions"])
        made = publish(self, name_or_arn, description)
        if made is None or made in there:
            return made
        number = getattr(latest, "published", 0) + 1
        if self._arns.get(made.function_arn) is made:
            del self._arns[made.function_arn]
        for version in there:  # the number may have been another's, whose entry was overwritten
            self._arns[version.function_arn] = version
        made.set_version(number)
        made.code = copy.deepcopy(latest.code)
        self._arns[made.function_arn] = made
        latest.published = number
        return made

    setattr(LambdaStorage, "publish_version", publish_version)  # noqa: B010
