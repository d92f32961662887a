"""A real aiohttp server on loopback whose behaviour a test chooses, for Twilio's API and for webhooks."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from aiohttp import web


class HttpServer:
    """`behave`: (status, headers, body), or `drop`, `silence` or `slow` after the request was taken, or `half` (an answer cut off)."""

    def __init__(self, body: Any = None) -> None:
        self.behave: tuple[int, dict[str, str], str] | str = ""
        self.requests: list[dict[str, Any]] = []
        self._body = body or {}

    async def __aenter__(self) -> Self:
        self._closing = asyncio.Event()
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append({"method": request.method, "path": request.path_qs, "headers": dict(request.headers), "body": body})
        behave = self.behave
        if behave == "drop":
            assert request.transport is not None
            request.transport.abort()
        elif behave == "silence":
            await self._closing.wait()
        elif behave == "slow":
            await asyncio.sleep(0.05)
        elif behave == "half":
            response = web.StreamResponse(headers={"Content-Length": "100000"})
            await response.prepare(request)
            await response.write(b"x" * 10)
            assert request.transport is not None
            request.transport.abort()
            return response
        if isinstance(behave, tuple):
            status, headers, text = behave
            return web.Response(status=status, headers=headers, text=text)
        return web.json_response(self._body, status=201)
