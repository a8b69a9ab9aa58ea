"""Places elsewhere: a version gets there as files, and its server runs without any account."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from benchmarks.places.version import Send, Served, Version, eventually
from cli import exports, ledger
from cli.main import app
from contract import bundle, keys, names
from local import dockerfile, images
from local.sagemaker.servers import free_port

REPOSITORY = Path(__file__).parents[2]
IMAGE = "registry/model:1"


@contextmanager
def device(version: Version, settings: Mapping[str, Any]) -> Iterator[Served]:
    """Serve the bundle that a deployment made by `tandem edge run`, which asks the golden samples first."""
    number = int(version.release(settings)["version"])
    key = keys.edge_prefix(version.tenant, version.project, number) + keys.EDGE_BUNDLE
    archive = version.folder / f"{number}-{keys.EDGE_BUNDLE}"
    archive.write_bytes(ledger.read(version.account, key) or b"")

    @contextmanager
    def run() -> Iterator[Send]:
        port = free_port()
        command = ["-m", "cli", "--json", "edge", "run", str(archive), "--port", str(port)]
        with _process(command, {}, REPOSITORY, version.folder / f"{port}.log") as told:
            eventually(lambda: told.read_text().endswith("}\n"), 0.01)
            yield partial(_post, f"http://127.0.0.1:{port}/invocations")

    with run() as send:
        yield Served(send=send, again=run)


@contextmanager
def container(version: Version, settings: Mapping[str, Any], *, kind: str, path: str) -> Iterator[Served]:
    """Serve what an exported Dockerfile describes, built and run without Docker as the laptop cloud does.

    Args:
        version: what is served.
        settings: none.
        kind: ``docker`` or ``kserve``.
        path: where its server is asked.
    """
    context = export(version, kind)
    image = _build(context, version.folder)
    environment = {**image.environment, names.BASE_DIR: str(image.files / names.DEFAULT_BASE_DIR.lstrip("/"))}
    if kind == "kserve":
        service = json.loads((context / exports.SERVICE).read_text())
        environment |= {each["name"]: each["value"] for each in service["spec"]["predictor"]["containers"][0]["env"]}
    command, folder = [*image.entrypoint, *image.arguments][1:], image.files / image.folder.lstrip("/")

    @contextmanager
    def run() -> Iterator[Send]:
        port = free_port()
        url, own = f"http://127.0.0.1:{port}", {**environment, "PORT": str(port), names.SERVING_HOST: "127.0.0.1"}
        with _process(command, own, folder, version.folder / f"{port}.log"):
            eventually(lambda: _is_ready(f"{url}/ping"), 0.01)
            yield partial(_post, url + path.format(project=version.project))

    with run() as send:
        yield Served(send=send, again=run)


def _build(context: Path, folder: Path) -> images.Image:
    store = folder / "images"
    digest = dockerfile.build(dockerfile=context / bundle.DOCKERFILE, context=context, store=store, say=lambda _: None)
    return images.load(folder, digest)


def export(version: Version, kind: str) -> Path:
    """Have a version written to a new folder by `tandem export`."""
    folder = version.folder / f"{kind}-{secrets.token_hex(4)}"
    command = ["export", f"{version.tenant}/{version.project}", str(version.number), "--to", kind, "-o", str(folder)]
    done = CliRunner().invoke(app, [*command, *(["--image", IMAGE] if kind == "kserve" else [])])
    if done.exit_code:
        raise RuntimeError(done.output)
    return folder


@contextmanager
def _process(command: list[str], own: Mapping[str, str], folder: Path, log: Path) -> Iterator[Path]:
    """Run a Python program that knows no account; yield the file that has what it prints."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**known, **own, "PATH": known["PATH"]}  # the image's PATH is of its own files
    with log.open("wb") as output, log.with_suffix(".errors").open("wb") as errors:
        running = subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=folder, stdout=output, stderr=errors
        )
    try:
        yield log
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(30)


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told: bytes = answer.read()
    return told
