"""The policies of a tenant, from the synthesised templates; and requests for what is another's, many and hostile."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from contract import ledger, names
from local.cloudformation.functions import Scope
from local.permissions.policy import Request, decide
from tests.infra.conftest import Assembly, listed

ACCOUNT, REGION = "123456789012", "us-east-1"
HERE = f"{REGION}:{ACCOUNT}"
TENANT = "acme"
DATA, ARTIFACTS, TABLE = "data-bucket", "artifacts-bucket", "ledger-table"
STORAGE_KEY = f"arn:aws:kms:{HERE}:key/storage"
PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": REGION}
PARAMETERS = {
    names.PARAMETER_EXISTING_KEY: "",
    names.OUTPUT_DATA_BUCKET: DATA,
    names.OUTPUT_ARTIFACTS_BUCKET: ARTIFACTS,
    names.OUTPUT_LEDGER_TABLE: TABLE,
    names.OUTPUT_KEY_ARN: STORAGE_KEY,
    names.OUTPUT_FUNCTION_LOGS: "serving-logs",
}
Resources = dict[str, dict[str, Any]]
Policies = dict[str, list[str]]
"""Documents by principal."""


def key_of(tenant: str) -> str:
    """Return the ARN of a tenant's key, as :func:`resolved` has it."""
    return f"arn:aws:kms:{HERE}:key/of-{tenant}"


def template(assembly: Assembly) -> dict[str, Any]:
    """Return the tenants' template as the application publishes it."""
    output = assembly.template(names.STACK_PIPELINE)["Outputs"][names.OUTPUT_TENANT_TEMPLATE]["Value"]
    (key,) = [part.rpartition("/")[2] for part in listed(output["Fn::Sub"])]
    return json.loads((assembly.folder / f"asset.{key}").read_text())


def resolved(template: dict[str, Any], tenant: str) -> Resources:
    """Return the resources of a tenant's stack, with every function replaced."""
    return _resolved(template, {**PARAMETERS, names.PARAMETER_TENANT: tenant}, tenant)


def _resolved(template: dict[str, Any], parameters: dict[str, Any], tenant: str = "") -> Resources:
    def attribute(name: str, attribute: str) -> str:
        is_key = tenant and template["Resources"][name]["Type"] == "AWS::KMS::Key"
        return key_of(tenant) if is_key else f"<{name}.{attribute}>"

    scope = Scope(
        template=template, parameters=parameters, pseudo={**PSEUDO, "AWS::URLSuffix": "amazonaws.com"},
        reference=lambda name: name, attribute=attribute, imported=lambda name: f"<{name}>",
    )  # fmt: skip
    kinds = ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
    return {
        name: scope.resolve(each["Properties"]) | {"Type": each["Type"]}
        for name, each in template["Resources"].items()
        if each["Type"] in kinds
    }


def resolved_policies(assembly: Assembly, stack: str) -> Iterator[dict[str, Any]]:
    """Yield the policies of the application's own roles, with as much of them replaced as they need."""
    written = assembly.template(stack)
    only = {n: r for n, r in written["Resources"].items() if r["Type"] == "AWS::IAM::Policy"}
    mine = {**written, "Resources": written["Resources"]}
    yield from (each for name, each in _resolved(mine, {}).items() if name in only)


def common(assembly: Assembly) -> Policies:
    """Return the policies that all tenants' roles have, by the last part of their ARNs."""
    found: Policies = {}
    for stack in (names.STACK_PIPELINE, names.STACK_SERVING):
        written = assembly.template(stack)
        only = {**written, "Resources": {n: r for n, r in written["Resources"].items() if "ManagedPolicy" in r["Type"]}}
        for each in _resolved(only, {}).values():
            found[each["ManagedPolicyName"]] = [json.dumps(each["PolicyDocument"])]
    return found


def of_tenant(resources: Resources, common: Policies) -> Policies:
    """Return what a tenant's roles and people may do."""
    found: Policies = {}
    for name, each in resources.items():
        if each["Type"] == "AWS::IAM::Role":
            attached = [arn.rpartition("/")[2] for arn in each.get("ManagedPolicyArns", [])]
            own = [p for p in resources.values() if p["Type"] == "AWS::IAM::Policy" and name in p["Roles"]]
            documents = [json.dumps(policy["PolicyDocument"]) for policy in own]
            kind = each["RoleName"].split("--")[1]
            found[kind] = documents + [document for policy in attached for document in common[policy]]
        elif each["Type"] == "AWS::IAM::ManagedPolicy":
            found["people"] = [json.dumps(each["PolicyDocument"])]
    return found


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request of one of a tenant's roles, or of its people."""

    who: str
    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def allowed(self, policies: Policies) -> bool:
        """Ask the policies."""
        context = {"aws:securetransport": ["true"], **{key: list(values) for key, values in self.context}}
        return decide(policies[self.who], Request(action=self.action, resource=self.resource, context=context)).allowed


WHO = (*names.ROLE_KINDS, "people")
NEIGHBOURS = (
    "acme-2", "acme2", "acm", "acmee", "a", "acme-", "-acme", "rival", "ACME", "Acme", "acm\u0435", "acme\u200b",
    "acme\x00",
    "acme%2F", "%61cme", "acme%00", " acme", "acme ", "acme.", "*", "?", "acm?", "a*", "*acme", "acme*", "acme?",
    "[a]cme",
    "${aws:username}", "${aws:PrincipalTag/tenant}", "${*}", "acme${*}", "${?}", "", ".", "..", "rival/../acme",
    "/acme",
    "//acme", "./acme", "../acme", "\\acme", "acme\\", "acme\n", "acme\uff0f", "\u0430cme",
)  # fmt: skip
"""Names that look like ``acme``, or would mean something to who reads them carelessly; none is it."""
PROJECTS = ("digits", "acme", "*", "..", "acme--digits", "runs", "a/b", "${aws:username}", "%2e%2e", "")
PATHS = (
    "runs/r/evaluate/model.tar.gz", "runs/r/checkpoints/1.pt", "runs/r/run.json", "capture/x.jsonl", "async/requests/1",
    "async/answers/1", "batch/f/input/f.csv", "inbox/rows.csv", "inbox/acme/rows.csv", "project.toml", "../acme/x", "",
)  # fmt: skip
OBJECT_ACTIONS = (
    "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:AbortMultipartUpload",
    "s3:PutObjectAcl",
    "s3:GetObjectAttributes", "s3:RestoreObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention",
)  # fmt: skip
KEY_ACTIONS = (
    "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey",
    "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:CreateGrant", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion",
)  # fmt: skip
SERVICES = ("sagemaker", "lambda", "ec2", "states", "glue", "codebuild", "cloudformation", "ecs-tasks")


class Fuzz:
    """Makes requests for what is not the tenant's; the same ones for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._makers: tuple[Callable[[], tuple[str, str, dict[str, list[str]]]], ...] = (
            self._object, self._object, self._object, self._listing, self._key, self._role, self._logs, self._row,
            self._model,
            self._function, self._elsewhere,
        )  # fmt: skip

    def cases(self, count: int) -> Iterator[Case]:
        """Yield so many different cases."""
        seen: set[Case] = set()
        while len(seen) < count:
            action, resource, context = self._pick(self._makers)()
            told = tuple((key, tuple(values)) for key, values in context.items())
            case = Case(who=self._pick(WHO), action=action, resource=resource, context=told)
            if case not in seen:
                seen.add(case)
                yield case

    def _pick(self, choices: Any) -> Any:
        return self._random.choice(choices)

    def _other(self) -> str:
        """Return another tenant's name: a hostile one, one that is a slip of the pen away, or any."""
        if self._random.random() < 0.4:
            return str(self._pick(NEIGHBOURS))
        letters = list(TENANT if self._random.random() < 0.7 else self._word())
        for _ in range(self._random.randint(1, 2)):
            letters.insert(self._random.randint(0, len(letters)), self._pick(f"{string.ascii_lowercase}0123456789-"))
        name = "".join(letters)
        return name if name.partition("--")[0] != TENANT else f"x{name}"

    def _word(self) -> str:
        return "".join(self._random.choices(string.ascii_lowercase, k=self._random.randint(1, 12)))

    def _project(self) -> str:
        return str(self._pick((*PROJECTS, self._word())))

    def _theirs(self) -> str:
        """Return a key below another tenant's prefix."""
        key = f"{self._other()}/{self._project()}/{self._pick(PATHS)}"
        assert key.split("/")[0] != TENANT
        return key

    def _name(self) -> str:
        """Return a name ``<tenant>--...`` of another."""
        ending = self._pick(("", "--realtime", "--staging", "--lambda", "--batch-1"))
        name = f"{self._other()}--{self._project()}{ending}"
        return name if names.tenant_of(name) != TENANT else f"x{name}"

    def _object(self) -> tuple[str, str, dict[str, list[str]]]:
        bucket = self._pick((DATA, ARTIFACTS, DATA, ARTIFACTS, f"{TENANT}-bucket", f"{DATA}-{TENANT}", "access-logs"))
        return self._pick(OBJECT_ACTIONS), f"arn:aws:s3:::{bucket}/{self._theirs()}", {}

    def _listing(self) -> tuple[str, str, dict[str, list[str]]]:
        prefixes = ([self._theirs()], [self._other()], [TENANT], [TENANT[:3]], [""], None)
        prefix = self._pick(prefixes)
        action = self._pick(("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"))
        told = {"s3:max-keys": [str(self._random.randint(1, 1000))]} | ({"s3:prefix": prefix} if prefix else {})
        return action, f"arn:aws:s3:::{self._pick((DATA, ARTIFACTS))}", told

    def _key(self) -> tuple[str, str, dict[str, list[str]]]:
        key = self._pick((key_of(self._other()), f"arn:aws:kms:{HERE}:{names.key_alias(self._other())}"))
        via = {"kms:viaservice": [f"{self._pick(('s3', 'dynamodb'))}.{REGION}.amazonaws.com"]}
        return self._pick(KEY_ACTIONS), key, {**via, "kms:resourcealiases": [names.key_alias(self._other())]}

    def _role(self) -> tuple[str, str, dict[str, list[str]]]:
        whose = self._pick((self._other(), TENANT))  # not even its own
        told = {"iam:passedtoservice": [f"{self._pick(SERVICES)}.amazonaws.com"]}
        arn = names.role_arn(whose, self._pick(names.ROLE_KINDS), partition="aws", account=ACCOUNT, region=REGION)
        action = self._pick(("iam:PassRole", "iam:PassRole", "sts:AssumeRole", "iam:PutRolePolicy", "iam:GetRole"))
        return action, arn + self._pick(("", "", "x", f"/{TENANT}")), told

    def _logs(self) -> tuple[str, str, dict[str, list[str]]]:
        group = self._pick((
            f"{names.ENDPOINT_LOGS}/{self._name()}:log-stream:AllTraffic/i-1",
            f"{names.TRANSFORM_LOGS}:log-stream:{self._name()}/i-1",
            f"serving-logs:log-stream:2026/11/21/{self._name()}[1]{self._random.getrandbits(32):x}",
        ))  # fmt: skip
        verbs = ("CreateLogStream", "PutLogEvents", "GetLogEvents", "FilterLogEvents", "DeleteLogStream")
        return f"logs:{self._pick(verbs)}", f"arn:aws:logs:{HERE}:log-group:{group}", {}

    def _row(self) -> tuple[str, str, dict[str, list[str]]]:
        other, project = self._other(), self._project()
        theirs = self._pick((
            ledger.tenant_pk(other), ledger.project_pk(other, project), f"run#{project}-1", "apikey#1",
            f"upload#{DATA}/{other}",
            f"{ledger.PROJECT}{TENANT}", f"{ledger.PROJECT}{TENANT}-{project}/x", "",
        ))  # fmt: skip
        keys = self._pick(([theirs], [theirs, ledger.tenant_pk(TENANT)], [ledger.tenant_pk(TENANT), theirs], None))
        verbs = ("GetItem", "Query", "BatchGetItem", "Scan", "PutItem", "UpdateItem", "DeleteItem", "PartiQLSelect")
        table = self._pick((TABLE, TABLE, f"{TABLE}/index/{ledger.BY_PROJECT}"))
        told = {"dynamodb:leadingkeys": keys} if keys else {"dynamodb:attributes": [self._word()]}
        return f"dynamodb:{self._pick(verbs)}", f"arn:aws:dynamodb:{HERE}:table/{table}", told

    def _model(self) -> tuple[str, str, dict[str, list[str]]]:
        kinds = (
            "endpoint", "endpoint-config", "model", "model-package", "model-package-group", "transform-job",
            "training-job",
        )  # fmt: skip
        verbs = (
            "InvokeEndpoint", "DescribeEndpoint", "DeleteEndpoint", "DescribeModelPackage", "ListModelPackages",
            "CreateModel",
            "CreateTrainingJob", "StopTrainingJob", "CreateTransformJob", "UpdateModelPackage", "AddTags",
            "InvokeEndpointAsync",
        )  # fmt: skip
        return f"sagemaker:{self._pick(verbs)}", f"arn:aws:sagemaker:{HERE}:{self._pick(kinds)}/{self._name()}", {}

    def _function(self) -> tuple[str, str, dict[str, list[str]]]:
        name = self._pick((self._name(), f"TandemPipeline-{self._word()}", f"{self._name()}:live"))
        verbs = ("InvokeFunction", "UpdateFunctionCode", "GetFunction", "DeleteFunction", "AddPermission")
        return f"lambda:{self._pick(verbs)}", f"arn:aws:lambda:{HERE}:function:{name}", {}

    def _elsewhere(self) -> tuple[str, str, dict[str, list[str]]]:
        name = self._pick((self._name(), self._other(), TENANT, "tandem-pipeline", self._word()))
        action, resource = self._pick((
            ("secretsmanager:GetSecretValue", f"secretsmanager:{HERE}:secret:{name}"),
            ("ssm:GetParameter", f"ssm:{HERE}:parameter/{name}"),
            ("states:StartExecution", f"states:{HERE}:stateMachine:{name}"),
            ("states:StopExecution", f"states:{HERE}:execution:{names.MACHINE_PIPELINE}:{name}"),
            ("events:PutEvents", f"events:{HERE}:event-bus/{name}"),
            ("sns:Publish", f"sns:{HERE}:{name}"),
            ("sqs:SendMessage", f"sqs:{HERE}:{name}"),
            ("ecr:PutImage", f"ecr:{HERE}:repository/{name}"),
            ("cloudformation:DeleteStack", f"cloudformation:{HERE}:stack/{names.TENANT_STACK}{name}/1"),
            ("cloudwatch:DeleteAlarms", f"cloudwatch:{HERE}:alarm:{name}"),
        ))  # fmt: skip
        return action, f"arn:aws:{resource}", {}
