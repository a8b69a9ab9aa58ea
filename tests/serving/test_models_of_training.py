"""From upload to answer through both rooms: raw values sent to the server predict as the prepared rows do."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from contract import keys
from contract.golden import Golden
from contract.manifest import FORMAT, ModelManifest
from contract.request import RunRequest
from serving.model import load
from tests.e2e.data import fares
from tests.serving.client import Client
from tests.training import builders
from training import archive, optimise, recipes
from training.data import LABEL, ROW, Split, read_schema
from training.evaluate import Inputs, evaluate

EXAMPLES = Path(__file__).parents[2] / "examples"
PENGUINS = (EXAMPLES / "penguins" / "penguins.csv").read_text()
SETTINGS = {
    "prepare": {"target": "species", "exclude": ["year"]},
    "privacy": {"generalise": {"body_mass_g": 500, "bill_depth_mm": 0.3}},
    "evaluate": {"latency_requests": 10},
}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model as evaluated, and as served."""

    inputs: Inputs
    answers: Mapping[int, Any]  # by the row's number in the upload
    golden: Golden
    client: Client


def serve(folder: Path, files: Mapping[str, bytes | str], settings: Mapping[str, Any]) -> Served:
    """Prepare ``files``, evaluate an untrained network on them, and serve the archive that comes of it."""
    report, prepared = builders.run_prepare(folder / "prepared", files, settings)
    assert report.accepted, report.reasons
    request = RunRequest.from_dict(json.loads((prepared / keys.REQUEST).read_text()))
    schema = read_schema(prepared / "dataset")
    recipe = recipes.load(request.recipe.name)
    torch.manual_seed(0)
    network = recipe.network(schema, recipe.parse_options(request.recipe.options))
    save_file(network.state_dict(), folder / keys.MODEL_WEIGHTS)
    (folder / keys.MODEL_METRICS).write_text("")
    inputs = Inputs(
        request=request,
        recipe=recipe,
        model=folder,
        manifest=ModelManifest(
            format=FORMAT,
            tenant="acme",
            project="demo",
            run="run-1",
            recipe=recipe.name,
            options=request.recipe.options,
            schema=schema,
        ),
        rows=Split(prepared / "dataset" / "test").everything(),
        originals=prepared / keys.DATASET_ORIGINALS,
        train=Split(prepared / "dataset" / "train"),
        prepared=schema,
    )
    (folder / "out").mkdir()
    evaluate(inputs, None, folder / "out")
    archive.unpack(folder / "out" / "model.tar.gz", folder / "model")
    session = optimise.open_session((folder / "model" / keys.MODEL_ONNX).read_bytes())
    answers = optimise.predict(session, inputs.rows, schema)
    return Served(
        inputs=inputs,
        answers={int(row): answer for row, answer in zip(inputs.rows[ROW], answers, strict=True)},
        golden=Golden.from_dict(json.loads((folder / "out" / "golden.json").read_text())),
        client=Client(load(folder / "model")),
    )


@pytest.fixture(scope="module")
def penguins(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return serve(tmp_path_factory.mktemp("penguins"), {"penguins.csv": PENGUINS}, SETTINGS)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Served:
    upload = builders.zipped(builders.pictures(60, size=9, mode="RGB"))
    return serve(tmp_path_factory.mktemp("pictures"), {"pictures.zip": upload}, {"evaluate": {"latency_requests": 10}})


@pytest.fixture(scope="module")
def rides(tmp_path_factory: pytest.TempPathFactory) -> Served:
    settings = {"prepare": {"target": "fare"}, "evaluate": {"latency_requests": 10}}
    return serve(tmp_path_factory.mktemp("rides"), {"rides.csv": fares()}, settings)


@pytest.mark.parametrize("kind", ["penguins", "pictures", "rides"])
def test_golden_samples_are_answered_as_evaluated(kind: str, request: pytest.FixtureRequest) -> None:
    served: Served = request.getfixturevalue(kind)
    assert len(served.golden.samples) == 8
    for sample in served.golden.samples:
        response = served.client.invoke(sample.body, sample.content_type)
        prediction = response.json()["predictions"][0]
        answer = prediction["values" if kind == "rides" else "probabilities"]
        assert answer == pytest.approx(sample.outputs, abs=1e-6)


def test_raw_rows_of_the_upload_predict_as_prepared(penguins: Served) -> None:
    header, *rows = csv.reader(io.StringIO(PENGUINS))
    year = header.index("year")
    numbers = sorted(penguins.answers)
    text = io.StringIO()
    csv.writer(text).writerows(
        [row[:year] + row[year + 1 :] for row in [header, *(rows[number] for number in numbers)]]
    )
    response = penguins.client.invoke(text.getvalue(), "text/csv")
    assert response.status_code == 200, response.text
    answers = [list(each["probabilities"].values()) for each in response.json()["predictions"]]
    np.testing.assert_allclose(answers, [penguins.answers[number] for number in numbers], atol=1e-6)
    assert len({tuple(answer) for answer in answers}) > 20  # the network tells rows apart


def test_raw_rows_with_dates_and_rare_drivers_predict_as_prepared(rides: Served) -> None:
    header, *rows = fares().splitlines()
    numbers = sorted(rides.answers)
    text = "\n".join([header, *(rows[number] for number in numbers)])
    answers = [each["values"]["fare"] for each in rides.client.invoke(text, "text/csv").json()["predictions"]]
    np.testing.assert_allclose(answers, [rides.answers[number][0] for number in numbers], rtol=1e-6)
    assert len(set(answers)) > 50


def test_the_same_rows_as_json_predict_the_same(penguins: Served) -> None:
    *rows, last = csv.DictReader(io.StringIO(PENGUINS))
    assert last["species"] == "Chinstrap"
    raw = {name: value for name, value in last.items() if name not in {"year", "species"}}
    numbers = {feature.name for feature in penguins.inputs.manifest.schema.features if feature.kind == "number"}
    instance = {name: float(value) if name in numbers else value for name, value in raw.items()}
    as_csv = penguins.client.invoke(f"{','.join(raw)}\n{','.join(raw.values())}\n", "text/csv")
    assert penguins.client.instances(instance).json() == as_csv.json()
    assert rows


def test_labels_of_the_answer_are_those_of_the_dataset(penguins: Served, pictures: Served) -> None:
    for served in (penguins, pictures):
        assert served.client.model
        assert served.client.model.labels == served.inputs.manifest.schema.labels
        assert set(served.inputs.rows[LABEL]) <= set(range(len(served.client.model.labels)))
