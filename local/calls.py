"""What every role did: one record for each action on each resource, with what allowed it."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, order=True)
class Called:
    """One action of a role on one resource.

    Args:
        role: ARN.
        action: ``s3:GetObject``.
        resource: ARN, or ``*``.
        allowed: whether its policies allowed it.
    """

    role: str
    action: str
    resource: str
    allowed: bool


class Calls:
    """The record of a cloud. Equal calls are kept once, so that it stays small."""

    def __init__(self) -> None:
        self._calls: dict[Called, int] = defaultdict(int)
        self._grants: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()

    def note(self, called: Called, grants: list[tuple[str, str]]) -> None:
        """Record a call.

        Args:
            called: what was done.
            grants: the pairs of action and resource, as its policies have them, that allow it.
        """
        with self._lock:
            self._calls[called] += 1
            self._grants.update((called.role, *grant) for grant in grants)

    def all(self) -> list[Called]:
        """Return every call, each once."""
        with self._lock:
            return sorted(self._calls)

    def of(self, role: str) -> set[tuple[str, str]]:
        """Return the actions of a role with their resources."""
        return {(each.action, each.resource) for each in self.all() if each.role == role}

    def denied(self) -> list[Called]:
        """Return what was refused."""
        return [each for each in self.all() if not each.allowed]

    def used(self) -> set[tuple[str, str, str]]:
        """Return the grants that something used: role, action and resource as the policy has them."""
        with self._lock:
            return set(self._grants)
