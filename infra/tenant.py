"""The stack of a tenant: its roles, its key, and a policy for its people. One template for all, with parameters.

The application publishes the template among its assets (:class:`TenantTemplate`); ``tandem tenant add`` makes a stack
of it, so that whoever adds a tenant needs no CDK.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import Aws, CfnCondition, CfnOutput, CfnParameter, CfnTag, Fn, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from contract import ledger, names
from infra import grants
from infra.roles import FunctionRole, JobRole, ModelRole, Reach, TransformRole

STACK = "Tenant"


class TenantKey(Construct):
    """The key that encrypts what a tenant's jobs write, and its alias.

    Both outlive the stack, or what they encrypt could not be read any more. A tenant that comes back gets its old key.

    Attributes:
        arn: of the key.
    """

    def __init__(self, scope: Construct, id: str, *, tenant: str, existing: str) -> None:
        super().__init__(scope, id)
        is_new = CfnCondition(self, "IsNew", expression=Fn.condition_equals(existing, ""))
        # IAM's policies say who may use it, as with every key of a CDK app.
        root = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:root"
        account = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
        key = kms.CfnKey(
            self,
            "Key",
            description=Fn.join("", ["Tandem: what the jobs of ", tenant, " write"]),
            enable_key_rotation=True,
            key_policy={"Version": "2012-10-17", "Statement": [account]},
            tags=[CfnTag(key=names.TAG_TENANT, value=tenant)],
        )
        alias = kms.CfnAlias(self, "Alias", alias_name=names.key_alias(tenant), target_key_id=key.attr_arn)
        for resource in (key, alias):
            resource.cfn_options.condition = is_new
            resource.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        self.arn = Fn.condition_if(is_new.logical_id, key.attr_arn, existing).to_string()


class People(iam.ManagedPolicy):
    """What a tenant's people may do: upload, which starts runs, and look at what came of it.

    No execution can be started by hand: IAM knows no condition on its input, which could name another tenant.
    """

    def __init__(self, scope: Construct, id: str, *, reach: Reach, table: str, table_key: str) -> None:
        tenant = reach.tenant
        super().__init__(
            scope, id, managed_policy_name=names.role(tenant, "people", Aws.REGION), path=names.role_path(tenant)
        )
        # Projects' folders only: nobody reads the salt, which is beside them.
        grants.allow(self, ["s3:GetObject", "s3:PutObject"], [reach.data.arn_for_objects(f"{tenant}/*/*")])
        grants.allow(self, ["s3:GetObject"], [reach.artifacts.arn_for_objects(f"{tenant}/*")])
        buckets = [reach.data.bucket_arn, reach.artifacts.bucket_arn]
        grants.allow(self, ["s3:ListBucket"], buckets, StringLike={"s3:prefix": [f"{tenant}/*"]})
        assert reach.data.encryption_key
        storage = reach.data.encryption_key.key_arn
        by_s3 = {"kms:ViaService": f"s3.{Aws.REGION}.amazonaws.com"}
        grants.allow(self, ["kms:Decrypt", "kms:GenerateDataKey"], [storage], StringEquals=by_s3)
        grants.allow(self, ["kms:Decrypt"], [reach.key], StringEquals=by_s3)
        own = [ledger.tenant_pk(tenant), ledger.project_pk(tenant, "*")]
        rows = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": own}, "Null": {"dynamodb:LeadingKeys": "false"}}
        reading = ["dynamodb:GetItem", "dynamodb:Query"]
        grants.allow(self, reading, [grants.arn(self, "dynamodb", "table", table)], **rows)
        by_table = {"kms:ViaService": f"dynamodb.{Aws.REGION}.amazonaws.com"}
        grants.allow(self, ["kms:Decrypt", "kms:DescribeKey"], [table_key], StringEquals=by_table)
        self._use_models(tenant)

    def _use_models(self, tenant: str) -> None:
        own = f"{tenant}--*"
        endpoint = grants.arn(self, "sagemaker", "endpoint", own)
        grants.allow(self, ["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"], [endpoint])
        grants.allow(self, ["lambda:InvokeFunction"], [grants.function_arn(self, own)])
        group, package = (grants.arn(self, "sagemaker", kind, own) for kind in ("model-package-group", "model-package"))
        grants.allow(self, ["sagemaker:ListModelPackages", "sagemaker:DescribeModelPackage"], [group, package])
        # The command line looks there where everything is.
        stacks = grants.arn(self, "cloudformation", "stack", "Tandem*")
        grants.allow(self, ["cloudformation:DescribeStacks"], [stacks])


class Tenant(Stack):
    """A tenant's roles, key and policy."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(
            scope,
            id,
            description="Tandem: a tenant",
            analytics_reporting=False,
            synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )
        parameters = self._parameters()
        tenant, storage = parameters[names.PARAMETER_TENANT], parameters[names.OUTPUT_KEY_ARN]
        key = TenantKey(self, "Key", tenant=tenant, existing=parameters[names.PARAMETER_EXISTING_KEY])
        storage_key = kms.Key.from_key_arn(self, "StorageKey", storage)
        buckets = {"Data": names.OUTPUT_DATA_BUCKET, "Artifacts": names.OUTPUT_ARTIFACTS_BUCKET}
        data, artifacts = (
            s3.Bucket.from_bucket_attributes(self, id, bucket_name=parameters[name], encryption_key=storage_key)
            for id, name in buckets.items()
        )
        reach = Reach(tenant=tenant, data=data, artifacts=artifacts, key=key.arn)
        JobRole(self, "JobRole", reach=reach)
        ModelRole(self, "ModelRole", reach=reach)
        TransformRole(self, "TransformRole", reach=reach)
        FunctionRole(self, "FunctionRole", reach=reach, log_group=parameters[names.OUTPUT_FUNCTION_LOGS])
        people = People(self, "People", reach=reach, table=parameters[names.OUTPUT_LEDGER_TABLE], table_key=storage)
        CfnOutput(self, names.OUTPUT_PEOPLE_POLICY, value=people.managed_policy_arn)
        CfnOutput(self, names.OUTPUT_TENANT_KEY, value=key.arn)

    def _parameters(self) -> dict[str, str]:
        tenant = CfnParameter(
            self, names.PARAMETER_TENANT, allowed_pattern=names.NAME.pattern, max_length=names.NAME_LIMIT
        )
        existing = CfnParameter(self, names.PARAMETER_EXISTING_KEY, default="")
        given = {name: CfnParameter(self, name) for name in names.TENANT_PARAMETERS}
        given |= {names.PARAMETER_TENANT: tenant, names.PARAMETER_EXISTING_KEY: existing}
        return {name: parameter.value_as_string for name, parameter in given.items()}


def build(*, outdir: str, context: dict[str, Any] | None = None, validate: bool = False) -> cdk.App:
    """Return an app of this stack alone, ready to synthesise."""
    app = cdk.App(outdir=outdir, context=context, builtin_cloud_formation_validation=validate)
    Tenant(app, STACK)
    return app


class TenantTemplate(assets.Asset):
    """The template as an asset."""

    def __init__(self, scope: Construct, id: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            build(outdir=folder).synth()
            super().__init__(scope, id, path=str(Path(folder, f"{STACK}.template.json")))
