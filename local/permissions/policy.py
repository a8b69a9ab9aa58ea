"""Policies as documents: what their statements say of a request.

"Policy evaluation logic" and "IAM JSON policy element reference", IAM User Guide. Boundaries, session policies and
organisations' policies are not here: nothing of ours has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from local.permissions.conditions import Context, check, fill, hold, like, like_arn, listed

ALLOW, DENY = "Allow", "Deny"
_NAMES = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Request:
    """One action on one resource.

    Args:
        action: ``s3:GetObject``.
        resource: an ARN, or ``*`` for actions that have none.
        context: condition keys in lower case with their values.
    """

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Match:
    """A statement that speaks of a request.

    Args:
        effect: Allow or Deny.
        action, resource: as the statement has them.
    """

    effect: str
    action: str
    resource: str


class Statement:
    """One statement of a policy."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        if unknown := sorted(set(document) - _NAMES):
            raise NotImplementedError(f"{', '.join(unknown)} in a policy's statement")
        self.effect: str = document["Effect"]
        self.condition: Mapping[str, Mapping[str, Any]] = document.get("Condition") or {}
        for operator in self.condition:
            check(operator)
        self._actions = listed(document.get("Action", document.get("NotAction", [])))
        self._other_actions = "NotAction" in document
        self._acts: dict[str, list[str]] = {}  # by action, what of this statement speaks of it
        self._resources = listed(document.get("Resource", document.get("NotResource", "*")))
        self._other_resources = "NotResource" in document
        self._principal = document.get("Principal", document.get("NotPrincipal"))
        self._other_principals = "NotPrincipal" in document

    def matches(self, request: Request, *principals: tuple[str, str]) -> Iterator[Match]:
        """Yield how this statement speaks of a request; nothing where it does not.

        Args:
            request: what is asked.
            principals: who asks, as pairs of kind and name; any of them is enough.
        """
        if principals and not self._names(principals):
            return
        actions = self._acting(request)
        pairs = [(a, r) for r in self._touched(request) for a in actions] if actions else []
        if pairs and hold(self.condition, request.context):
            for action, resource in pairs:
                yield Match(effect=self.effect, action=action, resource=resource)

    def _acting(self, request: Request) -> list[str]:
        action = request.action.lower()
        if action not in self._acts:
            found = [pattern for pattern in self._actions if like(pattern.lower(), action)]
            self._acts[action] = found if not self._other_actions else ([] if found else ["*"])
        return self._acts[action]

    def _touched(self, request: Request) -> list[str]:
        filled = {pattern: fill(pattern, request.context) for pattern in self._resources}
        found = [name for name, text in filled.items() if text is not None and like_arn(text, request.resource)]
        if self._other_resources:  # what they are is not known where a variable has no value
            return [] if found or None in filled.values() else ["*"]
        return found

    def _names(self, principals: tuple[tuple[str, str], ...]) -> bool:
        named = self._principal if isinstance(self._principal, dict) else {"AWS": self._principal}
        found = any(name in ("*", each) for kind, each in principals for name in listed(named.get(kind, [])))
        return found != self._other_principals


@lru_cache(maxsize=1024)
def read(document: str) -> tuple[Statement, ...]:
    """Return the statements of a policy, parsed once."""
    return tuple(Statement(each) for each in listed(json.loads(document)["Statement"]))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What policies say together: an explicit denial wins, and what no statement allows is denied."""

    matches: tuple[Match, ...]

    @property
    def denied(self) -> bool:
        """Whether a statement denies it."""
        return any(match.effect == DENY for match in self.matches)

    @property
    def allowed(self) -> bool:
        """Whether a statement allows it and none denies it."""
        return not self.denied and any(match.effect == ALLOW for match in self.matches)


def decide(documents: list[str], request: Request, *principals: tuple[str, str]) -> Decision:
    """Ask policies of one kind; ``principals`` where they are a resource's."""
    found = (match for text in documents for each in read(text) for match in each.matches(request, *principals))
    return Decision(matches=tuple(found))
