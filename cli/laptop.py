"""The laptop cloud as a child program: ``python -m local``."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.children import Child
from cli.errors import CommandError

START_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Laptop:
    """A laptop cloud that answers."""

    child: Child
    endpoint_url: str
    environment: dict[str, str]  # points any AWS client at it
    log: Path

    exports: Path  # a shell that reads it chooses this cloud


def _write_exports(path: Path, environment: dict[str, str]) -> None:
    """Write the lines with which a shell chooses the cloud, and no account that was chosen before."""
    forget = r"unset AWS_PROFILE $(env | sed -n 's/^\(AWS_[A-Za-z0-9_]*\)=.*/\1/p')"
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    path.write_text("\n".join([forget, *exports]) + "\n")


@contextmanager
def running(root: Path, *, port: int, keep: bool = False, clock_scale: float = 1.0) -> Iterator[Laptop]:
    """Start a bootstrapped laptop cloud, and stop it and all it started at the end.

    Args:
        root: folder for its files; made if missing.
        port: TCP port; 0 takes a free one.
        keep: leave it up when the block ends well.
        clock_scale: laptop seconds for each second of a wait that a definition asks for.

    Raises:
        CommandError: when it does not start.
    """
    root.mkdir(parents=True, exist_ok=True)
    log, exports = root / "laptop-cloud.txt", root.resolve() / "environment.sh"
    arguments = ["--bootstrap", "--port", str(port), "--root", str(root.resolve()), "--clock-scale", str(clock_scale)]
    if not keep:
        arguments.append("--with-parent")
    child = Child("local", *arguments, log=log, leash=not keep)
    left_well = False
    try:
        yield _answering(child, log, exports)
        left_well = True
    finally:
        if not (keep and left_well):
            child.stop()
            exports.unlink(missing_ok=True)


def _answering(child: Child, log: Path, exports: Path) -> Laptop:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        child.check()
        told = _announcement(log)
        if told:
            _write_exports(exports, told["environment"])
            return Laptop(
                child=child,
                endpoint_url=told["endpoint_url"],
                environment=told["environment"],
                log=Path(told["log"]),
                exports=exports,
            )
        time.sleep(0.05)
    raise CommandError(f"The laptop cloud did not start within {START_SECONDS:.0f} s.\n{child.tail()}", f"See {log}.")


def _announcement(log: Path) -> dict[str, Any] | None:
    """Return the line of JSON with which the laptop cloud says that it answers; None before."""
    for line in log.read_text(errors="replace").splitlines(keepends=True):
        if line.startswith('{"endpoint_url"') and line.endswith("\n"):
            told: dict[str, Any] = json.loads(line)
            return told
    return None


def use(environment: dict[str, str]) -> None:
    """Have this process and its children talk to the laptop cloud, and to no account that was chosen before."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment)
