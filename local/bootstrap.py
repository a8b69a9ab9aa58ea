"""CDK's bootstrap resources, made directly.

``cdk bootstrap`` makes a bucket for assets, a repository for images, roles and a
version number in SSM; templates refer to them by name. These are the ones that
templates need, so that synthesised stacks can be applied through the
CloudFormation API in a second, without the CLI. The names are CDK's defaults
(qualifier ``hnb659fds``).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.cloud import Cloud

QUALIFIER = "hnb659fds"
VERSION = "33"  # of the bootstrap template of aws-cdk 2.1148.1; templates ask for at least 6
_ROLES = ("deploy-role", "cfn-exec-role", "file-publishing-role", "image-publishing-role", "lookup-role")


def assets_bucket(cloud: Cloud) -> str:
    """Return the name of the bucket for assets."""
    return f"cdk-{QUALIFIER}-assets-{cloud.account}-{cloud.region}"


def bootstrap(cloud: Cloud) -> None:
    """Make what ``cdk bootstrap`` makes, as far as templates and asset publishing use it; again, if need be."""
    s3, ecr, iam, bucket = cloud.client("s3"), cloud.client("ecr"), cloud.client("iam"), assets_bucket(cloud)
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    images = f"cdk-{QUALIFIER}-container-assets-{cloud.account}-{cloud.region}"
    with suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=images)
    version = f"/cdk-bootstrap/{QUALIFIER}/version"
    cloud.client("ssm").put_parameter(Name=version, Value=VERSION, Type="String", Overwrite=True)
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": cloud.account}, "Action": "sts:AssumeRole"}],
    }
    for role in _ROLES:
        name = f"cdk-{QUALIFIER}-{role}-{cloud.account}-{cloud.region}"
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
