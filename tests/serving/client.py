"""The server in this process, called over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import orjson

from serving.app import App
from serving.model import Model
from serving.server import Server
from serving.settings import Settings


class Client:
    """Sends requests to an application; each call has an event loop and a server of its own."""

    def __init__(self, model: Model | None, **settings: Any) -> None:
        self.settings = replace(Settings.from_environment({}), **{"threads": 2, "max_body": 2**20, **settings})
        self.app = App(self.settings)
        self.model = model
        if model:
            self.app.serve(model)

    @asynccontextmanager
    async def server(self) -> AsyncIterator[tuple[Server, int]]:
        """A listening server, and its port."""
        server = Server(self.app.answer, max_body=self.settings.max_body, on_drain=self.app.drain)
        try:
            yield server, await server.listen("127.0.0.1", 0)
        finally:
            server.abort()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[httpx.AsyncClient]:
        # No certificates are read, which would take most of the time of a test.
        transport = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(max_connections=None))
        async with (
            self.server() as (_, port),
            httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
        ):
            yield client

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with self.session() as session:
                return await session.request(method, path, **arguments)

        return asyncio.run(call())

    def invoke(self, body: bytes | str, content_type: str, **headers: str) -> httpx.Response:
        headers = {"content-type": content_type, **{name.replace("_", "-"): text for name, text in headers.items()}}
        return self.request("POST", "/invocations", content=body, headers=headers)

    def instances(self, *instances: Any) -> httpx.Response:
        return self.invoke(orjson.dumps({"instances": list(instances)}), "application/json")

    def refusal(self, *instances: Any, status: int = 400) -> dict[str, str]:
        """The error of a request that must be refused."""
        response = self.instances(*instances)
        assert response.status_code == status, response.text
        return response.json()["error"]
