"""Only where objects can be locked may somebody ask to get past a lock.

S3 refuses the header ``x-amz-bypass-governance-retention`` in any other bucket: "only applicable to Object Lock enabled
buckets" (ekristen/aws-nuke#265, versity/versitygw#1218). moto takes it everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import InvalidArgumentError
from moto.s3.models import S3Backend

if TYPE_CHECKING:
    from local.cloud import Cloud

HEADER = "x-amz-bypass-governance-retention"


def install(cloud: Cloud) -> None:
    """Refuse it."""
    delete_one, delete_several = S3Backend.delete_object, S3Backend.delete_objects

    def check(self: S3Backend, bucket: str, bypass: Any) -> None:
        if bypass and not getattr(self.get_bucket(bucket), "object_lock_enabled", False):
            raise InvalidArgumentError(f"{HEADER} is only applicable to Object Lock enabled buckets.", HEADER, "true")

    def delete_object(
        self: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> Any:
        check(self, bucket_name, bypass)
        return delete_one(self, bucket_name, key_name, version_id, bypass)

    def delete_objects(self: S3Backend, bucket_name: str, objects: Any, bypass_retention: bool = False) -> Any:
        check(self, bucket_name, bypass_retention)
        return delete_several(self, bucket_name, objects, bypass_retention)

    setattr(S3Backend, "delete_object", delete_object)  # noqa: B010
    setattr(S3Backend, "delete_objects", delete_objects)  # noqa: B010
