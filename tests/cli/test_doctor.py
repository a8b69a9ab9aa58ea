"""doctor says what is missing and how to fix it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cli import checks
from cli.errors import Exit
from tests.cli.conftest import Answer

Tandem = Callable[..., Answer]


def test_this_machine_has_what_the_demo_needs(tandem: Tandem) -> None:
    answer = tandem("doctor", "--machine", "--json")
    found = {check["name"]: check for check in answer.document["machine"]}
    assert answer.code == Exit.GOOD, found
    assert {"Python", "packages", "torch", "Node.js", "disk", "port", "user namespaces"} <= set(found)
    assert all(check["fix"] for check in found.values() if check["status"] != checks.GOOD)


def test_what_is_missing_is_named_with_its_fix(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_installed", lambda name: "1.0" if name == "numpy" else None)
    answer = tandem("doctor", "--machine")
    assert answer.code == Exit.FAILED
    assert "annotated-doc missing" in answer.stdout
    assert "Run `make install`." in answer.stdout


def test_an_account_without_credentials_is_looked_at_no_further(tandem: Tandem) -> None:
    answer = tandem("doctor", "--json", "--region", "us-east-1")
    assert answer.code == Exit.FAILED
    (only,) = answer.document["account"]
    assert only["status"] == checks.MISSING
    assert "tandem up" in only["fix"]
