"""The resource types, one file a service. A module's ``PROVIDERS`` says which it makes.

A new type is one class in the file of its service; nothing else changes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from local.cloudformation.errors import ResourceFailed
from local.cloudformation.resources.base import Nothing, Provider

SKIPPED = {
    "AWS::CDK::Metadata": "tells AWS which constructs were used; nothing depends on it",
    "AWS::Logs::QueryDefinition": "a saved query of Logs Insights, which only people in the console use",
    "AWS::Budgets::Budget": "watches the bill; a laptop has none",
    "AWS::CloudWatch::InsightRule": "a contributor report in the console; nothing depends on it",
}
NOTHING = Nothing()


def provider(kind: str) -> Provider | None:
    """Return what makes resources of ``kind``, None for a type on the list of harmless ones.

    Raises:
        ResourceFailed: for any other type: a stack must not look deployed when a part is missing.
    """
    if kind in SKIPPED:
        return None
    providers = _providers()
    if kind.startswith("Custom::"):
        return providers["AWS::CloudFormation::CustomResource"]
    if kind not in providers:
        raise ResourceFailed(
            f"resource type {kind} is not emulated by the laptop cloud (local/cloudformation/resources)"
        )
    return providers[kind]


@functools.cache
def _providers() -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for module in pkgutil.iter_modules(__path__):
        found |= getattr(importlib.import_module(f"{__name__}.{module.name}"), "PROVIDERS", {})
    return found
