"""Names that cross rooms: environment variables, jobs, endpoints, events, metrics, tags."""

from __future__ import annotations

import hashlib
import re

from contract.errors import InvalidConfig

# Environment variables of the Lambda handlers.
DATA_BUCKET = "TANDEM_DATA_BUCKET"
ARTIFACTS_BUCKET = "TANDEM_ARTIFACTS_BUCKET"
LEDGER_TABLE = "TANDEM_LEDGER_TABLE"
TENANT_KEY = "TANDEM_TENANT_KEY"  # ARN of the alias of a tenant's key, with <tenant> for its name
PIPELINE_ARN = "TANDEM_PIPELINE_ARN"
INTAKE_ARN = "TANDEM_INTAKE_ARN"  # of the function that begins runs
SLEEP_ARN = "TANDEM_SLEEP_ARN"  # of the machine that puts models to sleep
SUBNETS = "TANDEM_SUBNETS"  # ids, with commas, of where functions are made; absent: in no network of ours
SECURITY_GROUPS = "TANDEM_SECURITY_GROUPS"
KEEP_DAYS = "TANDEM_KEEP_DAYS"  # JSON: how long kinds of data are kept that are not as in contract/retention.py
MONTHLY_USD = "TANDEM_MONTHLY_USD"  # what a tenant without a budget of its own may spend a month
API_URL = "TANDEM_API_URL"  # where the public API is, with its stage; absent: there is none
SERVING_IMAGE_REPOSITORY = "TANDEM_SERVING_IMAGE_REPOSITORY"  # ECR repository URI, without tag
SERVING_IMAGE_TAG = "TANDEM_SERVING_IMAGE_TAG"  # hash of the serving image's source
MLFLOW_SERVER = "TANDEM_MLFLOW_SERVER"  # ARN of a managed tracking server, or a tracking URI; absent: no MLflow
FUNCTION_ROLE = "TANDEM_FUNCTION_ROLE"  # ARN of the role of functions that serve models, with <tenant> in it
FUNCTION_LOGS = "TANDEM_FUNCTION_LOGS"  # name of their log group
TENSORBOARD = "TANDEM_TENSORBOARD"  # ON: event files are written
ON = "on"

# Environment variables of the evaluation job: whom the ``champion`` input is. Empty or absent: there is no champion.
CHAMPION_PACKAGE = "TANDEM_CHAMPION_PACKAGE"  # its model package's ARN
CHAMPION_VERSION = "TANDEM_CHAMPION_VERSION"  # its number

# Environment variable of a tuning job's training jobs: the folder below ``checkpoints`` that is theirs alone.
CHECKPOINT_FOLDER = "TANDEM_CHECKPOINT_FOLDER"

# Environment variables of training jobs: when GPUs that do nothing end one (functions/idle_gpus.py reads them).
MIN_GPU_PERCENT = "TANDEM_MIN_GPU_PERCENT"
IDLE_GPU_MINUTES = "TANDEM_IDLE_GPU_MINUTES"

# Environment variables of the inference server as a Lambda function: the model archive.
MODEL_URI = "TANDEM_MODEL_URI"
MODEL_SHA256 = "TANDEM_MODEL_SHA256"  # in hex

# Environment variables of the inference server (docs/how-to/run-the-server.md).
SERVING_MAX_PAYLOAD = "SAGEMAKER_MAX_PAYLOAD_IN_MB"  # of a request; SageMaker's name for it in batch transform
SERVING_HOST = "TANDEM_SERVING_HOST"  # address that it listens on; every address of the container by default
SERVING_LOG_LINES = "TANDEM_SERVING_LOG_LINES"  # a second, below a warning; 0: all
SERVING_QUEUE = "TANDEM_SERVING_QUEUE"  # requests that may wait
SERVING_DRAIN = "TANDEM_SERVING_DRAIN_SECONDS"  # after SIGTERM, for what has begun
SERVING_ROUTES = "TANDEM_SERVING_ROUTES"  # further ones, by commas: v2 (KServe), metrics (Prometheus)
SERVING_MODEL_NAME = "TANDEM_SERVING_MODEL_NAME"  # in the paths of v2; the project by default
SERVING_METRIC_SECONDS = "TANDEM_SERVING_METRIC_SECONDS"  # between lines of CloudWatch's embedded metrics; 0: none
SERVING_CAPTURE_PERCENT = "TANDEM_SERVING_CAPTURE_PERCENT"  # of requests and answers that are kept
SERVING_CAPTURE_FOLDER = "TANDEM_SERVING_CAPTURE_FOLDER"  # where
SERVING_JOIN = "TANDEM_SERVING_JOIN"  # requests that are answered together at most

# The SageMaker container contract. SAGEMAKER_BASE_DIR is the sagemaker-training toolkit's own variable.
BASE_DIR = "SAGEMAKER_BASE_DIR"
DEFAULT_BASE_DIR = "/opt/ml"

TUNING_PROGRAM = "tandem_train.py"  # at the root of the code archive; what training jobs of a tuning job run
TRAINING_INPUTS = "input/data"  # below the base folder; one folder a channel
PROCESSING_INPUTS = "processing/input"
PROCESSING_OUTPUT = "processing/output"

# Stacks, and the outputs the command line looks up.
STACK_STORAGE, STACK_SERVING, STACK_API, STACK_PIPELINE, STACK_OPERATIONS = (
    "TandemStorage", "TandemServing", "TandemApi", "TandemPipeline", "TandemOperations",
)  # fmt: skip
TRAIL = "tandem"
STACKS = (STACK_STORAGE, STACK_SERVING, STACK_API, STACK_PIPELINE, STACK_OPERATIONS)  # in order of deployment
OUTPUT_DATA_BUCKET = "DataBucket"
OUTPUT_ARTIFACTS_BUCKET = "ArtifactsBucket"
OUTPUT_LEDGER_TABLE = "LedgerTable"
OUTPUT_PIPELINE_ARN = "PipelineArn"
OUTPUT_RESUME_FUNCTION = "ResumeFunction"
OUTPUT_MONTHLY_USD = "MonthlyUsd"  # of a tenant without a budget of its own
OUTPUT_DEPLOYMENT_ARN = "DeploymentArn"
OUTPUT_BATCH_ARN = "BatchArn"
OUTPUT_SLEEP_ARN = "SleepArn"
OUTPUT_INTAKE_FUNCTION = "IntakeFunction"
OUTPUT_KEY_ARN = "KeyArn"
OUTPUT_FUNCTION_LOGS = "ServingLogs"  # log group of the functions that serve models
OUTPUT_TENANT_TEMPLATE = "TenantTemplateAddress"  # s3://bucket/key
OUTPUT_TOPIC_ARN = "NotificationsTopic"
OUTPUT_AUDIT_LOGS = "AuditLogs"  # the log group
OUTPUT_API_ID = "ApiId"
OUTPUT_API_URL = "ApiUrl"  # ends with a slash

# The stack of a tenant, from the template that the pipeline's stack publishes; its parameters.
TENANT_STACK = "TandemTenant-"  # and the tenant's name
PARAMETER_TENANT = "Tenant"
PARAMETER_EXISTING_KEY = "ExistingKey"  # ARN of the key of a tenant that was here before; else empty
TENANT_PARAMETERS = (
    OUTPUT_DATA_BUCKET, OUTPUT_ARTIFACTS_BUCKET, OUTPUT_LEDGER_TABLE, OUTPUT_KEY_ARN, OUTPUT_FUNCTION_LOGS,
)  # fmt: skip
"""Those that are outputs of the application's stacks."""
OUTPUT_PEOPLE_POLICY = "PeoplePolicy"  # ARN of the managed policy of a tenant's people

OUTPUT_TENANT_KEY = "TenantKeyArn"

# The kinds of roles that a tenant has: whose containers take them.
ROLE_JOB, ROLE_MODEL, ROLE_TRANSFORM, ROLE_FUNCTION = "job", "model", "transform", "function"
ROLE_KINDS = (ROLE_JOB, ROLE_MODEL, ROLE_TRANSFORM, ROLE_FUNCTION)
OF_TENANT = "<tenant>"
"""Stands for a tenant's name where that is not known yet."""

# The public API: its one stage, which is the first part of every path.
API_STAGE = "v1"

# State machines.
MACHINE_PIPELINE = "tandem-pipeline"
MACHINE_DEPLOYMENT = "tandem-deployment"
MACHINE_BATCH = "tandem-batch"
MACHINE_SLEEP = "tandem-sleep"

DESTROYED = "Destroyed"  # error of an execution that `tandem destroy` stopped

# Events on the default bus.
EVENT_SOURCE = "tandem"
EVENT_RUN_SETTLED = "Run Settled"
EVENT_APPROVAL_WANTED = "Approval Wanted"
EVENT_BATCH_ENDED = "Batch Ended"
EVENT_JOB_STOPPED = "Job Stopped"  # because its GPUs did nothing
EVENT_BUDGET_CHANGED = "Budget Changed"  # this and the next three are told by the command line
EVENT_RESTORED = "Restored"
EVENT_TENANT_CHANGED = "Tenant Changed"
EVENT_DATA_FORGOTTEN = "Data Forgotten"
CLOUDTRAIL_CALL = "AWS API Call via CloudTrail"  # detail type of AWS's own
AUDIT_LOGS = "/aws/events/tandem-audit"  # how the log group of the audit trail begins

# CloudWatch. SageMaker names the log groups of its jobs.
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
PROCESSING_LOGS = "/aws/sagemaker/ProcessingJobs"
TRAINING_METRICS = TRAINING_LOGS  # the namespace of its training jobs' metrics has the same name
TRANSFORM_LOGS = "/aws/sagemaker/TransformJobs"
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"  # and a slash and the endpoint's name
METRICS_NAMESPACE = "Tandem"
METRIC_REQUESTS = "Requests"  # of an inference server, by tenant and project
METRIC_CLIENT_ERRORS, METRIC_SERVER_ERRORS = "ClientErrors", "ServerErrors"  # those answered by 4xx and 5xx
METRIC_LATENCY = "Latency"  # milliseconds, from the whole request to the whole answer
METRIC_RUN_SETTLED = "RunSettled"  # count, by tenant, project, outcome
METRIC_RUN_COST = "RunCost"  # US dollars
METRIC_RUN_SECONDS = "RunDuration"  # seconds
METRIC_API_REQUESTS = "ApiRequests"  # count, by tenant and consumer; and so are the next three
METRIC_API_ROWS = "ApiRows"  # predictions given
METRIC_API_BYTES = "ApiBytes"  # of requests' bodies
METRIC_API_ERRORS = "ApiErrors"  # answers from 400

# Tags on everything that is made at run time; `tandem destroy` finds things by them.
TAG_APP, TAG_TENANT, TAG_PROJECT, TAG_RUN = "tandem:app", "tandem:tenant", "tandem:project", "tandem:run"
APP = "tandem"

NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")  # of a tenant, a project and a run
NAME_LIMIT = 20
RUN_LIMIT = 20
ENTRYPOINT_LIMIT = 256


def check_name(path: str, value: object) -> str:
    """Return ``value`` if it can name a tenant or a project.

    At most 20 characters; ``--`` is kept to separate names in the names of
    SageMaker's resources.
    """
    if isinstance(value, str) and len(value) <= NAME_LIMIT and NAME.fullmatch(value):
        return value
    raise InvalidConfig(
        path, value, f"1 to {NAME_LIMIT} lower-case letters, digits and single hyphens, not first or last"
    )


def container_entrypoint(program: str, inputs: str) -> list[str]:
    """Return the ContainerEntrypoint that unpacks the ``code`` input and runs one of our programs.

    Args:
        program: ``prepare``, ``train`` or ``evaluate``.
        inputs: TRAINING_INPUTS or PROCESSING_INPUTS.
    """
    script = (
        f'set -eu; base="${{{BASE_DIR}:-{DEFAULT_BASE_DIR}}}"; mkdir -p "$base/program"; '
        f'tar -xzf "$base/{inputs}/code/"*.gz -C "$base/program"; '
        f'cd "$base/program"; exec python3 -m training.launch {program}'
    )
    if len(script) > ENTRYPOINT_LIMIT:
        raise ValueError(f"the entrypoint has {len(script)} characters; SageMaker takes {ENTRYPOINT_LIMIT}")
    return ["bash", "-c", script]


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def run_for_upload(project: str, bucket: str, key: str, version_id: str, *, taken: int = 0) -> str:
    """Return the run id of one object version: however often its event arrives, it is the same.

    Args:
        project: the project's name.
        bucket, key, version_id: the object's version.
        taken: how many of its ids other runs have by chance: among a million uploads, one such pair is likely.

    Example: ``digits-1f3a9c2b7d``.
    """
    again = f" {taken}" if taken else ""
    return f"{project[:9].rstrip('-')}-{_digest(f'{bucket}/{key}@{version_id}{again}', 10)}"


def run_for_execution(name: str) -> str:
    """Return the run id of an execution: its name where that fits, else a short digest of it."""
    if len(name) <= RUN_LIMIT and NAME.fullmatch(name):
        return name
    return f"run-{_digest(name, 12)}"


def endpoint(tenant: str, project: str, target: str) -> str:
    """Return the name of a project's live endpoint: at most 54 characters."""
    return f"{tenant}--{project}--{target}"


ENDPOINT_TARGETS = ("serverless", "realtime", "async")
"""The kinds of target that are endpoints of SageMaker."""

OFFLINE_TARGETS = ("batch", "edge")
"""The kinds of target where nothing on AWS waits for requests."""

INSTANCE_TARGETS = ("realtime", "async")
"""Those of them that keep instances."""

SCALABLE = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
"""What Application Auto Scaling calls the number of a variant's instances."""


def variant_resource(endpoint: str, variant: str) -> str:
    """Return the id of an endpoint's variant for Application Auto Scaling."""
    return f"endpoint/{endpoint}/variant/{variant}"


def function(tenant: str, project: str) -> str:
    """Return the name of the Lambda function that serves a project."""
    return endpoint(tenant, project, "lambda")


def tenant_of(name: str) -> str:
    """Return the tenant of what is named ``<tenant>--...``."""
    return name.partition("--")[0]


def sleep_execution(tenant: str, project: str, asleep: bool, unique: str) -> str:
    """Return the name of an execution that puts a model to sleep, or wakes it."""
    return f"{tenant}--{project}--{'sleep' if asleep else 'wake'}-{unique}"


def staging_endpoint(tenant: str, project: str) -> str:
    """Return the name of the endpoint on which golden samples are checked before any traffic."""
    return f"{tenant}--{project}--staging"


def batch_model(tenant: str, project: str, batch: str) -> str:
    """Return the name of the model that answers a batch, by the batch's id."""
    return f"{tenant}--{project}--batch-{batch}"


ALARM = re.compile(r"[a-z0-9-]+--[a-z0-9-]+--[a-z]+--[A-Za-z0-9]+--(errors|latency|backlog)")
"""What :func:`alarm` returns."""


def alarm(endpoint: str, variant: str, what: str) -> str:
    """Return the name of a CloudWatch alarm of an endpoint's variant, or of a function's version.

    ``what`` is ``errors``, ``latency`` or, of a queue without an instance, ``backlog``.
    """
    return f"{endpoint}--{variant}--{what}"


def role_path(tenant: str) -> str:
    """Return the IAM path of everything of a tenant; with a pattern as its name, of every tenant."""
    return f"/{APP}/{tenant}/"


def role(tenant: str, kind: str, region: str) -> str:
    """Return the name of a tenant's role. IAM has one namespace for all regions of an account."""
    return f"{tenant}--{kind}--{region}"


def role_arn(tenant: str, kind: str, *, partition: str, account: str, region: str) -> str:
    """Return the ARN of a tenant's role of one of ROLE_KINDS."""
    return f"arn:{partition}:iam::{account}:role{role_path(tenant)}{role(tenant, kind, region)}"


def common_policy(kind: str, region: str) -> str:
    """Return the name of the policy of what the containers of a kind need of the application, whosever they are."""
    return f"{APP}--{kind}--{region}"


def key_alias(tenant: str) -> str:
    """Return the alias of the key that encrypts what a tenant's jobs write."""
    return f"alias/{APP}/{tenant}"


def of_tenant(template: str, tenant: str) -> str:
    """Return a text with a tenant's name in it, from one with OF_TENANT."""
    return template.replace(OF_TENANT, tenant)


def tenant_stack(tenant: str) -> str:
    """Return the name of a tenant's stack."""
    return f"{TENANT_STACK}{tenant}"


def model_group(tenant: str, project: str) -> str:
    """Return the name of a project's model package group."""
    return f"{tenant}--{project}"


def tags(tenant: str, project: str, run: str) -> list[dict[str, str]]:
    """Return the tags of a resource made at run time, in SageMaker's form."""
    pairs = {TAG_APP: APP, TAG_TENANT: tenant, TAG_PROJECT: project, TAG_RUN: run}
    return [{"Key": key, "Value": value} for key, value in pairs.items()]
