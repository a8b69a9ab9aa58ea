"""The steps of a batch: a file, the champion, a transform job, the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract import batch, keys, ledger, names, packages
from infra.asl import ASKED, FOLLOWED, State, caught, choice, expression, task, transient, when
from infra.steps import transforms
from infra.steps.champion import LEDGER_ERRORS, key
from infra.steps.deployment_parts import FAILURE, SAGEMAKER_ERRORS
from infra.steps.transforms import STOPPED

EVENT_ERRORS = tuple(
    f"EventBridge.{name}"
    for name in ("AmazonEventBridgeException", "InternalException", "SdkClientException", "ThrottlingException")
)
S3_ERRORS = ("S3.S3Exception", "S3.SdkClientException")
ANSWER_SECONDS = 21_600
TAKEN = "DynamoDB.ConditionalCheckFailedException"
ENDED = "$exists($states.input.detail.executionArn)"
"""Whether the input is the event of the end of a batch that was stopped."""
INPUT = f"{ASKED}.detail"
STATUS = f"$failure = null ? '{batch.ANSWERED}' : $failure.error = '{STOPPED}' ? '{batch.STOPPED}' : '{batch.FAILED}'"
MODEL_NAME = expression("$tenant & '--' & $project & '--batch-' & $id")


@dataclass(frozen=True, kw_only=True)
class BatchParts:
    """Everything outside the state machine that its states name: buckets, a table's name, ARNs of a role and a key."""

    artifacts_bucket: str
    ledger: str
    model_role: str
    key: str
    network: Mapping[str, Any] = field(default_factory=dict)

    def artifact(self, path: str) -> str:
        """Return the expression of the S3 address of ``path`` below the batch's prefix."""
        return expression(f"'s3://{self.artifacts_bucket}/' & $prefix & '{path}'")


def is_file(*, yes: str, stopped: str, no: str) -> State:
    """Decide whether the object is a file directly in a project's batch folder; the rule's pattern knows less.

    Of a batch that was stopped, which no Catch sees, the event of its end leads to ``stopped``.
    """
    parts = f"$split({INPUT}.object.key, '/')"
    version = f"{INPUT}.object.`version-id`"
    digest = f"$hash({INPUT}.bucket.name & '/' & {INPUT}.object.key & '@' & {version}, 'SHA-256')"
    batch_id = f"$substring({digest}, 0, {batch.ID_LENGTH})"
    found = {
        "tenant": f"{parts}[0]",
        "project": f"{parts}[1]",
        "file": f"{parts}[3]",
        "id": batch_id,
        "prefix": f"{parts}[0] & '/' & {parts}[1] & '/{keys.BATCH}/' & {parts}[3] & '/' & {batch_id} & '/'",
        "size": f"{INPUT}.object.size",
        "source": f"$encodeUrlComponent({INPUT}.bucket.name & '/' & {INPUT}.object.key) & '?versionId=' & {version}",
        "instance": "$exists($states.input.instance) ? $states.input.instance : ''",
        "ending": f"'.' & $lowercase($split({parts}[3], '.')[-1])",
        "champion": "null",
        "failure": "null",
    }
    condition = f"$count({parts}) = 4 and {parts}[2] = '{keys.BATCH}' and {parts}[3] != ''"
    detail = "$states.input.detail"
    failed = f"{detail}.status = 'FAILED' ? 'The batch failed: ' & {detail}.error : 'The batch was stopped.'"
    cause = f"{detail}.status = 'TIMED_OUT' ? 'The batch ran out of time.' : {failed}"
    ended = {
        "stopped": "$states.input.detail.executionArn",
        "followed": FOLLOWED,
        "failure": f"{{'error': '{STOPPED}', 'cause': {cause}}}",
    }
    return choice(
        when(f"{ENDED} and {condition}", stopped, _expressions(found | ended)),
        when(condition, yes, _expressions(found)),
        otherwise=no,
    )


def claim(parts: BatchParts, *, then: str, taken: str) -> State:
    """Write the batch's row, unless another execution answers the file, or has: events may come twice."""
    values = {
        ":me": "$states.context.Execution.Id",
        ":file": "$file",
        ":now": "$now()",
        ":answers": f"'s3://{parts.artifacts_bucket}/' & $prefix & '{keys.BATCH_ANSWERS}' & $file & '.out'",
        ":running": f"'{batch.RUNNING}'",
        ":failed": f"'{batch.FAILED}'",
        ":stopped": f"'{batch.STOPPED}'",
    }
    told = "SET execution_arn = :me, #file = :file, started = :now, answers = :answers, #status = :running"
    free = "attribute_not_exists(pk) OR execution_arn = :me OR #status IN (:failed, :stopped)"
    return _write(parts, told, values, then=then, names={"#file": "file"}, condition=free) | {
        "Catch": [caught(TAKEN, then=taken)]
    }


def take_over(parts: BatchParts, *, then: str, taken: str) -> State:
    """Make the row of a batch that was stopped this execution's, unless it had ended, or is another's by now."""
    values = {":me": "$states.context.Execution.Id", ":stopped": "$stopped", ":followed": "$followed"}
    values |= {":running": f"'{batch.RUNNING}'"}
    theirs = "execution_arn IN (:me, :stopped, :followed) AND #status = :running"
    return _write(parts, "SET execution_arn = :me", values, then=then, condition=theirs) | {
        "Catch": [caught(TAKEN, then=taken)]
    }


def find_champion(parts: BatchParts, *, then: str, failed: str) -> State:
    """Read the champion's row, strongly consistent."""
    item = "$states.result.Item"
    found = expression(f"$exists({item}) ? {{'package_arn': {item}.package_arn.S, 'version': {item}.version.N}} : null")
    return task(
        "dynamodb:getItem",
        {"TableName": parts.ledger, "Key": key(ledger.CHAMPION, "$tenant", "$project"), "ConsistentRead": True},
        then=then,
        seconds=60,
        retry=[transient(*LEDGER_ERRORS)],
        assign={"champion": found},
        output={},
        catch=_on_failure(failed),
    )


def can_be_answered(*, yes: str, no: str) -> State:
    """Refuse what the champion cannot answer in one request: the whole file has one header."""
    types = ", ".join(f"'{ending}': '{content}'" for ending, content in batch.CONTENT_TYPES.items())
    known = f"{{{types}}}"
    endings = ", ".join(batch.CONTENT_TYPES)
    limit = batch.MAX_PAYLOAD_MB * 2**20
    refusals = [
        ("$champion = null", "NoChampion", "'No version of ' & $tenant & '/' & $project & ' is in service.'"),
        (f"$size > {limit}", "FileTooLarge",
         f"$file & ' has ' & $string($size) & ' bytes; a file may have {limit} at most. Send it in parts, each with "
         "its header.'"),
        (f"$not($exists($lookup({known}, $ending)))", "UnknownFile",
         f"$file & ' is not understood; expected a name that ends in {endings}.'"),
    ]  # fmt: skip
    rules = [
        when(condition, no, {"failure": {"error": error, "cause": expression(cause)}})
        for condition, error, cause in refusals
    ]
    content = expression(f"$lookup({known}, $ending)")
    return choice(*rules, otherwise=yes, assign={"content_type": content})


def copy_file(parts: BatchParts, *, then: str, failed: str) -> State:
    """Copy the version of the file that arrived: nothing changes under the job, and it reads no other file."""
    return task(
        "aws-sdk:s3:copyObject",
        {
            "Bucket": parts.artifacts_bucket,
            "Key": expression(f"$prefix & '{keys.BATCH_INPUT}' & $file"),
            "CopySource": "{% $source %}",
            "TaggingDirective": "REPLACE",
        },
        then=then,
        seconds=300,
        retry=[transient(*S3_ERRORS, times=3)],
        output={},
        catch=_on_failure(failed),
    )


def describe_version(*, then: str, failed: str) -> State:
    """Look up the image, the archive and the machine of the champion's version."""
    machine = f"$states.result.CustomerMetadataProperties.`{packages.DEPLOY}batch_instance`"
    container = "$states.result.InferenceSpecification.Containers[0]"
    return task(
        "aws-sdk:sagemaker:describeModelPackage",
        {"ModelPackageName": "{% $champion.package_arn %}"},
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=3)],
        assign={
            "container": {
                "Image": expression(f"{container}.Image"),
                "ModelDataUrl": expression(f"{container}.ModelDataUrl"),
            },
            "instance": expression(
                f"$instance != '' ? $instance : $exists({machine}) ? {machine} : '{batch.INSTANCE}'"
            ),
            "tags": names.tags(
                "{% $tenant %}", "{% $project %}", "{% $states.result.CustomerMetadataProperties.run %}"
            ),
        },
        output={},
        catch=_on_failure(failed),
    )


def create_model(parts: BatchParts, *, then: str, failed: str) -> State:
    """Join the image and the archive; the container reaches no network."""
    return task(
        "aws-sdk:sagemaker:createModel",
        {
            "ModelName": MODEL_NAME,
            "PrimaryContainer": "{% $container %}",
            "ExecutionRoleArn": parts.model_role,
            "EnableNetworkIsolation": True,
            **parts.network,
            "Tags": "{% $tags %}",
        },
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=3)],
        output={},
        catch=_on_failure(failed),
    )


def transform(parts: BatchParts, *, then: str, failed: str) -> State:
    """Have the model answer the file, in one request: a CSV's header is needed in each."""
    execution = f"$substring($hash($states.context.Execution.Id, 'SHA-256'), 0, {batch.ID_LENGTH})"
    return transforms.run(
        name=f"$tenant & '--' & $project & '--' & {execution}",
        model=MODEL_NAME,
        content_type="{% $content_type %}",
        requests=parts.artifact(keys.BATCH_INPUT),
        answers=parts.artifact(keys.BATCH_ANSWERS),
        accept=expression(f"$content_type = '{batch.CSV}' ? '{batch.CSV}' : '{batch.JSON}'"),
        instance="{% $instance %}",
        key=parts.key,
        tags="{% $tags %}",
        seconds=ANSWER_SECONDS,
        then=then,
        failed=failed,
    )


def delete_model(*, then: str) -> State:
    """Forget the model; one that is not there was never made."""
    return task(
        "aws-sdk:sagemaker:deleteModel",
        {"ModelName": MODEL_NAME},
        then=then,
        seconds=60,
        retry=[transient(*SAGEMAKER_ERRORS, times=2)],
        output={},
        catch=[caught("States.ALL", then=then)],
    )


def settle(parts: BatchParts, *, then: str) -> State:
    """Write how it ended into the batch's row."""
    values = {
        ":status": STATUS,
        ":reason": "$failure = null ? '' : $failure.cause",
        ":version": "$champion = null ? '' : $champion.version",
        ":now": "$now()",
    }
    told = "SET #status = :status, reason = :reason, version = :version, ended = :now"
    return _write(parts, told, values, then=then)


def tell(parts: BatchParts, *, then: str) -> State:
    """Put the event on the bus that programs can wait for."""
    detail = {
        "tenant": "$tenant",
        "project": "$project",
        "file": "$file",
        "id": "$id",
        "status": STATUS,
        "reason": "$failure = null ? '' : $failure.cause",
        "answers": f"'s3://{parts.artifacts_bucket}/' & $prefix & '{keys.BATCH_ANSWERS}' & $file & '.out'",
    }
    entry = {
        "Source": names.EVENT_SOURCE,
        "DetailType": names.EVENT_BATCH_ENDED,
        "Detail": _expressions(detail),
    }
    return task(
        "events:putEvents",
        {"Entries": [entry]},
        then=then,
        seconds=60,
        retry=[transient(*EVENT_ERRORS, "EventBridge.FailedEntry")],
        output={},
    )


def how_did_it_end(*, well: str, badly: str) -> State:
    """Decide how the execution ends, now that everything is tidy."""
    return choice(when("$failure = null", well), otherwise=badly)


def failed() -> State:
    """End with the error that stopped the batch."""
    return {"Type": "Fail", "Error": "{% $failure.error %}", "Cause": "{% $failure.cause %}"}


def _expressions(codes: Mapping[str, str]) -> dict[str, str]:
    return {name: expression(code) for name, code in codes.items()}


def _write(
    parts: BatchParts,
    told: str,
    values: Mapping[str, str],
    *,
    then: str,
    names: Mapping[str, str] | None = None,
    condition: str = "",
) -> State:
    """Change the batch's row; ``values`` are JSONata code."""
    arguments: dict[str, Any] = {
        "TableName": parts.ledger,
        "Key": _row(),
        "UpdateExpression": told,
        "ExpressionAttributeNames": {"#status": "status", **(names or {})},
        "ExpressionAttributeValues": {name: {"S": expression(code)} for name, code in values.items()},
    }
    arguments |= {"ConditionExpression": condition} if condition else {}
    retry = [transient(*LEDGER_ERRORS)]
    return task("dynamodb:updateItem", arguments, then=then, seconds=60, retry=retry, output={})


def _row() -> dict[str, Any]:
    return {**key("", "$tenant", "$project"), "sk": {"S": expression(f"'{ledger.BATCH}#' & $id")}}


def _on_failure(then: str) -> list[dict[str, Any]]:
    return [caught("States.ALL", then=then, assign={"failure": FAILURE})]
