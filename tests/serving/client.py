"""The ASGI application in this process, called as over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson

from serving.app import App
from serving.model import Model


class Client:
    """Sends requests to an application; each call has an event loop of its own."""

    def __init__(self, model: Model | None, *, max_body: float = 2**20) -> None:
        self.app = App(max_body=max_body, threads=2)
        self.app.model = model

    def session(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://model")

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
