"""What S3's operations need, and what the keys of encrypted buckets, tables, queues and topics need.

"Actions, resources, and condition keys for Amazon S3" and "Required permissions for Amazon S3 API operations". Whoever
asks for an object that is not there learns so only if listing is allowed too; otherwise it is denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from moto.dynamodb.models import dynamodb_backends
from moto.kms.models import kms_backends
from moto.s3.models import FakeKey, s3_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from local.permissions.conditions import Context
from local.permissions.needs import Need, Place
from local.permissions.requests import Call

_READS = {"GetObject", "HeadObject", "GetObjectAttributes"}
_PARTS = {"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
_READ_ROWS = {f"dynamodb:{verb}" for verb in ("GetItem", "BatchGetItem", "Query", "Scan", "ConditionCheckItem")}
_ROWS = ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey")  # the first two to read
_SENDING = {"SendMessage", "SendMessageBatch", "Publish", "PublishBatch"}
_BUCKET = {
    "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions", "GetBucketLocation": "GetBucketLocation",
    "GetBucketVersioning": "GetBucketVersioning",
}  # fmt: skip


def needs(call: Call, here: Place) -> list[Need]:
    """Return what an operation of S3 needs.

    Raises:
        NotImplementedError: the operation is not known here.
    """
    return list(_needs(call, here))


def _needs(call: Call, here: Place) -> Iterator[Need]:
    bucket, key = call.params.get("Bucket", ""), call.params.get("Key", "")
    version = call.params.get("versionId", "")
    if call.operation in _READS:
        yield from reading(here, bucket, key, version)
    elif call.operation == "CopyObject":
        source, _, source_version = unquote(call.headers["x-amz-copy-source"]).lstrip("/").partition("?versionId=")
        source_bucket, _, source_key = source.partition("/")
        yield from reading(here, source_bucket, source_key, source_version)
        yield from writing(here, bucket, key, call.headers, in_parts=False)
    elif call.operation == "PutObject" or call.operation in _PARTS:
        yield from writing(here, bucket, key, call.headers, in_parts=call.operation in _PARTS)
    elif call.operation == "DeleteObject":
        yield Need(action=f"s3:DeleteObject{'Version' if version else ''}", resource=_object(bucket, key))
    elif call.operation == "DeleteObjects":
        for name in re.findall(rb"<Key>(.*?)</Key>", call.body):
            yield Need(action="s3:DeleteObject", resource=_object(bucket, name.decode()))
    elif call.operation == "AbortMultipartUpload":
        yield Need(action="s3:AbortMultipartUpload", resource=_object(bucket, key))
    elif call.operation in _BUCKET:
        yield listing(_BUCKET[call.operation], bucket, call.params)
    else:
        raise NotImplementedError(f"what s3:{call.operation or 'an unknown operation'} needs")


def reading(here: Place, bucket: str, key: str, version: str = "") -> Iterator[Need]:
    """Yield what reading an object needs."""
    yield Need(action=f"s3:GetObject{'Version' if version else ''}", resource=_object(bucket, key))
    held = _held(here, bucket)
    found = held.keys.get(key) if held is not None else None
    if not isinstance(found, FakeKey):
        yield listing("ListBucket", bucket, {})
    elif found.kms_key_id:
        yield _with_key(here, "Decrypt", found.kms_key_id, "s3")


def writing(here: Place, bucket: str, key: str, headers: Any, *, in_parts: bool) -> Iterator[Need]:
    """Yield what writing an object needs; ``headers`` may name a key."""
    yield Need(action="s3:PutObject", resource=_object(bucket, key))
    if own := headers.get("x-amz-server-side-encryption-aws-kms-key-id") or _default_key(here, bucket):
        for action in ("GenerateDataKey", "Decrypt")[: 1 + in_parts]:
            yield _with_key(here, action, own, "s3")


def listing(action: str, bucket: str, params: Any) -> Need:
    """Return what an operation on a bucket needs."""
    names = {"prefix": "s3:prefix", "delimiter": "s3:delimiter", "max-keys": "s3:max-keys"}
    context = {key: [str(params[name])] for name, key in names.items() if name in params}
    return Need(action=f"s3:{action}", resource=f"arn:aws:s3:::{bucket}", context=context)


def bucket_policy(here: Place, resource: str) -> str | None:
    """Return the policy of the bucket that an ARN of S3 is of."""
    held = _held(here, resource.rpartition(":")[2].partition("/")[0])
    policy = held.policy if held is not None else None
    return policy.decode() if isinstance(policy, bytes) else policy


def keys_of(call: Call, asked: Iterable[Need], here: Place) -> Iterator[Need]:
    """Yield what the key of an encrypted table, queue or topic needs ("Data protection" of each service).

    Of a table's key, whoever reads or writes rows is asked for what CDK's own grants allow them; a message is
    encrypted by who sends it.
    """
    for need in asked if call.service == "dynamodb" else ():
        table = dynamodb_backends[here.account][here.region].tables.get(need.resource.split("/")[1])
        if key := (getattr(table, "sse_specification", None) or {}).get("KMSMasterKeyId"):
            for action in _ROWS[: 2 if need.action in _READ_ROWS else 4]:
                yield _with_key(here, action, key, "dynamodb")
    if call.operation in _SENDING:
        yield from sending(next(iter(asked)).resource, here)


def sending(arn: str, here: Place) -> Iterator[Need]:
    """Yield what the key of an encrypted queue or topic needs of whoever sends to it."""
    service, name = arn.split(":")[2], arn.rpartition(":")[2]
    found: Any = None
    if service == "sns":
        found = sns_backends[here.account][here.region].topics.get(arn)
    elif service == "sqs":
        found = sqs_backends[here.account][here.region].queues.get(name)
    if key := getattr(found, "kms_master_key_id", None):
        for action in ("GenerateDataKey", "Decrypt"):
            yield _with_key(here, action, key, service)


def _held(here: Place, bucket: str) -> Any:
    return s3_backends[here.account]["aws"].buckets.get(bucket)


def _default_key(here: Place, bucket: str) -> str | None:
    settings = getattr(_held(here, bucket), "encryption", None)
    rule = settings["Rule"]["ApplyServerSideEncryptionByDefault"] if settings else {}
    return rule.get("KMSMasterKeyID")


def _object(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def _with_key(here: Place, verb: str, key: str, service: str) -> Need:
    return use_of_key(here, verb, key, {"kms:viaservice": [f"{service}.{here.region}.amazonaws.com"]})


def use_of_key(here: Place, verb: str, key: str, context: Context | None = None) -> Need:
    """Return what using a key needs, whether its id, its ARN, an alias or the ARN of an alias names it.

    What no key has as an alias stays as it is: nobody may use that.
    """
    backend = kms_backends[here.account][here.region]
    alias = f"alias/{key.partition('alias/')[2]}" if "alias/" in key else ""
    name = (backend.get_key_id_from_alias(alias) or alias) if alias else key.rpartition("/")[2]
    found = backend.keys.get(name)
    return Need(
        action=f"kms:{verb}",
        resource=here.arn("kms", f"key/{name}" if found else name),
        context={**(context or {}), "kms:resourcealiases": sorted(found.aliases) if found else []},
    )
