"""A failed training ends the execution with the job's reason, and a redrive goes on."""

from __future__ import annotations

import pytest

from contract.errors import TrainingFailed
from functions import causes, halt
from functions.halt import TrainingStopped


def test_the_reason_is_the_error() -> None:
    with pytest.raises(TrainingFailed, match="no memory left"):
        halt.handler({"error": "TrainingFailed", "cause": "no memory left", "failed_in": 0, "redrives": 0}, None)
    with pytest.raises(TrainingStopped):
        halt.handler({"error": "TrainingStopped", "cause": "out of time", "failed_in": 1, "redrives": 1}, None)


def test_a_redriven_execution_goes_on() -> None:
    halt.handler({"error": "TrainingFailed", "cause": "no memory left", "failed_in": 0, "redrives": 1}, None)


def test_people_read_the_reason_alone() -> None:
    cause = '{"errorMessage": "no memory left", "errorType": "TrainingFailed", "stackTrace": ["  File halt.py"]}'
    assert causes.readable(cause) == "no memory left"
