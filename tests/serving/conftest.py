from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.model import Model, load
from tests.serving import archives
from tests.serving.client import Client


@pytest.fixture(scope="session")
def credit_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(archives.write(tmp_path_factory.mktemp("credit"), archives.CREDIT))


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(archives.write(tmp_path_factory.mktemp("image"), archives.image_schema()))


@pytest.fixture
def credit(credit_model: Model) -> Iterator[Client]:
    client = Client(credit_model)
    yield client
    client.app.close()


@pytest.fixture
def image(image_model: Model) -> Iterator[Client]:
    client = Client(image_model)
    yield client
    client.app.close()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return archives.write(tmp_path / "model", archives.CREDIT)
