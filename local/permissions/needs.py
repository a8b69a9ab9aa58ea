"""Which actions on which resources an operation needs: the service authorization reference, as far as roles here call.

https://docs.aws.amazon.com/service-authorization/latest/reference/ has a page for each service. An operation that a
role calls and that is not covered here fails loudly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.stepfunctions import models as stepfunctions

from local.permissions.conditions import Context
from local.permissions.requests import Call


@dataclass(frozen=True, kw_only=True)
class Need:
    """One action on one resource that a caller must be allowed.

    Args:
        action: ``sqs:SendMessage``.
        resource: an ARN, or ``*`` for an action without one.
        context: the condition keys of this action.
    """

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose account, in which region."""

    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource here; a resource whose name is an ARN already has that."""
        name = resource.partition("/")[2]
        own = next((each for each in (resource, name) if each.startswith("arn:")), "")
        return own or f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


Rule = Callable[[Call, Place], Iterator[Need]]


def pass_role(role: str, service: str) -> Need:
    """Return what handing a role to a service needs."""
    return Need(action="iam:PassRole", resource=role, context={"iam:passedtoservice": [f"{service}.amazonaws.com"]})


SAGEMAKER = {
    "TrainingJob": "training-job", "ProcessingJob": "processing-job", "TransformJob": "transform-job",
    "HyperParameterTuningJob": "hyper-parameter-tuning-job", "Model": "model", "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint", "ModelPackageGroup": "model-package-group", "ModelPackage": "model-package",
}  # fmt: skip
"""Nouns of operations and the resources of their ARNs."""
_VERBS = ("Create", "Describe", "Update", "Delete", "Stop", "Invoke", "ListTrainingJobsFor")


def _sagemaker(call: Call, here: Place) -> Iterator[Need]:
    resources = list(_sagemaker_resources(call, here))
    for resource in resources:
        yield Need(action=f"sagemaker:{call.operation}", resource=resource)
    if call.params.get("Tags") and call.operation != "AddTags":
        yield Need(action="sagemaker:AddTags", resource=resources[0])
    for role in _roles(call.params):
        yield pass_role(role, "sagemaker")


def _sagemaker_resources(call: Call, here: Place) -> Iterator[str]:
    if arn := call.params.get("ResourceArn"):  # of tags
        yield arn
        return
    if call.operation == "ListModelPackages" and (group := call.params.get("ModelPackageGroupName")):
        yield here.arn("sagemaker", f"model-package-group/{group.rpartition('/')[2]}")
        return
    noun = _noun(call.operation)
    if not noun:
        yield "*"  # lists have no resource
        return
    if call.operation == "CreateModelPackage":
        group = call.params["ModelPackageGroupName"].rpartition("/")[2]
        yield here.arn("sagemaker", f"model-package-group/{group}")
        yield here.arn("sagemaker", f"model-package/{group}/new")
        return
    name = call.params.get(f"{noun}Name") or call.params[f"{noun}Arn"]
    yield here.arn("sagemaker", f"{SAGEMAKER[noun]}/{name}")
    if call.operation in ("CreateEndpoint", "UpdateEndpoint"):
        yield here.arn("sagemaker", f"endpoint-config/{call.params['EndpointConfigName']}")


def _noun(operation: str) -> str:
    """Return what an operation is about; "" for one about nothing in particular, as a list of all."""
    for verb in _VERBS:
        found = operation.removeprefix(verb).removesuffix("Async").removesuffix("WeightsAndCapacities")
        if operation.startswith(verb) and found in SAGEMAKER:
            return found
    if operation.startswith(("List", "Search")):
        return ""
    raise NotImplementedError(f"what sagemaker:{operation} needs")


def _roles(params: Any) -> Iterator[str]:
    """Yield the roles that a request hands over, however deep they lie."""
    if isinstance(params, Mapping):
        for name, value in params.items():
            if name in ("RoleArn", "ExecutionRoleArn") and isinstance(value, str):
                yield value
            else:
                yield from _roles(value)
    elif isinstance(params, list):
        for each in params:
            yield from _roles(each)


def _dynamodb(call: Call, here: Place) -> Iterator[Need]:
    if call.operation.startswith("Transact"):
        for each in call.params["TransactItems"]:
            for verb, item in each.items():
                yield from _row(f"dynamodb:{verb}Item", item, here)
    elif call.operation.startswith("Batch"):
        for table, asked in call.params["RequestItems"].items():
            keys = asked["Keys"] if "Keys" in asked else [next(iter(each.values())) for each in asked]
            for key in keys:
                yield from _row(f"dynamodb:{call.operation}", {**key, "TableName": table}, here)
    else:
        yield from _row(f"dynamodb:{call.operation}", call.params, here)


def _row(action: str, asked: Mapping[str, Any], here: Place) -> Iterator[Need]:
    table = asked["TableName"].rpartition("/")[2]
    index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
    key = (asked.get("Key") or asked.get("Item") or asked.get("Keys") or {}).get("pk")
    context = {"dynamodb:leadingkeys": [next(iter(key.values()))]} if isinstance(key, dict) else {}
    yield Need(action=action, resource=here.arn("dynamodb", f"table/{table}{index}"), context=context)


def _lambda(call: Call, here: Place) -> Iterator[Need]:
    action = {"Invoke": "InvokeFunction", "ListVersionsByFunction": "ListVersionsByFunction"}.get(call.operation)
    action = action or call.operation.partition("20")[0]
    if arn := call.params.get("Resource"):  # of tags
        yield Need(action=f"lambda:{action}", resource=arn)
        return
    name = here.arn("lambda", f"function:{call.params['FunctionName'].rpartition('function:')[2]}")
    alias = call.operation.endswith("Alias")
    qualifier = None if alias else call.params.get("Qualifier")
    yield Need(action=f"lambda:{action}", resource=f"{name}:{qualifier}" if qualifier else name)
    if call.params.get("Tags"):
        yield Need(action="lambda:TagResource", resource=name)
    if role := call.params.get("Role"):
        yield pass_role(role, "lambda")


def _states(call: Call, here: Place) -> Iterator[Need]:
    if call.operation.startswith("SendTask"):
        backend: Any = stepfunctions.stepfunctions_backends[here.account][here.region]
        waiting = backend.callbacks.find(call.params["taskToken"])
        if waiting:  # the token tells the machine
            yield Need(action=f"states:{call.operation}", resource=waiting.machine)
        return
    resource = call.params.get("executionArn") or call.params["stateMachineArn"]
    yield Need(action=f"states:{call.operation}", resource=resource)


def _events(call: Call, here: Place) -> Iterator[Need]:
    for entry in call.params.get("Entries", []):
        bus = entry.get("EventBusName", "default").rpartition("/")[2]
        context = {"events:source": [entry["Source"]], "events:detail-type": [entry["DetailType"]]}
        yield Need(action="events:PutEvents", resource=here.arn("events", f"event-bus/{bus}"), context=context)
    if "Entries" not in call.params:
        name = call.params.get("Rule") or call.params["Name"]
        yield Need(action=f"events:{call.operation}", resource=here.arn("events", f"rule/{name}"))


def _cloudwatch(call: Call, here: Place) -> Iterator[Need]:
    if call.operation == "PutMetricData":
        yield Need(action="cloudwatch:PutMetricData", context={"cloudwatch:namespace": [call.params["Namespace"]]})
    elif call.operation == "DescribeAlarms":
        yield Need(action="cloudwatch:DescribeAlarms", resource=here.arn("cloudwatch", "alarm:*"))
    elif call.operation.endswith(("MetricAlarm", "Alarms")):
        names = call.params.get("AlarmNames") or [call.params["AlarmName"]]
        for name in names:
            yield Need(action=f"cloudwatch:{call.operation}", resource=here.arn("cloudwatch", f"alarm:{name}"))
        if call.params.get("Tags"):
            yield Need(action="cloudwatch:TagResource", resource=here.arn("cloudwatch", f"alarm:{names[0]}"))
    else:
        yield Need(action=f"cloudwatch:{call.operation}")


def _logs(call: Call, here: Place) -> Iterator[Need]:
    group = here.arn("logs", f"log-group:{call.params['logGroupName']}")
    stream = call.params.get("logStreamName", "")  # of the group as a whole IAM is asked with none
    yield Need(action=f"logs:{call.operation}", resource=f"{group}:log-stream:{stream}")


def _ecr(call: Call, here: Place) -> Iterator[Need]:
    name = call.params.get("repositoryName")
    owner = Place(account=call.params.get("registryId", here.account), region=here.region)
    yield Need(action=f"ecr:{call.operation}", resource=owner.arn("ecr", f"repository/{name}") if name else "*")


def _codebuild(call: Call, here: Place) -> Iterator[Need]:
    builds = call.params.get("ids") or ([call.params["id"]] if "id" in call.params else [])
    projects = [each.partition(":")[0] for each in builds] or [call.params["projectName"]]
    for project in projects:
        yield Need(action=f"codebuild:{call.operation}", resource=here.arn("codebuild", f"project/{project}"))


def _sqs(call: Call, here: Place) -> Iterator[Need]:
    queue = (call.params.get("QueueUrl") or call.params["QueueName"]).rpartition("/")[2]
    yield Need(action=f"sqs:{call.operation}", resource=here.arn("sqs", queue))


def _sns(call: Call, here: Place) -> Iterator[Need]:
    yield Need(action=f"sns:{call.operation}", resource=call.params.get("TopicArn") or call.params["TargetArn"])


def _kms(call: Call, here: Place) -> Iterator[Need]:
    yield Need(action=f"kms:{call.operation}", resource=here.arn("kms", f"key/{call.params['KeyId']}"))


def _scaling(call: Call, here: Place) -> Iterator[Need]:
    resources = [here.arn("application-autoscaling", "scalable-target/*")]
    if call.operation.startswith("Describe"):
        resources = ["*"]  # lists have no resource
    context = {
        "application-autoscaling:service-namespace": [call.params.get("ServiceNamespace", "")],
        "application-autoscaling:scalable-dimension": [call.params.get("ScalableDimension", "")],
    }
    for resource in resources:
        yield Need(action=f"application-autoscaling:{call.operation}", resource=resource, context=context)


def _without_resource(prefix: str) -> Rule:
    def rule(call: Call, here: Place) -> Iterator[Need]:
        yield Need(action=f"{prefix}:{call.operation}")

    return rule


def _nothing(call: Call, here: Place) -> Iterator[Need]:
    """Yield nothing: anybody may ask who they are."""
    yield from ()


RULES: Mapping[str, Rule] = {
    "sagemaker": _sagemaker, "dynamodb": _dynamodb, "lambda": _lambda, "states": _states, "events": _events,
    "monitoring": _cloudwatch, "logs": _logs, "ecr": _ecr, "codebuild": _codebuild, "sqs": _sqs, "sns": _sns,
    "kms": _kms, "application-autoscaling": _scaling, "servicequotas": _without_resource("servicequotas"),
    "sts": _nothing,
}  # fmt: skip
"""By the name that the service signs with; S3 is in ``storage``."""


def of(call: Call, here: Place) -> list[Need]:
    """Return what a call needs.

    Raises:
        NotImplementedError: the operation is not known here.
    """
    rule = RULES.get(call.service)
    if rule is None or not call.operation:
        raise NotImplementedError(f"what {call.service}:{call.operation or 'an unknown operation'} needs")
    try:
        return list(rule(call, here))
    except (LookupError, AttributeError) as error:
        raise NotImplementedError(f"what {call.service}:{call.operation} needs ({error!r})") from error
