"""Small uploads, requests and job folders."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from contract import keys, names
from contract.manifest import Schema
from contract.reports import DatasetReport
from contract.request import RunRequest, Upload, build_request
from training.archive import read_manifest
from training.prepare import prepare

if TYPE_CHECKING:
    from training.optimise import Answers

ROOT = Path(__file__).parents[2]
SALT = b"a salt of thirty-two bytes......"


def request(settings: Mapping[str, Any] | None = None, *, key: str = "rows.csv") -> RunRequest:
    """Return a request with every default filled in; tables predict ``risk``."""
    table = {"prepare": {"target": "risk"}} if not key.endswith(".zip") else {}
    toml = {name: {**table.get(name, {}), **(settings or {}).get(name, {})} for name in {*table, *(settings or {})}}
    upload = Upload(bucket="data", key=f"acme/demo/inbox/{key}", version_id="v1", bytes=1, files=1)
    return build_request(run="run-1", console={"tenant": "acme", "project": "demo"}, project_toml=toml, upload=upload)


def csv(rows: int = 240, *, seed: int = 0) -> str:
    """Return a table: two numbers and a category with gaps decide ``risk``."""
    source = random.Random(seed)
    lines = ["income,age,region,risk"]
    for _ in range(rows):
        income, age, region = source.gauss(0, 1), source.uniform(18, 90), source.choice(["north", "south", "east", ""])
        high = income + (age - 54) / 20 + (0.5 if region == "south" else 0.0) > 0
        lines.append(f"{income:.4f},{age:.1f},{region},{'high' if high else 'low'}")
    return "\n".join(lines) + "\n"


def png(size: int | tuple[int, int] = 8, *, mode: str = "L", seed: int = 0, kind: str = "PNG") -> bytes:
    """Return an image file full of noise."""
    width, height = (size, size) if isinstance(size, int) else size
    noise = random.Random(seed).randbytes(width * height * len(mode))
    buffer = io.BytesIO()
    Image.frombytes(mode, (width, height), noise).save(buffer, kind)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip: the same bytes for the same files, whenever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def pictures(each: int = 40, *, size: int = 8, mode: str = "L") -> dict[str, bytes]:
    """Return ``each`` pictures of two classes in class folders: bright at the left, bright at the right."""
    files = {}
    for number in range(2 * each):
        source, left = random.Random(number), number % 2 == 0
        image = Image.new(mode, (size, size))
        for x in range(size):
            for y in range(size):
                bright = (x < size // 2) == left
                value = source.randint(140, 255) if bright else source.randint(0, 110)
                image.putpixel((x, y), value if mode == "L" else (value, value // 2, 255 - value))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        files[f"{'left' if left else 'right'}/{number:04}.png"] = buffer.getvalue()
    return files


def run_prepare(
    folder: Path, files: Mapping[str, bytes | str], settings: Mapping[str, Any] | None = None, *, salt: bytes = SALT
) -> tuple[DatasetReport, Path]:
    """Prepare an upload of ``files``; return the report and the folder of results."""
    upload, out = folder / "upload", folder / "out"
    shutil.rmtree(folder, ignore_errors=True)
    upload.mkdir(parents=True)
    out.mkdir()
    for name, content in files.items():
        (upload / name).write_bytes(content.encode() if isinstance(content, str) else content)
    asked = request(settings, key=next(iter(files)))
    report = prepare(asked, upload=upload, salt=salt, out=out)
    (out / keys.REQUEST).write_text(json.dumps(asked.to_dict()))
    return report, out


def training_job(
    base: Path, out: Path, *, host: str = "algo-1", hosts: Sequence[str] = ("algo-1",), **settings: Any
) -> Path:
    """Make the base folder of a training job's host, as SageMaker does; return it."""
    shutil.rmtree(base, ignore_errors=True)
    asked = json.loads((out / keys.REQUEST).read_text())
    strings = {"recipe": asked["recipe"]["name"], "options": json.dumps(asked["recipe"]["options"])}
    for name, value in {**asked["train"], "hosts": len(hosts), **settings}.items():
        strings[name] = value if isinstance(value, str) else json.dumps(value)
    config, data = base / "input/config", base / names.TRAINING_INPUTS
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(strings))
    resources = {"current_host": host, "hosts": list(hosts), "network_interface_name": "lo"}
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    for split in ("train", "validation"):
        shutil.copytree(out / keys.DATASET / split, data / split)
    (data / "schema").mkdir()
    shutil.copy(out / keys.DATASET_SCHEMA, data / "schema")
    return base


def environment(base: Path, **more: str) -> dict[str, str]:
    """Return the environment of a container."""
    return {**os.environ, names.BASE_DIR: str(base), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


def start(base: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start Python as a container would; its output is one text."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=base,
        env=environment(base, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_here(base: Path) -> None:
    """Run a training job in this process."""
    from training.cluster import Cluster
    from training.config import TrainConfig
    from training.container import Container
    from training.train import Trainer

    container = Container(base=base)
    trainer = Trainer(TrainConfig.from_hyperparameters(container.hyperparameters()), container, Cluster())
    assert trainer.run()
    trainer.write_model()


def learned(base: Path) -> tuple[Answers, Schema]:
    """Return what a training job learned, and the schema of its rows."""
    from safetensors.torch import load_file

    from training import recipes
    from training.optimise import Answers

    manifest = read_manifest(base / "model")
    recipe = recipes.load(manifest.recipe)
    network = recipe.network(manifest.schema, recipe.parse_options(manifest.options))
    network.load_state_dict(load_file(base / "model" / keys.MODEL_WEIGHTS))
    return Answers(network, recipe, manifest.schema), manifest.schema


def evaluation_job(
    base: Path, out: Path, trained: Path, *, champion: Path | None = None, settings: Mapping[str, Any] | None = None
) -> Path:
    """Make the base folder of an evaluation job, as SageMaker does; return it.

    Args:
        base: the folder.
        out: what preparation left.
        trained: base folder of the training job.
        champion: model.tar.gz of the version in service.
        settings: sections of the request to change.
    """
    shutil.rmtree(base, ignore_errors=True)
    inputs = base / names.PROCESSING_INPUTS
    for name in ("request", "model"):
        (inputs / name).mkdir(parents=True)
    asked = json.loads((out / keys.REQUEST).read_text())
    for section, table in (settings or {}).items():
        asked[section] |= table
    (inputs / "request" / keys.REQUEST).write_text(json.dumps(asked))
    shutil.copytree(out / keys.DATASET, inputs / "dataset")
    with tarfile.open(inputs / "model/model.tar.gz", "w:gz") as archive:
        archive.add(trained / "model", ".")
    if champion:
        (inputs / "champion").mkdir()
        shutil.copy(champion, inputs / "champion/model.tar.gz")
    return base
