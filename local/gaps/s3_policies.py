"""A bucket policy that refuses plain HTTP does not refuse everything.

AWS applies a statement only when its conditions hold. moto applies a bucket
policy to every object request but knows no conditions, so the common "deny
unless aws:SecureTransport" denies all. The laptop cloud enforces no access
control; statements with conditions are kept and returned, but not applied.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Apply unconditional statements only."""

    def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        document = json.loads(self.policy)
        statements = document.get("Statement", [])
        statements = statements if isinstance(statements, list) else [statements]
        document["Statement"] = [statement for statement in statements if not statement.get("Condition")]
        return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)

    setattr(FakeBucket, "get_permission", get_permission)  # noqa: B010
