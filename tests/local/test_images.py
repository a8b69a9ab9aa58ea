"""Process images: a Dockerfile's subset, CodeBuild that builds it, ECR that keeps it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local import dockerfile, images
from local.cloud import Cloud
from tests.local import sagemaker as sm

GOOD = """\
# syntax=docker/dockerfile:1
FROM public.ecr.aws/docker/library/python:3.12-slim
LABEL a=b
ENV HOME_OF=/srv/app \\
    GREETING="hello there"
WORKDIR $HOME_OF
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY app app
EXPOSE 8080
USER nobody
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
"""


def context(folder: Path, text: str, requirements: str = "moto>=5  # here\n") -> Path:
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "__main__.py").write_text("print('hi')")
    (folder / "requirements.txt").write_text(requirements)
    (folder / "Dockerfile").write_text(text)
    return folder


def build(tmp_path: Path, text: str, requirements: str = "") -> str:
    folder = context(tmp_path / "context", text, requirements)
    return dockerfile.build(
        dockerfile=folder / "Dockerfile", context=folder, store=tmp_path / "images", say=lambda line: None
    )


def test_an_image_has_the_files_and_settings_of_its_dockerfile(tmp_path: Path) -> None:
    image = images.load(tmp_path, build(tmp_path, GOOD))
    assert (image.entrypoint, image.arguments) == (["python", "-m", "app"], ["serve"])
    assert image.environment == {"HOME_OF": "/srv/app", "GREETING": "hello there"}
    assert image.folder == "/srv/app"
    assert (image.files / "srv/app/app/__main__.py").read_text() == "print('hi')"
    assert image.binds == {"/srv/app": image.files / "srv/app"}


def test_the_same_source_is_the_same_image(tmp_path: Path) -> None:
    first = build(tmp_path / "1", GOOD)
    assert build(tmp_path / "2", GOOD) == first
    assert build(tmp_path / "3", GOOD, "moto\n") != first


@pytest.mark.parametrize(
    ("text", "requirements", "said"),
    [
        ("FROM ubuntu:24.04", "", "line 1: FROM ubuntu:24.04: only FROM python"),
        ("WORKDIR /x", "", "first instruction must be FROM"),
        ("FROM python:3.12-slim\n\nARG X=1", "", "line 3: ARG X=1: this instruction is not emulated"),
        ("FROM python:3.12-slim\nFROM python:3.12-slim", "", "several build stages"),
        ("FROM python:3.12-slim\nRUN apt-get update", "", "only RUN pip install"),
        ("FROM python:3.12-slim\nRUN pip install moto && rm -r /", "", "only RUN pip install"),
        ("FROM python:3.12-slim\nENTRYPOINT python -m app", "", "exec form"),
        ("FROM python:3.12-slim\nCOPY nothing /x", "", "nothing is not in the build context"),
        ("FROM python:3.12-slim\nCOPY ../images /x", "", "outside the build context"),
        ("FROM python:3.12-slim\nCOPY --from=other a b", "", "--from=other is not emulated"),
        ("FROM python:3.12-slim\nRUN pip install --index-url http://x moto", "", "--index-url is not emulated"),
        ("FROM python:3.12-slim\nRUN pip install moto==1.0", "", r"does not meet: moto==1.0 \(here: 5"),
        ("FROM python:3.12-slim\nCOPY . .\nRUN pip install -r requirements.txt", "no-such-thing==2\nmoto\n",
         r"line 3: .*does not meet: no-such-thing==2 \(not installed here\)$"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_here_fails_with_its_line(tmp_path: Path, text: str, requirements: str, said: str) -> None:
    with pytest.raises(dockerfile.BuildFailed, match=said):
        build(tmp_path, text, requirements)


def zipped(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return target.getvalue()


def project(cloud: Cloud, source: bytes, **environment: str) -> tuple[str, str]:
    """Make a repository and a project that builds into it; return the project's name and the repository's URI."""
    name, bucket = sm.unique("image"), sm.bucket(cloud)
    uri: str = cloud.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]
    cloud.client("s3").put_object(Bucket=bucket, Key="source.zip", Body=source)
    variables = {"TANDEM_SERVING_IMAGE_REPOSITORY": uri, "TANDEM_SERVING_IMAGE_TAG": "v1", **environment}
    cloud.client("codebuild").create_project(
        name=name,
        source={"type": "S3", "location": f"{bucket}/source.zip", "buildspec": "version: 0.2"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": key, "value": value} for key, value in variables.items()],
        },
        serviceRole=sm.ROLE,
    )
    return name, uri


def built(cloud: Cloud, name: str, **more: Any) -> Any:
    client = cloud.client("codebuild")
    build = client.start_build(projectName=name, **more)["build"]
    assert build["buildStatus"] == "IN_PROGRESS"
    return sm.wait(
        lambda: client.batch_get_builds(ids=[build["id"]])["builds"][0], "buildStatus", while_in=("IN_PROGRESS",)
    )


def test_a_build_pushes_the_image_of_its_source(cloud: Cloud) -> None:
    name, uri = project(cloud, zipped(serving__Dockerfile='FROM python:3.12-slim\nCMD ["true"]'))
    build = built(cloud, name)
    assert build["buildStatus"] == "SUCCEEDED"
    assert build["buildComplete"]
    assert [each["phaseType"] for each in build["phases"]][-1] == "COMPLETED"
    assert images.find(cloud, f"{uri}:v1").arguments == ["true"]
    assert "Step 1/2 : FROM python:3.12-slim" in sm.log(cloud, f"/aws/codebuild/{name}", build["id"].split(":")[1])


def test_another_tag_can_be_asked_for_at_the_start(cloud: Cloud) -> None:
    name, uri = project(cloud, zipped(Dockerfile='FROM python:3.12-slim\nCMD ["true"]'))
    override = [{"name": "TANDEM_SERVING_IMAGE_TAG", "value": "v2"}]
    assert built(cloud, name, environmentVariablesOverride=override)["buildStatus"] == "SUCCEEDED"
    assert images.find(cloud, f"{uri}:v2")
    with pytest.raises(images.ImageNotFound, match="v1"):
        images.find(cloud, f"{uri}:v1")


@pytest.mark.parametrize(
    ("source", "phase", "said"),
    [
        (b"not a zip", "DOWNLOAD_SOURCE", "not a zip file"),
        (zipped(readme="x"), "BUILD", "0 files called Dockerfile"),
        (zipped(Dockerfile="FROM python:3.12-slim\nRUN pip install no-such-thing"), "BUILD", "no-such-thing"),
    ],
)
def test_a_failed_build_says_in_which_phase_and_why(cloud: Cloud, source: bytes, phase: str, said: str) -> None:
    name, _ = project(cloud, source)
    build = built(cloud, name)
    assert build["buildStatus"] == "FAILED"
    failed = next(each for each in build["phases"] if each.get("phaseStatus") == "FAILED")
    assert failed["phaseType"] == phase
    assert said in failed["contexts"][0]["message"]


def test_a_missing_repository_fails_the_push(cloud: Cloud) -> None:
    source = zipped(Dockerfile='FROM python:3.12-slim\nCMD ["true"]')
    nowhere = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nowhere"
    name, _ = project(cloud, source, TANDEM_SERVING_IMAGE_REPOSITORY=nowhere)
    failed = built(cloud, name)["phases"][-2]
    assert failed["phaseType"] == "POST_BUILD"
    assert "'nowhere' does not exist" in failed["contexts"][0]["message"]


def test_a_project_that_does_not_exist_cannot_build(cloud: Cloud) -> None:
    client = cloud.client("codebuild")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.start_build(projectName="never-made")
