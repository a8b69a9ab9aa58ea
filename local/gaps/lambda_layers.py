"""Functions may use layers of other accounts.

AWS publishes Powertools as a layer in an account of its own. moto knows only
layers that were published to it and refuses the function. Here a layer of
another account is accepted by its ARN (its packages come from the laptop's own
Python environment, see ``local.lambdas``); one of this account must exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.awslambda.models import LambdaFunction

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Accept foreign layers."""
    own_layers = LambdaFunction._get_layers_data

    def layers(self: LambdaFunction, arns: list[str]) -> list[Any]:
        foreign = {arn for arn in arns if arn.split(":")[4] != self.account_id}
        own = {layer["Arn"]: layer for layer in own_layers(self, [arn for arn in arns if arn not in foreign])}
        return [{"Arn": arn, "CodeSize": 0} if arn in foreign else own[arn] for arn in arns]

    setattr(LambdaFunction, "_get_layers_data", layers)  # noqa: B010
