"""Forms of a model: what they keep, what they cost, and which one is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from contract import keys, names
from contract.config import Optimise
from contract.forms import FLOAT16, FLOAT32, FORMS, INT8, INT8_DYNAMIC
from contract.golden import Golden
from contract.manifest import Feature, Schema, Tensor
from contract.reports import EvaluationReport, Form
from serving.model import Model
from tests.training.builders import evaluation_job, learned
from training import archive, evaluate, forms, optimise, quantise, recipes, shrink
from training.data import Split, read_schema
from training.forms import Measured
from training.recipes.image import IMAGE
from training.tasks import TASKS

SMALLER = [f"{form}-{kind}" for kind in ("pruned", "student") for form in (FLOAT32, INT8, INT8_DYNAMIC)]


def exported(out: Path, trained: Path) -> tuple[bytes, dict[str, np.ndarray], Schema]:
    """Return a trained model in float32, its held-out rows, and its schema."""
    model, schema = learned(trained)
    rows = Split(out / keys.DATASET / "test").everything()
    return quantise.fused(optimise.export(model, schema, {n: a[:2] for n, a in rows.items()})), rows, schema


def batches(out: Path, schema: Schema) -> list[dict[str, np.ndarray]]:
    arrays = Split(out / keys.DATASET / "train").everything()
    return [{tensor.name: arrays[tensor.name] for tensor in schema.inputs}]


@pytest.fixture(scope="module")
def pictured(images: Path, trained_images: Path) -> tuple[bytes, dict[str, np.ndarray], Schema]:
    """A convolutional network."""
    return exported(images, trained_images)


@pytest.fixture(scope="module")
def tabled(table: Path, trained_table: Path) -> tuple[bytes, dict[str, np.ndarray], Schema]:
    """A multi-layer perceptron with an embedding."""
    return exported(table, trained_table)


def rewritten(model: bytes, rows: list[dict[str, np.ndarray]]) -> dict[str, bytes]:
    return {
        INT8: quantise.int8(model, rows),
        INT8_DYNAMIC: quantise.int8_dynamic(model),
        FLOAT16: quantise.float16(model),
    }


@pytest.mark.parametrize("kind", ["images", "table"])
def test_every_form_has_the_same_inputs_and_the_same_output(kind: str, request: pytest.FixtureRequest) -> None:
    model, rows, schema = request.getfixturevalue({"images": "pictured", "table": "tabled"}[kind])
    wanted = optimise.open_session(model)
    truth = optimise.predict(wanted, rows, schema)
    signature = [(each.name, each.type) for each in (*wanted.get_inputs(), *wanted.get_outputs())]
    for name, made in rewritten(model, batches(request.getfixturevalue(kind), schema)).items():
        onnx.checker.check_model(onnx.load_from_string(made))
        session = optimise.open_session(made)
        assert [(each.name, each.type) for each in (*session.get_inputs(), *session.get_outputs())] == signature
        answers = optimise.predict(session, rows, schema)
        assert answers.dtype == np.float32
        assert forms.agreement(answers, truth, schema) >= 0.9, name


PIXELS = {"mean": 100.0, "std": 50.0, "min": 0.0, "max": 255.0, "missing": 0.0}
BRANCHED = {
    "resnet18": (
        {"network": "resnet18", "width": 16},
        Tensor(name="image", dtype="uint8", shape=(-1, 16, 16, 1)),
        Feature(name="image", kind="image", statistics=PIXELS),
    ),
    "transformer": (
        {"network": "transformer", "width": 32},
        Tensor(name="text", dtype="int64", shape=(-1, 8)),
        Feature(name="words", kind="text", vocabulary=tuple(map(str, range(200)))),
    ),
}


@pytest.mark.parametrize("name", BRANCHED)
def test_networks_with_branches_have_every_form(name: str) -> None:
    options, tensor, feature = BRANCHED[name]
    schema = Schema(
        task="classification", inputs=(tensor,), features=(feature,), labels=("a", "b", "c"), target="label"
    )
    torch.manual_seed(0)
    recipe = recipes.load(tensor.name)  # the recipes are called so too
    network = recipe.network(schema, recipe.parse_options(options))
    drawn = np.random.default_rng(0).integers(0, 200, (16, *tensor.shape[1:]))
    rows = {tensor.name: drawn.astype(tensor.dtype)}
    trained = optimise.exported(network, recipe, schema, rows)
    truth = optimise.predict(optimise.open_session(trained.onnx), rows, schema)
    for form, made in rewritten(trained.onnx, [rows]).items():
        answers = optimise.predict(optimise.open_session(made), rows, schema)
        assert np.abs(answers - truth).max() < 0.05, form
        assert len(made) < len(trained.onnx) or form == INT8_DYNAMIC, form  # which leaves convolutions alone


def test_the_server_answers_with_every_form(
    images: Path, trained_images: Path, pictured: tuple[bytes, dict[str, np.ndarray], Schema], tmp_path: Path
) -> None:
    model, rows, schema = pictured
    manifest = archive.read_manifest(trained_images / "model")
    for name, made in rewritten(model, batches(images, schema)).items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(made)
        served = Model(manifest, path).answers({IMAGE: rows[IMAGE]})
        np.testing.assert_array_equal(served, optimise.predict(optimise.open_session(made), rows, schema))


def test_a_form_is_the_same_each_time_it_is_made(table: Path, tabled: tuple[bytes, dict, Schema]) -> None:
    model, _, schema = tabled
    assert rewritten(model, batches(table, schema)) == rewritten(model, batches(table, schema))


def test_a_fused_model_has_nothing_but_standard_operations(pictured: tuple[bytes, dict, Schema]) -> None:
    fused = onnx.load_from_string(pictured[0])
    assert {node.domain for node in fused.graph.node} == {each.domain for each in fused.opset_import} == {""}


def test_batch_normalisation_becomes_part_of_the_convolution() -> None:
    source = np.random.default_rng(0)
    weights = {"w": (4, 1, 3, 3), "scale": (4,), "bias": (4,), "mean": (4,), "variance": (4,)}
    arrays = {name: source.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in weights.items()}
    image, result = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, *shape])
        for name, shape in {"image": (1, 8, 8), "result": (4, 6, 6)}.items()
    )
    nodes = [
        onnx.helper.make_node("Conv", ["image", "w"], ["convolved"]),
        onnx.helper.make_node("BatchNormalization", ["convolved", *list(weights)[1:]], ["normalised"]),
        onnx.helper.make_node("Relu", ["normalised"], ["result"]),
    ]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(nodes, "g", [image], [result], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", optimise.OPSET)], ir_version=10)
    fused = onnx.load_from_string(quantise.fused(model.SerializeToString()))
    assert [node.op_type for node in fused.graph.node] == ["Conv", "Relu"]


def test_weights_of_8_bits_are_a_quarter_and_products_are_of_integers(
    images: Path, pictured: tuple[bytes, dict, Schema]
) -> None:
    model, _, schema = pictured
    made = onnx.load_from_string(quantise.int8(model, batches(images, schema)))
    weights = {each.name: each.data_type for each in made.graph.initializer if len(each.dims) > 1}
    assert set(weights.values()) == {onnx.TensorProto.INT8}
    assert (
        max(
            np.abs(onnx.numpy_helper.to_array(w).astype(int)).max() for w in made.graph.initializer if w.name in weights
        )
        <= 64
    )
    assert len(made.SerializeToString()) < len(model) / 2


def test_answers_of_int8_keep_all_their_digits(images: Path, pictured: tuple[bytes, dict, Schema]) -> None:
    """The last product is not rounded to one of 256 values, which would show in every probability and every value."""
    model, _, schema = pictured
    made = onnx.load_from_string(quantise.int8(model, batches(images, schema)))
    last = [node for node in made.graph.node if node.op_type == "Gemm"][-1]
    (reader,) = [node for node in made.graph.node if last.output[0] in node.input]
    assert reader.op_type == "Softmax"


@pytest.mark.parametrize(
    ("name", "options"),
    [("image", {"network": "small", "width": 16}), ("image", {"network": "deep"}), ("tabular", {"layers": 3})],
    ids=["small", "deep", "tabular"],
)
def test_removing_channels_that_do_nothing_changes_no_answer(
    name: str, options: dict[str, Any], images: Path, table: Path
) -> None:
    recipe, out = recipes.load(name), images if name == "image" else table
    schema = read_schema(out / keys.DATASET)
    torch.manual_seed(0)
    settings = recipe.parse_options(options)
    wide, narrow = (recipe.network(schema, each).eval() for each in (settings, recipe.narrower(settings, 0.5)))
    layers = [module for module in wide.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    kept = [module.weight.shape[0] for module in narrow.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        for layer, count in zip(layers, kept, strict=True):
            assert layer.bias is not None
            idle = torch.randperm(layer.weight.shape[0])[count:]
            layer.weight[idle] = 0
            layer.bias[idle] = 0  # so that what comes out is 0, whatever goes in
    shrink.remove_channels(wide, narrow)
    rows = Split(out / keys.DATASET / "test").everything()
    inputs = [torch.from_numpy(rows[tensor.name]) for tensor in schema.inputs]
    assert sum(p.numel() for p in narrow.parameters()) < sum(p.numel() for p in wide.parameters())
    torch.testing.assert_close(narrow(*inputs), wide(*inputs), atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def shrunk(
    images: Path, trained_images: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EvaluationReport, Path]:
    """An evaluation that tries everything."""
    asked = {"forms": [FLOAT32, INT8, INT8_DYNAMIC], "prune": 0.5, "prune_epochs": 2, "distil": 0.5}
    base = evaluation_job(tmp_path_factory.mktemp("shrunk") / "job", images, trained_images,
                          settings={"optimise": asked, "train": {"epochs": 3}})  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(names.BASE_DIR, str(base))
        patch.setenv(names.CHAMPION_PACKAGE, "")
        evaluate.main()
    out = base / names.PROCESSING_OUTPUT
    return EvaluationReport.from_dict(json.loads((out / "evaluation_report.json").read_text())), out


def test_everything_that_is_allowed_is_measured_and_has_its_reason(shrunk: tuple[EvaluationReport, Path]) -> None:
    report, _ = shrunk
    assert [form.name for form in report.forms] == [FLOAT32, INT8, INT8_DYNAMIC, *SMALLER]
    first, found = report.forms[0], {form.name: form for form in report.forms}
    for form in report.forms:
        assert form.note
        assert 0 < form.latency_ms["p50"] <= form.latency_ms["p99"]
        assert form.agreement is not None
        assert 0 <= form.agreement <= 1
        assert form.drop == pytest.approx(first.metrics["accuracy"] - form.metrics["accuracy"])
    assert (first.agreement, first.drop) == (1.0, 0.0)
    assert first.parity < 1e-4 < found[INT8].parity
    assert found[INT8].bytes < first.bytes / 2
    assert found[f"{FLOAT32}-pruned"].bytes < first.bytes / 2
    assert found[f"{INT8}-pruned"].bytes < found[INT8].bytes
    assert found[f"{FLOAT32}-pruned"].bytes == found[f"{FLOAT32}-student"].bytes


def test_what_was_chosen_is_in_the_archive_and_in_the_golden_samples(
    shrunk: tuple[EvaluationReport, Path], tmp_path: Path, images: Path
) -> None:
    report, out = shrunk
    manifest = archive.unpack(out / "model.tar.gz", tmp_path)
    (chosen,) = [form for form in report.forms if form.name == report.chosen]
    assert manifest.form == report.chosen
    assert (tmp_path / keys.MODEL_ONNX).stat().st_size == chosen.bytes
    assert manifest.metrics == report.metrics == chosen.metrics
    assert chosen.note.startswith("served")
    assert chosen.latency_ms["p50"] <= report.forms[0].latency_ms["p50"]
    golden = Golden.from_dict(json.loads((out / "golden.json").read_text()))
    assert golden.tolerance == pytest.approx(max(1e-3, evaluate.SPREADS * chosen.spread))
    rows = Split(images / keys.DATASET / "test").everything()
    answers = optimise.predict(optimise.open_session((tmp_path / keys.MODEL_ONNX).read_bytes()), rows, manifest.schema)
    assert recipes.load("image").metrics(answers, rows, manifest.schema) == pytest.approx(report.metrics)


def test_ranges_of_each_call_make_answers_depend_on_the_other_rows(shrunk: tuple[EvaluationReport, Path]) -> None:
    found = {form.name: form for form in shrunk[0].forms}
    assert found[FLOAT32].spread < 1e-5
    assert found[INT8_DYNAMIC].spread > 100 * found[FLOAT32].spread


def measured(name: str = INT8, *, ms: float, kb: int = 10, drop: float = 0.0) -> Measured:
    latency = {"p50": ms, "p99": ms}
    form = Form(name=name, metrics={}, latency_ms=latency, bytes=kb * 1000, parity=0.0, drop=drop)
    return Measured(form=form, onnx=b"", answers=np.zeros((1, 1), np.float32))


BASE = measured(FLOAT32, ms=1.0, kb=40)


@pytest.mark.parametrize(
    ("others", "allowed", "chosen"),
    [
        ([measured(ms=0.5)], FORMS, INT8),
        ([measured(ms=1.01)], FORMS, FLOAT32),
        ([measured(ms=0.5, drop=0.006)], FORMS, FLOAT32),
        ([measured(ms=0.5, drop=float("nan"))], FORMS, FLOAT32),
        ([measured(ms=0.5, drop=-0.1)], FORMS, INT8),
        ([measured(ms=0.97)], FORMS, INT8),
        ([measured(ms=0.97, kb=50)], FORMS, FLOAT32),
        ([measured(ms=0.5, kb=20), measured("smaller", ms=0.51)], FORMS, "smaller"),
        ([measured(ms=0.5, kb=20), measured("smaller", ms=0.6)], FORMS, INT8),
        ([measured(ms=0.5, drop=0.002), measured("better", ms=0.51)], FORMS, "better"),
        ([measured(ms=0.97, kb=50)], (INT8,), INT8),
        ([measured(ms=1.5)], (INT8,), FLOAT32),
    ],
    ids=[
        "faster", "slower than float32", "worse", "not a number", "better", "as fast, smaller", "as fast, larger",
        "two as fast", "the smaller one is slower", "as fast and as large", "float32 is not asked for",
        "nothing asked for is good",
    ],
)  # fmt: skip
def test_the_fastest_good_form_is_served_and_never_a_slower_one(
    others: list[Measured], allowed: tuple[str, ...], chosen: str
) -> None:
    assert forms.pick([BASE, *others], Optimise(forms=allowed)).form.name == chosen


def test_scores_are_compared_absolutely_and_errors_relatively() -> None:
    assert forms.drop("accuracy", 0.99, 0.98) == pytest.approx(0.01)
    assert forms.drop("r2", 0.5, 0.6) == pytest.approx(-0.1)
    assert forms.drop("rmse", 200.0, 202.0) == pytest.approx(0.01)
    assert forms.drop("mase", 0.8, 0.4) == pytest.approx(-0.5)
    assert forms.drop("mae", 0.0, 0.25) == 0.25


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_student_is_right_when_it_says_what_its_teacher_says(task: str) -> None:
    source = torch.Generator().manual_seed(0)
    taught = torch.randn(8, 3, generator=source)
    outputs = taught.clone().requires_grad_()
    loss = TASKS[task].imitation(outputs, taught)
    assert loss.shape == (8,)
    (slope,) = torch.autograd.grad(loss.sum(), outputs)
    assert slope.abs().max() < 1e-5
    assert (TASKS[task].imitation(taught + torch.randn(8, 3, generator=source), taught) > loss).all()
