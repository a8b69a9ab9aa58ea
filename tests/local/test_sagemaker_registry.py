"""The model registry keeps versions, their approval and their cards; tags find what was made."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local import sagemaker as sm

CARD = {"ModelCardStatus": "Draft", "ModelCardContent": '{"model_overview": {}}'}
INFERENCE = {
    "Containers": [{"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/s:1", "ModelDataUrl": "s3://b/m.tar.gz"}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


@pytest.fixture
def client(cloud: Cloud) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture
def group(client: Any) -> str:
    name = sm.unique("group")
    client.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="ours")
    return name


def package(client: Any, group: str, **more: Any) -> str:
    arn: str = client.create_model_package(ModelPackageGroupName=group, **more)["ModelPackageArn"]
    return arn


def test_versions_count_from_one_and_are_never_given_twice(client: Any, group: str) -> None:
    arns = [package(client, group) for _ in range(2)]
    assert [arn.rpartition(":")[2] for arn in arns] == [f"model-package/{group}/{n}" for n in (1, 2)]
    client.delete_model_package(ModelPackageName=arns[1])
    assert package(client, group).endswith("/3")


def test_a_package_is_described_as_it_was_made(client: Any, group: str) -> None:
    arn = package(
        client,
        group,
        InferenceSpecification=INFERENCE,
        ModelCard=CARD,
        CustomerMetadataProperties={"run": "r1"},
        ModelApprovalStatus="Approved",
    )
    described = client.describe_model_package(ModelPackageName=arn)
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ModelCard"] == CARD
    assert described["InferenceSpecification"] == INFERENCE
    assert described["CustomerMetadataProperties"] == {"run": "r1"}


def test_an_update_changes_what_it_names_and_nothing_else(client: Any, group: str) -> None:
    arn = package(client, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    assert client.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "PendingManualApproval"
    client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="looks good")
    client.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"c": "3"}, CustomerMetadataPropertiesToRemove=["a"]
    )
    described = client.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "looks good"
    assert described["CustomerMetadataProperties"] == {"b": "2", "c": "3"}


def test_the_same_client_token_makes_one_package(client: Any, group: str) -> None:
    token = sm.unique("token-0123456789-0123456789-0123")[:36]
    assert package(client, group, ClientToken=token) == package(client, group, ClientToken=token)


def test_packages_are_listed_by_group_and_approval_newest_first(client: Any, group: str) -> None:
    first, second = package(client, group), package(client, group, ModelApprovalStatus="Approved")
    query = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Descending"}
    listed = client.list_model_packages(**query)["ModelPackageSummaryList"]
    assert [each["ModelPackageArn"] for each in listed] == [second, first]
    approved = client.list_model_packages(**query, ModelApprovalStatus="Approved")["ModelPackageSummaryList"]
    assert [each["ModelPackageVersion"] for each in approved] == [2]


def test_a_group_is_deleted_when_it_is_empty(client: Any, group: str) -> None:
    arn = package(client, group)
    with pytest.raises(ClientError) as full:
        client.delete_model_package_group(ModelPackageGroupName=group)
    assert full.value.response["Error"]["Code"] == "ConflictException"
    client.delete_model_package(ModelPackageName=arn)
    client.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist") as gone:
        client.describe_model_package_group(ModelPackageGroupName=group)
    assert gone.value.response["Error"]["Code"] == "ValidationException"


def test_a_group_is_made_once(client: Any, group: str) -> None:
    with pytest.raises(ClientError, match="already exists"):
        client.create_model_package_group(ModelPackageGroupName=group)


def test_a_package_needs_its_group(client: Any) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        package(client, "never-made")


def test_tags_of_a_key_are_replaced_and_removed(client: Any, group: str) -> None:
    arn = package(client, group)
    for value in ("1", "2"):
        client.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": value}, {"Key": "other", "Value": "x"}])
    tags = client.list_tags(ResourceArn=arn)["Tags"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("k", "2"), ("other", "x")]
    client.delete_tags(ResourceArn=arn, TagKeys=["k"])
    assert [tag["Key"] for tag in client.list_tags(ResourceArn=arn)["Tags"]] == ["other"]


def test_tags_of_what_does_not_exist_are_refused(client: Any) -> None:
    with pytest.raises(ClientError) as missing:
        client.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:123456789012:endpoint/never-made")
    assert missing.value.response["Error"]["Code"] == "ValidationException"


def test_the_tagging_api_finds_what_was_made_at_run_time(cloud: Cloud, client: Any) -> None:
    bucket, run = sm.bucket(cloud), sm.unique("run")
    job = sm.train(cloud, sm.training(bucket, "true", Tags=[{"Key": "tandem:run", "Value": run}]))
    found = cloud.client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "tandem:run", "Values": [run]}])
    assert [each["ResourceARN"] for each in found["ResourceTagMappingList"]] == [job["TrainingJobArn"]]
