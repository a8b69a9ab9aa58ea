"""No tenant reaches another's: 100,000 requests, asked of the policies that the templates would make.

The engine is the laptop cloud's (local/permissions), which was compared with AWS's documents statement by statement
(tests/local/test_permissions_policy.py). What shows that it can fail: the controls, which are allowed, and policies
that are broken here on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract import keys, ledger, names
from infra import idle_cost
from local.permissions.policy import Request, decide
from tests.infra import tenancy
from tests.infra.conftest import Assembly, inspected
from tests.infra.tenancy import ACCOUNT, ARTIFACTS, DATA, HERE, REGION, TABLE, Case, Fuzz, Policies

CASES, SEED = 100_000, 20261121
RUN = f"{ARTIFACTS}/acme/digits/runs/r"
VIA_S3 = {"kms:viaservice": [f"s3.{REGION}.amazonaws.com"]}


@pytest.fixture(scope="module")
def template(assembly: Assembly) -> dict[str, Any]:
    return tenancy.template(assembly)


@pytest.fixture(scope="module")
def policies(assembly: Assembly, template: dict[str, Any]) -> Policies:
    return tenancy.of_tenant(tenancy.resolved(template, "acme"), tenancy.common(assembly))


def case(who: str, action: str, resource: str, **context: list[str]) -> Case:
    told = tuple((key.replace("__", ":"), tuple(values)) for key, values in context.items())
    return Case(who=who, action=action, resource=f"arn:aws:{resource}", context=told)


def test_a_hundred_thousand_requests_for_what_is_anothers_are_all_refused(policies: Policies) -> None:
    reached = [each for each in Fuzz(SEED).cases(CASES) if each.allowed(policies)]
    assert reached == []


CONTROLS = [
    case("job", "s3:GetObject", f"s3:::{RUN}/dataset/train/0.parquet"),
    case("job", "s3:PutObject", f"s3:::{RUN}/train/job/output/model.tar.gz"),
    case("job", "s3:DeleteObject", f"s3:::{RUN}/{keys.CHECKPOINTS}1.pt"),
    case("job", "s3:GetObject", f"s3:::{DATA}/{keys.salt('acme')}"),
    case("job", "s3:ListBucket", f"s3:::{ARTIFACTS}", s3__prefix=["acme/digits/runs/r/dataset/train/"]),
    case("job", "kms:GenerateDataKey", f"kms:{HERE}:key/of-acme"),
    case("model", "s3:GetObject", f"s3:::{RUN}/{keys.MODEL}"),
    case("model", "s3:PutObject", f"s3:::{ARTIFACTS}/acme/digits/capture/1.jsonl"),
    case("model", "logs:PutLogEvents", f"logs:{HERE}:log-group:{names.ENDPOINT_LOGS}/acme--digits--async:log-stream:x"),
    case("transform", "s3:PutObject", f"s3:::{ARTIFACTS}/acme/digits/batch/f/1/answers/f.out"),
    case("transform", "logs:CreateLogStream",
         f"logs:{HERE}:log-group:{names.TRANSFORM_LOGS}:log-stream:acme--digits--1/x"),
    *(
        case(who, f"logs:{verb}", f"logs:{HERE}:log-group:{group}:log-stream:")
        for verb in ("CreateLogGroup", "DescribeLogStreams")
        for who, group in {
            "job": names.TRAINING_LOGS, "model": f"{names.ENDPOINT_LOGS}/acme--digits--async",
            "transform": names.TRANSFORM_LOGS,
        }.items()
    ),
    case("function", "s3:GetObject", f"s3:::{RUN}/{keys.MODEL}"),
    case("function", "logs:PutLogEvents",
         f"logs:{HERE}:log-group:serving-logs:log-stream:2026/11/21/acme--digits--lambda[3]ab12"),
    case("people", "s3:PutObject", f"s3:::{DATA}/acme/digits/inbox/rows.csv"),
    case("people", "s3:ListBucket", f"s3:::{DATA}", s3__prefix=["acme/"]),
    case("people", "s3:GetObject", f"s3:::{RUN}/run.json"),
    case("people", "kms:Decrypt", f"kms:{HERE}:key/of-acme", kms__viaservice=VIA_S3["kms:viaservice"]),
    case("people", "dynamodb:Query", f"dynamodb:{HERE}:table/{TABLE}",
         dynamodb__leadingkeys=[ledger.project_pk("acme", "digits")]),
    case("people", "sagemaker:InvokeEndpoint", f"sagemaker:{HERE}:endpoint/acme--digits--realtime"),
    case("people", "lambda:InvokeFunction", f"lambda:{HERE}:function:acme--digits--lambda"),
]  # fmt: skip


@pytest.mark.parametrize("control", CONTROLS, ids=[f"{each.who} {each.action} {n}" for n, each in enumerate(CONTROLS)])
def test_a_tenant_reaches_what_is_its_own(policies: Policies, control: Case) -> None:
    assert control.allowed(policies)


def test_every_role_has_a_control() -> None:
    assert {each.who for each in CONTROLS} == set(tenancy.WHO)


@pytest.mark.parametrize(
    ("written", "mistaken"),
    [
        (f"{ARTIFACTS}/acme/", f"{ARTIFACTS}/acme"),  # a prefix without its slash
        (f"{DATA}/acme/", f"{DATA}/"),
        ('"StringLike"', '"StringLikeIfExists"'),  # who names no prefix lists every tenant's
        ("key/of-acme", "key/*"),
        ("/acme--*", "/acme*"),
        ("acme--*", "*--*"),
        (f'"{ledger.PROJECT}acme/*"', f'"{ledger.PROJECT}acme*"'),
        ('"Null": {"dynamodb:LeadingKeys": "false"}', '"Null": {}'),
    ],
)
def test_a_careless_policy_would_be_found(policies: Policies, written: str, mistaken: str) -> None:
    assert any(written in text for texts in policies.values() for text in texts)
    careless = {who: [text.replace(written, mistaken) for text in texts] for who, texts in policies.items()}
    assert any(each.allowed(careless) for each in Fuzz(SEED).cases(20_000))


def test_cdk_nag_has_nothing_to_say_of_the_template_that_is_not_explained(tmp_path: Path) -> None:
    from infra import tenant, tenant_findings

    app = tenant.build(outdir=str(tmp_path))
    tenant_findings.explain(app)
    assert inspected(app, tmp_path).findings() == []


def test_a_tenant_costs_its_key_and_nothing_else(template: dict[str, Any]) -> None:
    assert idle_cost.lines([template]) == {"1 AWS::KMS::Key": idle_cost.MONTHLY["AWS::KMS::Key"]}


def test_nobody_of_a_tenant_reads_its_salt_but_its_jobs(policies: Policies) -> None:
    salt = f"s3:::{DATA}/{keys.salt('acme')}"
    assert [who for who in tenancy.WHO if case(who, "s3:GetObject", salt).allowed(policies)] == ["job"]


def test_a_tenants_roles_are_taken_by_their_service_alone_and_for_this_account(template: dict[str, Any]) -> None:
    roles = [each for each in tenancy.resolved(template, "acme").values() if each["Type"] == "AWS::IAM::Role"]
    assert len(roles) == len(names.ROLE_KINDS)
    for role in roles:
        kind = role["RoleName"].split("--")[1]
        assert role["RoleName"] == names.role("acme", kind, REGION)
        assert role["Path"] == "/tandem/acme/"
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        service = "lambda" if kind == names.ROLE_FUNCTION else "sagemaker"
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        if service == "sagemaker":
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


PASSERS = {
    "RunRole": ("sagemaker", {names.ROLE_JOB}),
    "DeploymentRole": ("sagemaker", {names.ROLE_MODEL, names.ROLE_TRANSFORM}),
    "BatchRole": ("sagemaker", {names.ROLE_TRANSFORM}),
    "MakeFunctionRole": ("lambda", {names.ROLE_FUNCTION}),
}
"""Who hands tenants' roles over, to whom, and which."""


@pytest.mark.parametrize("who", PASSERS)
def test_roles_outside_the_tenants_path_are_handed_to_nobody(assembly: Assembly, who: str) -> None:
    service, kinds = PASSERS[who]
    documents = [
        json.dumps(each["PolicyDocument"])
        for stack in (names.STACK_PIPELINE, names.STACK_SERVING)
        for each in tenancy.resolved_policies(assembly, stack)
        if who in json.dumps(each["Roles"])
    ]

    def passes(arn: str, to: str) -> bool:
        context = {"iam:passedtoservice": [f"{to}.amazonaws.com"]}
        return decide(documents, Request(action="iam:PassRole", resource=arn, context=context)).allowed

    def arn(tenant: str, kind: str) -> str:
        return names.role_arn(tenant, kind, partition="aws", account=ACCOUNT, region=REGION)

    for kind in names.ROLE_KINDS:
        assert passes(arn("acme", kind), service) is (kind in kinds)
        assert not [each for each in tenancy.SERVICES if each != service and passes(arn("acme", kind), each)]
        for path in ("", "tandem", "tandem-2/acme/", "Tandem/acme/", "acme/tandem/", "aws-service-role/tandem/acme/"):
            assert not passes(f"arn:aws:iam::{ACCOUNT}:role/{path}acme--{kind}--{REGION}", service)
        assert not passes(f"arn:aws:iam::999999999999:role/tandem/acme/acme--{kind}--{REGION}", service)


def test_the_key_of_a_tenant_rotates_and_outlives_its_stack(template: dict[str, Any]) -> None:
    (key,) = (each for each in template["Resources"].values() if each["Type"] == "AWS::KMS::Key")
    assert key["Properties"]["EnableKeyRotation"] is True
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("Retain", "Retain")
