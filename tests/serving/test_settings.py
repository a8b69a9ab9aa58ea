from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import InvalidConfig
from serving.settings import Settings


def test_the_defaults_are_those_of_sagemaker() -> None:
    settings = Settings.from_environment({})
    assert settings.model_folder == Path("/opt/ml/model")
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    assert settings.max_body == 6 * 2**20
    assert settings.threads >= 1


def test_the_port_of_sagemaker_goes_before_the_usual_one() -> None:
    assert Settings.from_environment({"PORT": "1", "SAGEMAKER_BIND_TO_PORT": "2"}).port == 2
    assert Settings.from_environment({"PORT": "1", "SAGEMAKER_BIND_TO_PORT": ""}).port == 1


def test_a_payload_limit_of_zero_is_no_limit() -> None:
    assert Settings.from_environment({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}).max_body == float("inf")


@pytest.mark.parametrize("text", ["-1", "65536", "8080.0", "٨٠", "x"])
def test_a_port_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match=r"PORT: .* is not allowed; expected an integer from 0 to 65535"):
        Settings.from_environment({"PORT": text})
