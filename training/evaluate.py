"""Evaluates what could be served, against the baseline and the version in service.

    python3 -m training.launch evaluate     # what the container runs

One job does it all, because each job costs minutes of start-up: it makes the forms that could be
served, chooses one (training.forms), and writes the archive whose hash is in
the report. What is judged is what will be served.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import keys, names
from contract.gate import decide
from contract.golden import Golden, GoldenSample
from contract.manifest import Schema
from contract.metrics import METRICS
from contract.reports import MAX_LABELS, MAX_PAIRS, Champion, EvaluationReport, Form
from training import archive, champion, evaluation, evidence, forms, metrics, optimise, originals
from training.container import Container
from training.data import ROW
from training.evaluation import Inputs
from training.evidence import Evidence
from training.forms import Measured

SPREADS = 2.0  # of a form's answers, that golden samples may differ by


def evaluate(inputs: Inputs, rival: Path | None, out: Path) -> EvaluationReport:
    """Write the archive, the golden samples and the report below ``out``; return the report.

    Args:
        inputs: the trained model and the rows.
        rival: the champion's model.tar.gz, if any.
        out: the folder that becomes ``contract.keys.EVALUATE``.

    Raises:
        TrainingFailed: when the exported model does not answer as the trained one.
    """
    challenger, measured = forms.choose(inputs)
    package = out / Path(keys.MODEL).name
    archive.pack(package, _archive_files(inputs, challenger))
    golden = golden_samples(inputs, challenger)
    (out / Path(keys.GOLDEN).name).write_text(json.dumps(golden.to_dict()))
    shown = evidence.gather(inputs, challenger.onnx, challenger.answers)
    report = _report(inputs, challenger, measured, measure_champion(inputs, rival), archive.sha256(package), shown)
    (out / Path(keys.EVALUATION_REPORT).name).write_text(json.dumps(replace(report, pairs=()).to_dict()))
    (out / Path(keys.EVALUATION_PAIRS).name).write_text(json.dumps(report.pairs))
    return report


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


def golden_samples(inputs: Inputs, challenger: Measured) -> Golden:
    """Return held-out rows as requests have them, and what the form answers to each alone.

    A form in integers may answer a little otherwise on the server's processor: what is tolerated is widened to twice
    the differences that were seen here.
    """
    deploy, schema, session = inputs.request.deploy, inputs.manifest.schema, optimise.open_session(challenger.onnx)
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
    tolerance = max(deploy.golden_tolerance, SPREADS * challenger.form.spread)
    return Golden(run=inputs.request.run, tolerance=tolerance * schema.scale, samples=tuple(samples))


def _archive_files(inputs: Inputs, challenger: Measured) -> dict[str, bytes]:
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


def _report(
    inputs: Inputs,
    challenger: Measured,
    measured: tuple[Form, ...],
    rival: Champion | None,
    sha256: str,
    shown: Evidence,
) -> EvaluationReport:
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
        gaps=shown.gaps,
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
        forms=measured,
        chosen=challenger.form.name,
        champion=rival,
        labels=schema.labels[:MAX_LABELS],
        **_mistakes(challenger.answers, inputs.labels, schema),
        groups=shown.groups,
        importance=shown.importance,
        robustness=shown.robustness,
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


def main() -> None:
    """Evaluate in a processing job."""
    container = Container.here()
    out = container.processing_output
    out.mkdir(parents=True, exist_ok=True)
    rival = container.processing_input("champion") / Path(keys.MODEL).name
    with tempfile.TemporaryDirectory() as scratch:
        inputs = evaluation.read(container, Path(scratch))
        report = evaluate(inputs, rival if os.environ.get(names.CHAMPION_PACKAGE) else None, out)
    print(json.dumps({"metrics": report.metrics, "verdict": report.to_dict()["verdict"]}), flush=True)


if __name__ == "__main__":
    main()
