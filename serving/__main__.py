"""``python -m serving serve``: start, load the model, serve until SIGTERM.

The port opens at once and ``/ping`` says 503 until the model has answered once.
A model that cannot be served ends the process with exit code 1 and the reason
in the log; a setting that cannot be meant, with 2.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from contract.errors import InvalidConfig, InvalidModel
from serving.logs import configure, event, logger
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.app import App


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
    configure(settings.log_lines)
    sys.exit(serve(settings, started))


def serve(settings: Settings, started: float) -> int:
    """Serve until a signal comes; return the exit code.

    Args:
        settings: what the environment says.
        started: ``time.perf_counter()`` at the start, for the log.
    """
    import uvloop

    from serving.app import App

    app = App(settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(app, settings, started))
    finally:
        app.close()
        event("stopped")


async def _serve(app: App, settings: Settings, started: float) -> int:
    from serving.server import Server

    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    server = Server(app.answer, max_body=settings.max_body, on_drain=app.drain)
    try:
        await server.listen(settings.host, settings.port)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        event("cannot listen", level=logging.CRITICAL, message=f"{where} cannot be opened: {error}")
        return 1
    failed = threading.Event()

    def load() -> None:
        if not _load(app, settings, started):
            failed.set()
            loop.call_soon_threadsafe(end.set)

    loader = threading.Thread(target=load, name="load")
    loader.start()
    reporter = asyncio.create_task(_report(app, settings.metric_seconds)) if settings.metric_seconds else None
    await end.wait()
    await server.drain(0 if failed.is_set() else settings.drain_seconds)
    if reporter:
        reporter.cancel()
        _report_once(app)
    loader.join()  # the interpreter may not end under ONNX Runtime
    return 1 if failed.is_set() else 0


async def _report(app: App, seconds: float) -> None:
    """Write a line of embedded metrics from time to time."""
    while True:
        await asyncio.sleep(seconds)
        _report_once(app)


def _report_once(app: App) -> None:
    if fields := app.embedded_metrics():
        logger.info("metrics", extra={"fields": fields})  # not an event: it is rare, and never dropped


def _load(app: App, settings: Settings, started: float) -> bool:
    """Load the model, in a thread; return whether it can be served."""
    from serving.model import load

    try:
        model = load(settings.model_folder)
        app.serve(model)
    except InvalidModel as error:
        event("invalid model", level=logging.CRITICAL, message=str(error))
    except Exception:  # the thread's boundary: the process must not live on without a model
        logger.critical("loading failed", exc_info=True)
    else:
        event("ready", run=model.manifest.run, seconds=round(time.perf_counter() - started, 3))
        return True
    return False


if __name__ == "__main__":
    main()
