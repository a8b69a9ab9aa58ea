"""Adaptive micro-batching: calls that wait together are answered together, and a lone call never waits.

No timer holds a call back in the hope of company. Calls that arrived in one turn of the event loop, or while all
workers were busy, are joined as far as their time, predicted from the calls before, stays within a bound:

- Calls that take less than :data:`QUICK_SECONDS` are answered on the loop itself. Handing such a call to a thread
  costs more than answering it, and threads take turns at the interpreter anyway.
- Others go to worker threads, shared evenly among those that are free: where each call takes long (convolutions,
  large images), joining saves nothing, and every core gets calls of its own.

`python -m benchmarks.serve` measures it against neither.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from serving.calls import Asked, predict_together
from serving.errors import Overloaded
from serving.http import Promise, Response, failure
from serving.logs import logger
from serving.model import Model

QUICK_SECONDS = 0.0005  # a call that may be answered on the loop
LOOP_SECONDS = 0.002  # calls answered on the loop in one turn: health checks wait for no longer
JOIN_SECONDS = 0.005  # calls joined in a worker
QUICK_BYTES = 64 * 2**10
WAITING_BYTES = 64 * 2**20  # of bodies
MAX_JOINED = 64
FIRST_BYTES = 100  # what the first row, of which only the model's time is known, would have been
WEIGHT = 0.1  # of the newest time in the moving average

Job = tuple[Asked, Promise]


class Batcher:
    """Answers calls to one model.

    Args:
        model: what predicts.
        threads: calls that are worked at besides the loop.
        queue: calls that may wait; further ones are refused.
        join: calls that are answered together at most; 1 for each alone.
        observe: told how many calls were answered together.
    """

    def __init__(
        self, model: Model, *, threads: int, queue: int, join: int = MAX_JOINED, observe: Callable[[int], None]
    ) -> None:
        self._model, self._limit, self._join, self._observe = model, queue, join, observe
        self._free = self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._scheduled = False
        self._per_byte = model.first_seconds / FIRST_BYTES  # processor seconds of a call for each byte of its body

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(self, call: Asked) -> Promise:
        """Return the answer to come; cancel it when nobody waits for it any more.

        Raises:
            Overloaded: when as many calls wait as may.
        """
        if len(self._jobs) >= self._limit or (self._jobs and self._bytes + len(call.body) > WAITING_BYTES):
            wait = math.ceil(self._seconds(self._bytes) / self._threads)
            raise Overloaded(f"{len(self._jobs)} requests wait already; try again later", min(max(wait, 1), 60))
        loop = asyncio.get_running_loop()
        promise = Promise()
        self._jobs.append((call, promise))
        self._bytes += len(call.body)
        self._schedule(loop)
        return promise

    def close(self) -> None:
        """Let the workers finish."""
        self._pool.shutdown()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch, loop)  # after all that arrived in this turn was read

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        quick = self._quick_bytes()
        if self._jobs and len(self._jobs[0][0].body) <= quick:
            jobs = self._take(self._join, LOOP_SECONDS, quick)
            self._deliver(jobs, self._work(jobs))
            if self._jobs:
                self._schedule(loop)  # what has arrived meanwhile is read first
            return
        while self._jobs and self._free:
            share = math.ceil(len(self._jobs) / self._free)
            jobs = self._take(min(share, self._join), JOIN_SECONDS, math.inf)
            if jobs:
                self._free -= 1
                self._pool.submit(self._work_aside, loop, jobs)

    def _take(self, most: int, seconds: float, largest: float) -> list[Job]:
        """Take one job, and further ones while they are expected to be done within ``seconds``.

        Args:
            most: jobs.
            seconds: for all of them.
            largest: body of a further one, in bytes.
        """
        jobs: list[Job] = []
        left = seconds / self._per_byte
        while self._jobs and len(jobs) < most:
            job = self._jobs[0]
            size = len(job[0].body)
            if jobs and (size > left or size > largest):
                break
            self._jobs.popleft()
            self._bytes -= size
            if not job[1].cancelled:
                left -= size
                jobs.append(job)
        return jobs

    def _seconds(self, size: int) -> float:
        return size * self._per_byte

    def _quick_bytes(self) -> float:
        """Return the longest body that is answered on the loop; -1 when none is."""
        return min(QUICK_BYTES, QUICK_SECONDS / self._per_byte) if self._model.reader.linear else -1

    def _work(self, jobs: Sequence[Job]) -> list[Response]:
        """Answer jobs, in any thread."""
        started = time.thread_time()
        responses = predict_together(self._model, [call for call, _ in jobs])
        size = sum(len(call.body) for call, _ in jobs)
        self._per_byte += WEIGHT * ((time.thread_time() - started) / max(size, 1) - self._per_byte)
        return responses

    def _work_aside(self, loop: asyncio.AbstractEventLoop, jobs: Sequence[Job]) -> None:
        try:
            responses = self._work(jobs)
        except BaseException:  # the thread's boundary: whoever waits must not do so for ever
            logger.critical("a worker failed", exc_info=True)
            responses = [failure() for _ in jobs]
        loop.call_soon_threadsafe(self._done, loop, jobs, responses)

    def _done(self, loop: asyncio.AbstractEventLoop, jobs: Sequence[Job], responses: Sequence[Response]) -> None:
        self._free += 1
        self._deliver(jobs, responses)
        self._dispatch(loop)

    def _deliver(self, jobs: Sequence[Job], responses: Sequence[Response]) -> None:
        if jobs:
            self._observe(len(jobs))
        for (_, promise), response in zip(jobs, responses, strict=True):
            try:
                promise.resolve(response)
            except Exception:  # of one listener; the others wait for their answers
                logger.critical("an answer could not be handed over", exc_info=True)
