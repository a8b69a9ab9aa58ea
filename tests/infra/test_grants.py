"""What each role may do: no wildcard that is not in the reviewed lists here."""

from __future__ import annotations

import collections
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contract import names
from infra.wildcards import WILDCARDS
from tests.infra import reach
from tests.infra.conftest import Assembly, listed


def statements(assembly: Assembly, *, role: str = "") -> Iterator[dict[str, Any]]:
    """Yield the statements of identity policies, of one role or of all."""
    for policy in assembly.resources("AWS::IAM::Policy"):
        if role in json.dumps(policy["Roles"]):
            yield from policy["PolicyDocument"]["Statement"]
    for policy in assembly.resources("AWS::IAM::ManagedPolicy"):  # of the roles of every tenant
        if role in json.dumps(policy["ManagedPolicyName"]):
            yield from policy["PolicyDocument"]["Statement"]
    for resource in assembly.resources("AWS::IAM::Role"):
        assert not resource.get("ManagedPolicyArns"), "managed policies grant more than is needed"


def by_role(assembly: Assembly) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the statements of the roles' own policies, each with the logical id of its role."""
    for policy in assembly.resources("AWS::IAM::Policy"):
        for role, statement in itertools.product(policy["Roles"], policy["PolicyDocument"]["Statement"]):
            yield role["Ref"], statement


def test_whatever_a_functions_code_can_ask_its_role_may(assembly: Assembly) -> None:
    """Also where no test runs that line: `docs/reference/permissions.md` is about those that one does."""
    allowed: dict[str, set[str]] = collections.defaultdict(set)
    for role, statement in by_role(assembly):
        allowed[role] |= set(listed(statement["Action"]))
    handlers = {
        function["Handler"]: function["Role"]["Fn::GetAtt"][0]
        for function in assembly.resources("AWS::Lambda::Function")
        if function.get("Handler", "").startswith(("functions.", "training."))
    }
    assert "training.prepare.handler" in handlers
    asked = {handler: reach.actions(handler) for handler in handlers}
    missing = [
        f"{handler} may not {action}, which {place} does"
        for handler, role in handlers.items()
        for action, place in asked[handler].items()
        if action not in allowed[role]
    ]
    assert missing == []
    assert sum(map(len, asked.values())) > 100, "the code has not been read"
    assert asked["training.prepare.handler"].keys() == {"s3:GetObject", "s3:ListBucket", "s3:PutObject"}


def test_five_reviewed_things_and_no_more_are_allowed_on_everything(assembly: Assembly) -> None:
    found = {
        action
        for statement in statements(assembly)
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    assert found == set().union(*WILDCARDS.values())
    assert len(WILDCARDS) <= 5


def test_no_role_may_do_a_whole_family_of_actions(assembly: Assembly) -> None:
    wild = {a for statement in statements(assembly) for a in listed(statement["Action"]) if "*" in a}
    # CDK's own grants of CodeBuild's source and cache; see infra/suppressions.py
    assert wild == {"s3:GetObject*", "s3:GetBucket*", "s3:List*", "kms:GenerateDataKey*", "kms:ReEncrypt*"}
    building = list(statements(assembly, role="BuildRole"))
    assert wild <= {a for statement in building for a in listed(statement["Action"])}
    others = [s for s in statements(assembly) if s not in building]
    assert not [a for statement in others for a in listed(statement["Action"]) if "*" in a]


def test_cdk_nag_has_nothing_to_say_that_is_not_explained(assembly: Assembly) -> None:
    assert assembly.findings() == []


def test_functions_that_serve_are_made_and_called_by_their_projects_names(assembly: Assembly) -> None:
    touching = [
        (action, json.dumps(resource))
        for policy in assembly.resources("AWS::IAM::Policy", names.STACK_SERVING, names.STACK_API)
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if action.startswith("lambda:") and "GetAtt" not in json.dumps(resource)
    ]
    assert touching
    assert {action for action, resource in touching if "function:*--*--lambda" not in resource} == set()


def test_the_pipeline_may_wait_for_its_jobs_and_for_the_deployment(assembly: Assembly) -> None:
    rules = json.dumps([s for s in statements(assembly, role="RunRole") if "events:PutRule" in listed(s["Action"])])
    for rule in (
        "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
        "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
        "StepFunctionsGetEventsForStepFunctionsExecutionRule",
    ):
        assert f"rule/{rule}" in rules


@pytest.mark.parametrize("kind", ["Training", "Processing"])
def test_the_pipeline_may_create_watch_stop_and_tag_jobs(assembly: Assembly, kind: str) -> None:
    allowed = {
        action
        for statement in statements(assembly, role="RunRole")
        if f"{kind.lower()}-job/*" in json.dumps(statement["Resource"])
        for action in listed(statement["Action"])
    }
    jobs = {f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop")}
    assert jobs | {"sagemaker:AddTags", "sagemaker:ListTags"} <= allowed


def test_searches_can_be_made_watched_and_stopped_by_the_pipeline_and_stopped_by_settle(assembly: Assembly) -> None:
    def allowed(role: str) -> set[str]:
        found = [
            s for s in statements(assembly, role=role) if "hyper-parameter-tuning-job/*" in json.dumps(s["Resource"])
        ]
        return {action.removeprefix("sagemaker:") for statement in found for action in listed(statement["Action"])}

    verbs = {f"{verb}HyperParameterTuningJob" for verb in ("Create", "Describe", "Stop")}
    assert verbs | {"AddTags"} <= allowed("RunRole")
    assert "StopHyperParameterTuningJob" in allowed("SettleRole")


def test_the_pipeline_may_build_the_image_and_wait_for_it(assembly: Assembly) -> None:
    allowed = list(statements(assembly, role="RunRole"))
    actions = {action for statement in allowed for action in listed(statement["Action"])}
    assert {"codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"} <= actions
    assert "rule/StepFunctionsGetEventForCodeBuildStartBuildRule" in json.dumps(allowed)


def test_everything_a_deployment_touches_has_a_projects_name(assembly: Assembly) -> None:
    looked_at = "sagemaker:DescribeEndpointConfig"  # of any name: the next test
    for statement in statements(assembly, role="DeploymentRole"):
        for action, resource in ((a, r) for a in listed(statement["Action"]) for r in listed(statement["Resource"])):
            if action.startswith("sagemaker:") and action != looked_at:
                assert "/*--*" in json.dumps(resource)


def test_whoever_has_endpoints_scaled_may_look_at_configurations_that_sagemaker_names(assembly: Assembly) -> None:
    allowed: dict[str, set[str]] = collections.defaultdict(set)
    scaling = set()
    for role, statement in by_role(assembly):
        if "application-autoscaling:RegisterScalableTarget" in listed(statement["Action"]):
            scaling.add(role)
        if "sagemaker:DescribeEndpointConfig" in listed(statement["Action"]):
            allowed[role] |= {json.dumps(each).rpartition(":")[2] for each in listed(statement["Resource"])}
    assert len(scaling) == 2, "of deployments and of sleep"
    any_name, of_projects = 'endpoint-config/*"]]}', 'endpoint-config/*--*"]]}'
    assert allowed == {role: {any_name if role in scaling else of_projects} for role in allowed}
    assert scaling <= allowed.keys()


def test_a_batch_touches_batch_folders_jobs_of_projects_and_models_of_its_own(assembly: Assembly) -> None:
    wanted = {
        "s3:GetObjectVersion": "/*/batch/*", "s3:PutObject": "/*/batch/*",
        "sagemaker:CreateModel": "model/*--*--batch-*", "sagemaker:DeleteModel": "model/*--*--batch-*",
        "sagemaker:CreateTransformJob": "transform-job/*--*",
    }  # fmt: skip
    for statement in statements(assembly, role="BatchRole"):
        for action in set(listed(statement["Action"])) & set(wanted):
            assert all(wanted[action] in json.dumps(each) for each in listed(statement["Resource"])), statement


def test_golden_samples_are_asked_of_staging_endpoints_only(assembly: Assembly) -> None:
    (statement,) = [
        s for s in statements(assembly, role="GoldenRole") if "sagemaker:InvokeEndpoint" in listed(s["Action"])
    ]
    assert f"endpoint/{names.staging_endpoint('*', '*')}" in json.dumps(statement["Resource"])


def test_only_accept_reads_all_of_the_data_bucket_and_none_writes_uploads(assembly: Assembly) -> None:
    readers, written = set(), set()
    for policy in assembly.resources("AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            of_data = [text for each in listed(statement["Resource"]) if "GetAttData" in (text := json.dumps(each))]
            if "s3:GetObject" in listed(statement["Action"]) and any('"/*"]' in text for text in of_data):
                readers |= {json.dumps(policy["Roles"])}
            if "s3:PutObject" in listed(statement["Action"]):
                written |= set(of_data)
    (reader,) = readers
    assert "AcceptRole" in reader
    (only,) = written
    assert '"/*/.salt"' in only


def test_all_tenants_jobs_read_their_code_and_nothing_else_in_common(assembly: Assembly) -> None:
    job = names.common_policy(names.ROLE_JOB, "")
    readable = [
        json.dumps(resource)
        for statement in statements(assembly, role=job)
        if "s3:GetObject" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]
    assert len(readable) == 2
    assert all("cdk-hnb659fds-assets" in resource for resource in readable)


def test_settle_may_put_only_our_own_events(assembly: Assembly) -> None:
    for statement in statements(assembly):
        if "events:PutEvents" in listed(statement["Action"]):
            assert statement["Condition"] == {"StringEquals": {"events:source": names.EVENT_SOURCE}}
