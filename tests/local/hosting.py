"""Endpoints for tests: a tiny server in an image, models that are one word, and requests to them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local import sagemaker as sm

SERVER = """
import http.server, json, os, sys, time

assert sys.argv[1:] == ["serve"], sys.argv
MODEL = open("/opt/ml/model/name").read()
if MODEL == "broken":
    raise SystemExit("cannot load the model")
print("serving", MODEL, flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(503 if MODEL == "sick" else 200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if MODEL == "slow":
            time.sleep(1)
        if MODEL == "faulty":
            return self.answer(500, b"because it is faulty")
        if body.startswith(b"sleep "):
            time.sleep(float(body[6:]))
        if body.startswith(b"status "):
            return self.answer(int(body[7:]), b"because " + MODEL.encode())
        if body == b"die":
            os._exit(9)
        told = {"model": MODEL, "bytes": len(body), "isolated": "AWS_ENDPOINT_URL" not in os.environ,
                "type": self.headers.get("Content-Type"), "accept": self.headers.get("Accept"),
                "x": os.environ.get("X")}
        attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        self.answer(200, json.dumps(told).encode(), Content_Type="application/json",
                    X_Amzn_SageMaker_Custom_Attributes=attributes)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """
FROM python:3.12-slim
WORKDIR /opt/program
ENV X=from-the-image
COPY server.py server.py
ENTRYPOINT ["python", "server.py"]
"""


class Hosting:
    """An image in ECR whose server tells about itself, and a bucket for models.

    Args:
        cloud: where.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.client = cloud, cloud.client("sagemaker")
        self.image, self.bucket = _build(cloud), sm.bucket(cloud)
        self._made: list[str] = []

    def config(self, *models: str, archive: bytes | None = None, isolated: bool = True, **variant: Any) -> str:
        """Make an endpoint configuration with a variant for each model; return its name."""
        variants = [self.variant(each, archive=archive, isolated=isolated, **variant) for each in models]
        return self.config_of(ProductionVariants=variants)

    def config_of(self, **request: Any) -> str:
        """Make an endpoint configuration; return its name."""
        name = sm.unique("config")
        self.client.create_endpoint_config(EndpointConfigName=name, **request)
        return name

    def variant(
        self, model: str, *, archive: bytes | None = None, isolated: bool = True, **variant: Any
    ) -> dict[str, Any]:
        """Make a model; return a variant of it."""
        machines = {} if "ServerlessConfig" in variant else {"InstanceType": "ml.c7i.large", "InitialInstanceCount": 1}
        name = self.model(model, archive=archive, isolated=isolated)
        return {"VariantName": f"of-{model}", "ModelName": name, **machines, **variant}

    def model(self, model: str, *, archive: bytes | None = None, isolated: bool = True) -> str:
        """Make a model that calls itself ``model``; return its name."""
        name, key = sm.unique(model), sm.unique(f"{model}.tar.gz")
        body = archive if archive is not None else packed(name=model)
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        self.client.create_model(
            ModelName=name,
            ExecutionRoleArn=sm.ROLE,
            PrimaryContainer={"Image": self.image, "ModelDataUrl": f"s3://{self.bucket}/{key}"},
            EnableNetworkIsolation=isolated,
        )
        return name

    def endpoint(self, config: str) -> Any:
        """Make an endpoint, wait for it and return its description."""
        name = sm.unique("endpoint")
        self.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self._made.append(name)
        return settled(self.cloud, name)

    def delete_endpoints(self) -> None:
        """Delete those that are left."""
        while self._made:
            name = self._made.pop()
            if self.client.list_endpoints(NameContains=name)["Endpoints"]:
                settled(self.cloud, name)
                self.client.delete_endpoint(EndpointName=name)


def _build(cloud: Cloud) -> str:
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("Dockerfile", DOCKERFILE)
        archive.writestr("server.py", SERVER)
    name, bucket = sm.unique("server"), sm.bucket(cloud)
    uri: str = cloud.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]
    cloud.client("s3").put_object(Bucket=bucket, Key="source.zip", Body=source.getvalue())
    variables = {"IMAGE_REPOSITORY_URI": uri, "IMAGE_TAG": "v1"}
    client = cloud.client("codebuild")
    client.create_project(
        name=name,
        source={"type": "S3", "location": f"{bucket}/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": key, "value": value} for key, value in variables.items()],
        },
        serviceRole=sm.ROLE,
    )
    build = client.start_build(projectName=name)["build"]["id"]
    done = sm.wait(lambda: client.batch_get_builds(ids=[build])["builds"][0], "buildStatus", while_in=("IN_PROGRESS",))
    assert done["buildStatus"] == "SUCCEEDED", done
    return f"{uri}:v1"


def packed(**files: str) -> bytes:
    """Return a model archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return target.getvalue()


def settled(cloud: Cloud, name: str, *more: str) -> Any:
    """Wait until an endpoint is in none of the states that pass, nor in ``more``; return its description."""
    client = cloud.client("sagemaker")
    passing = ("Creating", "Updating", "RollingBack", *more)
    return sm.wait(lambda: client.describe_endpoint(EndpointName=name), "EndpointStatus", while_in=passing)


def invoke(cloud: Cloud, name: str, body: bytes = b"x", **more: Any) -> Any:
    """Ask an endpoint; return its answer, with what the server told about itself."""
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **more)
    return {**answer, "told": json.loads(answer["Body"].read())}


def refused(call: Callable[..., Any], **request: Any) -> dict[str, Any]:
    """Return the error of a call that is refused."""
    with pytest.raises(ClientError) as error:
        call(**request)
    return {**error.value.response}
