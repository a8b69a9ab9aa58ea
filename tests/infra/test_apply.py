"""Deploying through the CloudFormation API, against the laptop cloud."""

from __future__ import annotations

import json
import uuid
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from contract import names
from infra.app import NO_WHEELS, build
from infra.apply import DeployFailed, StackTemplate, _url, deploy, templates
from infra.publish import File, NotBootstrapped, Target, files, pack, publish
from local.cloud import Cloud

TARGET = Target(account="123456789012", region="us-east-1", partition="aws")


@pytest.mark.parametrize("endpoint", ["https://s3.eu-south-2.amazonaws.com", "http://localhost:4566/"])
def test_a_template_s_address_is_at_the_region_s_own_endpoint(endpoint: str) -> None:
    given = endpoint if "localhost" in endpoint else None
    s3: Any = boto3.client("s3", region_name="eu-south-2", endpoint_url=given)
    template = StackTemplate(name="T", bucket="assets", key="t.json", tags={})
    assert _url(s3, template) == f"{endpoint.rstrip('/')}/assets/t.json"


class Deployer:
    """A stack of one queue, under a name of its own."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.name = cloud, f"Test{uuid.uuid4().hex[:8]}"
        self.bucket, self.protected = self.name.lower(), False
        cloud.client("s3").create_bucket(Bucket=self.bucket)

    def deploy(self, resources: dict[str, Any]) -> str:
        key = f"{uuid.uuid4().hex}.json"
        body = json.dumps({"Resources": resources}).encode()
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        tags = {names.TAG_APP: names.APP}
        template = StackTemplate(name=self.name, bucket=self.bucket, key=key, tags=tags, protected=self.protected)
        url = f"{self.cloud.url}/{self.bucket}/{key}"
        return deploy(self.cloud.client("cloudformation"), template, url)


@pytest.fixture
def deployer(cloud: Cloud) -> Deployer:
    return Deployer(cloud)


def queue(seconds: int) -> dict[str, Any]:
    return {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": seconds}}}


BROKEN = {
    "Queue": {"Type": "AWS::SQS::Queue"},
    "Rule": {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": "no-such-function",
            "Principal": "events.amazonaws.com",
        },
    },
}


def test_a_stack_is_created_then_updated_then_left_alone(deployer: Deployer) -> None:
    assert deployer.deploy(queue(30)) == "created"
    assert deployer.deploy(queue(60)) == "updated"
    assert deployer.deploy(queue(60)) == "unchanged"


def test_a_stack_carries_the_applications_tag(deployer: Deployer) -> None:
    deployer.deploy(queue(30))
    (stack,) = deployer.cloud.client("cloudformation").describe_stacks(StackName=deployer.name)["Stacks"]
    assert stack["Tags"] == [{"Key": names.TAG_APP, "Value": names.APP}]


def test_a_stack_that_stands_is_protected_and_one_that_failed_is_not(deployer: Deployer) -> None:
    deployer.protected = True
    with pytest.raises(DeployFailed):
        deployer.deploy(BROKEN)
    assert deployer.deploy(queue(30)) == "created"
    with pytest.raises(ClientError, match="TerminationProtection"):
        deployer.cloud.client("cloudformation").delete_stack(StackName=deployer.name)
    deployer.protected = False
    assert deployer.deploy(queue(30)) == "unchanged"
    deployer.cloud.client("cloudformation").delete_stack(StackName=deployer.name)


def test_a_failed_stack_names_the_resource_and_its_reason(deployer: Deployer) -> None:
    with pytest.raises(
        DeployFailed, match=r"ROLLBACK_COMPLETE:\n  Rule \(AWS::Lambda::Permission\): .*no-such-function"
    ):
        deployer.deploy(BROKEN)


def test_a_stack_whose_creation_failed_is_made_anew(deployer: Deployer) -> None:
    with pytest.raises(DeployFailed):
        deployer.deploy(BROKEN)
    assert deployer.deploy(queue(30)) == "created"


def test_an_asset_is_uploaded_once(deployer: Deployer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    file = File(source=tmp_path, packaging="zip", bucket=deployer.bucket, key="asset.zip")
    s3 = deployer.cloud.client("s3")
    assert publish(s3, file) is True
    assert publish(s3, file) is False
    body = s3.get_object(Bucket=deployer.bucket, Key="asset.zip")["Body"].read()
    (tmp_path / "back.zip").write_bytes(body)
    assert zipfile.ZipFile(tmp_path / "back.zip").read("a.txt") == b"a"


def test_an_account_without_cdks_bucket_is_told_what_to_do(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    file = File(source=tmp_path / "a.txt", packaging="file", bucket="no-such-bucket-anywhere", key="a")
    with pytest.raises(NotBootstrapped, match="cdk bootstrap"):
        publish(cloud.client("s3"), file)


def test_the_same_folder_makes_the_same_zip(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b").write_text("b")
    (folder / "a").write_text("a")
    first = pack(folder, tmp_path / "1.zip").read_bytes()
    (folder / "a").touch()
    assert pack(folder, tmp_path / "2.zip").read_bytes() == first


def test_an_assembly_lists_its_assets_and_stacks_in_order(assembly: Any) -> None:
    found = list(files(assembly.folder, TARGET))
    assert {file.bucket for file in found} == {"cdk-hnb659fds-assets-123456789012-us-east-1"}
    assert len({file.key for file in found}) == len(found)
    assert all(file.source.exists() for file in found)
    stacks = templates(assembly.folder, TARGET)
    assert [stack.name for stack in stacks] == list(names.STACKS)
    assert {stack.key for stack in stacks} <= {file.key for file in found}
    assert all(stack.tags == {names.TAG_APP: names.APP} for stack in stacks)


def test_the_public_api_and_the_trail_can_be_left_out(tmp_path: Path) -> None:
    without = {"tandem:api": "false", "tandem:trail": "false"}
    build(outdir=str(tmp_path), context={**NO_WHEELS, **without}, validate=False).synth()
    assert "cloudtrail" not in (tmp_path / f"{names.STACK_STORAGE}.template.json").read_text().lower()
    others = [name for name in names.STACKS if name != names.STACK_API]
    assert [stack.name for stack in templates(tmp_path, TARGET)] == others
