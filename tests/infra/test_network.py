"""tandem:vpc=private: what runs has no way out but to AWS's services, and to those only as this account."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack

from contract import names
from functions import lambda_versions
from infra import batch, deployment, idle_cost, pipeline
from infra.network import GATEWAYS, INTERFACES, LOOK, MANAGE, Network
from infra.settings import Settings
from infra.steps.batch import BatchParts
from infra.steps.deployment_parts import DeploymentParts
from infra.steps.parts import Parts
from infra.wildcards import WILDCARDS
from tests.infra.conftest import Assembly, _named, listed, synthesise
from tests.infra.test_arguments import States, check, evaluate, resource_of, variables
from tests.infra.test_security_hub import IN_PRIVATE

__all__ = ["variables"]  # a fixture of test_arguments

ROOT = Path(__file__).parents[2]
CLIENT = re.compile(r'client\("([a-z0-9-]+)"\)')
CALLED = {  # as boto3 calls a service: as its endpoint is called
    "sagemaker": "sagemaker.api", "sagemaker-runtime": "sagemaker.runtime", "stepfunctions": "states",
    "cloudwatch": "monitoring", "service-quotas": "servicequotas",
}  # fmt: skip
VPC = {"VpcConfig": {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The application in a network of its own."""
    return synthesise(tmp_path_factory.mktemp("private"), **{"tandem:vpc": "private"})


def test_cdk_nag_has_nothing_to_say_of_it_either(private: Assembly) -> None:
    assert private.findings() == []


@pytest.mark.parametrize("control", IN_PRIVATE)
def test_a_control_of_security_hub_that_is_said_to_be_met_there_is(private: Assembly, control: str) -> None:
    assert IN_PRIVATE[control](private)


def test_without_the_setting_there_is_no_network(assembly: Assembly) -> None:
    templates = "".join(json.dumps(assembly.template(stack)) for stack in names.STACKS)
    assert "AWS::EC2::" not in templates
    assert "VpcConfig" not in templates


def test_no_route_leads_out(private: Assembly) -> None:
    kinds = {each["Type"] for each in private.template(names.STACK_STORAGE)["Resources"].values()}
    ways_out = {kind for kind in kinds if re.search("Gateway(?!Endpoint)|AWS::EC2::Route$|EIP|Peering|Transit", kind)}
    assert ways_out == set()
    subnets = list(private.resources("AWS::EC2::Subnet"))
    assert len(subnets) == 2
    assert {subnet["MapPublicIpOnLaunch"] for subnet in subnets} == {False}


def test_there_is_an_endpoint_of_each_service_that_functions_call_and_of_no_other(private: Assembly) -> None:
    code = [path.read_text() for folder in ("functions", "training") for path in (ROOT / folder).rglob("*.py")]
    called = {CALLED.get(name, name) for text in code for name in CLIENT.findall(text)}
    there = {
        json.dumps(endpoint["ServiceName"]).rpartition('".')[2].rstrip('"]}')
        for endpoint in private.resources("AWS::EC2::VPCEndpoint")
    }
    assert there == called
    assert there == {*GATEWAYS, *(name for reached_by in INTERFACES.values() for name in reached_by)}


def test_every_endpoint_lets_through_this_account_alone_and_its_own_service(private: Assembly) -> None:
    account = {"Ref": "AWS::AccountId"}
    for endpoint in private.resources("AWS::EC2::VPCEndpoint"):
        (statement,) = endpoint["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"].endswith(":*"), statement["Action"] != "*") == (
            "Allow",
            True,
            True,
        )
        equals = {"aws:PrincipalAccount": account}
        if endpoint["VpcEndpointType"] == "Gateway":  # nobody's bucket but ours
            equals["aws:ResourceAccount"] = account
        assert statement["Condition"] == {"StringEquals": equals}


def test_the_group_lets_in_its_own_members_alone(private: Assembly) -> None:
    group = private.one("AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]] == [(443, 443)]
    rule = private.one("AWS::EC2::SecurityGroupIngress")
    assert rule["SourceSecurityGroupId"] == rule["GroupId"]
    assert private.one("AWS::EC2::FlowLog")["TrafficType"] == "ALL"


def policies(assembly: Assembly) -> list[dict[str, Any]]:
    """Return the policies of roles: their own, and those that the roles of all tenants have in common."""
    kinds = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
    return [policy for kind in kinds for policy in assembly.resources(kind)]


def test_every_function_runs_there_and_may_attach_there_alone(private: Assembly) -> None:
    functions = list(private.resources("AWS::Lambda::Function"))
    assert functions
    assert [each["Handler"] for each in functions if len(each.get("VpcConfig", {}).get("SubnetIds", [])) != 2] == []
    attaching = [
        (json.dumps(policy.get("Roles") or policy["ManagedPolicyName"]), statement)
        for policy in policies(private)
        for statement in policy["PolicyDocument"]["Statement"]
        if "ec2:CreateNetworkInterface" in listed(statement["Action"])
    ]
    assert len(attaching) == len(functions) + len(("jobs", "models", "transforms", "functions that serve"))
    for role, statement in attaching:
        told = [json.dumps(each) for each in listed(statement["Resource"])]
        kinds = sorted(re.search(r":(network-interface/\*|subnet/|security-group/)", each)[1] for each in told)  # type: ignore[index]
        assert kinds == ["network-interface/*", "security-group/", "subnet/", "subnet/"], role


def test_what_functions_attach_to_may_be_let_go_before_there_is_any(private: Assembly) -> None:
    """CreateFunction asks the role for DeleteNetworkInterface of no interface yet: only `*/*` matches that."""
    managing = [
        statement
        for policy in policies(private)
        for statement in policy["PolicyDocument"]["Statement"]
        if set(MANAGE) & set(listed(statement["Action"]))
    ]
    assert len(managing) == sum("VpcConfig" in each for each in private.resources("AWS::Lambda::Function")) + 4
    for statement in managing:
        assert set(listed(statement["Action"])) == set(MANAGE)
        (resource,) = listed(statement["Resource"])
        told = "".join(part if isinstance(part, str) else part["Ref"] for part in resource["Fn::Join"][1])
        assert told == "arn:AWS::Partition:ec2:AWS::Region:AWS::AccountId:*/*"


def test_looking_is_all_that_it_adds_to_what_is_allowed_on_everything(private: Assembly) -> None:
    found = {
        action
        for policy in policies(private)
        for statement in policy["PolicyDocument"]["Statement"]
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    assert found - set().union(*WILDCARDS.values()) == set(LOOK)


def test_what_makes_functions_at_run_time_knows_the_network(private: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    (maker,) = (each for each in private.resources("AWS::Lambda::Function") if "lambda_versions" in each["Handler"])
    assert {names.SUBNETS, names.SECURITY_GROUPS} <= set(maker["Environment"]["Variables"])
    assert lambda_versions.network() == {}
    monkeypatch.setenv(names.SUBNETS, "subnet-1,subnet-2")
    monkeypatch.setenv(names.SECURITY_GROUPS, "sg-1")
    assert lambda_versions.network() == {
        "VpcConfig": {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    }


@pytest.fixture
def run_states(parts: Parts) -> States:
    return pipeline.story(dataclasses.replace(parts, network=VPC))["States"]


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        *((name, "embedded") for name in ("Train on spot", "Train on demand", "Evaluate", "Tune", "Tune recipes")),
        *(("Prepare large dataset", engine) for engine in ("embedded", "spark")),
    ],
)
def test_every_job_runs_in_the_network(run_states: States, variables: dict[str, Any], name: str, engine: str) -> None:
    variables["run"]["prepare"] |= {"engine": engine, "hosts": 2}
    state = run_states[name]
    arguments = evaluate(state["Arguments"], variables)
    check(resource_of(state), arguments)
    training = [arguments.get("TrainingJobDefinition"), *arguments.get("TrainingJobDefinitions", [])]
    for job in filter(None, training) if any(training) else [arguments.get("NetworkConfig", arguments)]:
        assert job["VpcConfig"] == VPC["VpcConfig"]


@pytest.mark.parametrize(
    ("target", "there"), [("realtime", True), ("async", True), ("batch", True), ("serverless", False)]
)
@pytest.mark.parametrize("name", ["Create model", "Create transform model"])
def test_every_model_but_a_serverless_one_runs_in_the_network(
    variables: dict[str, Any], name: str, target: str, there: bool
) -> None:
    roles = {name: f"arn:aws:iam::123456789012:role/{name}" for name in ("model_role", "transform_role")}
    states = deployment.story(dataclasses.replace(_named(DeploymentParts), network=VPC, **roles))["States"]
    variables["deployment"]["target"] = target
    arguments = evaluate(states[name]["Arguments"], variables)
    check("aws-sdk:sagemaker:createModel", arguments)
    assert arguments.get("VpcConfig") == (VPC["VpcConfig"] if there else None)


def test_a_batch_s_model_runs_in_the_network() -> None:
    states = batch.story(dataclasses.replace(_named(BatchParts), network=VPC))["States"]
    assert states["Create model"]["Arguments"]["VpcConfig"] == VPC["VpcConfig"]


def test_it_costs_its_interface_endpoints(private: Assembly, assembly: Assembly) -> None:
    with_it, without = (sum(idle_cost.lines(idle_cost.read(each.folder)).values()) for each in (private, assembly))
    endpoints = sum(len(reached_by) for reached_by in INTERFACES.values())
    assert with_it - without == pytest.approx(endpoints * 2 * idle_cost.ENDPOINT)
    told = f"${with_it - without:.2f} a month"
    assert told in (ROOT / "docs/how-to/private-network.md").read_text()


def test_a_team_s_own_subnets_are_taken_as_they_are() -> None:
    network = Network(Stack(App(), "S"), "N", settings=Settings(vpc="subnet-1,subnet-2,sg-1,sg-2"))
    assert network.of_jobs == {"VpcConfig": {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1", "sg-2"]}}
    assert [each for each in network.node.find_all() if each is not network] == []
