"""The evidence of permissions: which of the application's grants the tests use (docs/reference/permissions.json).

    make permissions                       every test runs, and the evidence is what they used
    pytest tests/... --record-permissions  what these tests use is added

Every laptop cloud of a session notes what the roles of the deployed application do. What a role is refused is told at
the end, even where the program that asked went on, and fails a session that records. tests/e2e/test_permissions.py
compares the evidence with the policies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from contract import names
from infra.unused import REASONS
from local.calls import Called
from local.cloud import Cloud
from local.permissions.conditions import listed
from local.permissions.guard import policies

EVIDENCE = Path(__file__).parents[1] / "docs" / "reference" / "permissions.json"
RANDOM = re.compile(r"-[A-Za-z0-9]{12}|[0-9a-f-]{36}")
"""How the names end that CloudFormation makes, and those of keys."""
Listed = dict[str, dict[str, list[str]]]
Grant = tuple[str, str, str]
"""Role, action and resource, with names that are the same in every account."""

KINDS = ("used", "denied", "granted")
ON_PURPOSE: set[Called] = set()
"""Refusals of this process that a test led to."""
NOTED = pytest.StashKey[dict[str, set[Grant]]]()


class Names:
    """The names of a cloud's resources, and those that templates have for them."""

    def __init__(self, cloud: Any) -> None:
        client = cloud.client("cloudformation")
        stacks = {stack["StackName"] for stack in client.describe_stacks()["Stacks"]}
        self.roles: dict[str, str] = {}
        self._known: dict[str, str] = {}
        self._tenants: dict[str, str] = {}  # by role
        for stack in sorted(each for each in stacks if each in names.STACKS or each.startswith(names.TENANT_STACK)):
            for each in client.describe_stack_resources(StackName=stack)["StackResources"]:
                self._learn(stack, each)

    def _learn(self, stack: str, resource: Any) -> None:
        physical = resource["PhysicalResourceId"].rpartition("/")[2].rpartition(":")[2]
        logical = re.sub(r"[0-9A-F]{8}$", "", resource["LogicalResourceId"])
        tenant = stack.removeprefix(names.TENANT_STACK) if stack not in names.STACKS else ""
        label = names.TENANT_STACK.rstrip("-") if tenant else stack
        if resource["ResourceType"] == "AWS::IAM::Role":
            self.roles[physical] = f"{label}/{logical}"
            self._tenants[physical] = tenant
        if resource["ResourceType"].endswith("Policy"):
            return  # of a bucket or a role, whose name it bears
        if RANDOM.fullmatch(physical[-13:]) or RANDOM.fullmatch(physical):
            self._known[physical] = f"<Tenant{logical}>" if tenant else f"<{logical}>"

    def plain(self, resource: str, role: str) -> str:
        """Return a resource without what differs from tenant to tenant, from account to account and from day to day."""
        if tenant := self._tenants[role]:
            resource = re.sub(rf"(?<=[/:]){re.escape(tenant)}(?=/|--)", names.OF_TENANT, resource)
        for physical in sorted(self._known, key=len, reverse=True):
            resource = resource.replace(physical, self._known[physical])
        resource = re.sub(r"[0-9a-f]{64}", "<hash>", resource.removeprefix("arn:aws:"))
        return re.sub(r":us-east-1:(\d{12}|):", ":", resource).replace("123456789012-us-east-1", "<account>")

    def of(self, calls: Iterator[Grant]) -> set[Grant]:
        """Return the grants or calls of the application's own roles, by their plain names."""
        found = ((role.rpartition("/")[2], action, resource) for role, action, resource in calls)
        return {(self.roles[r], action, self.plain(resource, r)) for r, action, resource in found if r in self.roles}


def granted(cloud: Any) -> set[Grant]:
    """Return what the policies of the application's roles allow, as they are deployed."""
    told = Names(cloud)
    roles = [
        role["Arn"] for page in cloud.client("iam").get_paginator("list_roles").paginate() for role in page["Roles"]
    ]
    return told.of(
        (role, action, resource)
        for role in roles
        for document in policies(cloud.account, role)
        for statement in listed(json.loads(document)["Statement"])
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    )


def explains(reason: Grant, grant: Grant) -> bool:
    """Say whether a reason, whose parts are patterns, is why no test uses a grant."""
    return all(fnmatchcase(part, pattern) for part, pattern in zip(grant, reason, strict=True))


def explained(grant: Grant) -> bool:
    """Say whether there is a reason why no test uses a grant."""
    return any(explains(reason, grant) for reason in REASONS)


def evidence() -> set[Grant]:
    """Return the grants that tests used."""
    told: Listed = json.loads(EVIDENCE.read_text())
    return {(role, action, each) for role, actions in told.items() for action in actions for each in actions[action]}


def write(used: set[Grant], granted: set[Grant]) -> None:
    """Record what was used, of what is still granted."""
    if not granted:
        raise pytest.UsageError("no test of this session deployed the application: there is nothing to record")
    EVIDENCE.write_text(json.dumps(_by_role(used & granted), indent=1) + "\n")


def _by_role(grants: set[Grant]) -> Listed:
    told: Listed = {}
    for role, action, resource in sorted(grants):
        told.setdefault(role, {}).setdefault(action, []).append(resource)
    return told


def noted(config: pytest.Config) -> dict[str, set[Grant]]:
    """Return what a session has noted: what was used, what was refused, what is granted."""
    return config.stash.setdefault(NOTED, {kind: set() for kind in KINDS})


@contextmanager
def refused_on_purpose(cloud: Any) -> Iterator[None]:
    """Let roles be refused here: a state is led to what is not there, and so nobody's."""
    before = set(cloud.calls.denied())
    yield
    ON_PURPOSE.update(set(cloud.calls.denied()) - before)


def keep(config: pytest.Config, cloud: Cloud) -> None:
    """Take what the roles of a cloud's application did, before the cloud stops."""
    told, found = Names(cloud), noted(config)
    found["used"] |= told.of(iter(cloud.calls.used()))
    denied = set(cloud.calls.denied()) - ON_PURPOSE
    found["denied"] |= told.of((each.role, each.action, each.resource) for each in denied)
    found["granted"] |= granted(cloud)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--record-permissions`` and ``--replace-permissions``."""
    parser.addoption("--record-permissions", action="store_true", help="add what the tests use to the evidence")
    parser.addoption("--replace-permissions", action="store_true", help="the evidence is what the tests use")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker's cloud noted (pytest-xdist)."""
    for kind, grants in noted(node.config).items():
        grants.update(tuple(each) for each in getattr(node, "workeroutput", {}).get(kind, []))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what was noted, or record it; refusals fail a session that records."""
    config, found = session.config, noted(session.config)
    if hasattr(config, "workeroutput"):
        config.workeroutput.update({kind: sorted(grants) for kind, grants in found.items()})
        return
    if config.getoption("record_permissions"):
        write(evidence() | found["used"], found["granted"])
    elif config.getoption("replace_permissions"):
        write(found["used"], found["granted"])
    if found["denied"] and (config.getoption("record_permissions") or config.getoption("replace_permissions")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was refused."""
    for role, action, resource in sorted(noted(config)["denied"]):
        terminalreporter.write_line(f"REFUSED {role}: {action} on {resource}: a grant is missing", red=True)
