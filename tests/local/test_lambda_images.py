"""Functions from images, their versions, and what CloudWatch counts of them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import dockerfile, images
from local.cloud import Cloud
from tests.local.functions import Function, eventually, packed, role

CLIENT = {"EntryPoint": ["python", "-m", "awslambdaric"], "Command": ["program.handler"]}
PROGRAM = """
import os

def handler(event, context):
    return {"told": WORD, "image": os.environ["X"], "own": os.environ.get("Y"), "folder": os.getcwd()[-12:],
            "version": context.function_version}
"""
DOCKERFILE = """
FROM python:3.12-slim
WORKDIR /opt/program
ENV X=from-the-image
COPY program.py program.py
ENTRYPOINT ["python", "server.py"]
"""
TEXT = "def handler(event, context):\n    return {}"


class Registry:
    """A repository to which programs are pushed as images."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        name = f"images-{uuid.uuid4().hex[:8]}"
        self.uri = cloud.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]

    def push(self, word: str) -> str:
        """Push an image whose program says ``word``; return its URI."""
        context = self.folder / word
        context.mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / "program.py").write_text(f"WORD = {word!r}\n{PROGRAM}")
        digest = dockerfile.build(
            dockerfile=context / "Dockerfile", context=context, store=self.cloud.root / "images", say=lambda line: None
        )
        images.push(self.cloud, digest, self.uri, word)
        return f"{self.uri}:{word}"


@pytest.fixture
def registry(cloud: Cloud, tmp_path: Path) -> Registry:
    return Registry(cloud, tmp_path)


def create(cloud: Cloud, uri: str, **settings: Any) -> str:
    name = f"f-{uuid.uuid4().hex[:8]}"
    request = {"PackageType": "Image", "ImageConfig": CLIENT, "Role": role(cloud.client), "Timeout": 10, **settings}
    cloud.client("lambda").create_function(FunctionName=name, Code={"ImageUri": uri}, **request)
    return name


def ask(cloud: Cloud, name: str) -> Any:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload="{}")
    assert "FunctionError" not in answer
    return json.loads(answer["Payload"].read())


def test_vanilla_moto_takes_an_image_that_is_not_there_and_gives_a_versions_number_twice(vanilla: Any) -> None:
    client = vanilla.client("lambda")
    name = create(vanilla, "123456789012.dkr.ecr.us-east-1.amazonaws.com/nothing:here")
    numbers = []
    for memory in (128, 256, 512):
        client.update_function_configuration(FunctionName=name, MemorySize=memory)
        numbers.append(client.publish_version(FunctionName=name)["Version"])
        if len(numbers) == 2:
            client.delete_function(FunctionName=name, Qualifier="1")
    assert numbers == ["1", "2", "2"]


def test_an_image_runs_with_its_files_its_settings_and_the_functions_own(cloud: Cloud, registry: Registry) -> None:
    name = create(cloud, registry.push("one"), Environment={"Variables": {"Y": "mine"}})
    assert ask(cloud, name) == {
        "told": "one", "image": "from-the-image", "own": "mine", "folder": "/opt/program", "version": "$LATEST",
    }  # fmt: skip


def test_a_published_version_keeps_its_image(cloud: Cloud, registry: Registry) -> None:
    client, name = cloud.client("lambda"), create(cloud, registry.push("one"))
    client.publish_version(FunctionName=name)
    client.update_function_code(FunctionName=name, ImageUri=registry.push("two"))
    assert ask(cloud, name)["told"] == "two"
    assert ask(cloud, f"{name}:1")["told"] == "one"


def test_an_image_that_is_not_there_is_refused(cloud: Cloud, registry: Registry) -> None:
    with pytest.raises(ClientError, match="is not valid"):
        create(cloud, f"{registry.uri}:nothing")


def test_an_image_with_another_entry_point_is_refused_by_name(cloud: Cloud, registry: Registry) -> None:
    name = create(cloud, registry.push("one"), ImageConfig={})
    with pytest.raises(ClientError, match="python -m awslambdaric with one handler runs here"):
        ask(cloud, name)


def test_numbers_of_versions_are_never_given_twice(cloud: Cloud) -> None:
    function = Function(cloud, TEXT)
    numbers = []
    for number in range(4):
        function.client.update_function_code(FunctionName=function.name, ZipFile=packed(f"{TEXT}  # {number}"))
        numbers.append(function.client.publish_version(FunctionName=function.name)["Version"])
        if number:
            function.client.delete_function(FunctionName=function.name, Qualifier=numbers[number - 1])
    assert numbers == ["1", "2", "3", "4"]
    there = function.client.list_versions_by_function(FunctionName=function.name)["Versions"]
    assert [each["Version"] for each in there] == ["$LATEST", "4"]
    assert function.client.publish_version(FunctionName=function.name)["Version"] == "4"  # nothing has changed


def test_an_aliass_invocations_are_counted_by_the_version_that_ran(cloud: Cloud) -> None:
    function = Function(cloud, "def handler(event, context):\n    raise ValueError(event)")
    function.client.publish_version(FunctionName=function.name)
    function.client.create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")
    for _ in range(3):
        function.client.invoke(FunctionName=f"{function.name}:live", Payload="{}")
    by_version = {"FunctionName": function.name, "Resource": f"{function.name}:live", "ExecutedVersion": "1"}

    def listed(**dimensions: str) -> list[str]:
        wanted = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        found = cloud.client("cloudwatch").list_metrics(Namespace="AWS/Lambda", Dimensions=wanted)["Metrics"]
        return sorted({metric["MetricName"] for metric in found if len(metric["Dimensions"]) == len(dimensions)})

    expected = ["Duration", "Errors", "Invocations", "Throttles"]
    assert eventually(lambda: listed(**by_version)) == expected
    assert listed(FunctionName=function.name) == expected
