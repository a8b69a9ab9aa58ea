"""``tandem edge run``: serves an exported bundle on this machine."""

from __future__ import annotations

import json
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.children import Child, end_on_signals
from cli.errors import BadArgument, CommandError
from cli.options import Context
from contract import bundle, names
from contract.errors import GoldenSamplesDiffer
from contract.golden import Golden

START_SECONDS = 60.0


class Action(StrEnum):
    """What to do."""

    run = "run"


def edge(
    context: Context,
    action: Annotated[Action, typer.Argument(metavar="run", help="What to do.")],
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle.zip of `tandem export --to edge`.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = bundle.PORT,
    host: Annotated[str, typer.Option(help="Address that it listens on; 0.0.0.0 for every one.")] = "127.0.0.1",
) -> None:
    """Serve a bundle on this machine, after its golden samples; Ctrl-C stops it. Needs no account and no network."""
    end_on_signals()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        try:
            with zipfile.ZipFile(file) as packed:
                packed.extractall(where)
            golden = Golden.from_dict(json.loads((where / bundle.GOLDEN).read_bytes()))
        except (OSError, zipfile.BadZipFile) as error:
            raise BadArgument(f"{file} is no bundle: {error}", "`tandem export --to edge` makes one.") from error
        try:
            _serve(context, where, golden, host, port)
        except KeyboardInterrupt:
            context.out.say("Stopped.")


def _serve(context: Context, folder: Path, golden: Golden, host: str, port: int) -> None:
    environment = {
        names.BASE_DIR: str(folder),
        names.SERVING_HOST: host,
        names.SERVING_ROUTES: bundle.ROUTES,
        "PORT": str(port),
    }
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    with Child("serving", "serve", environment=environment, folder=folder, leash=True) as server:
        _wait(server, url)
        checked = _check(url, golden)
        context.out.document({"url": url, "golden_samples": checked})
        context.out.show(f"{checked} golden samples agree. The model answers at {url}/invocations; Ctrl-C stops it.")
        server.wait()


def _wait(server: Child, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        server.check()
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise CommandError(f"The server does not answer at {url}: {error}") from error
        time.sleep(0.1)


def _check(url: str, golden: Golden) -> int:
    """Ask the golden samples; return how many agree.

    Raises:
        CommandError: when one is answered otherwise than it was evaluated.
    """
    for sample in golden.samples:
        headers = {"Content-Type": sample.content_type}
        request = urllib.request.Request(f"{url}/invocations", data=sample.request_body(), headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        try:
            sample.check(body, golden.tolerance)
        except GoldenSamplesDiffer as error:
            fix = "Its processor computes otherwise, or the bundle was altered: nothing is served."
            raise CommandError(f"The model answers otherwise than evaluated: {error}.", fix) from error
    return len(golden.samples)
