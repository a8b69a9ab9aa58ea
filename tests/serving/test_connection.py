"""HTTP/1.1 on the wire: what clients may send, in whichever pieces, and what they get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from serving import connection
from tests.serving.client import Client

ROW = {"age": 31, "job": "nurse", "monthly income": 1800.5}
BODY = orjson.dumps({"instances": [ROW]})
JSON = b"content-type: application/json\r\n"
PING = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"


def post(body: bytes = BODY, headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    length = b"content-length: %d\r\n" % len(body)
    return b"POST /invocations HTTP/%s\r\nhost: x\r\n%s%s%s\r\n%s" % (version, JSON, length, headers, body)


def talk(client: Client, *pieces: bytes, pause: float = 0.0, until: Callable[[bytes], bool] | None = None) -> bytes:
    """Send pieces, and return what came until the server closed or ``until`` is content."""

    async def call() -> bytes:
        async with client.server() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = b""
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(pause)
            while not (until and until(answer)) and (part := await asyncio.wait_for(reader.read(65536), 10)):
                answer += part
            writer.close()
            return answer

    return asyncio.run(call())


def answers(count: int) -> Callable[[bytes], bool]:
    return lambda text: text.count(b"HTTP/1.1 200") == count and text.endswith(b"}")


def test_a_request_may_come_byte_by_byte(credit: Client) -> None:
    whole = talk(credit, post(), until=answers(1))
    assert (
        talk(credit, *(bytes([byte]) for byte in post()), until=answers(1)).split(b"\r\n\r\n")[1]
        == (whole.split(b"\r\n\r\n")[1])
    )


def test_a_body_in_chunks_is_one_body(credit: Client) -> None:
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\n" + JSON + b"transfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:9], BODY[9:])) + b"0\r\ntrailer: x\r\n\r\n"
    assert b'"predictions"' in talk(credit, head + chunks, until=answers(1))


def test_requests_sent_ahead_are_answered_in_their_order(credit: Client) -> None:
    text = talk(credit, post() + PING + post() + PING, until=answers(4))
    kinds = [b"predictions" in part for part in text.split(b"HTTP/1.1 200")[1:]]
    assert kinds == [True, False, True, False]


def test_a_connection_stays_open_unless_the_client_says_otherwise(credit: Client) -> None:
    assert b"connection: close" not in talk(credit, PING, PING, pause=0.05, until=answers(2))
    assert b"connection: close" in talk(credit, post(headers=b"connection: close\r\n"))
    assert b"connection: close" in talk(credit, post(version=b"1.0"))


def test_a_client_that_asks_whether_to_go_on_is_told(credit: Client) -> None:
    head, body = post(headers=b"expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
    text = talk(credit, head + b"\r\n\r\n", body, pause=0.05, until=answers(1))
    assert text.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_a_large_body_is_refused_before_it_is_sent(credit: Client) -> None:
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\nexpect: 100-continue\r\n\r\n"
    assert talk(credit, head).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_an_upgrade_is_not_taken_and_the_request_answered(credit: Client, upgrade: bytes) -> None:
    request = post(headers=b"connection: upgrade\r\nupgrade: " + upgrade + b"\r\n")
    assert b'"predictions"' in talk(credit, request, until=answers(1))


def test_a_client_that_ends_its_side_still_gets_its_answer(credit: Client) -> None:
    async def call() -> bytes:
        async with credit.server() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post())
            writer.write_eof()
            text = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return text

    assert b'"predictions"' in asyncio.run(call())


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a client that speaks TLS
    "words": b"hello, is it me?\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\n\r\n",
    "a proxy's method": b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "two lengths": b"POST /invocations HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"POST /invocations HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "length is text": b"POST /invocations HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    "chunk is no number": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "nul in a header": b"GET / HTTP/1.1\r\na: \0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_http_is_400_and_the_connection_ends(credit: Client, name: str) -> None:
    text = talk(credit, MALFORMED[name])
    assert text.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in text
    assert text.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("endless", [b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000])
def test_an_endless_head_is_431(credit: Client, endless: bytes) -> None:
    assert talk(credit, endless).startswith(b"HTTP/1.1 431 ")


def test_a_silent_client_is_let_go(credit: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(connection, "READ_SECONDS", 0.0)
    assert talk(credit, b"") == b""
    assert talk(credit, post()[:-5]) == b""


def test_the_server_lives_on_when_clients_leave_in_the_middle(credit: Client) -> None:
    async def call() -> bytes:
        async with credit.server() as (server, port):
            for piece in (b"", post()[:20], post()[:-5], post(), post() * 3):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(piece)
                await asyncio.sleep(0.01)
                writer.transport.abort()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(headers=b"connection: close\r\n"))
            text = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            assert len(server.connections) <= 1
            return text

    assert b'"predictions"' in asyncio.run(call())
