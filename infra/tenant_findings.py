"""Every finding of cdk-nag about the template of tenants that stays, with the reason why."""

from __future__ import annotations

from constructs import IConstruct

from contract import keys, names
from infra import nist
from infra.suppressions import HERE, acknowledge

TENANT, ARTIFACTS = "<Tenant>", f"s3:::<{names.OUTPUT_ARTIFACTS_BUCKET}>"
OBJECTS = "Objects below the tenant's own prefix: projects, runs and files are made at run time."
NAMED = "Names begin with the tenant's, and no other tenant's name begins so (contract/names.py)."
LOGS = f"logs:{HERE}:log-group"
WHY = {
    f"{ARTIFACTS}/{TENANT}/*/runs/*": OBJECTS,
    f"{ARTIFACTS}/{TENANT}/*/runs/*/{keys.CHECKPOINTS}*": OBJECTS,
    f"{ARTIFACTS}/{TENANT}/*/runs/*/{keys.MODEL}": OBJECTS,
    f"{ARTIFACTS}/{keys.capture_prefix(TENANT, '*')}*": OBJECTS,
    **{
        f"{ARTIFACTS}/{keys.async_prefix(TENANT, '*')}{folder}*": OBJECTS
        for folder in (keys.ASYNC_REQUESTS, keys.ASYNC_ANSWERS, keys.ASYNC_FAILURES)
    },
    f"{ARTIFACTS}/{TENANT}/*/{keys.BATCH}/*": OBJECTS,
    f"{ARTIFACTS}/{TENANT}/*": OBJECTS,
    f"s3:::<{names.OUTPUT_DATA_BUCKET}>/{TENANT}/*/*": OBJECTS,
    f"{LOGS}:{names.ENDPOINT_LOGS}/{TENANT}--*:*": NAMED,
    f"{LOGS}:{names.TRANSFORM_LOGS}:*": "The group itself, in which the role writes streams of its tenant alone.",
    f"{LOGS}:{names.TRANSFORM_LOGS}:log-stream:{TENANT}--*": NAMED,
    f"{LOGS}:<{names.OUTPUT_FUNCTION_LOGS}>:log-stream:????/??/??/{TENANT}--*": NAMED,
    f"sagemaker:{HERE}:endpoint/{TENANT}--*": NAMED,
    f"sagemaker:{HERE}:model-package-group/{TENANT}--*": NAMED,
    f"sagemaker:{HERE}:model-package/{TENANT}--*": NAMED,
    f"lambda:{HERE}:function:{TENANT}--*": NAMED,
    f"cloudwatch:{HERE}:alarm:*": "DescribeAlarms, which only reads, is asked of all alarms or of none.",
    f"cloudformation:{HERE}:stack/Tandem*": "The outputs of the application's stacks, which say where everything is.",
}


def explain(scope: IConstruct) -> None:
    """Acknowledge them."""
    acknowledge(scope, {f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:{arn}]": why for arn, why in WHY.items()})
    inline = {f"{nist.PACK}-IAMNoInlinePolicy": nist.EVERYWHERE["IAMNoInlinePolicy"]}
    acknowledge(scope, inline, nist.PACK)
