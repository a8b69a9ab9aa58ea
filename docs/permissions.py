"""The reference page of permissions, from the evidence that the tests left (tests/permissions.py)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from infra.unused import REASONS
from infra.wildcards import WILDCARDS

EVIDENCE = Path(__file__).parent / "reference" / "permissions.json"


def permissions() -> str:
    """What each role does, as the tests saw it, and what no test can show."""
    told: dict[str, dict[str, list[str]]] = json.loads(EVIDENCE.read_text())
    lines = [
        "# Permissions",
        "",
        f"What each of {len(told)} roles did while the tests ran, by the grant that allowed it. A grant that nothing",
        "uses fails the tests, unless its reason is [below](#grants-that-no-test-can-use). Here is",
        "[how the laptop cloud checks](../how-to/permissions.md). `<Name>` is what a template calls `Name`.",
    ]
    for role, actions in told.items():
        lines += ["", f"## {role}", "", "| action | on |", "|---|---|"]
        lines += [f"| `{action}` | {_listed(actions[action])} |" for action in actions]
    lines += ["", "## Grants that no test can use", ""]
    lines += ["| role | action | on | why it is there |", "|---|---|---|---|"]
    lines += [f"| `{role}` | `{action}` | `{on}` | {reason} |" for (role, action, on), reason in REASONS.items()]
    lines += ["", "## Allowed on everything", "", "IAM knows no resource for these; the list may not grow.", ""]
    lines += [f"* {why}: {_listed(sorted(each))}." for why, each in WILDCARDS.items()]
    return "\n".join(lines) + "\n"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in texts)
