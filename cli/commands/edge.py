"""``tandem edge run``: serves a bundle, or a project's version in service, on this machine."""

from __future__ import annotations

import io
import json
import re
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import exports, ledger
from cli.aws import split_project
from cli.children import Child, end_on_signals
from cli.errors import BadArgument, CommandError, NotFound
from cli.options import Context
from contract import bundle, keys, names
from contract.errors import GoldenSamplesDiffer
from contract.golden import Golden

START_SECONDS = 60.0
NAMES = re.compile(f"{names.NAME.pattern}/{names.NAME.pattern}")


class Action(StrEnum):
    """What to do."""

    run = "run"


def edge(
    context: Context,
    action: Annotated[Action, typer.Argument(metavar="run", help="What to do.")],
    what: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE", help="bundle.zip of `tandem export --to edge`, or TENANT/PROJECT: its version in service."
        ),
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = bundle.PORT,
    host: Annotated[str, typer.Option(help="Address that it listens on; 0.0.0.0 for every one.")] = "127.0.0.1",
) -> None:
    """Serve a bundle on this machine, after its golden samples; Ctrl-C stops it. A file needs no account."""
    end_on_signals()
    file: Path | io.BytesIO = Path(what)
    if not Path(what).exists() and NAMES.fullmatch(what):
        file = io.BytesIO(_champion(context, what))
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        try:
            with zipfile.ZipFile(file) as packed:
                packed.extractall(where)
            golden = Golden.from_dict(json.loads((where / bundle.GOLDEN).read_bytes()))
        except (OSError, zipfile.BadZipFile) as error:
            raise BadArgument(f"{what} is no bundle: {error}", "`tandem export --to edge` makes one.") from error
        try:
            _serve(context, where, golden, host, port)
        except KeyboardInterrupt:
            context.out.say("Stopped.")


def _champion(context: Context, project: str) -> bytes:
    """Return the bundle of the version in service: as its deployment made it, or made here of its archive.

    Raises:
        NotFound: when there is none.
    """
    tenant, name = split_project(project)
    champion = ledger.champion(context.account, tenant, name)
    if champion is None:
        raise NotFound(f"No model of {project} is in service.", f"`tandem runs {project}` tells what ran.")
    version = int(champion["version"])
    context.out.say(f"Version {version} of {project}, the one in service.")
    made = ledger.read(context.account, keys.edge_prefix(tenant, name, version) + keys.EDGE_BUNDLE)
    return made or exports.bundled(*ledger.archive(context.account, tenant, name, version))


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
