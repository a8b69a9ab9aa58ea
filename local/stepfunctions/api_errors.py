"""Errors of the Step Functions API that moto does not have, by the names of the API reference."""

from __future__ import annotations

from moto.core.exceptions import AWSError


class InvalidDefinition(AWSError):
    """The definition has mistakes."""

    TYPE = "InvalidDefinition"


class AccessDenied(AWSError):
    """The machine's role does not allow what the machine needs."""

    TYPE = "AccessDeniedException"


class StateMachineAlreadyExists(AWSError):
    """A machine of this name exists with another definition or role."""

    TYPE = "StateMachineAlreadyExists"


class StateMachineTypeNotSupported(AWSError):
    """A type of machine that cannot be had."""

    TYPE = "StateMachineTypeNotSupported"


class ExecutionNotRedrivable(AWSError):
    """The execution runs, or it succeeded."""

    TYPE = "ExecutionNotRedrivable"


class InvalidOutput(AWSError):
    """SendTaskSuccess with an output that is no JSON."""

    TYPE = "InvalidOutput"


class TaskTimedOut(AWSError):
    """The task of a token has ended: it was answered, timed out or was stopped."""

    TYPE = "TaskTimedOut"
