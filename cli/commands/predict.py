"""``tandem predict``: asks the model in service."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.table import Table

from cli import asynchronous, ledger, render
from cli.aws import Account, error_code, split_project
from cli.errors import BadArgument, CommandError, ModelRefused, NotFound, model_reason
from cli.options import Context, Project
from contract import names, offline, sleeping
from contract.async_calls import MAX_PAYLOAD_MB
from contract.lambda_calls import Answered, Asked

CONTENT_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".csv": "text/csv",
    ".json": "application/json",
    ".npy": "application/x-npy",
}
MIB = 1024 * 1024
BODY_LIMIT = 4 * MIB  # of a serverless endpoint; a real-time one takes 6 MiB
SHOWN = 20
WIDE = 8  # values of a row, from which on each has a line of its own
SHOWN_ABREAST = 5  # rows that are shown beside each other then
LARGE = 1e6  # from here on values are shown whole, not as powers of ten


def predict(
    context: Context,
    project: Project,
    file: Annotated[Path, typer.Argument(help="Image, CSV, JSON or npy.")],
) -> None:
    """Ask the model in service about the rows of a file; one with a queue answers when it comes to it."""
    answer = ask(context.account, *split_project(project), file, tell=context.out.say)
    context.out.document(answer)
    heads, rows = _table(answer["predictions"])
    wide = len(heads) > WIDE
    shown = rows[: SHOWN_ABREAST if wide else SHOWN]
    context.out.show(_upright(heads, shown) if wide else render.table(heads, shown))
    if len(rows) > len(shown):
        context.out.show(f"... and {len(rows) - len(shown)} more; --json has them all")


def ask(
    account: Account, tenant: str, project: str, file: Path, *, tell: Callable[[str], Any] = lambda _: None
) -> dict[str, Any]:
    """Return the endpoint's answer, with version and endpoint; ``tell`` is told where it will be, if that takes time.

    A prediction is ``{"label", "probabilities"}``, or ``{"values"}`` of a model that predicts values.
    """
    content_type = CONTENT_TYPES.get(file.suffix.lower())
    if content_type is None:
        raise BadArgument(
            f"{file}: {file.suffix or 'no ending'} is not understood; expected {', '.join(CONTENT_TYPES)}."
        )
    champion = ledger.champion(account, tenant, project)
    if champion is None:
        raise NotFound(
            f"No model of {tenant}/{project} is in service.", f"`tandem runs {tenant}/{project}` tells what ran."
        )
    if champion.get("asleep"):
        raise CommandError(sleeping.told(champion, datetime.now(UTC)), f"Wake it with: tandem wake {tenant}/{project}")
    endpoint, target = champion["endpoint"], champion["target"]
    if target in names.OFFLINE_TARGETS:
        told = f"Version {champion['version']} of {tenant}/{project} is in service without an endpoint."
        raise CommandError(told, offline.how(target, f"{tenant}/{project}"))
    if target == "async":
        body = _read(file, MAX_PAYLOAD_MB * MIB)
        answer = asynchronous.ask(account, (tenant, project), endpoint, content_type, body, tell)
    else:
        invoke = _invoke_function if target == "lambda" else _invoke
        answer = invoke(account, endpoint, content_type, _read(file, BODY_LIMIT))
    return {**answer, "endpoint": endpoint, "version": int(str(champion["version"]))}


def _read(file: Path, limit: int) -> bytes:
    try:
        body = file.read_bytes()
    except OSError as error:
        raise BadArgument(f"{file} cannot be read: {error.strerror}.") from error
    if len(body) > limit:
        raise BadArgument(
            f"{file} has {render.size(len(body))}; an endpoint takes {render.size(limit)}.", "Send fewer rows."
        )
    return body


def _invoke(account: Account, endpoint: str, content_type: str, body: bytes) -> dict[str, Any]:
    try:
        answer = account.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, ContentType=content_type, Accept="application/json", Body=body
        )
    except ClientError as error:
        if error_code(error) != "ModelError":
            raise
        told: Any = error.response  # InvokeEndpoint's errors carry the container's own answer
        said = told.get("OriginalMessage") or str(error)
        if 400 <= int(told.get("OriginalStatusCode") or 500) < 500:
            raise ModelRefused(said) from error
        raise CommandError(f"The model failed at {model_reason(said)}") from error
    answered: dict[str, Any] = json.loads(answer["Body"].read())
    return answered


def _invoke_function(account: Account, function: str, content_type: str, body: bytes) -> dict[str, Any]:
    event = Asked(body=body, content_type=content_type).to_event()
    answer = account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise CommandError(f"The function failed: {told.get('errorType')}: {told.get('errorMessage')}")
    answered = Answered.from_result(told)
    if answered.status != 200:
        raise ModelRefused(answered.body.decode())
    document: dict[str, Any] = json.loads(answered.body)
    return document


def _table(predictions: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return heads and rows: labels with their probabilities, or values by name."""
    if "values" not in predictions[0]:
        heads = ("row", "label", "probability", "next")
        return heads, [_row(number, each) for number, each in enumerate(predictions, start=1)]
    names = tuple(predictions[0]["values"])
    rows = [(number, *map(_value, each["values"].values())) for number, each in enumerate(predictions, start=1)]
    return ("row", *names), rows


def _upright(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Return rows as columns, for those that are too wide for a terminal."""
    first, *values = zip(heads, *rows, strict=True)
    return render.table([str(each) for each in first], values)


def _value(value: float) -> str:
    return f"{value:,.6g}" if abs(value) < LARGE else f"{value:,.0f}"


def _row(number: int, prediction: dict[str, Any]) -> tuple[Any, ...]:
    ranked = sorted(prediction["probabilities"].items(), key=lambda pair: -pair[1])
    following = ", ".join(f"{label} {probability:.3f}" for label, probability in ranked[1:3])
    return number, prediction["label"], f"{prediction['probabilities'][prediction['label']]:.4f}", following
