"""One trained version, served everywhere: every place answers the same numbers as ONNX Runtime by itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.places import PLACES, TOLERANCE
from benchmarks.places.version import Version
from contract import keys
from contract.forms import FLOAT32
from contract.run import Outcome
from tests.e2e.app import App, signed_in

EXAMPLE = Path(__file__).parents[2] / "examples/digits"


@pytest.fixture(scope="module")
def project(app: App) -> str:
    """The demo's project, with its upload."""
    project = app.project()
    app.configure(project, (EXAMPLE / "project.toml").read_text())
    return project


@pytest.fixture(scope="module")
def run(app: App, project: str) -> dict[str, Any]:
    """The run of the demo."""
    return app.settled(app.upload(project, "digits.zip", (EXAMPLE / "digits.zip").read_bytes()), 300)


@pytest.fixture(scope="module")
def version(app: App, project: str, run: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Version]:
    """What the run registered."""
    with signed_in(app.cloud) as account:
        package_arn, folder = app.champion(project)["package_arn"], tmp_path_factory.mktemp("targets")
        yield Version(account=account, tenant="acme", project=project, package_arn=package_arn, folder=folder)


@pytest.fixture(scope="module")
def scans() -> NDArray[np.uint8]:
    """Digits of every class, and noise, about which any network is in doubt: [n, height, width]."""
    with zipfile.ZipFile(EXAMPLE / "digits.zip") as packed:
        files = [name for name in sorted(packed.namelist()) if name.endswith(".png")][::50]
        digits = np.stack([np.asarray(Image.open(io.BytesIO(packed.read(name)))) for name in files])
    noise = np.random.default_rng(0).integers(0, 256, (8, *digits.shape[1:]), np.uint8)
    return np.concatenate([digits, noise])


@pytest.fixture(scope="module")
def expected(version: Version, scans: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the version's network answers without any server."""
    manifest, onnx = version.files()
    assert manifest.form == FLOAT32
    answers: Any = onnxruntime.InferenceSession(onnx).run([manifest.schema.output], {"image": scans[..., np.newaxis]})
    assert len(set(answers[0].argmax(axis=1))) == len(manifest.schema.labels)
    return np.asarray(answers[0])


def test_digits_become_a_served_model(app: App, project: str, run: dict[str, Any]) -> None:
    assert run["outcome"] == Outcome.DEPLOYED, run["reasons"]
    assert run["evaluation"]["metrics"]["accuracy"] >= 0.97
    scan = next((EXAMPLE / "held_out").glob("3*.png"))
    answer = app.predict(project, scan.read_bytes(), "image/png")
    assert answer["predictions"][0]["label"] == "3"
    # The run's event file is written after it is settled.
    events = f"acme/{project}/runs/{run['run']}/{keys.TENSORBOARD}"
    app.eventually(lambda: app.listing(events), 30)


@pytest.mark.parametrize("name", PLACES)
def test_every_place_answers_the_same_numbers(
    name: str, version: Version, scans: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    place, labels = PLACES[name], version.files()[0].schema.labels
    with place.open(version, place.settings) as served:
        answers = place.decode(served.send(place.encode(scans)), labels)
    assert answers.shape == expected.shape
    assert np.abs(answers - expected).max() < TOLERANCE
