"""What the account's projects could use of machines, beside what Service Quotas lets the account have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cli.aws import Account
from contract import keys, ledger, quotas
from contract.errors import InvalidConfig
from contract.machines import Grant, decide, together, wish
from contract.parsing import parse_toml
from contract.quotas import Quota
from contract.request import RunRequest, Upload, build_request


@dataclass(frozen=True, kw_only=True)
class Line:
    """One quota that projects use."""

    quota: Quota
    held: int
    wanted: int  # by the project that wants most
    by: str

    @property
    def told(self) -> str:
        """The line as people read it."""
        return f"{self.quota.name}: {self.quota.limit}, {self.held} in use, {self.by} wants {self.wanted}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The quotas, and what a run of each project would get now; projects whose project.toml is no good have none."""

    lines: tuple[Line, ...]
    grants: dict[str, Grant]


def look(account: Account) -> Table:
    """Read the projects, the quotas and what runs hold."""
    wishes = {f"{each.tenant}/{each.project}": wish(each) for each in requests(account)}
    names = {name for each in wishes.values() for name in each.names}
    limits = quotas.read(account.client("service-quotas"), names) if names else {}
    row = account.table().get_item(Key=ledger.MACHINES_KEY, ConsistentRead=True).get("Item", {})
    held = {name: int(count) for name, count in together(row.get("held", {}).values()).items()}
    most: dict[str, tuple[int, str]] = {}
    for project, each in wishes.items():
        for name, count in together([each.always, each.spot, each.later, *each.ways.values()]).items():
            most[name] = max(most.get(name, (0, "")), (count, project))
    lines = tuple(
        Line(quota=limits[name], held=held.get(name, 0), wanted=count, by=project)
        for name, (count, project) in sorted(most.items())
        if name in limits
    )
    return Table(lines=lines, grants={project: decide(each, limits, held) for project, each in wishes.items()})


def requests(account: Account) -> Iterator[RunRequest]:
    """Yield the next run's request of each project that has a good project.toml in the data bucket."""
    bucket, s3 = account.installation.data_bucket, account.client("s3")
    for tenant, project in projects(account):
        body = s3.get_object(Bucket=bucket, Key=keys.project_config(tenant, project))["Body"].read()
        upload = Upload(bucket=bucket, key=keys.inbox(tenant, project) + "next.csv", version_id="", bytes=1, files=1)
        console = {"tenant": tenant, "project": project}
        try:
            config = parse_toml(body, "project.toml")
            yield build_request(run="next", console=console, project_toml=config, upload=upload)
        except InvalidConfig:
            continue  # its next run is refused for that


def projects(account: Account) -> Iterator[tuple[str, str]]:
    """Yield tenant and project of each project.toml in the data bucket."""
    bucket, s3 = account.installation.data_bucket, account.client("s3")

    def folders(prefix: str) -> Iterator[str]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        yield from (each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ()))

    for tenant in folders(""):
        for folder in folders(tenant):
            tenant_name, project = folder.rstrip("/").split("/")
            key = keys.project_config(tenant_name, project)
            if s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("KeyCount"):
                yield tenant_name, project
