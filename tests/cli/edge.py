"""A device: `tandem edge run` in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.errors import Exit
from local.sagemaker.servers import free_port


@contextmanager
def device(what: str, environment: Mapping[str, str], *, golden: int) -> Iterator[str]:
    """Serve a bundle, or a project's version in service; yield where it answers.

    Args:
        what: the bundle's path, or TENANT/PROJECT.
        environment: of the process.
        golden: how many golden samples must have agreed.
    """
    command = [sys.executable, "-m", "cli", "--json", "edge", "run", what, "--port", str(free_port())]
    process = subprocess.Popen(
        command, env=environment, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        assert line, "it ended"
        text += line
    document = json.loads(text)
    assert document["golden_samples"] == golden
    try:
        yield document["url"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == Exit.GOOD
        process.stdout.close()
