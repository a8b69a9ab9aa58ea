"""``tandem models``: a project's model versions."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from cli import ledger, render
from cli.aws import split_project
from cli.errors import NotFound
from cli.options import Context, Project
from contract import packages

APPROVAL = {packages.PENDING: "pending", packages.APPROVED: "approved", packages.REJECTED: "rejected"}
"""The registry's statuses, as people say them."""


def models(
    context: Context,
    project: Project,
) -> None:
    """List a project's model versions, newest first; the champion, and its challenger in an A/B test, are marked."""
    tenant, name = split_project(project)
    champion = ledger.champion(context.account, tenant, name) or {}
    found = [_version(package, champion) for package in ledger.versions(context.account, tenant, name)]
    if not found:
        raise NotFound(f"{project} has no model versions.", f"`tandem runs {project}` tells what ran.")
    context.out.document(found)
    context.out.show(
        render.table(
            ("version", "in service", "approval", "stage", "made", "run", "metrics"),
            (
                (
                    item["version"],
                    _role(item),
                    APPROVAL.get(item["approval"], item["approval"]),
                    item["stage"],
                    str(item["created"])[:19],
                    item["run"],
                    ", ".join(f"{name} {value:.4f}" for name, value in item["metrics"].items()),
                )
                for item in found
            ),
        )
    )


def _role(item: dict[str, Any]) -> Text | None:
    """Return what a version is in service as."""
    if item["champion"]:
        return Text("champion, asleep" if item["asleep"] else "champion", style="bold green")
    return Text(f"challenger {item['percent']} %", style="yellow") if item["percent"] else None


def _version(package: dict[str, Any], champion: dict[str, Any]) -> dict[str, Any]:
    properties = package.get("CustomerMetadataProperties") or {}
    prefix = packages.METRIC
    metrics = {key.removeprefix(prefix): value for key, value in properties.items() if key.startswith(prefix)}
    challenger = champion.get("challenger") or {}
    is_challenger = package["ModelPackageArn"] == challenger.get("package_arn")
    return {
        "version": packages.version(package["ModelPackageArn"]),
        "champion": package["ModelPackageArn"] == champion.get("package_arn"),
        "asleep": champion.get("asleep"),
        "percent": int(challenger["percent"]) if is_challenger else 0,
        "created": package.get("CreationTime"),
        "package_arn": package["ModelPackageArn"],
        "approval": package.get("ModelApprovalStatus"),
        "stage": (package.get("ModelLifeCycle") or {}).get("Stage"),
        "run": properties.get("run"),
        "metrics": {name: float(value) for name, value in metrics.items()},
    }
