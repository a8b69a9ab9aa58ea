"""Every cdk-nag finding that stays, with the evidence why.

A finding is acknowledged by its exact id: a new wildcard is a new finding.
``tests/infra`` checks the statements themselves more strictly than cdk-nag does
(which actions may have no resource, which patterns are used).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

from contract import keys, names, retention
from infra import idle_gpus
from infra.stacks.api import PublicApi
from infra.stacks.operations import Operations
from infra.stacks.pipeline import Pipeline
from infra.stacks.serving import Serving
from infra.stacks.storage import Storage
from infra.wildcards import WILDCARDS

HERE = "<AWS::Region>:<AWS::AccountId>"

RUNTIME = (
    "The handlers run on Python 3.12 on purpose: AWS's Deep Learning Containers have that version, so that "
    "training/prepare.py runs on one interpreter in Lambda and in jobs; it is supported until 2028-10-31."
)
NO_RESOURCE = f"The actions have no resource in IAM (infra/wildcards.py): {'; '.join(WILDCARDS)}."
NAMES_AT_RUN_TIME = "Made at run time, one for each {what}: names are known by their pattern only (contract/names.py)."

PATTERNS = {
    f"sagemaker:{HERE}:training-job/*": NAMES_AT_RUN_TIME.format(what="attempt of a run, whose id is any"),
    **{
        f"sagemaker:{HERE}:training-job/{name}": NAMES_AT_RUN_TIME.format(what="attempt of a run, whose id is any")
        for name in idle_gpus.JOBS
    },
    f"sagemaker:{HERE}:hyper-parameter-tuning-job/*": NAMES_AT_RUN_TIME.format(
        what="attempt of a run, whose id is any"
    ),
    f"sagemaker:{HERE}:processing-job/*": NAMES_AT_RUN_TIME.format(what="attempt of a run, whose id is any"),
    f"sagemaker:{HERE}:model-package-group/*--*": NAMES_AT_RUN_TIME.format(what="project"),
    f"sagemaker:{HERE}:model-package/*--*/*": NAMES_AT_RUN_TIME.format(what="version of a project's model"),
    f"sagemaker:{HERE}:model/*--*": NAMES_AT_RUN_TIME.format(what="deployment"),
    f"sagemaker:{HERE}:model/*--*--batch-*": NAMES_AT_RUN_TIME.format(what="file that the champion answers"),
    f"sagemaker:{HERE}:transform-job/*": NAMES_AT_RUN_TIME.format(what="attempt of a run, whose id is any"),
    f"sagemaker:{HERE}:transform-job/*--*": NAMES_AT_RUN_TIME.format(what="file that the champion answers"),
    f"sagemaker:{HERE}:endpoint-config/*--*": NAMES_AT_RUN_TIME.format(what="deployment"),
    f"sagemaker:{HERE}:endpoint-config/*": "Whoever has endpoints scaled looks at those that SageMaker names, too.",
    f"sagemaker:{HERE}:endpoint/*--*": NAMES_AT_RUN_TIME.format(what="project"),
    f"sagemaker:{HERE}:endpoint/*--*--realtime": NAMES_AT_RUN_TIME.format(what="project"),
    f"sagemaker:{HERE}:endpoint/*--*--staging": NAMES_AT_RUN_TIME.format(what="deployment"),
    f"cloudwatch:{HERE}:alarm:*--*": NAMES_AT_RUN_TIME.format(what="variant of an endpoint"),
    f"cloudwatch:{HERE}:alarm:TargetTracking-endpoint/*--*": "Application Auto Scaling names its policies' alarms.",
    f"application-autoscaling:{HERE}:scalable-target/*": "It has no name in its ARN; conditions say whose it is.",
    f"cloudwatch:{HERE}:alarm:*": "DescribeAlarms, which only reads, is asked of all alarms or of none.",
    f"states:{HERE}:execution:{names.MACHINE_PIPELINE}:*": NAMES_AT_RUN_TIME.format(what="run"),
    f"states:{HERE}:execution:{names.MACHINE_DEPLOYMENT}:*": NAMES_AT_RUN_TIME.format(what="deployment"),
    f"lambda:{HERE}:function:*--*--lambda": NAMES_AT_RUN_TIME.format(what="project"),
    f"lambda:{HERE}:function:*--*--lambda:*": NAMES_AT_RUN_TIME.format(what="version of a project's function"),
    f"lambda:{HERE}:function:*--*--lambda:live": NAMES_AT_RUN_TIME.format(what="project"),
    f"ec2:{HERE}:network-interface/*": "Of functions and jobs in a private network; EC2 names them.",
    f"ec2:{HERE}:*/*": "Lambda asks for it before there is an interface; the actions are of interfaces alone (MANAGE).",
    f"logs:{HERE}:log-group:{names.TRAINING_LOGS}:*": "SageMaker names the log streams of training jobs.",
    f"logs:{HERE}:log-group:{names.PROCESSING_LOGS}:*": "SageMaker names the log streams of processing jobs.",
    f"kms:{HERE}:key/*": "Keys of tenants, which are added at run time; a condition on their aliases says so.",
    **{
        f"iam::<AWS::AccountId>:role{names.role_path('*')}{names.role('*', kind, '<AWS::Region>')}": (
            "Roles of tenants, which are added at run time: of this path and kind, for their service alone."
        )
        for kind in names.ROLE_KINDS
    },
    f"logs:{HERE}:log-group:/aws/sagemaker/*": "SageMaker names the log groups of its jobs and endpoints.",
    f"logs:{HERE}:log-group:/aws/sagemaker/*:*": "SageMaker names the log streams of its jobs and endpoints.",
}
ASYNC = "Requests of any project's asynchronous endpoint and its answers, which SageMaker names."
AGED = "Retention deletes what is older than its kind is kept, of any project."
OBJECTS = {
    "artifacts": {
        **dict.fromkeys((f"/*/{place}*" for place in retention.places(retention.ARTIFACTS)), AGED),
        "/*/runs/*": "A run's objects: tenant, project and run are made at run time.",
        f"/*/runs/*/{keys.UPLOAD}*": "Accept request deletes copies that an earlier attempt left.",
        f"/*/runs/*/{keys.PLAN}": "Plan compute writes its plan below the run.",
        f"/*/runs/*/{keys.EVALUATION_REPORT}": "Judge script writes its verdict below the run.",
        f"/*/runs/*/{keys.PACKAGE}": "Register model keeps what it asked the registry for below the run.",
        f"/*/runs/*/{keys.RUN_DOCUMENT}": "Track reads the story of any settled run.",
        f"/*/runs/*/{keys.REPORT}": "Track shows the report of any settled run.",
        f"/*/runs/*/{keys.TENSORBOARD}*": "Track writes an event file below the run.",
        f"/*/runs/*/{keys.MODEL}": "Describe reads the manifest of any version that may be in service.",
        keys.async_prefix("/*", "*") + f"{keys.ASYNC_REQUESTS}*": ASYNC,
        keys.async_prefix("/*", "*") + f"{keys.ASYNC_ANSWERS}*": ASYNC,
        keys.async_prefix("/*", "*") + f"{keys.ASYNC_FAILURES}*": ASYNC,
        f"/*/{keys.BATCH}/*": "Files that champions answer, and the answers: projects and files are made at run time.",
        keys.golden_prefix("/*", "*", "*") + "*": "The golden samples of any version that gets no endpoint, as files.",
        keys.edge_prefix("/*", "*", "*") + "*": "The bundle of any version that is for devices.",
        f"/*/runs/*/{keys.GOLDEN}": "The golden samples of any version that may be deployed.",
    },
    "data": {
        **dict.fromkeys((f"/*/{place}*" for place in retention.places(retention.DATA)), AGED),
        "/*": "Accept request reads uploads, manifests and project.toml of every tenant; it may write none of them.",
        keys.salt("/*"): "One object a tenant.",
        f"/*/{keys.BATCH}/*": "Files that people want answered, of any project.",
    },
}
BUILD = {
    "Action::s3:GetObject*": "CDK's grant of the source: reads of one object of CDK's own asset bucket.",
    "Action::s3:GetBucket*": "CDK's grant of the source: location and versioning of CDK's own asset bucket.",
    "Action::s3:List*": "CDK's grant of the source: listing of CDK's own asset bucket.",
    "Action::kms:GenerateDataKey*": "CDK's grant of the project's encryption key, for what a build caches.",
    "Action::kms:ReEncrypt*": "CDK's grant of the project's encryption key, for what a build caches.",
}

LOGGED = (
    "Logs of API Gateway need a role that is set once for a whole account and region, and is others' too. The "
    "functions log every request they get, without payloads; what the API refuses itself its 4XXError metric counts."
)
API = {
    "AwsSolutions-APIG1": LOGGED,
    "AwsSolutions-APIG6": LOGGED,
    "AwsSolutions-APIG2": "What a request may hold depends on the model: its server checks every value (serving/).",
    "AwsSolutions-APIG3": "A web ACL costs money when idle; stage and usage plans throttle, and a team can add one.",
    "AwsSolutions-APIG4": (
        "Applications have API keys: the function checks whose a key is, and lets it call its own tenant's projects "
        "only (tests/functions/test_predict.py). /docs is a page without content of any project. An approval is opened "
        "by the secret in its notification's link alone (tests/functions/test_approval.py)."
    ),
    "AwsSolutions-COG4": "Callers are programs with API keys, not people who sign in.",
}


def explain(
    *, storage: Storage, serving: Serving, pipeline: Pipeline, operations: Operations, api: PublicApi | None
) -> None:
    """Acknowledge the findings, those of one resource at that resource."""
    everywhere = {"AwsSolutions-L1": RUNTIME, "AwsSolutions-IAM5[Resource::*]": NO_RESOURCE}
    everywhere |= {f"AwsSolutions-IAM5[Resource::{name}]": why for name, why in _resources(storage)}
    for stack in (serving, pipeline, operations, *filter(None, [api])):
        acknowledge(stack, everywhere)
    if api:
        acknowledge(api.api.rest, API)
    acknowledge(serving.build, {f"AwsSolutions-IAM5[{name}]": why for name, why in BUILD.items()})
    project = serving.resolve(serving.build.project_name)["Ref"]
    group = f"arn:<AWS::Partition>:logs:{HERE}:log-group:/aws/codebuild/<{project}>:*"
    streams = f"AwsSolutions-IAM5[Resource::{group}]"
    acknowledge(serving.build, {streams: "CodeBuild names the log streams of its builds."})
    acknowledge(pipeline.dead_letters, {"AwsSolutions-SQS3": "This is the dead-letter queue; an alarm watches it."})


def _resources(storage: Storage) -> Iterator[tuple[str, str]]:
    for pattern, why in PATTERNS.items():
        yield f"arn:<AWS::Partition>:{pattern}", why
    for name, patterns in OBJECTS.items():
        arn = storage.resolve(storage.export_value(getattr(storage, name).bucket_arn))["Fn::ImportValue"]
        for pattern, why in patterns.items():
            yield f"{arn}{pattern}", why


def acknowledge(scope: IConstruct, findings: Mapping[str, str], pack: str = "AwsSolutions") -> None:
    """Acknowledge findings of one of cdk-nag's packs, by their rules, with the reasons why."""
    acknowledgments = [Acknowledgment(id=f"{pack}::{name}", reason=why) for name, why in findings.items()]
    Validations.of(scope).acknowledge(*acknowledgments)
