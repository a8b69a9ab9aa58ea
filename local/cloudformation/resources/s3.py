"""AWS::S3::*: buckets with everything that belongs to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.cloudformation.errors import ResourceFailed
from local.cloudformation.resources.base import Context, Made, Properties, Provider, pick
from local.cloudformation.resources.calls import call


class Bucket(Provider):
    """AWS::S3::Bucket."""

    known = frozenset(
        {
            "BucketName", "BucketEncryption", "VersioningConfiguration", "LifecycleConfiguration", "CorsConfiguration",
            "PublicAccessBlockConfiguration", "OwnershipControls", "LoggingConfiguration", "NotificationConfiguration",
            "Tags", "AccessControl", "ObjectLockEnabled", "ObjectLockConfiguration",
        }
    )  # fmt: skip

    def create(self, context: Context, properties: Properties) -> Made:
        """Make the bucket and apply every setting."""
        self.check(properties)
        name = properties.get("BucketName") or context.name(63).lower()
        lock = {"ObjectLockEnabledForBucket": True} if properties.get("ObjectLockEnabled") else {}
        call(context.client("s3"), "create_bucket", Bucket=name, **lock)
        try:
            _configure(context, name, {}, properties)
        except Exception:
            context.client("s3").delete_bucket(Bucket=name)
            raise
        return _made(context, name)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> Made:
        """Apply what changed; a new name is a new bucket."""
        if new.get("BucketName", physical_id) != physical_id:
            return self.create(context, new)
        self.check(new)
        _configure(context, physical_id, old, new)
        return _made(context, physical_id)

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Delete the bucket, which must be empty, as on AWS."""
        context.client("s3").delete_bucket(Bucket=physical_id)


def _made(context: Context, name: str) -> Made:
    attributes = {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{context.cloud.region}.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{context.cloud.region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{context.cloud.region}.amazonaws.com",
    }
    return Made(physical_id=name, attributes=attributes)


def _configure(context: Context, name: str, old: Properties, new: Properties) -> None:
    s3 = context.client("s3")
    for prop, (put, remove) in _SETTINGS.items():
        if prop in new and new[prop] != old.get(prop):
            put(s3, name, new[prop])
        elif prop in old and prop not in new:
            remove(s3, name)
    tags = context.tag_list(new)
    if tags:
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})


def _put_encryption(s3: Any, name: str, value: Any) -> None:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule.get("ServerSideEncryptionByDefault", {}),
            **pick(rule, "BucketKeyEnabled"),
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    call(s3, "put_bucket_encryption", Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})


def _put_logging(s3: Any, name: str, value: Any) -> None:
    target = value.get("DestinationBucketName", name)
    enabled = {"TargetBucket": target, "TargetPrefix": value.get("LogFilePrefix", "")}
    call(s3, "put_bucket_logging", Bucket=name, BucketLoggingStatus={"LoggingEnabled": enabled})


def _put_lifecycle(s3: Any, name: str, value: Any) -> None:
    rules = [_lifecycle_rule(rule, index) for index, rule in enumerate(value["Rules"])]
    call(s3, "put_bucket_lifecycle_configuration", Bucket=name, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(rule: Properties, index: int) -> Properties:
    """CloudFormation's rule in S3's words; an unknown property is refused."""
    known = {
        "Id", "Status", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker", "NoncurrentVersionExpiration",
        "NoncurrentVersionExpirationInDays", "AbortIncompleteMultipartUpload", "Transitions", "TagFilters",
        "NoncurrentVersionTransitions", "ObjectSizeGreaterThan", "ObjectSizeLessThan",
    }  # fmt: skip
    if unknown := set(rule) - known:
        raise ResourceFailed(f"lifecycle rule: not emulated by the laptop cloud: {', '.join(sorted(unknown))}")
    made: Properties = {"ID": rule.get("Id", f"rule-{index}"), "Status": rule["Status"], "Filter": _filter(rule)}
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "ExpiredObjectDeleteMarker" in rule:
        made.setdefault("Expiration", {})["ExpiredObjectDeleteMarker"] = rule["ExpiredObjectDeleteMarker"]
    if "NoncurrentVersionExpirationInDays" in rule:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["NoncurrentVersionExpirationInDays"]}
    if "NoncurrentVersionExpiration" in rule:
        made["NoncurrentVersionExpiration"] = rule["NoncurrentVersionExpiration"]
    if "AbortIncompleteMultipartUpload" in rule:
        made["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    if "Transitions" in rule:
        made["Transitions"] = [
            {"Days": item["TransitionInDays"], "StorageClass": item["StorageClass"]} for item in rule["Transitions"]
        ]
    if "NoncurrentVersionTransitions" in rule:
        made["NoncurrentVersionTransitions"] = [
            {"NoncurrentDays": item["TransitionInDays"], "StorageClass": item["StorageClass"]}
            for item in rule["NoncurrentVersionTransitions"]
        ]
    return made


def _filter(rule: Properties) -> Properties:
    parts: Properties = pick(rule, "Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
    if tags := rule.get("TagFilters"):
        parts["Tags"] = tags
    if len(parts) == 1 and "Tags" not in parts:
        return parts
    if not parts:
        return {"Prefix": ""}
    return {"And": parts}


def _put_lock(s3: Any, name: str, value: Any) -> None:
    call(s3, "put_object_lock_configuration", Bucket=name, ObjectLockConfiguration=value)


def _put_notifications(s3: Any, name: str, value: Any) -> None:
    made: Properties = {}
    bridge = value.get("EventBridgeConfiguration")
    if bridge is not None and str(bridge.get("EventBridgeEnabled", True)).lower() == "true":
        made["EventBridgeConfiguration"] = {}
    for source, target, field, arn in (
        ("LambdaConfigurations", "LambdaFunctionConfigurations", "LambdaFunctionArn", "Function"),
        ("QueueConfigurations", "QueueConfigurations", "QueueArn", "Queue"),
        ("TopicConfigurations", "TopicConfigurations", "TopicArn", "Topic"),
    ):
        if source in value:
            made[target] = [
                {field: item[arn], "Events": [item["Event"]], **_notification_filter(item)} for item in value[source]
            ]
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=made)


def _notification_filter(item: Properties) -> Properties:
    rules = item.get("Filter", {}).get("S3Key", {}).get("Rules")
    return {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}


_ACLS: dict[str, str] = {
    "Private": "private",
    "LogDeliveryWrite": "log-delivery-write",
    "BucketOwnerFullControl": "bucket-owner-full-control",
}
_Setting = tuple[Callable[[Any, str, Any], None], Callable[[Any, str], None]]
_SETTINGS: dict[str, _Setting] = {
    "VersioningConfiguration": (
        lambda s3, name, value: s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=value),
        lambda s3, name: s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"}),
    ),
    "BucketEncryption": (_put_encryption, lambda s3, name: s3.delete_bucket_encryption(Bucket=name)),
    "PublicAccessBlockConfiguration": (
        lambda s3, name, value: call(s3, "put_public_access_block", Bucket=name, PublicAccessBlockConfiguration=value),
        lambda s3, name: s3.delete_public_access_block(Bucket=name),
    ),
    "OwnershipControls": (
        lambda s3, name, value: s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=value),
        lambda s3, name: s3.delete_bucket_ownership_controls(Bucket=name),
    ),
    "LoggingConfiguration": (
        _put_logging,
        lambda s3, name: s3.put_bucket_logging(Bucket=name, BucketLoggingStatus={}),
    ),
    "LifecycleConfiguration": (_put_lifecycle, lambda s3, name: s3.delete_bucket_lifecycle(Bucket=name)),
    "CorsConfiguration": (
        lambda s3, name, value: s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": _cors(value)}),
        lambda s3, name: s3.delete_bucket_cors(Bucket=name),
    ),
    "NotificationConfiguration": (
        _put_notifications,
        lambda s3, name: s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={}),
    ),
    "ObjectLockConfiguration": (_put_lock, lambda s3, name: s3.put_object_lock_configuration(Bucket=name)),
    "AccessControl": (
        lambda s3, name, value: s3.put_bucket_acl(Bucket=name, ACL=_ACLS[value]),
        lambda s3, name: s3.put_bucket_acl(Bucket=name, ACL="private"),
    ),
}


def _cors(value: Properties) -> list[Properties]:
    renamed = {"MaxAge": "MaxAgeSeconds", "ExposedHeaders": "ExposeHeaders", "Id": "ID"}
    return [{renamed.get(key, key): item for key, item in rule.items()} for rule in value["CorsRules"]]


class BucketPolicy(Provider):
    """AWS::S3::BucketPolicy."""

    known = frozenset({"Bucket", "PolicyDocument"})

    def create(self, context: Context, properties: Properties) -> Made:
        """Put the policy."""
        self.check(properties)
        policy = json.dumps(properties["PolicyDocument"])
        context.client("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)
        return Made(physical_id=properties["Bucket"])

    def delete(self, context: Context, physical_id: str, properties: Properties) -> None:
        """Take the policy away."""
        try:
            context.client("s3").delete_bucket_policy(Bucket=physical_id)
        except ClientError as error:  # its bucket may be gone already
            if error.response["Error"]["Code"] not in ("NoSuchBucket", "NoSuchBucketPolicy"):
                raise


PROVIDERS: dict[str, Provider] = {"AWS::S3::Bucket": Bucket(), "AWS::S3::BucketPolicy": BucketPolicy()}
