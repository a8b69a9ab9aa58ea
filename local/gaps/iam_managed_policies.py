"""AWS's own managed policies can be attached.

Every AWS account has them. moto ships their text but loads it only on demand of
an environment variable, all at once (0.8 s at every start); otherwise attaching
one fails. Here a policy is loaded when it is first named; one that AWS does not
have is still refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend

if TYPE_CHECKING:
    from local.cloud import Cloud

_PREFIX = "arn:aws:iam::aws:policy/"
_METHODS = ("attach_role_policy", "attach_user_policy", "attach_group_policy", "get_policy", "get_policy_version")


def _load(backend: IAMBackend, arn: str) -> None:
    """Put the policy of ``arn`` into ``backend`` if AWS has one of that name and path."""
    name = arn.rsplit("/", 1)[1]
    start = aws_managed_policies_data.find(f'\n "{name}":{{')
    if start < 0:
        return
    data, _ = json.JSONDecoder().raw_decode(aws_managed_policies_data, aws_managed_policies_data.index("{", start))
    policy = AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, data)
    backend.managed_policies.setdefault(policy.arn, policy)


def _loading(method: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(self: IAMBackend, *args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, str) and value.startswith(_PREFIX) and value not in self.managed_policies:
                _load(self, value)
        return method(self, *args, **kwargs)

    return wrapper


def install(cloud: Cloud) -> None:
    """Load AWS's policies by name."""
    for name in _METHODS:
        setattr(IAMBackend, name, _loading(getattr(IAMBackend, name)))
