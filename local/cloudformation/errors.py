"""What CloudFormation refuses."""

from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """AWS's ValidationError: a template or a request that cannot be meant."""

    code = "ValidationError"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class AlreadyExists(ServiceException):
    """AWS's AlreadyExistsException."""

    code = "AlreadyExistsException"

    def __init__(self, name: str) -> None:
        super().__init__(f"Stack [{name}] already exists")


class ChangeSetNotFound(ServiceException):
    """AWS's ChangeSetNotFoundException."""

    code = "ChangeSetNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"ChangeSet [{name}] does not exist")


class ResourceFailed(Exception):
    """A resource could not be made, changed or removed; the text is the status reason."""
