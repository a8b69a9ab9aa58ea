"""How much faster and smaller the form that Evaluate chooses is than eager PyTorch, and what it loses.

    python -m benchmarks.optimise

Two projects on real data, prepared, trained and judged by the product's own code, in this process: scans of digits
with the convolutional network of recipe ``image``, and loans (benchmarks/data) with the perceptron of ``tabular``. Both
allow int8; the first also pruning, the second a student. Then one row after another is asked on one thread, of the
trained network in eager PyTorch (inference mode), of its float32 form and of the chosen one in turns, so that what else
the machine does hits all alike. Sizes are of the files: the network's weights (safetensors), and the forms (ONNX). The
drop is in points (hundredths) of the held-out rows' accuracy.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.side_by_side import Goal, report
from contract import keys, names
from contract.forms import FLOAT32, INT8
from contract.request import Upload, build_request
from training import archive, forms, optimise, recipes
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.data import Split, read_schema
from training.evaluation import Inputs
from training.prepare import prepare
from training.train import Trainer

ROOT = Path(__file__).parents[1]
REQUESTS, WARM_UP = 2000, 50
ALLOWED = {"forms": [FLOAT32, INT8], "max_accuracy_drop": 0.005}
GOALS = {
    "cnn-speed": Goal(at_least=3.5),
    "mlp-speed": Goal(at_least=2.3),
    "cnn-size": Goal(at_least=3.5),
    "mlp-size": Goal(at_least=3.5),
    "cnn-points-lost": Goal(at_most=0.5),
    "mlp-points-lost": Goal(at_most=0.5),
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """One upload and its project.toml."""

    upload: Path
    toml: dict[str, Any]


PROJECTS = {
    "cnn": Project(
        upload=ROOT / "examples/digits/digits.zip",
        toml={
            "recipe": {"name": "image", "width": 64},
            "train": {"epochs": 15},
            "optimise": {**ALLOWED, "prune": 0.25, "prune_epochs": 8},
        },
    ),
    "mlp": Project(
        upload=ROOT / "benchmarks/data/credit.csv",
        toml={
            "recipe": {"name": "tabular", "hidden": 512},
            "prepare": {"target": "Status"},
            "train": {"epochs": 5, "learning_rate": 0.001},
            "optimise": {**ALLOWED, "distil": 0.6},
        },
    ),
}


def learn(project: Project, folder: Path) -> Inputs:
    """Prepare and train; return what an evaluation job is given."""
    upload = Upload(bucket="data", key=f"b/b/inbox/{project.upload.name}", version_id="1", bytes=1, files=1)
    console = {"tenant": "b", "project": "b"}
    request = build_request(run="b", console=console, project_toml=project.toml, upload=upload)
    (folder / "upload").mkdir()
    shutil.copy(project.upload, folder / "upload")
    prepare(request, upload=folder / "upload", salt=b"", out=folder)
    container = Container(base=folder / "job")
    (folder / "job" / names.TRAINING_INPUTS).mkdir(parents=True)
    for split in ("train", "validation"):
        container.channel(split).symlink_to(folder / keys.DATASET / split)
    container.channel("schema").symlink_to(folder / keys.DATASET)
    (folder / "job/input/config").mkdir(parents=True)
    resources = {"current_host": "algo-1", "hosts": ["algo-1"]}
    (folder / "job/input/config/resourceconfig.json").write_text(json.dumps(resources))
    settings: dict[str, Any] = {**vars(request.train), "recipe": request.recipe.name, "options": request.recipe.options}
    trainer = Trainer(TrainConfig(**settings), container, Cluster())
    trainer.run()
    trainer.write_model()
    return Inputs(
        request=request,
        recipe=recipes.load(request.recipe.name),
        model=container.model,
        manifest=archive.read_manifest(container.model),
        rows=Split(folder / keys.DATASET / "test").everything(),
        originals=folder / keys.DATASET_ORIGINALS,
        train=Split(folder / keys.DATASET / "train"),
        prepared=read_schema(folder / keys.DATASET),
    )


def medians(ask: Mapping[str, Callable[[int], object]]) -> dict[str, float]:
    """Return the median of each in microseconds; they take turns, each time another one first."""
    order, seconds = list(ask), {name: np.empty(WARM_UP + REQUESTS) for name in ask}
    for number in range(WARM_UP + REQUESTS):
        for place in range(len(order)):
            name = order[(number + place) % len(order)]
            started = time.perf_counter()
            ask[name](number)
            seconds[name][number] = time.perf_counter() - started
    return {name: float(np.median(values[WARM_UP:])) * 1e6 for name, values in seconds.items()}


def eager(model: optimise.Answers, rows: list[list[torch.Tensor]]) -> Callable[[int], object]:
    """Return what asks the network itself for one row."""

    def ask(number: int) -> object:
        with torch.inference_mode():
            return model(*rows[number % len(rows)])

    return ask


def session(onnx: bytes, rows: list[dict[str, NDArray]], output: str) -> Callable[[int], object]:
    """Return what asks a form for one row."""
    opened = optimise.open_session(onnx)
    return lambda number: opened.run([output], rows[number % len(rows)])


def measure(kind: str, inputs: Inputs) -> tuple[list[dict[str, object]], dict[str, float]]:
    """Return the table's rows and the ratios of one project."""
    schema, manifest = inputs.manifest.schema, inputs.manifest
    chosen, _ = forms.choose(inputs)
    trained = optimise.trained(inputs.model, inputs.recipe, manifest, inputs.rows)
    assert trained.network is not None
    model = optimise.Answers(trained.network, inputs.recipe, schema)
    rows = [
        {tensor.name: inputs.rows[tensor.name][number : number + 1] for tensor in schema.inputs}
        for number in range(len(inputs.labels))
    ]
    tensors = [[torch.from_numpy(array) for array in row.values()] for row in rows]
    took = medians({
        "eager": eager(model, tensors),
        FLOAT32: session(trained.onnx, rows, schema.output),
        chosen.form.name: session(chosen.onnx, rows, schema.output),
    })  # fmt: skip
    accuracy = {
        "eager": inputs.metrics(optimise.predict_with_torch(model, inputs.rows, schema))["accuracy"],
        FLOAT32: inputs.metrics(optimise.predict(optimise.open_session(trained.onnx), inputs.rows, schema))["accuracy"],
        chosen.form.name: chosen.form.metrics["accuracy"],
    }
    size = {"eager": (inputs.model / keys.MODEL_WEIGHTS).stat().st_size, FLOAT32: len(trained.onnx)}
    size[chosen.form.name] = len(chosen.onnx)
    table: list[dict[str, object]] = [
        {"project": kind, "form": name, "us a row": took[name], "bytes": size[name],
         "accuracy": f"{accuracy[name]:.4f}", "faster": took["eager"] / took[name],
         "smaller": size["eager"] / size[name]}
        for name in took
    ]  # fmt: skip
    best = table[-1 if chosen.form.name != FLOAT32 else 1]
    lost = 100 * (accuracy["eager"] - accuracy[chosen.form.name])
    return table, {f"{kind}-speed": best["faster"], f"{kind}-size": best["smaller"], f"{kind}-points-lost": lost}  # type: ignore[dict-item]


def main() -> int:
    """Measure both projects, and compare with the goals."""
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    ratios: dict[str, float] = {}
    for kind, project in PROJECTS.items():
        with tempfile.TemporaryDirectory() as folder:
            with contextlib.redirect_stdout(io.StringIO()):  # the epochs
                inputs = learn(project, Path(folder))
            table, found = measure(kind, inputs)
        rows += table
        ratios |= found
    return report("optimise", rows, ratios=ratios, goals=GOALS)


if __name__ == "__main__":
    sys.exit(main())
