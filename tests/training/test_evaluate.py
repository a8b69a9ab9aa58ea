"""What is judged is what will be served."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from contract import keys, names
from contract.errors import TrainingFailed
from contract.forms import FLOAT32
from contract.golden import Golden
from contract.reports import EvaluationReport
from tests.training.builders import csv, evaluation_job, pictures, run_prepare, start, train_here, training_job, zipped
from training import archive
from training.data import LABEL, Split
from training.evaluate import main

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/acme--demo/3"
ONLY_FLOAT32 = {"optimise": {"forms": [FLOAT32]}}
Evaluate = Callable[..., tuple[EvaluationReport, Path]]


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Return a function that runs an evaluation job in this process."""

    def run(base: Path, *, champion: bool = False) -> tuple[EvaluationReport, Path]:
        monkeypatch.setenv(names.BASE_DIR, str(base))
        monkeypatch.setenv(names.CHAMPION_PACKAGE, ARN if champion else "")
        monkeypatch.setenv(names.CHAMPION_VERSION, "3" if champion else "")
        main()
        out = base / names.PROCESSING_OUTPUT
        report = EvaluationReport.from_dict(json.loads((out / "evaluation_report.json").read_text()))
        return report, out

    return run


def test_the_report_tells_what_the_served_form_does(
    table: Path, trained_table: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    report, out = evaluate(evaluation_job(tmp_path / "a", table, trained_table, settings=ONLY_FLOAT32))
    test = Split(table / keys.DATASET / "test").everything()
    manifest = archive.unpack(out / "model.tar.gz", tmp_path / "model")
    session = onnxruntime.InferenceSession(tmp_path / "model/model.onnx", providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {name: test[name] for name in ("numeric", "category")})
    accuracy = float((probabilities.argmax(axis=1) == test[LABEL]).mean())
    assert report.metrics["accuracy"] == accuracy == manifest.metrics["accuracy"]
    assert accuracy > 0.85
    assert report.rows == len(test[LABEL])
    assert sum(map(sum, report.confusion)) == report.rows
    assert sum(report.confusion[i][i] for i in range(2)) == round(accuracy * report.rows)
    train = Split(table / keys.DATASET / "train").labels
    assert report.baseline["accuracy"] == pytest.approx((test[LABEL] == np.bincount(train).argmax()).mean())
    (form,) = report.forms
    assert (form.name, report.chosen) == (FLOAT32, FLOAT32)
    assert 0 < form.latency_ms["p50"] <= form.latency_ms["p99"]
    assert form.bytes == (tmp_path / "model/model.onnx").stat().st_size
    assert 0 <= form.parity < 1e-4
    assert report.champion is None
    assert report.verdict.promote
    assert report.model_sha256 == archive.sha256(out / "model.tar.gz")


def test_the_archive_is_whole_signed_and_the_same_each_time(
    table: Path, trained_table: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    _, one = evaluate(evaluation_job(tmp_path / "a", table, trained_table, settings=ONLY_FLOAT32))
    _, two = evaluate(evaluation_job(tmp_path / "b", table, trained_table, settings=ONLY_FLOAT32))
    assert (one / "model.tar.gz").read_bytes() == (two / "model.tar.gz").read_bytes()
    manifest = archive.unpack(one / "model.tar.gz", tmp_path / "model")
    assert set(manifest.files) == {keys.MODEL_ONNX, keys.MODEL_WEIGHTS, keys.MODEL_METRICS}
    assert (manifest.tenant, manifest.project, manifest.run, manifest.form) == (
        "acme",
        "demo",
        "run-1",
        FLOAT32,
    )
    assert manifest.lineage["upload"] == "s3://data/acme/demo/inbox/rows.csv"
    assert manifest.lineage["upload_version"] == "v1"
    assert len(manifest.lineage["dataset"]) == 64
    onnx.checker.check_model(tmp_path / "model/model.onnx")


def test_any_number_of_rows_can_be_predicted(
    trained_images: Path, images: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    _, out = evaluate(evaluation_job(tmp_path / "a", images, trained_images))
    archive.unpack(out / "model.tar.gz", tmp_path / "model")
    session = onnxruntime.InferenceSession(tmp_path / "model/model.onnx", providers=["CPUExecutionProvider"])
    rows = Split(images / keys.DATASET / "train").everything()["image"]
    (together,) = session.run(["probabilities"], {"image": rows})
    for number in (0, 5):
        (alone,) = session.run(["probabilities"], {"image": rows[number : number + 1]})
        np.testing.assert_allclose(alone[0], together[number], atol=1e-6)


def decode(body: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body["image"]))))


def test_golden_images_are_requests_with_the_answers_of_the_served_form(
    trained_images: Path, images: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    _, out = evaluate(evaluation_job(tmp_path / "a", images, trained_images))
    golden = Golden.from_dict(json.loads((out / "golden.json").read_text()))
    archive.unpack(out / "model.tar.gz", tmp_path / "model")
    session = onnxruntime.InferenceSession(tmp_path / "model/model.onnx", providers=["CPUExecutionProvider"])
    assert len(golden.samples) == 8
    for sample in golden.samples:
        (instance,) = json.loads(sample.body)["instances"]
        (answer,) = session.run(None, {"image": decode(instance)[None, :, :, None]})
        assert list(sample.outputs) == ["left", "right"]
        np.testing.assert_allclose(answer[0], list(sample.outputs.values()), atol=1e-6)


def test_golden_rows_of_a_table_are_its_columns_by_name(
    table: Path, trained_table: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    job = evaluation_job(tmp_path / "a", table, trained_table, settings={"deploy": {"golden_samples": 30}})
    _, out = evaluate(job)
    golden = Golden.from_dict(json.loads((out / "golden.json").read_text()))
    instances = [json.loads(sample.body)["instances"][0] for sample in golden.samples]
    assert all(list(instance) == ["income", "age", "region"] for instance in instances)
    assert {instance["region"] for instance in instances} == {"north", "south", "east", None}
    assert all(isinstance(instance["income"], float) for instance in instances)


def test_a_form_that_differs_from_the_trained_model_is_not_served(
    table: Path, trained_table: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    job = evaluation_job(tmp_path / "a", table, trained_table, settings={"optimise": {"parity_tolerance": 0.0}})
    with pytest.raises(TrainingFailed, match=r"onnx-float32 differs from the trained model by .* allows 0"):
        evaluate(job)


def test_a_tie_keeps_the_champion(table: Path, trained_table: Path, tmp_path: Path, evaluate: Evaluate) -> None:
    _, out = evaluate(evaluation_job(tmp_path / "a", table, trained_table))
    job = evaluation_job(tmp_path / "b", table, trained_table, champion=out / "model.tar.gz")
    report, _ = evaluate(job, champion=True)
    assert report.champion
    assert report.champion.metrics == report.metrics
    assert (report.champion.package_arn, report.champion.version, report.champion.note) == (ARN, 3, "")
    assert not report.verdict.promote


@pytest.mark.parametrize(
    ("upload", "theirs", "ours"),
    [
        ({"rows.csv": csv(400)}, {}, {"recipe": {"name": "tabular", "max_vocabulary": 1}}),
        ({"rows.csv": csv(400)}, {}, {"prepare": {"exclude": ["region"]}}),
        ({"p.zip": zipped(pictures(60, size=12))}, {}, {"recipe": {"name": "image", "image_size": 2}}),
    ],
    ids=["words that the challenger does not know", "a column that it may not see", "pixels that it does not see"],
)
def test_the_champion_is_judged_on_the_rows_as_it_would_read_them(
    upload: dict[str, bytes | str], theirs: dict[str, Any], ours: dict[str, Any], tmp_path: Path, evaluate: Evaluate
) -> None:
    _, first = run_prepare(tmp_path / "first", upload, theirs)
    job = training_job(tmp_path / "champion", first, epochs=4, learning_rate=0.01)
    train_here(job)
    alone, out = evaluate(evaluation_job(tmp_path / "a", first, job))
    _, second = run_prepare(tmp_path / "second", upload, ours)
    job = training_job(tmp_path / "challenger", second, epochs=1)
    train_here(job)
    report, _ = evaluate(evaluation_job(tmp_path / "b", second, job, champion=out / "model.tar.gz"), champion=True)
    assert report.champion
    rows = [set(Split(folder / keys.DATASET / "test").everything()["row"]) for folder in (first, second)]
    if rows[0] == rows[1]:  # the split is by what the model sees
        assert report.champion.metrics == pytest.approx(alone.metrics)
    else:
        assert report.champion.metrics["accuracy"] > 0.85


def test_a_champion_that_cannot_read_the_rows_is_noted_and_the_baseline_decides(
    table: Path, trained_table: Path, images: Path, trained_images: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    _, out = evaluate(evaluation_job(tmp_path / "a", images, trained_images))
    job = evaluation_job(tmp_path / "b", table, trained_table, champion=out / "model.tar.gz")
    report, _ = evaluate(job, champion=True)
    assert report.champion
    assert report.champion.metrics == {}
    assert "reads images" in report.champion.note
    assert report.verdict.promote
    assert "baseline" in report.verdict.reasons[0]
    assert report.verdict.reasons[-1] == f"not compared with version 3: {report.champion.note}"


def test_the_container_runs_it_without_a_warning(table: Path, trained_table: Path, tmp_path: Path) -> None:
    base = evaluation_job(tmp_path / "a", table, trained_table)
    process = start(base, "-W", "error", "-m", "training.launch", "evaluate", PYTHONWARNINGS="error")
    output = process.communicate(timeout=90)[0]
    assert process.returncode == 0, output
    assert json.loads(output)["verdict"]["promote"]
