"""Many clients at once: what is joined, what is refused, and an end in which nobody fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.batching import Batcher
from serving.calls import Call
from serving.errors import Overloaded
from serving.http import Promise, Response
from serving.model import Model, load
from tests.serving import archives
from tests.serving.client import Client
from tests.serving.test_process import Server, start  # noqa: F401

ROW = {"age": 31, "job": "nurse", "monthly income": 1800.5}


def call(body: bytes = b'{"instances": [{"age": 31, "job": "nurse", "monthly income": 1800.5}]}') -> Call:
    return Call(body=body, content_type="application/json", accept="application/json")


class Slow:
    """A model's answers, but only after some time; counts the rows of each run, and the runs side by side."""

    def __init__(self, model: Model, seconds: float) -> None:
        self._answers, self._seconds = model.answers, seconds
        self.runs: list[int] = []
        self.running = self.side_by_side = 0

    def __call__(self, arrays: Any) -> Any:
        self.runs.append(len(arrays["numeric"]))
        self.running += 1
        self.side_by_side = max(self.side_by_side, self.running)
        time.sleep(self._seconds)
        self.running -= 1
        return self._answers(arrays)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, Slow]:
    model = load(archives.write(tmp_path, archives.CREDIT))
    pace = Slow(model, 0.05)
    monkeypatch.setattr(model, "answers", pace)
    model.first_seconds = 1.0  # no call seems quick, so that workers are asked
    return model, pace


def batcher(model: Model, **changes: Any) -> tuple[Batcher, list[int]]:
    joined: list[int] = []
    return Batcher(model, **{"threads": 1, "queue": 100, "join": 64, "observe": joined.append, **changes}), joined


def answer(promise: Promise) -> asyncio.Future[Response]:
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    promise.then(future.set_result)
    return future


def together(batcher: Batcher, *calls: Call) -> list[Response]:
    async def submit() -> list[Response]:
        return await asyncio.gather(*[answer(batcher.submit(each)) for each in calls])

    try:
        return asyncio.run(submit())
    finally:
        batcher.close()


def test_quick_calls_of_one_turn_are_answered_by_one_run_on_the_loop(credit_model: Model) -> None:
    credit_model.first_seconds = 1e-6
    server, joined = batcher(credit_model)
    responses = together(server, *[call()] * 10)
    assert joined == [10]
    assert {response.body for response in responses} == {together(batcher(credit_model)[0], call())[0].body}


def test_a_call_that_is_refused_does_not_spoil_the_others(credit_model: Model) -> None:
    credit_model.first_seconds = 1e-6
    statuses = [r.status for r in together(batcher(credit_model)[0], call(), call(b"{"), call(), call(b"[]"))]
    assert statuses == [200, 400, 200, 400]


def test_a_row_on_which_the_model_fails_does_not_spoil_the_others(
    credit_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    credit_model.first_seconds = 1e-6
    answers = credit_model.answers

    def poisoned(arrays: Any) -> Any:
        if (arrays["numeric"] == 13).any():
            raise ArithmeticError("the model answered a number that is not finite")
        return answers(arrays)

    monkeypatch.setattr(credit_model, "answers", poisoned)
    bad = call(b'{"instances": [{"age": 13, "job": "nurse", "monthly income": 1}]}')
    assert [r.status for r in together(batcher(credit_model)[0], call(), bad, call())] == [200, 500, 200]


def test_slow_calls_are_spread_over_the_workers_and_not_joined(slow: tuple[Model, Slow]) -> None:
    model, pace = slow
    server, joined = batcher(model, threads=2)
    together(server, *[call()] * 4)
    assert joined == [1] * 4
    assert pace.runs == [1] * 4
    assert pace.side_by_side == 2


def test_a_full_queue_refuses_and_says_when_to_come_again(slow: tuple[Model, Slow]) -> None:
    server, _ = batcher(slow[0], queue=3)

    async def submit() -> tuple[list[Response], Overloaded]:
        waiting = [server.submit(call()) for _ in range(3)]
        with pytest.raises(Overloaded) as caught:
            server.submit(call())
        return await asyncio.gather(*map(answer, waiting)), caught.value

    responses, error = asyncio.run(submit())
    server.close()
    assert [response.status for response in responses] == [200] * 3
    assert "3 requests wait already" in error.message
    assert 1 <= error.retry_after <= 60


def test_calls_that_nobody_waits_for_are_not_worked_at(slow: tuple[Model, Slow]) -> None:
    model, pace = slow
    server, _ = batcher(model)

    async def submit() -> Response:
        first, *left, last = [server.submit(call()) for _ in range(6)]
        for promise in left:
            promise.cancel()
        await answer(first)
        return await answer(last)

    assert asyncio.run(submit()).status == 200
    server.close()
    assert sum(pace.runs) == 2


def test_over_http_the_refusal_is_429_with_retry_after(slow: tuple[Model, Slow]) -> None:
    client = Client(slow[0], queue=2, threads=1)

    async def all_at_once() -> list[httpx.Response]:
        async with client.session() as session:
            return await asyncio.gather(*[session.post("/invocations", json={"instances": [ROW]}) for _ in range(20)])

    responses = asyncio.run(all_at_once())
    client.app.close()
    statuses = Counter(response.status_code for response in responses)
    assert statuses.keys() == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["type"] == "Overloaded"


def test_under_load_sigterm_fails_no_request(start: Callable[..., Server]) -> None:  # noqa: F811
    server = start()
    server.wait_until_ready()
    done: Counter[str] = Counter()

    async def client() -> None:
        """Ask on a kept connection until a new one is refused; anything else than an answer is a failure."""
        async with httpx.AsyncClient(base_url=server.url, timeout=10, verify=False) as session:
            while True:
                try:
                    response = await session.post("/invocations", json={"instances": [ROW]})
                except httpx.ConnectError:
                    done["refused"] += 1
                    return
                except httpx.HTTPError as error:
                    done[f"failed: {error!r}"] += 1
                    return
                done[str(response.status_code)] += 1

    async def load() -> None:
        clients = [asyncio.create_task(client()) for _ in range(16)]
        while done["200"] < 200:
            await asyncio.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*clients)

    asyncio.run(load())
    assert server.end()[0] == 0
    assert done.keys() == {"200", "refused"}, done
    assert done["200"] >= 200
    assert done["refused"] == 16


def test_while_draining_health_checks_say_so_and_requests_are_answered(credit: Client) -> None:
    async def call() -> list[int]:
        async with credit.server() as (server, port):
            base = f"http://127.0.0.1:{port}"
            async with (
                httpx.AsyncClient(base_url=base, verify=False) as first,
                httpx.AsyncClient(base_url=base, verify=False) as second,
            ):
                await first.get("/ping")
                await second.get("/ping")
                drained = asyncio.create_task(server.drain(5))
                await asyncio.sleep(0)
                answers = [await first.get("/ping"), await second.post("/invocations", json={"instances": [ROW]})]
                with pytest.raises(httpx.ConnectError):
                    await first.get("/ping")
            await drained
            assert [answer.headers["connection"] for answer in answers] == ["close", "close"]
            return [answer.status_code for answer in answers]

    assert asyncio.run(call()) == [503, 200]
