"""Stacks are created, updated, rolled back and deleted as CloudFormation does."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local.functions import eventually

TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {}}


class Stacks:
    """CloudFormation, with stacks awaited."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def create(self, resources: dict[str, Any], **rest: Any) -> dict[str, Any]:
        """Create a stack of a new name; return its description when it has settled."""
        template = {
            "Resources": resources,
            **{key: rest.pop(key) for key in list(rest) if key in ("Outputs", "Parameters", "Conditions")},
        }
        name = rest.pop("StackName", f"s-{uuid.uuid4().hex[:8]}")
        made = self.client.create_stack(StackName=name, TemplateBody=json.dumps(template), **rest)
        return self.settled(made["StackId"])

    def update(self, stack: dict[str, Any], resources: dict[str, Any], **rest: Any) -> dict[str, Any]:
        """Update a stack; return its description when it has settled."""
        template = {
            "Resources": resources,
            **{key: rest.pop(key) for key in list(rest) if key in ("Outputs", "Parameters")},
        }
        self.client.update_stack(StackName=stack["StackName"], TemplateBody=json.dumps(template), **rest)
        return self.settled(stack["StackId"])

    def delete(self, stack: dict[str, Any]) -> dict[str, Any]:
        """Delete a stack; return its description when it has settled."""
        self.client.delete_stack(StackName=stack["StackName"])
        return self.settled(stack["StackId"])

    def settled(self, name: str) -> dict[str, Any]:
        """Return a stack's description as soon as nothing is in progress."""

        def look() -> Any:
            stack = self.client.describe_stacks(StackName=name)["Stacks"][0]
            return None if stack["StackStatus"].endswith("_IN_PROGRESS") else stack

        return dict(eventually(look, seconds=30))

    def resource(self, stack: dict[str, Any], name: str) -> str:
        """Return the physical id of a resource."""
        found = self.client.describe_stack_resource(StackName=stack["StackId"], LogicalResourceId=name)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def events(self, stack: dict[str, Any], name: str) -> list[str]:
        """Return the statuses that a resource went through."""
        events = self.client.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
        return [event["ResourceStatus"] for event in reversed(events) if event["LogicalResourceId"] == name]

    def reason(self, stack: dict[str, Any], name: str) -> str:
        """Return why a resource failed."""
        events = self.client.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        return next(str(event["ResourceStatusReason"]) for event in failed if event["LogicalResourceId"] == name)


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    return Stacks(cloud.client("cloudformation"))


def test_a_stack_has_resources_outputs_tags_and_events(cloud: Cloud, stacks: Stacks) -> None:
    outputs = {"Arn": {"Value": {"Ref": "Topic"}, "Description": "the topic"}}
    stack = stacks.create({"Topic": TOPIC}, Outputs=outputs, Tags=[{"Key": "app", "Value": "x"}])
    arn = stacks.resource(stack, "Topic")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"] == [{"OutputKey": "Arn", "OutputValue": arn, "Description": "the topic"}]
    assert stacks.events(stack, "Topic") == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert cloud.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "app", "Value": "x"}]


def test_an_unknown_type_fails_the_stack_by_name_and_undoes_it(cloud: Cloud, stacks: Stacks) -> None:
    resources = {"Topic": TOPIC, "Odd": {"Type": "AWS::Nobody::Knows", "DependsOn": "Topic"}}
    stack = stacks.create(resources)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "AWS::Nobody::Knows is not emulated" in stacks.reason(stack, "Odd")
    assert stacks.events(stack, "Topic")[-1] == "DELETE_COMPLETE"


def test_a_type_on_the_list_of_harmless_ones_is_skipped(stacks: Stacks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="local.cloudformation")
    stack = stacks.create({"Meta": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2"}}})
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert "skipped AWS::CDK::Metadata Meta" in caplog.text


def test_a_property_that_would_be_ignored_fails_the_stack(stacks: Stacks) -> None:
    stack = stacks.create({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"InventoryConfigurations": []}}})
    assert "not emulated by the laptop cloud: InventoryConfigurations" in stacks.reason(stack, "Bucket")


def test_failed_creations_can_be_kept_or_deleted(stacks: Stacks) -> None:
    odd = {"Topic": TOPIC, "Odd": {"Type": "AWS::Nobody::Knows", "DependsOn": "Topic"}}
    kept = stacks.create(odd, OnFailure="DO_NOTHING")
    assert kept["StackStatus"] == "CREATE_FAILED"
    assert stacks.resource(kept, "Topic")
    assert stacks.create(odd, OnFailure="DELETE")["StackStatus"] == "DELETE_COMPLETE"


def test_an_update_changes_what_changed_and_what_refers_to_it(cloud: Cloud, stacks: Stacks) -> None:
    parameters = {"Name": {"Type": "String"}}
    policy = {"Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}}]}
    resources: dict[str, Any] = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Name"}}},
        "Policy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Version": "2012-10-17", **policy}},
        },
        "Old": TOPIC,
        "Same": TOPIC,
    }
    names = [f"q-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    given = [[{"ParameterKey": "Name", "ParameterValue": name}] for name in names]
    template = {"Parameters": parameters, "Resources": resources}
    made = stacks.client.create_stack(
        StackName=f"s-{uuid.uuid4().hex[:8]}", TemplateBody=json.dumps(template), Parameters=given[0]
    )
    stack = stacks.settled(made["StackId"])
    del resources["Old"]
    resources["New"] = TOPIC
    stacks.client.update_stack(StackName=stack["StackName"], TemplateBody=json.dumps(template), Parameters=given[1])
    assert stacks.settled(stack["StackId"])["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.resource(stack, "Queue").endswith(names[1])
    attributes = cloud.client("sqs").get_queue_attributes(
        QueueUrl=stacks.resource(stack, "Queue"), AttributeNames=["Policy"]
    )
    assert names[1] in attributes["Attributes"]["Policy"]
    assert stacks.events(stack, "Policy")[-1] == "UPDATE_COMPLETE"
    assert stacks.events(stack, "Same") == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert stacks.events(stack, "Old")[-1] == "DELETE_COMPLETE"
    with pytest.raises(cloud.client("sqs").exceptions.QueueDoesNotExist):
        cloud.client("sqs").get_queue_url(QueueName=names[0])


def test_an_update_that_fails_goes_back_to_what_was(cloud: Cloud, stacks: Stacks) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 30}}
    stack = stacks.create({"Queue": queue})
    worse = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60}}
    odd = {"Type": "AWS::Nobody::Knows", "DependsOn": "Queue"}
    after = stacks.update(stack, {"Queue": worse, "Odd": odd})
    assert after["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    url = stacks.resource(stack, "Queue")
    found = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert found["VisibilityTimeout"] == "30"
    assert stacks.update(stack, {"Queue": worse})["StackStatus"] == "UPDATE_COMPLETE"


def test_an_update_without_changes_is_refused(stacks: Stacks) -> None:
    stack = stacks.create({"Topic": TOPIC})
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update(stack, {"Topic": TOPIC})


def test_deletion_keeps_what_is_to_be_retained_and_reports_what_would_not_go(cloud: Cloud, stacks: Stacks) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {}}
    stack = stacks.create({"Kept": {**bucket, "DeletionPolicy": "Retain"}, "Full": bucket})
    kept, full = (stacks.resource(stack, name) for name in ("Kept", "Full"))
    s3 = cloud.client("s3")
    s3.put_object(Bucket=full, Key="k", Body=b"")
    after = stacks.delete(stack)
    assert after["StackStatus"] == "DELETE_FAILED"
    assert "[Full]" in after["StackStatusReason"]
    s3.delete_object(Bucket=full, Key="k")
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"
    s3.head_bucket(Bucket=kept)
    with pytest.raises(ClientError):
        s3.head_bucket(Bucket=full)


def test_a_value_is_exported_imported_and_guarded(stacks: Stacks) -> None:
    name = f"export-{uuid.uuid4().hex[:8]}"
    exporter = stacks.create({"Topic": TOPIC}, Outputs={"T": {"Value": {"Ref": "Topic"}, "Export": {"Name": name}}})
    parameter = {"Type": "String", "Value": {"Fn::ImportValue": name}}
    importer = stacks.create({"Param": {"Type": "AWS::SSM::Parameter", "Properties": parameter}})
    assert importer["StackStatus"] == "CREATE_COMPLETE"
    assert stacks.client.list_imports(ExportName=name)["Imports"] == [importer["StackName"]]
    with pytest.raises(ClientError, match="cannot be deleted as it is in use"):
        stacks.delete(exporter)
    stacks.delete(importer)
    assert stacks.delete(exporter)["StackStatus"] == "DELETE_COMPLETE"


def test_a_change_set_shows_and_makes_the_change(stacks: Stacks) -> None:
    client, name = stacks.client, f"s-{uuid.uuid4().hex[:8]}"

    def prepare(kind: str, resources: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"Resources": resources})
        client.create_change_set(StackName=name, ChangeSetName="change", ChangeSetType=kind, TemplateBody=body)
        return dict(client.describe_change_set(StackName=name, ChangeSetName="change"))

    created = prepare("CREATE", {"Topic": TOPIC})
    assert (created["Status"], created["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert created["Changes"][0]["ResourceChange"]["Action"] == "Add"
    client.execute_change_set(StackName=name, ChangeSetName="change")
    assert stacks.settled(name)["StackStatus"] == "CREATE_COMPLETE"
    client.delete_change_set(StackName=name, ChangeSetName="change")
    same = prepare("UPDATE", {"Topic": TOPIC})
    assert (same["Status"], same["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in same["StatusReason"]
    client.delete_change_set(StackName=name, ChangeSetName="change")
    client.delete_change_set(StackName=name, ChangeSetName="change")  # again: it is gone, which is what was wanted
    changed = prepare("UPDATE", {"Topic": TOPIC, "Second": TOPIC})
    assert [item["ResourceChange"]["LogicalResourceId"] for item in changed["Changes"]] == ["Second"]
    client.execute_change_set(StackName=name, ChangeSetName="change")
    assert stacks.settled(name)["StackStatus"] == "UPDATE_COMPLETE"


def test_a_template_is_read_from_a_bucket(cloud: Cloud, stacks: Stacks) -> None:
    cloud.client("s3").create_bucket(Bucket="templates")
    body = json.dumps({"Resources": {"Topic": TOPIC}})
    cloud.client("s3").put_object(Bucket="templates", Key="a/b.json", Body=body)
    name = f"s-{uuid.uuid4().hex[:8]}"
    stacks.client.create_stack(StackName=name, TemplateURL=f"{cloud.url}/templates/a/b.json")
    assert stacks.settled(name)["StackStatus"] == "CREATE_COMPLETE"
    assert json.loads(json.dumps(stacks.client.get_template(StackName=name)["TemplateBody"])) == json.loads(body)


def test_a_nested_stack_gives_its_outputs(cloud: Cloud, stacks: Stacks) -> None:
    cloud.client("s3").create_bucket(Bucket="nested")
    inner = {"Resources": {"Topic": TOPIC}, "Outputs": {"Arn": {"Value": {"Ref": "Topic"}}}}
    cloud.client("s3").put_object(Bucket="nested", Key="t.json", Body=json.dumps(inner))
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": f"{cloud.url}/nested/t.json"}}
    stack = stacks.create({"In": nested}, Outputs={"A": {"Value": {"Fn::GetAtt": ["In", "Outputs.Arn"]}}})
    assert stack["Outputs"][0]["OutputValue"].startswith("arn:aws:sns:")
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"


def test_a_stack_that_is_not_there_is_an_error_that_cdk_understands(stacks: Stacks) -> None:
    with pytest.raises(ClientError, match="Stack with id nobody does not exist"):
        stacks.client.describe_stacks(StackName="nobody")


def test_moto_itself_says_complete_for_types_it_skips(vanilla: Any) -> None:
    client = vanilla.client("cloudformation")
    template = {"Resources": {"Odd": {"Type": "AWS::Nobody::Knows"}, "Topic": TOPIC}}
    client.create_stack(StackName="odd", TemplateBody=json.dumps(template))
    assert client.describe_stacks(StackName="odd")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    names = [event["LogicalResourceId"] for event in client.describe_stack_events(StackName="odd")["StackEvents"]]
    assert "Topic" not in names
