"""Places in AWS: a version gets there by the deployment machine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.places.version import Send, Served, Version, eventually
from cli import asynchronous, ledger
from cli.commands import batch
from contract import keys
from contract.batch import RUNNING
from contract.lambda_calls import Answered, Asked
from contract.ledger import batch_key

JSON = "application/json"


@contextmanager
def endpoint(version: Version, settings: Mapping[str, Any]) -> Iterator[Served]:
    """Serve behind an endpoint of SageMaker that answers at once."""
    name = version.release(settings)["endpoint"]
    yield Served(send=partial(_invoke, version, name), again=partial(_another_endpoint, version, name, _invoke))


def _invoke(version: Version, name: str, body: bytes) -> bytes:
    runtime = version.account.client("sagemaker-runtime")
    told: bytes = runtime.invoke_endpoint(EndpointName=name, ContentType=JSON, Body=body)["Body"].read()
    return told


@contextmanager
def _another_endpoint(version: Version, name: str, ask: Callable[[Version, str, bytes], bytes]) -> Iterator[Send]:
    """Create another endpoint of the same configuration, and delete it at the end."""
    sagemaker, other = version.account.client("sagemaker"), f"{name}-{secrets.token_hex(4)}"
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    sagemaker.create_endpoint(EndpointName=other, EndpointConfigName=config)
    try:
        eventually(lambda: sagemaker.describe_endpoint(EndpointName=other)["EndpointStatus"] == "InService", 0.01)
        yield partial(ask, version, other)
    finally:
        sagemaker.delete_endpoint(EndpointName=other)


@contextmanager
def queue(version: Version, settings: Mapping[str, Any]) -> Iterator[Served]:
    """Serve behind an endpoint of SageMaker that answers when it comes to it."""
    name = version.release(settings)["endpoint"]
    yield Served(send=partial(_wait_for, version, name), again=partial(_another_endpoint, version, name, _wait_for))


def _wait_for(version: Version, name: str, body: bytes) -> bytes:
    project = (version.tenant, version.project)
    answer, failure = asynchronous.send(version.account, project, name, JSON, body)

    def come() -> bytes | None:
        if failed := ledger.read(version.account, keys.parse_uri(failure)[1]):
            raise RuntimeError(failed.decode())
        return ledger.read(version.account, keys.parse_uri(answer)[1])

    told: bytes = eventually(come, 0.005)
    return told


@contextmanager
def function(version: Version, settings: Mapping[str, Any]) -> Iterator[Served]:
    """Serve as a Lambda function."""
    alias = version.release(settings)["endpoint"]
    yield Served(send=partial(_call, version, alias), again=partial(_another_version, version, alias.partition(":")[0]))


def _call(version: Version, name: str, body: bytes) -> bytes:
    event = json.dumps(Asked(body=body, content_type=JSON).to_event())
    answer = version.account.client("lambda").invoke(FunctionName=name, Payload=event)
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer or Answered.from_result(told).status != 200:
        raise RuntimeError(f"{name} answers {told}")
    return Answered.from_result(told).body


@contextmanager
def _another_version(version: Version, name: str) -> Iterator[Send]:
    """Publish another version of a function, which nothing runs yet, and delete it at the end."""
    functions = version.account.client("lambda")
    functions.update_function_configuration(FunctionName=name, Description=secrets.token_hex(4))
    number = functions.publish_version(FunctionName=name)["Version"]
    try:
        yield partial(_call, version, f"{name}:{number}")
    finally:
        functions.delete_function(FunctionName=name, Qualifier=number)


@contextmanager
def files(version: Version, settings: Mapping[str, Any]) -> Iterator[Served]:
    """Have whole files answered by batch transform jobs."""
    version.release(settings)
    yield Served(send=partial(_transform, version), again=None)


def _transform(version: Version, body: bytes) -> bytes:
    path, table = version.folder / f"{secrets.token_hex(4)}.json", version.account.table()
    path.write_bytes(body)
    key = batch_key(version.tenant, version.project, batch.send(version.account, version.tenant, version.project, path))

    def ended() -> Any:
        row = table.get_item(Key=key, ConsistentRead=True).get("Item", {})
        return row if row.get("status", RUNNING) != RUNNING else None

    bucket, answers = keys.parse_uri(eventually(ended)["answers"])
    told: bytes = version.account.client("s3").get_object(Bucket=bucket, Key=answers)["Body"].read()
    return told
