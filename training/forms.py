"""Makes the forms that a project allows, measures each on the held-out rows, and chooses the one to serve.

Chosen is the fastest of those that are no slower than float32 and stay within ``optimise.max_accuracy_drop``; of forms
that are as fast as it, as far as can be measured, the smallest. The trained model in float32 is the measure of all
others, and is served when none of them is good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from contract import keys
from contract.config import Optimise
from contract.errors import TrainingFailed
from contract.forms import FLOAT16, FLOAT32, INT8, INT8_DYNAMIC, PRUNED, STUDENT, TFLITE
from contract.manifest import Schema
from contract.metrics import METRICS
from contract.reports import Form
from training import optimise, quantise
from training.data import Arrays
from training.evaluation import Inputs
from training.optimise import Trained
from training.shrink import Smaller

ALIKE = 1.05  # latencies that differ by less than this factor are the same, as far as they can be measured
CALIBRATION_BATCH = 32
MOST_ASKED, ALONE = 1000, 100  # held-out rows that a form is asked again, and one by one, to see what its answers vary
NEAR = 0.01  # values that are so near, in the schema's scale, are the same answer
FOR_DEVICES = "for devices: not measured here, and not served"
Answered = NDArray[np.float32]  # [n, labels]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One form: the file, what it answers to the held-out rows, and what was measured."""

    form: Form
    onnx: bytes
    answers: Answered

    @property
    def latency(self) -> float:
        """The median of one row, in milliseconds."""
        return self.form.latency_ms["p50"]


def choose(inputs: Inputs) -> tuple[Measured, tuple[Form, ...]]:
    """Return the form to serve, and all forms with what was measured of them and why they are served or not.

    Raises:
        TrainingFailed: when a form in float32 differs from the network that it was made of.
    """
    trained = optimise.trained(inputs.model, inputs.recipe, inputs.manifest, inputs.rows)
    made = dict(_made(inputs, trained))
    sessions = {name: optimise.open_session(onnx) for name, onnx in made.items()}
    schema, requests = inputs.manifest.schema, inputs.request.evaluate.latency_requests
    timed = optimise.latencies(sessions, inputs.rows, schema, requests=requests)
    gauge = Gauge(inputs, trained, optimise.predict(sessions[FLOAT32], inputs.rows, schema))
    measured = [gauge.measure(name, made[name], sessions[name], timed[name]) for name in made]
    chosen = pick(measured, inputs.request.optimise)
    notes = [note(each, chosen, measured[0], inputs) for each in measured]
    forms = [replace(each.form, note=text) for each, text in zip(measured, notes, strict=True)]
    return chosen, (*forms, *_for_devices(inputs))


def _made(inputs: Inputs, trained: Trained) -> Iterator[tuple[str, bytes]]:
    """Yield each form's name and file; first the trained model in float32."""
    asked = inputs.request.optimise
    _check(inputs, FLOAT32, trained)
    yield FLOAT32, trained.onnx
    for name in asked.forms:
        if name != FLOAT32:
            yield name, _rewritten(inputs, name, trained.onnx)
    for kind, smaller in _smaller(inputs, trained):
        _check(inputs, f"{FLOAT32}-{kind}", smaller)
        for name in asked.forms:
            yield f"{name}-{kind}", _rewritten(inputs, name, smaller.onnx)


def _smaller(inputs: Inputs, trained: Trained) -> Iterator[tuple[str, Trained]]:
    """Yield the smaller networks that were asked for; none of a search's winner that has none, as it is branched."""
    asked, schema, recipe = inputs.request.optimise, inputs.manifest.schema, inputs.recipe
    if trained.network is None or not (asked.prune or asked.distil):
        return
    options = recipe.parse_options(inputs.manifest.options)
    maker = Smaller(trained.network, recipe, options, schema=schema, rows=inputs.train, train=inputs.request.train)
    if asked.prune and maker.prunes:
        yield PRUNED, optimise.exported(maker.pruned(asked.prune, asked.prune_epochs), recipe, schema, inputs.rows)
    if asked.distil and recipe.narrows:
        yield STUDENT, optimise.exported(maker.student(asked.distil), recipe, schema, inputs.rows)


def _rewritten(inputs: Inputs, name: str, onnx: bytes) -> bytes:
    """Return a float32 model in the form of that name."""
    if name == INT8:
        return quantise.int8(onnx, _calibration(inputs))
    return {FLOAT32: lambda model: model, INT8_DYNAMIC: quantise.int8_dynamic, FLOAT16: quantise.float16}[name](onnx)


def _calibration(inputs: Inputs) -> Iterator[Arrays]:
    """Yield batches of training rows, spread evenly over all."""
    count = min(inputs.request.optimise.calibration_rows, len(inputs.train))
    chosen = np.linspace(0, len(inputs.train) - 1, count).astype(np.int64)
    for first in range(0, count, CALIBRATION_BATCH):
        arrays = inputs.train.take(chosen[first : first + CALIBRATION_BATCH])
        yield {tensor.name: arrays[tensor.name] for tensor in inputs.manifest.schema.inputs}


def _parity(session: InferenceSession, trained: Trained, schema: Schema, most: int | None = None) -> float:
    """Return how far answers are from the trained network's, to ``most`` rows of each kind; NaN when either is."""
    some = [
        ({name: array[:most] for name, array in rows.items()}, answers[:most]) for rows, answers in trained.answered
    ]
    return float(np.max([optimise.apart(session, rows, answers, schema) for rows, answers in some]))


def _check(inputs: Inputs, name: str, trained: Trained) -> None:
    """Refuse a wrong export: a file in float32 that answers otherwise than its network."""
    allowed = inputs.request.optimise.parity_tolerance
    parity = _parity(optimise.open_session(trained.onnx), trained, inputs.manifest.schema)
    if not parity <= allowed:
        raise TrainingFailed(
            f"{name} differs from the trained model by {parity:.3g}; optimise.parity_tolerance allows {allowed:g}"
        )


class Gauge:
    """Measures forms against the trained model.

    Args:
        inputs: the job's.
        trained: what the network itself answers to some rows.
        truth: what its float32 form answers to the held-out rows.
    """

    def __init__(self, inputs: Inputs, trained: Trained, truth: Answered) -> None:
        self._inputs, self._trained, self._truth, self._schema = inputs, trained, truth, inputs.manifest.schema
        self._metrics = inputs.metrics(truth)

    def measure(self, name: str, onnx: bytes, session: InferenceSession, latency: dict[str, float]) -> Measured:
        """Return a form with all that is told of it but the reason why it is served or not."""
        metric, schema = self._schema.metric, self._schema
        answers = self._truth if name == FLOAT32 else optimise.predict(session, self._inputs.rows, schema)
        metrics = self._inputs.metrics(answers)
        form = Form(
            name=name,
            metrics=metrics,
            latency_ms=latency,
            bytes=len(onnx),
            parity=_parity(session, self._trained, schema, MOST_ASKED),
            agreement=agreement(answers, self._truth, schema),
            drop=drop(metric, self._metrics[metric], metrics[metric]),
            spread=self._spread(onnx, session, answers),
        )
        return Measured(form=form, onnx=onnx, answers=answers)

    def _spread(self, onnx: bytes, session: InferenceSession, answers: Answered) -> float:
        """Return the largest difference between answers to the same row.

        Sums of floats are rounded otherwise by other kernels, as another processor may have: then an activation may
        be quantised to the next integer. And ranges that depend on the call depend on the other rows of it.
        """
        some = {name: array[:MOST_ASKED] for name, array in self._inputs.rows.items()}
        plain = optimise.predict(optimise.open_session(onnx, plain=True), some, self._schema)
        singly = [{name: array[row : row + 1] for name, array in some.items()} for row in range(min(ALONE, len(plain)))]
        alone = np.concatenate([optimise.predict(session, row, self._schema) for row in singly])
        apart = [np.abs(other - answers[: len(other)]).max() for other in (plain, alone)]
        return float(np.max(apart)) / self._schema.scale


def agreement(answers: Answered, truth: Answered, schema: Schema) -> float:
    """Return the share of rows with the same class, or of values that are nearly the same."""
    if schema.task == "classification":
        return float((answers.argmax(axis=1) == truth.argmax(axis=1)).mean())
    return float((np.abs(answers - truth) <= NEAR * schema.scale).mean())


def drop(metric: str, trained: float, value: float) -> float:
    """Return how much worse a value of a metric is than the trained model's, below 0 where it is better.

    Scores are compared absolutely: 0.98 is 0.01 worse than 0.99. Errors have no upper bound and the target's unit, so
    they are compared with the trained model's: 2.2 is 0.1 worse than 2.0.
    """
    if METRICS[metric].higher_is_better:
        return trained - value
    return (value - trained) / (abs(trained) or 1.0)


def pick(measured: Sequence[Measured], asked: Optimise) -> Measured:
    """Return the form to serve; the first one is the trained model in float32."""
    float32 = measured[0]
    allowed = measured if FLOAT32 in asked.forms else measured[1:]
    good = [each for each in allowed if each.form.drop <= asked.max_accuracy_drop and each.latency <= float32.latency]
    if not good:
        return float32
    fastest = min(each.latency for each in good)
    as_fast = [each for each in good if each.latency <= ALIKE * fastest]
    return min(as_fast, key=lambda each: (each.form.bytes, each.form.drop))


def note(each: Measured, chosen: Measured, float32: Measured, inputs: Inputs) -> str:
    """Return why a form is served, or why not."""
    asked, form = inputs.request.optimise, each.form
    if each is chosen:
        others = "served: no other form is as good and faster"
        return others if each is float32 else "served: the fastest that is good, the smallest of those as fast"
    if not form.drop <= asked.max_accuracy_drop:
        what = f"{inputs.manifest.schema.metric} is worse by {form.drop:.3g}"
        return f"{what}; optimise.max_accuracy_drop allows {asked.max_accuracy_drop:g}"
    if each is float32 and FLOAT32 not in asked.forms:
        return "not among optimise.forms"
    if each.latency > float32.latency:
        return f"slower than {FLOAT32}"
    slower = each.latency > ALIKE * chosen.latency
    worse = "worse" if form.bytes == chosen.form.bytes else "larger"
    return f"slower than {chosen.form.name}" if slower else f"as fast as {chosen.form.name}, and {worse}"


def _for_devices(inputs: Inputs) -> Iterator[Form]:
    """Yield the forms that training left beside the one that is served."""
    manifest = inputs.manifest
    if keys.MODEL_TFLITE in manifest.files:
        size, parity = (inputs.model / keys.MODEL_TFLITE).stat().st_size, manifest.lineage[f"parity_{TFLITE}"]
        nothing: dict[str, Any] = {"metrics": {}, "latency_ms": {}}
        yield Form(name=TFLITE, bytes=size, parity=float(parity), note=FOR_DEVICES, **nothing)
