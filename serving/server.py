"""Listen, and end well: answer all that was asked, and take no more.

On SIGTERM the listening socket closes, so that new connections are refused and go elsewhere. Clients that keep their
connection are answered for :data:`QUIET_SECONDS` more, each time with ``Connection: close``: closing at once would meet
requests that are on their way, and these would fail. A request that has begun is waited for until the drain's limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from serving.connection import Answer, Connection
from serving.logs import event

QUIET_SECONDS = 1.0
SWEEP_SECONDS = 1.0
POLL_SECONDS = 0.02
BACKLOG = 2048


class Server:
    """Accepts connections for one application.

    Args:
        answer: what answers a request, at once or later.
        max_body: bytes that a request may have.
        on_drain: called when draining begins, so that health checks tell.
    """

    def __init__(self, answer: Answer, *, max_body: float, on_drain: Callable[[], None] = lambda: None) -> None:
        self.answer, self.max_body = answer, max_body
        self.connections: set[Connection] = set()
        self.draining = False
        self._on_drain = on_drain
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    async def listen(self, host: str, port: int) -> int:
        """Open the port, 0 for any that is free, and return it.

        Raises:
            OSError: when it cannot be opened.
        """
        self._listener = await self._loop.create_server(
            lambda: Connection(self), host, port, backlog=BACKLOG, reuse_address=True
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def drain(self, seconds: float) -> None:
        """Answer what was asked and end; at most for ``seconds``."""
        end = self.time() + seconds
        quiet = self.time() + min(QUIET_SECONDS, seconds)
        self._listener.close()
        self.draining = True
        self._on_drain()
        while self.connections and self.time() < end:
            if self.time() >= quiet:
                for connection in list(self.connections):
                    if not connection.busy:
                        connection.close()
            await asyncio.sleep(POLL_SECONDS)
        if self.connections:
            event("drain ran out of time", connections=len(self.connections))
        self.abort()

    def abort(self) -> None:
        """Close everything now."""
        self._sweeper.cancel()
        self._listener.close()
        for connection in list(self.connections):
            connection.close()

    def _sweep(self) -> None:
        """Close connections whose client is too slow or silent; answers that take long are waited for."""
        now = self.time()
        for connection in list(self.connections):
            if now > connection.deadline and not connection.busy_answering:
                connection.close()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
