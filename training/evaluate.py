"""Evaluates what could be served, against the baseline and the version in service.

    python3 -m training.launch evaluate     # what the container runs

One job does it all, because each job costs minutes of start-up: it makes the form that
would be served, measures that form and no other, and writes the archive whose hash is in
the report. What is judged is what will be served.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contract import keys, names
from contract.errors import TrainingFailed
from contract.gate import decide
from contract.golden import Golden, GoldenSample
from contract.manifest import ModelManifest, Schema
from contract.metrics import METRICS
from contract.reports import MAX_LABELS, MAX_PAIRS, Champion, EvaluationReport, Form
from contract.request import RunRequest
from training import archive, champion, metrics, optimise, originals, recipes
from training.container import Container
from training.data import LABEL, ROW, Split, fingerprint, read_schema
from training.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the job was given."""

    request: RunRequest
    recipe: Recipe
    model: Path  # folder of the unpacked model.tar.gz of training
    manifest: ModelManifest
    rows: Mapping[str, NDArray]  # held out
    originals: Path  # folder of those rows as they were uploaded
    train: Split
    prepared: Schema  # of these rows; that of a model that was continued has statistics of earlier ones

    @property
    def labels(self) -> NDArray:
        """The held-out rows' true classes or values."""
        return self.rows[LABEL]

    def metrics(self, answers: NDArray[np.floating]) -> dict[str, float]:
        """Return the metrics of answers to the held-out rows."""
        return self.recipe.metrics(answers, self.rows, self.manifest.schema)


@dataclass(frozen=True, kw_only=True)
class Challenger:
    """The form that would be served."""

    form: Form
    onnx: bytes
    answers: NDArray[np.float32]  # to the held-out rows


def evaluate(inputs: Inputs, rival: Path | None, out: Path) -> EvaluationReport:
    """Write the archive, the golden samples and the report below ``out``; return the report.

    Args:
        inputs: the trained model and the rows.
        rival: the champion's model.tar.gz, if any.
        out: the folder that becomes ``contract.keys.EVALUATE``.

    Raises:
        TrainingFailed: when no form agrees with the trained model.
    """
    challenger = measure(inputs)
    package = out / Path(keys.MODEL).name
    archive.pack(package, _archive_files(inputs, challenger))
    golden = golden_samples(inputs, challenger.onnx)
    (out / Path(keys.GOLDEN).name).write_text(json.dumps(golden.to_dict()))
    report = _report(inputs, challenger, measure_champion(inputs, rival), archive.sha256(package))
    (out / Path(keys.EVALUATION_REPORT).name).write_text(json.dumps(report.to_dict()))
    return report


def measure(inputs: Inputs) -> Challenger:
    """Make the form that would be served and measure it on the held-out rows."""
    request, schema = inputs.request, inputs.manifest.schema
    trained = optimise.trained(inputs.model, inputs.recipe, inputs.manifest, inputs.rows)
    session = optimise.open_session(trained.onnx)
    answers = optimise.predict(session, inputs.rows, schema)
    apart = [optimise.apart(session, rows, expected, schema) for rows, expected in trained.answered]
    parity = float(np.max(apart))  # keeps a NaN
    if not parity <= request.optimise.parity_tolerance:
        raise TrainingFailed(
            f"{optimise.FLOAT32} differs from the trained model by {parity:.3g}; "
            f"optimise.parity_tolerance allows {request.optimise.parity_tolerance:g}"
        )
    form = Form(
        name=optimise.FLOAT32,
        metrics=inputs.metrics(answers),
        latency_ms=optimise.latency(session, inputs.rows, schema, requests=request.evaluate.latency_requests),
        bytes=len(trained.onnx),
        parity=parity,
    )
    return Challenger(form=form, onnx=trained.onnx, answers=answers)


def measure_champion(inputs: Inputs, package: Path | None) -> Champion | None:
    """Measure the version in service on the same rows; None when there is none."""
    if package is None:
        return None
    arn, version = os.environ[names.CHAMPION_PACKAGE], int(os.environ[names.CHAMPION_VERSION])
    with tempfile.TemporaryDirectory() as folder:
        try:
            answers = champion.predict(
                package,
                Path(folder),
                originals.read(inputs.originals),
                schema=inputs.manifest.schema,
                recipe=inputs.recipe,
                hashed=inputs.request.privacy.hash,
            )
        except champion.CannotRead as error:
            return Champion(package_arn=arn, version=version, metrics={}, note=str(error))
    return Champion(package_arn=arn, version=version, metrics=inputs.metrics(answers))


def golden_samples(inputs: Inputs, onnx: bytes) -> Golden:
    """Return held-out rows as requests have them, and what the form answers to each alone."""
    deploy, schema, session = inputs.request.deploy, inputs.manifest.schema, optimise.open_session(onnx)
    count = min(deploy.golden_samples, len(inputs.labels))
    samples = []
    for row in np.linspace(0, len(inputs.labels) - 1, count).astype(int):
        arrays = {name: array[row : row + 1] for name, array in inputs.rows.items()}
        answer = optimise.predict(session, arrays, schema)[0].tolist()
        instance = inputs.recipe.instance({name: array[0] for name, array in arrays.items()}, schema)
        samples.append(
            GoldenSample(
                name=f"row {int(arrays[ROW][0])}",
                content_type="application/json",
                body=json.dumps({"instances": [instance]}),
                outputs=dict(zip(schema.labels, answer, strict=True)),
            )
        )
    return Golden(run=inputs.request.run, tolerance=deploy.golden_tolerance * schema.scale, samples=tuple(samples))


def _archive_files(inputs: Inputs, challenger: Challenger) -> dict[str, bytes]:
    """Return the files of the archive that would be served."""
    kept = (
        keys.MODEL_WEIGHTS,
        keys.MODEL_METRICS,
        *inputs.manifest.files,
    )  # and forms of training
    files = {name: (inputs.model / name).read_bytes() for name in kept} | {keys.MODEL_ONNX: challenger.onnx}
    manifest = replace(
        inputs.manifest,
        form=challenger.form.name,
        metrics=challenger.form.metrics,
        files={name: archive.digest(content) for name, content in files.items()},
    )
    files[keys.MODEL_MANIFEST] = json.dumps(manifest.to_dict(), sort_keys=True).encode()
    return files


def _report(inputs: Inputs, challenger: Challenger, rival: Champion | None, sha256: str) -> EvaluationReport:
    recipe, schema, request = inputs.recipe, inputs.manifest.schema, inputs.request
    metric, higher_is_better = schema.metric, METRICS[schema.metric].higher_is_better
    baseline = inputs.metrics(recipe.baseline(inputs.train, inputs.rows, inputs.prepared))
    verdict = decide(
        request.gate,
        metric=metric,
        higher_is_better=higher_is_better,
        challenger=challenger.form.metrics[metric],
        baseline=baseline[metric],
        champion=rival.metrics.get(metric) if rival else None,
    )
    if rival and rival.note:
        verdict = replace(
            verdict, reasons=(*verdict.reasons, f"not compared with version {rival.version}: {rival.note}")
        )
    return EvaluationReport(
        run=request.run,
        task=schema.task,
        metric=metric,
        higher_is_better=higher_is_better,
        rows=len(inputs.labels),
        metrics=challenger.form.metrics,
        baseline=baseline,
        baseline_name=recipe.describe_baseline(schema.task),
        forms=(challenger.form,),
        chosen=challenger.form.name,
        champion=rival,
        labels=schema.labels[:MAX_LABELS],
        **_mistakes(challenger.answers, inputs.labels, schema),
        start=inputs.manifest.lineage.get("start_note", ""),
        model_sha256=sha256,
        verdict=verdict,
    )


def _mistakes(answers: NDArray[np.float32], labels: NDArray, schema: Schema) -> dict[str, Any]:
    """Return what the report shows of where the answers are wrong."""
    if schema.task == "classification":
        shown = min(len(schema.labels), MAX_LABELS)
        return {"confusion": tuple(map(tuple, metrics.confusion(answers, labels)[:shown, :shown].tolist()))}
    known = ~np.isnan(labels)  # a forecast's truth may have gaps
    both = np.stack([labels[known], answers[known]], axis=1).astype(np.float64)
    errors = np.abs(both[:, 1] - both[:, 0])
    places = np.linspace(0, len(both) - 1, min(len(both), MAX_PAIRS)).astype(int)
    quantiles = {f"p{share}": float(np.percentile(errors, share)) for share in (50, 90, 99)}
    return {
        "pairs": tuple(map(tuple, both[places].tolist())),
        "error_quantiles": {**quantiles, "max": float(errors.max())},
    }


def read_inputs(container: Container, scratch: Path) -> Inputs:
    """Return the job's inputs; the model is unpacked below ``scratch``."""
    request = RunRequest.from_dict(json.loads((container.processing_input("request") / keys.REQUEST).read_text()))
    dataset = container.processing_input("dataset")
    manifest = archive.unpack(container.processing_input("model") / Path(keys.MODEL).name, scratch)
    manifest = replace(
        manifest,
        tenant=request.tenant,
        project=request.project,
        run=request.run,
        lineage={**manifest.lineage, **_lineage(request, container)},
    )
    return Inputs(
        request=request,
        recipe=recipes.load(manifest.recipe),
        model=scratch,
        manifest=manifest,
        rows=Split(dataset / "test").everything(),
        originals=dataset / Path(keys.DATASET_ORIGINALS).name,
        train=Split(dataset / "train"),
        prepared=read_schema(dataset),
    )


def _lineage(request: RunRequest, container: Container) -> dict[str, str]:
    """Return what the model came from, as far as this job knows."""
    code = [archive.sha256(path) for path in container.processing_input("code").glob("*.gz")]
    return {
        "upload": request.upload.uri,
        "upload_version": request.upload.version_id,
        "dataset": fingerprint(container.processing_input("dataset")),
        "onnxruntime": onnxruntime.__version__,
        **({"code": code[0]} if code else {}),
    }


def main() -> None:
    """Evaluate in a processing job."""
    container = Container.here()
    out = container.processing_output
    out.mkdir(parents=True, exist_ok=True)
    rival = container.processing_input("champion") / Path(keys.MODEL).name
    with tempfile.TemporaryDirectory() as scratch:
        inputs = read_inputs(container, Path(scratch))
        report = evaluate(inputs, rival if os.environ.get(names.CHAMPION_PACKAGE) else None, out)
    print(json.dumps({"metrics": report.metrics, "verdict": report.to_dict()["verdict"]}), flush=True)


if __name__ == "__main__":
    main()
