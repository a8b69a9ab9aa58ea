"""A refusal, as the services word it."""

from __future__ import annotations

STATUS_AND_CODE = {
    "s3": (403, "AccessDenied"), "sns": (403, "AuthorizationError"), "lambda": (403, "AccessDeniedException"),
}  # fmt: skip
"""Of the services whose refusals are not ``AccessDeniedException`` with status 400, by the name they sign with."""


class Denied(Exception):
    """A role may not do what it asks for.

    Args:
        caller: the session's ARN.
        service: as it signs.
        action, resource: what was asked.
    """

    def __init__(self, caller: str, service: str, action: str, resource: str) -> None:
        where = f" on resource: {resource}" if resource != "*" else ""
        reason = f"because no identity-based policy allows the {action} action"
        super().__init__(f"User: {caller} is not authorized to perform: {action}{where} {reason}")
        self.status, self.code = STATUS_AND_CODE.get(service, (400, "AccessDeniedException"))


class NoRole(Denied):
    """A role that is handed over does not exist.

    Args:
        role: its ARN.
        service: to whom it was handed.
    """

    def __init__(self, role: str, service: str) -> None:
        fix = f"Please ensure that the role exists and allows principal '{service}' to assume the role."
        Exception.__init__(self, f"Could not assume role {role}. {fix}")
        self.status, self.code = 400, "ValidationException"
