"""The laptop cloud as a program.

    python -m local --port 4566 --root .tandem --clock-scale 1.0 --bootstrap

It says one line of JSON on standard output when it answers:

    {"endpoint_url": "http://localhost:4566", "environment": {...}, "root": "...", "log": "...", "pid": 123}

and runs until SIGINT, SIGTERM or SIGHUP (or, with ``--with-parent``, until its
standard input ends). Then it stops every process it started and exits with 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from local.bootstrap import bootstrap
from local.clock import Clock
from local.cloud import Cloud
from local.root import FILES, hold


def main(arguments: list[str] | None = None) -> int:
    """Run the cloud; return the exit status."""
    options = _parse(arguments)
    _forget_other_accounts()
    try:
        held = hold(options.root)
        log = _log_to(options.root / "cloud.log")
    except OSError as error:
        print(f"the folder {options.root} cannot be used: {error}; choose another with --root", file=sys.stderr)
        return 1
    with held:
        return _run(options, log)


def _run(options: argparse.Namespace, log: Path) -> int:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    try:
        cloud = Cloud(root=options.root / FILES, port=options.port, clock=Clock(scale=options.clock_scale)).start()
    except OSError as error:
        print(f"port {options.port} of localhost cannot be used: {error}; choose another with --port", file=sys.stderr)
        return 1
    try:
        if options.bootstrap:
            bootstrap(cloud)
        _announce(cloud, log)
        if options.with_parent:
            threading.Thread(target=_follow_parent, args=(ended,), daemon=True).start()
        ended.wait()
    finally:
        cloud.stop()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description="The laptop cloud.")
    parser.add_argument("--port", type=int, default=4566, help="TCP port of the AWS endpoint; 0 takes a free one")
    parser.add_argument("--root", type=Path, default=Path(".tandem"), help="folder for its files")
    parser.add_argument("--clock-scale", type=float, default=1.0, help="laptop seconds for each second of a wait")
    parser.add_argument("--bootstrap", action="store_true", help="make CDK's bootstrap resources")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    options = parser.parse_args(arguments)
    options.root = options.root.resolve()
    return options


def _forget_other_accounts() -> None:
    """Drop what the environment says of a person's real accounts: nothing here may speak to them."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)


def _log_to(path: Path) -> Path:
    """Have every logger write to ``path``; return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    for chatty in ("botocore", "boto3", "urllib3", "werkzeug", "s3transfer"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return path


def _announce(cloud: Cloud, log: Path) -> None:
    line = {
        "endpoint_url": cloud.url,
        "environment": cloud.environment,
        "root": str(cloud.root),
        "log": str(log),
        "pid": os.getpid(),
    }
    logging.getLogger("local").info("serving at %s, clock scale %s", cloud.url, cloud.clock.scale)
    print(json.dumps(line), flush=True)


def _follow_parent(ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):  # not through its buffer: Python aborts at exit when a thread is inside
        pass
    ended.set()


if __name__ == "__main__":
    raise SystemExit(main())
