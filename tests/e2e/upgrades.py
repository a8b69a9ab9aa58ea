"""The next release of the pipeline's stack: a state has another name, and a function another code."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contract import names
from tests.e2e.app import App

STATE, RENAMED = "Is model deployed?", "Is the version in service?"
ANSWER, ANSWERS = '"settled": settled}', '"settled": settled, "release": "next"}'
"""What Settle run's function returns, and what it returns after the upgrade."""


@contextmanager
def upgraded(app: App) -> Iterator[None]:
    """Deploy the next release, and afterwards this one again."""
    cloudformation = app.cloud.client("cloudformation")
    body = cloudformation.get_template(StackName=names.STACK_PIPELINE)["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body
    _update(app, _next_release(app, template))
    yield
    _update(app, template)


def _next_release(app: App, template: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(template))
    for resource in changed["Resources"].values():
        properties = resource.get("Properties", {})
        if properties.get("StateMachineName") == names.MACHINE_PIPELINE:
            _rename(properties["DefinitionString"]["Fn::Join"][1])
        if properties.get("Handler") == "functions.settle.handler":
            properties["Code"] = _other_code(app, properties)
    return changed


def _rename(parts: list[Any]) -> None:
    found = [number for number, part in enumerate(parts) if isinstance(part, str) and STATE in part]
    assert found
    for number in found:
        parts[number] = parts[number].replace(STATE, RENAMED)


def _other_code(app: App, properties: dict[str, Any]) -> dict[str, str]:
    """Publish the function's code with a change, as CDK does; return where it is."""
    bucket = next(each["Name"] for each in app.s3.list_buckets()["Buckets"] if each["Name"].startswith("cdk-"))
    packed = app.s3.get_object(Bucket=bucket, Key=properties["Code"]["S3Key"])["Body"].read()
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as before, zipfile.ZipFile(changed, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            if entry.filename == "functions/settle.py":
                assert ANSWER.encode() in content
                content = content.replace(ANSWER.encode(), ANSWERS.encode())
            after.writestr(entry, content)
    key = "next-release.zip"
    app.s3.put_object(Bucket=bucket, Key=key, Body=changed.getvalue())
    return {"S3Bucket": bucket, "S3Key": key}


def _update(app: App, template: dict[str, Any]) -> None:
    cloudformation = app.cloud.client("cloudformation")
    cloudformation.update_stack(
        StackName=names.STACK_PIPELINE,
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": name, "UsePreviousValue": True} for name in template["Parameters"]],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    ends = ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")

    def status() -> str:
        found = str(cloudformation.describe_stacks(StackName=names.STACK_PIPELINE)["Stacks"][0]["StackStatus"])
        return found if found in ends else ""

    assert app.eventually(status) == "UPDATE_COMPLETE"
