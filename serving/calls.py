"""From bytes to bytes: what a request asks for, predicted alone or together with others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from serving.errors import NotReady, Refused, UnsupportedContentType, show
from serving.http import Response, failure, refusal
from serving.inputs import Arrays
from serving.logs import event, logger
from serving.model import Model
from serving.responses import ENCODERS


class Asked(Protocol):
    """A request for predictions, in whichever protocol."""

    @property
    def body(self) -> bytes:
        """As it came."""

    @property
    def content_type(self) -> str:
        """Of the body."""

    def arrays(self, model: Model) -> Arrays:
        """Decode the body, or raise Refused."""

    def response(self, model: Model, answers: np.ndarray) -> Response:
        """Encode answers, float32 [rows, labels]."""

    def refusal(self, error: Exception) -> Response:
        """Say why there are none."""


class Call(NamedTuple):
    """A request to ``/invocations``, read but not yet understood."""

    body: bytes
    content_type: str
    accept: str

    def arrays(self, model: Model) -> Arrays:
        """Decode the body.

        Raises:
            Refused: when it does not fit the model.
        """
        decoder = model.reader.decoders.get(self.content_type)
        if decoder is None:
            supported = ", ".join(model.reader.decoders)
            raise UnsupportedContentType(
                f"Content-Type {show(self.content_type)} is not read by this model: {supported} are"
            )
        return decoder(self.body)

    def response(self, model: Model, answers: np.ndarray) -> Response:
        """Encode the model's answers, float32 [rows, labels]."""
        return Response(body=ENCODERS[self.accept](answers, model.manifest), content_type=self.accept)

    def refusal(self, error: Exception) -> Response:
        """Say why there are none; logged as well."""
        return refused(error)


def predict(model: Model, call: Call) -> Response:
    """Decode, predict, encode, in this thread.

    Raises:
        Refused: when the request does not fit the model.
    """
    answers = model.answers(call.arrays(model))
    event("predicted", level=logging.DEBUG, rows=len(answers), content_type=call.content_type)
    return call.response(model, answers)


def predict_together(model: Model, calls: Sequence[Asked]) -> list[Response]:
    """Answer calls that wait at the same time: their rows are joined into one run of the model.

    A call that is refused or fails does so alone.
    """
    decoded: dict[int, Arrays] = {}
    responses: dict[int, Response] = {}
    for index, call in enumerate(calls):
        try:
            decoded[index] = call.arrays(model)
        except Exception as error:  # the boundary of one call
            responses[index] = call.refusal(error)
    for index, answers in _answers(model, decoded).items():
        call = calls[index]
        responses[index] = call.refusal(answers) if isinstance(answers, Exception) else call.response(model, answers)
    return [responses[index] for index in range(len(calls))]


def refused(error: Exception) -> Response:
    """Log why a request was not answered, and return the answer that says so."""
    if isinstance(error, Refused):
        if not isinstance(error, NotReady):  # health checks ask often while the model loads
            event("refused", status=error.status, type=error.type)
        return refusal(error)
    logger.error("failed", exc_info=error)
    return failure()


def _answers(model: Model, decoded: dict[int, Arrays]) -> dict[int, np.ndarray | Exception]:
    """Return the answers of each call, from as few runs as there may be, or why there are none."""
    if len(decoded) > 1:
        try:
            return _joined(model, decoded)
        except Exception:  # one of them is to blame: each alone shows which
            event("joined calls failed; each is run alone", level=logging.WARNING, calls=len(decoded))
    answers: dict[int, np.ndarray | Exception] = {}
    for index, arrays in decoded.items():
        try:
            answers[index] = model.answers(arrays)
        except Exception as error:  # the boundary of one call
            answers[index] = error
    return answers


def _joined(model: Model, decoded: dict[int, Arrays]) -> dict[int, np.ndarray | Exception]:
    several = list(decoded.values())
    rows = model.answers({name: np.concatenate([arrays[name] for arrays in several]) for name in several[0]})
    answers: dict[int, np.ndarray | Exception] = {}
    start = 0
    for index, arrays in decoded.items():
        end = start + len(next(iter(arrays.values())))
        answers[index] = rows[start:end]
        start = end
    return answers
