"""``python -m serving serve``: start, load the model, serve until SIGTERM.

The port opens at once and ``/ping`` says 503 until the model has answered once.
A model that cannot be served ends the process with exit code 1 and the reason
in the log; a setting that cannot be meant, with 2.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from contract.errors import InvalidConfig, InvalidModel
from serving.logs import configure, event, logger
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.app import App

DRAIN_SECONDS = 25  # SageMaker kills 30 s after SIGTERM


def main() -> None:
    """Serve; the command line has one command, the one that SageMaker gives."""
    started = time.perf_counter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as a container's first process, it would be ignored
    arguments = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    arguments.add_argument("command", choices=["serve"])
    arguments.parse_args()
    configure()
    try:
        settings = Settings.from_environment(os.environ)
    except InvalidConfig as error:
        event("invalid setting", level=logging.CRITICAL, message=str(error))
        sys.exit(2)
    sys.exit(serve(settings, started))


def serve(settings: Settings, started: float) -> int:
    """Serve until a signal comes; return the exit code.

    Args:
        settings: what the environment says.
        started: ``time.perf_counter()`` at the start, for the log.
    """
    from serving.app import App

    app = App(max_body=settings.max_body, threads=settings.threads)
    server = uvicorn.Server(_configuration(app, settings))
    failed = threading.Event()

    def load_model() -> None:
        from serving.model import load

        try:
            app.model = load(settings.model_folder)
        except InvalidModel as error:
            event("invalid model", level=logging.CRITICAL, message=str(error))
        except Exception:  # the thread's boundary: the process must not live on without a model
            logger.critical("loading failed", exc_info=True)
        else:
            event("ready", run=app.model.manifest.run, seconds=round(time.perf_counter() - started, 3))
            return
        failed.set()
        server.should_exit = True

    loader = threading.Thread(target=load_model, name="load")
    loader.start()
    try:
        server.run()  # after draining, it raises the signal that ended it again: SystemExit
    finally:
        loader.join()  # the interpreter may not end under ONNX Runtime
        app.close()
        event("stopped")
    return 1 if failed.is_set() else 0


def _configuration(app: App, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


if __name__ == "__main__":
    main()
