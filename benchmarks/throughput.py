"""How many rows a second each recipe trains, on one host of this machine.

    python -m benchmarks.throughput [RECIPE...]

Prints one line of JSON a recipe: what ``training/recipes/<name>.py`` says under
``throughput``, from which ``Plan compute`` makes a project's first estimate. The data is
made here: 8 x 8 grey images for ``image``, eight numbers and two categories for ``tabular``, a line for ``linear``.
Other work on the machine can only slow an epoch down, so the fastest one counts, and of torch's
recipes, which have one thread, the time that the processor gave to it. TensorFlow has threads of its own: its recipes
want a machine that does nothing else.
"""

from __future__ import annotations

import csv
import datetime
import importlib.util
import io
import json
import math
import os
import platform
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from contract import keys, names
from contract.frameworks import TENSORFLOW
from contract.request import Upload, build_request
from training import recipes
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.prepare import prepare
from training.train import Trainer

ROWS, EPOCHS = 4000, 10


def image_zip() -> bytes:
    """Return ROWS noisy 8 x 8 images of ten classes."""
    source, packed = random.Random(0), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(ROWS):
            file = io.BytesIO()
            Image.frombytes("L", (8, 8), source.randbytes(64)).save(file, "PNG")
            archive.writestr(f"{number % 10}/{number}.png", file.getvalue())
    return packed.getvalue()


def table_csv() -> bytes:
    """Return ROWS rows of eight numbers, two categories and a target."""
    source, text = random.Random(0), io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(f"x{i}" for i in range(8)), "colour", "shape", "target"])
    for _ in range(ROWS):
        numbers = [f"{source.gauss(0, 1):.3f}" for _ in range(8)]
        writer.writerow([*numbers, source.choice("abc"), source.choice("defgh"), source.choice(["yes", "no"])])
    return text.getvalue().encode()


def texts_csv() -> bytes:
    """Return ROWS texts of 40 words among 2,000, and their classes."""
    source, text = random.Random(0), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["text", "class"])
    for number in range(ROWS):
        writer.writerow([" ".join(f"word{source.randrange(2000)}" for _ in range(40)), number % 5])
    return text.getvalue().encode()


def line_csv() -> bytes:
    """Return ROWS points around a line."""
    source = random.Random(0)
    points = [(x, 2 * x + source.gauss(0, 1)) for x in (source.uniform(0, 10) for _ in range(ROWS))]
    return ("x,y\n" + "".join(f"{x:.4f},{y:.4f}\n" for x, y in points)).encode()


def series_csv() -> bytes:
    """Return ROWS hours of four series: a day, a week, noise."""
    source, text = random.Random(0), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["time", "road", "flow"])
    start = datetime.datetime(2026, 1, 5)
    for hour in range(ROWS):
        flow = 100 + 80 * math.sin(hour * math.pi / 12) * (0.5 if hour // 24 % 7 > 4 else 1.0)
        time = f"{start + datetime.timedelta(hours=hour):%Y-%m-%dT%H:%M}"
        writer.writerows([time, road, f"{flow + source.gauss(0, 5):.2f}"] for road in "abcd")
    return text.getvalue().encode()


def ratings_csv() -> bytes:
    """Return 5 x ROWS ratings of 500 users and 300 items."""
    source, text = random.Random(0), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["user", "item", "stars"])
    writer.writerows(
        [f"u{source.randrange(500)}", f"i{source.randrange(300)}", source.randint(1, 5)] for _ in range(5 * ROWS)
    )
    return text.getvalue().encode()


UPLOADS: dict[str, tuple[str, Callable[[], bytes], dict[str, object]]] = {
    "anomaly": ("rows.csv", table_csv, {"prepare": {"target": "target"}}),
    "forecast": (
        "series.csv",
        series_csv,
        {"recipe": {"name": "forecast", "series": "road"}, "prepare": {"target": "flow"}},
    ),
    "image": ("images.zip", image_zip, {}),
    "keras": ("images.zip", image_zip, {}),
    "keras_tabular": ("rows.csv", table_csv, {"prepare": {"target": "target"}}),
    "linear": ("line.csv", line_csv, {}),
    "recommend": ("ratings.csv", ratings_csv, {"prepare": {"target": "stars"}}),
    "tabular": ("rows.csv", table_csv, {"prepare": {"target": "target"}}),
    "text": ("texts.csv", texts_csv, {"prepare": {"target": "class"}}),
}


def measure(name: str, folder: Path) -> float:
    """Return the rows trained a second by a recipe with its default settings."""
    file, make, settings = UPLOADS[name]
    console = {"tenant": "bench", "project": "bench", "recipe": name, **settings}
    upload = Upload(bucket="bench", key=file, version_id="1", bytes=0, files=1)
    request = build_request(run="bench", console=console, project_toml={}, upload=upload)
    out, container = folder / "out", Container(base=folder / "ml")
    for path in (folder / "upload", out, container.base / names.TRAINING_INPUTS, container.base / "input/config"):
        path.mkdir(parents=True)
    resources = json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]})
    (container.base / "input/config/resourceconfig.json").write_text(resources)
    (folder / "upload" / file).write_bytes(make())
    report = prepare(request, upload=folder / "upload", salt=b"", out=out)
    if not report.accepted:
        raise RuntimeError(f"{name}: {report.reasons}")
    for split in ("train", "validation"):
        container.channel(split).symlink_to(out / keys.DATASET / split)
    container.channel("schema").symlink_to(out / keys.DATASET)
    config = TrainConfig(**{**vars(request.train), "epochs": EPOCHS}, recipe=name, options=request.recipe.options)
    keras = recipes.load(name).framework == TENSORFLOW
    return _fastest_of_keras(config, container) if keras else _fastest(config, container)


def _fastest(config: TrainConfig, container: Container) -> float:
    """Return the rows a second of the fastest epoch, by the time of the processor."""
    trainer = Trainer(config, container, Cluster())
    seconds = dict.fromkeys(range(EPOCHS), 0.0)
    update = trainer.update

    def timed(rows: NDArray[np.int64]) -> tuple[float, bool]:
        begun = time.process_time()
        told = update(rows)
        seconds[trainer.progress.epoch] += time.process_time() - begun
        return told

    trainer.update = timed  # type: ignore[method-assign]
    trainer.run()
    return len(trainer.train_rows) / min(seconds.values())


def _fastest_of_keras(config: TrainConfig, container: Container) -> float:
    """The same by the clock; wants the environment of ``make test-tensorflow``."""
    from training.keras import cluster, train

    trainer = train.Trainer(config, container, cluster.Cluster(timeout=config.rank_timeout_seconds))
    trainer.run()
    return max(line["samples_per_second"] for line in trainer.progress.history)


def measurable() -> list[str]:
    """Return the recipes whose framework is installed."""
    return [name for name in recipes.names() if importlib.util.find_spec(recipes.load(name).framework)]


def main() -> None:
    """Measure the recipes named as arguments, or all."""
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    machine = f"{cores} {platform.machine()} cores, {threads} thread{'s' if threads > 1 else ''} a process"
    for name in sys.argv[1:] or measurable():
        with tempfile.TemporaryDirectory() as folder:
            speed = measure(name, Path(folder))
        found = {"samples_per_second": round(speed, -2), "machine": machine, "measured": str(datetime.date.today())}
        print(json.dumps({name: found}), flush=True)


if __name__ == "__main__":
    main()
