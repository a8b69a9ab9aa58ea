"""What templates say of a resource is what the resource is."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import requests

from local.cloud import Cloud
from local.cloudformation.resources import _providers
from tests.local.functions import TRUST, Function
from tests.local.test_cloudformation_stacks import TOPIC, Stacks

NEEDED = [
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::LayerVersion",
    "AWS::Events::Rule",
    "AWS::StepFunctions::StateMachine",
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::CodeBuild::Project",
    "AWS::SNS::Topic",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::KMS::Key",
    "AWS::KMS::Alias",
    "AWS::Logs::LogGroup",
    "AWS::IAM::Role",
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::SSM::Parameter",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudFormation::CustomResource",
    "AWS::CloudFormation::Stack",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Resource",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGateway::GatewayResponse",
    "AWS::CloudTrail::Trail",
    "AWS::EC2::VPC",
    "AWS::EC2::Subnet",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::VPCEndpoint",
    "AWS::EC2::FlowLog",
]

BUCKET = {
    "VersioningConfiguration": {"Status": "Enabled"},
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [
            {
                "ServerSideEncryptionByDefault": {
                    "SSEAlgorithm": "aws:kms",
                    "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]},
                },
                "BucketKeyEnabled": True,
            }
        ]
    },
    "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
    "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "RestrictPublicBuckets": True},
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "LifecycleConfiguration": {
        "Rules": [{"Id": "old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}]
    },
    "Tags": [{"Key": "own", "Value": "tag"}],
}


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    return Stacks(cloud.client("cloudformation"))


def made(stacks: Stacks, resources: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """Create a stack that must succeed."""
    stack = stacks.create(resources, **rest)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    return stack


def role() -> dict[str, Any]:
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}


def test_every_type_that_the_application_needs_is_made() -> None:
    assert set(NEEDED) <= set(_providers())


def test_a_bucket_has_all_its_settings_and_loses_them_again(cloud: Cloud, stacks: Stacks) -> None:
    resources: dict[str, Any] = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": True}},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": BUCKET},
        "Policy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        },
    }
    stack = made(stacks, resources, Tags=[{"Key": "app", "Value": "x"}])
    s3, key = cloud.client("s3"), stacks.resource(stack, "Key")
    name = {"Bucket": stacks.resource(stack, "Bucket")}
    assert s3.get_bucket_versioning(**name)["Status"] == "Enabled"
    rule = s3.get_bucket_encryption(**name)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"].endswith(key)
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(**name)
    assert s3.get_public_access_block(**name)["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"]
    assert s3.get_bucket_ownership_controls(**name)["OwnershipControls"] == BUCKET["OwnershipControls"]
    lifecycle = s3.get_bucket_lifecycle_configuration(**name)["Rules"]
    assert lifecycle[0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(**name)["TagSet"]}
    assert tags == {"own": "tag", "app": "x"}
    assert json.loads(s3.get_bucket_policy(**name)["Policy"])["Statement"] == []
    assert cloud.client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    without = {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Suspended"}}}
    assert stacks.update(stack, {"Key": resources["Key"], "Bucket": without})["StackStatus"] == "UPDATE_COMPLETE"
    assert s3.get_bucket_versioning(**name)["Status"] == "Suspended"
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(**name)


def test_a_function_has_all_its_settings_and_its_updates(cloud: Cloud, stacks: Stacks) -> None:
    settings: dict[str, Any] = {
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Handler": "index.handler",
        "Runtime": "python3.12",
        "Architectures": ["arm64"],
        "MemorySize": 512,
        "EphemeralStorage": {"Size": 1024},
        "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}},
        "Layers": ["arn:aws:lambda:us-east-1:017000801446:layer:Powertools:1"],
        "TracingConfig": {"Mode": "Active"},
        "Environment": {"Variables": {"A": "b"}},
        "Code": {"ZipFile": "import os\ndef handler(e, c):\n    return os.environ['A']\n"},
    }
    name = {"FunctionName": {"Ref": "Fn"}}
    resources: dict[str, Any] = {
        "Role": role(),
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Fn": {"Type": "AWS::Lambda::Function", "Properties": settings},
        "Version": {"Type": "AWS::Lambda::Version", "Properties": name},
        "Alias": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {**name, "Name": "live", "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}},
        },
        "Invoke": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {**name, "Qualifier": "$LATEST", "MaximumRetryAttempts": 1},
        },
        "Allow": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {**name, "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"},
        },
    }
    stack = made(stacks, resources)
    client, function = cloud.client("lambda"), stacks.resource(stack, "Fn")
    config = client.get_function_configuration(FunctionName=function)
    assert (config["MemorySize"], config["EphemeralStorage"], config["Architectures"]) == (
        512,
        {"Size": 1024},
        ["arm64"],
    )
    assert config["DeadLetterConfig"]["TargetArn"].startswith("arn:aws:sqs:")
    assert config["Layers"][0]["Arn"] == settings["Layers"][0]
    assert config["TracingConfig"] == {"Mode": "Active"}
    assert client.invoke(FunctionName=f"{function}:live")["Payload"].read() == b'"b"'
    assert client.get_function_event_invoke_config(FunctionName=function)["MaximumRetryAttempts"] == 1
    assert "events.amazonaws.com" in client.get_policy(FunctionName=function)["Policy"]
    settings["Environment"] = {"Variables": {"A": "changed"}}
    settings["Code"] = {"ZipFile": "import os\ndef handler(e, c):\n    return [os.environ['A']]\n"}
    del settings["EphemeralStorage"]
    assert stacks.update(stack, resources)["StackStatus"] == "UPDATE_COMPLETE"
    assert client.invoke(FunctionName=function)["Payload"].read() == b'["changed"]'
    assert client.get_function_configuration(FunctionName=function)["EphemeralStorage"] == {"Size": 512}


def rest_api(deployment: str, **settings: Any) -> dict[str, Any]:
    """Return a stack with an API of one path that a function answers; ``deployment`` names the release."""
    api = {"RestApiId": {"Ref": "Api"}}
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"
    source = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/prod/GET/*"
    properties: dict[str, Any] = {
        "Api": {"Name": "an-api", "BinaryMediaTypes": settings.get("media", ["image/png"])},
        "Part": {**api, "PathPart": "{who}", "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}},
        "Get": {
            **api,
            "ResourceId": {"Ref": "Part"},
            "HttpMethod": "GET",
            "AuthorizationType": "NONE",
            "ApiKeyRequired": settings.get("key", False),
            "Integration": {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": {"Fn::Sub": uri}},
        },
        deployment: dict(api),
        "Stage": {
            **api,
            "StageName": "prod",
            "DeploymentId": {"Ref": deployment},
            "MethodSettings": [
                {"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 60}
            ],
        },
        "Refused": {**api, "ResponseType": "INVALID_API_KEY", "StatusCode": settings.get("refused", "401")},
    }
    kinds = {"Api": "RestApi", "Part": "Resource", "Get": "Method", deployment: "Deployment", "Stage": "Stage"}
    resources = {
        name: {"Type": f"AWS::ApiGateway::{kinds.get(name, 'GatewayResponse')}", "Properties": told}
        for name, told in properties.items()
    }
    resources[deployment]["DependsOn"] = ["Get", "Refused"]
    code = "def handler(event, context):\n    return {'body': event['pathParameters']['who']}"
    function = {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Handler": "index.handler", "Runtime": "python3.12"}
    allow = {"FunctionName": {"Ref": "Fn"}, "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    return {
        "Role": role(),
        "Fn": {"Type": "AWS::Lambda::Function", "Properties": {**function, "Code": {"ZipFile": code}}},
        **resources,
        "Allow": {"Type": "AWS::Lambda::Permission", "Properties": {**allow, "SourceArn": {"Fn::Sub": source}}},
    }


ADDRESS = {"Url": {"Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/prod/"}}}


def test_a_rest_api_answers_at_the_address_of_its_output_and_its_updates_reach_it(cloud: Cloud, stacks: Stacks) -> None:
    stack = made(stacks, rest_api("First"), Outputs=ADDRESS)
    (output,) = stack["Outputs"]
    url, client = output["OutputValue"], cloud.client("apigateway")
    assert url.startswith(cloud.url)
    assert requests.get(f"{url}somebody", timeout=10).text == "somebody"
    api = stacks.resource(stack, "Api")
    assert client.get_rest_api(restApiId=api)["binaryMediaTypes"] == ["image/png"]
    limits = client.get_stage(restApiId=api, stageName="prod")["methodSettings"]["*/*"]
    assert (limits["throttlingRateLimit"], limits["throttlingBurstLimit"]) == (50, 60)
    changed = rest_api("Second", media=["text/x"], key=True, refused="418")
    assert stacks.update(stack, changed, Outputs=ADDRESS)["StackStatus"] == "UPDATE_COMPLETE"
    assert requests.get(f"{url}somebody", timeout=10).status_code == 418
    assert client.get_rest_api(restApiId=api)["binaryMediaTypes"] == ["text/x"]
    assert len(client.get_deployments(restApiId=api)["items"]) == 1
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"
    assert requests.get(f"{url}somebody", timeout=10).status_code == 403


def test_a_rule_keeps_every_field_of_its_targets(cloud: Cloud, stacks: Stacks) -> None:
    target = {
        "Id": "T",
        "Arn": {"Fn::GetAtt": ["Queue", "Arn"]},
        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 120},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}},
        "InputTransformer": {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": "<a>"},
    }
    properties = {"EventPattern": {"source": ["x"]}, "Targets": [target], "Description": "why"}
    resources = {"Queue": {"Type": "AWS::SQS::Queue"}, "Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}
    stack = made(stacks, resources)
    events, name = cloud.client("events"), stacks.resource(stack, "Rule")
    found = events.list_targets_by_rule(Rule=name)["Targets"][0]
    assert found["RetryPolicy"] == target["RetryPolicy"]
    assert found["InputTransformer"] == target["InputTransformer"]
    assert found["DeadLetterConfig"]["Arn"] == found["Arn"]
    properties["Targets"] = [{**target, "Id": "U"}]
    assert stacks.update(stack, resources)["StackStatus"] == "UPDATE_COMPLETE"
    assert [item["Id"] for item in events.list_targets_by_rule(Rule=name)["Targets"]] == ["U"]
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"


def test_a_state_machine_comes_from_text_object_or_bucket(cloud: Cloud, stacks: Stacks) -> None:
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Output": "${what}", "End": True}},
    }
    cloud.client("s3").create_bucket(Bucket="definitions")
    cloud.client("s3").put_object(Bucket="definitions", Key="a.json", Body=json.dumps(definition))
    shared = {"RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "DefinitionSubstitutions": {"what": "filled"}}
    forms: dict[str, dict[str, Any]] = {
        "Text": {"DefinitionString": {"Fn::Join": ["", [json.dumps(definition)]]}},
        "Object": {"Definition": definition},
        "Bucket": {"DefinitionS3Location": {"Bucket": "definitions", "Key": "a.json"}},
    }
    resources: dict[str, Any] = {
        name: {"Type": "AWS::StepFunctions::StateMachine", "Properties": {**shared, **form}}
        for name, form in forms.items()
    }
    stack = made(stacks, {"Role": role(), **resources})
    for name in forms:
        described = cloud.client("stepfunctions").describe_state_machine(stateMachineArn=stacks.resource(stack, name))
        assert json.loads(described["definition"])["States"]["A"]["Output"] == "filled"


def test_a_table_has_its_expiry_its_backups_and_its_stream(cloud: Cloud, stacks: Stacks) -> None:
    properties = {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "SSESpecification": {"SSEEnabled": True},
        "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    table = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    outputs = {"Stream": {"Value": {"Fn::GetAtt": ["Table", "StreamArn"]}}}
    stack = made(stacks, {"Table": table}, Outputs=outputs)
    client, name = cloud.client("dynamodb"), stacks.resource(stack, "Table")
    assert client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"] == "expires"
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert "/stream/" in stack["Outputs"][0]["OutputValue"]


def test_roles_carry_their_policies_and_lose_them_again(cloud: Cloud, stacks: Stacks) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    properties = {**role()["Properties"], "ManagedPolicyArns": [managed]}
    properties["Policies"] = [{"PolicyName": "own", "PolicyDocument": document}]
    resources: dict[str, Any] = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": properties},
        "Extra": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"PolicyName": "extra", "PolicyDocument": document, "Roles": [{"Ref": "Role"}]},
        },
    }
    stack = made(stacks, resources)
    iam, name = cloud.client("iam"), stacks.resource(stack, "Role")
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["own", "extra"]
    assert stacks.update(stack, {"Role": role()})["StackStatus"] == "UPDATE_COMPLETE"
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"


def test_a_custom_resource_waits_for_its_function(cloud: Cloud, stacks: Stacks) -> None:
    code = """
import json, urllib.request
def handler(event, context):
    print(json.dumps(event))
    properties = event["ResourceProperties"]
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": properties["Answer"], "Reason": "because", "PhysicalResourceId": "made",
               "Data": {"Flag": properties["Flag"]}}
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT"))
"""
    function = Function(cloud, code)
    properties: dict[str, Any] = {"ServiceToken": function.arn, "Flag": True, "Number": 5, "Answer": "SUCCESS"}
    thing = {"Type": "Custom::Thing", "Properties": properties}
    outputs = {"Flag": {"Value": {"Fn::GetAtt": ["Thing", "Flag"]}}}
    stack = made(stacks, {"Thing": thing}, Outputs=outputs)
    assert stack["Outputs"][0]["OutputValue"] == "true"
    assert stacks.resource(stack, "Thing") == "made"
    properties["Number"] = 6
    stacks.update(stack, {"Thing": thing})
    stacks.delete(stack)
    requests = [(event["RequestType"], event["ResourceProperties"]["Number"]) for event in function.printed()]
    assert requests == [("Create", "5"), ("Update", "6"), ("Delete", "6")]
    failed = stacks.create({"Thing": {**thing, "Properties": {**properties, "Answer": "FAILED"}}})
    assert "because" in stacks.reason(failed, "Thing")


def test_a_custom_resource_whose_function_crashes_fails_at_once(cloud: Cloud, stacks: Stacks) -> None:
    function = Function(cloud, "def handler(e, c):\n    raise ValueError('crashed')\n")
    stack = stacks.create({"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": function.arn}}})
    assert "crashed" in stacks.reason(stack, "Thing")


def test_an_attribute_that_is_not_there_is_named(stacks: Stacks) -> None:
    odd = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Fn::GetAtt": ["Topic", "Nope"]}}}
    stack = stacks.create({"Topic": TOPIC, "Odd": odd})
    assert "does not support attribute type Nope" in stacks.reason(stack, "Odd")


def test_moto_itself_makes_half_a_bucket(vanilla: Any) -> None:
    name = f"half-{uuid.uuid4().hex[:8]}"
    properties = {"BucketName": name, "VersioningConfiguration": {"Status": "Enabled"}}
    template = {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}}}
    vanilla.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    assert "Status" not in vanilla.client("s3").get_bucket_versioning(Bucket=name)


def test_a_network_is_as_the_template_says_and_goes_again(cloud: Cloud, stacks: Stacks) -> None:
    vpc, group = {"VpcId": {"Ref": "Vpc"}}, {"Fn::GetAtt": ["Group", "GroupId"]}
    inside = {"GroupId": group, "IpProtocol": "-1"}
    endpoint = {**vpc, "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.us-east-1.states"}
    properties: dict[str, dict[str, Any]] = {
        "VPC": {"CidrBlock": "10.9.0.0/16", "EnableDnsHostnames": True},
        "Subnet": {**vpc, "CidrBlock": "10.9.0.0/24", "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}},
        "RouteTable": vpc,
        "SubnetRouteTableAssociation": {"RouteTableId": {"Ref": "RouteTable"}, "SubnetId": {"Ref": "Subnet"}},
        "SecurityGroup": {
            **vpc, "GroupDescription": "ours",
            "SecurityGroupEgress": [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}],
        },
        "SecurityGroupIngress": {**inside, "SourceSecurityGroupId": group},
        "VPCEndpoint": {**endpoint, "SubnetIds": [{"Ref": "Subnet"}], "SecurityGroupIds": [group]},
    }  # fmt: skip
    short = {"VPC": "Vpc", "SecurityGroup": "Group"}
    resources = {
        short.get(kind, kind): {"Type": f"AWS::EC2::{kind}", "Properties": given} for kind, given in properties.items()
    }
    stack = made(stacks, resources)
    ec2, there = cloud.client("ec2"), [stacks.resource(stack, "Group")]
    (found,) = ec2.describe_security_groups(GroupIds=there)["SecurityGroups"]
    assert [rule["FromPort"] for rule in found["IpPermissionsEgress"]] == [443]
    assert [pair["GroupId"] for rule in found["IpPermissions"] for pair in rule["UserIdGroupPairs"]] == there
    (found,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[stacks.resource(stack, "VPCEndpoint")])["VpcEndpoints"]
    assert (found["SubnetIds"], found["ServiceName"]) == ([stacks.resource(stack, "Subnet")], endpoint["ServiceName"])
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"
    assert "10.9.0.0/16" not in {each["CidrBlock"] for each in ec2.describe_vpcs()["Vpcs"]}


def test_a_trail_records_what_the_template_says(cloud: Cloud, stacks: Stacks) -> None:
    where = [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]
    properties = {
        "S3BucketName": {"Ref": "Bucket"}, "IsLogging": True, "EnableLogFileValidation": True,
        "AdvancedEventSelectors": [{"Name": "Objects", "FieldSelectors": where}],
    }  # fmt: skip
    resources: dict[str, Any] = {
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Trail": {"Type": "AWS::CloudTrail::Trail", "Properties": properties},
    }
    stack = made(stacks, resources)
    client, name = cloud.client("cloudtrail"), stacks.resource(stack, "Trail")
    assert client.get_trail_status(Name=name)["IsLogging"] is True
    assert client.get_event_selectors(TrailName=name)["AdvancedEventSelectors"][0]["FieldSelectors"] == where
    properties["IsLogging"] = False
    assert stacks.update(stack, resources)["StackStatus"] == "UPDATE_COMPLETE"
    assert client.get_trail_status(Name=name)["IsLogging"] is False
    assert stacks.delete(stack)["StackStatus"] == "DELETE_COMPLETE"
