"""The errors SageMaker answers with, as moto serialises them."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class Refused(ServiceException):
    """``ValidationException``: the request cannot be meant."""

    code = "ValidationException"


class InUse(ServiceException):
    """``ResourceInUse``: the name is taken."""

    code = "ResourceInUse"


class NotFound(ServiceException):
    """``ResourceNotFound``: StopTrainingJob and a few others say so; most say ValidationException."""

    code = "ResourceNotFound"


class Conflict(ServiceException):
    """``ConflictException``: something else depends on it."""

    code = "ConflictException"


class NotEmulated(Refused):
    """A request that AWS would serve and the laptop cloud does not: it is refused rather than pretended."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not emulated by the laptop cloud (docs/local-gaps.md)")
