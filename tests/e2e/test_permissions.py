"""No role may do what no test saw it do: its policies, as deployed, and the evidence of what was used."""

from __future__ import annotations

import pytest

from infra.unused import REASONS
from tests import permissions
from tests.e2e.app import App
from tests.permissions import Grant, evidence


@pytest.fixture(scope="module")
def granted(app: App) -> set[Grant]:
    return permissions.granted(app.cloud)


def test_nothing_is_allowed_that_nothing_used(granted: set[Grant]) -> None:
    unused = granted - evidence()
    surprising = sorted(each for each in unused if not permissions.explained(each))
    assert surprising == [], "remove the grant, or run a test that uses it with --record-permissions"


def test_the_evidence_is_of_what_is_allowed_today(granted: set[Grant]) -> None:
    gone = evidence() - granted
    assert sorted(gone) == [], "a grant has changed: run its tests with --record-permissions"


def test_every_reason_explains_a_grant_that_nothing_used(granted: set[Grant]) -> None:
    unused = granted - evidence()
    idle = [reason for reason in REASONS if not any(permissions.explains(reason, grant) for grant in unused)]
    assert idle == []
