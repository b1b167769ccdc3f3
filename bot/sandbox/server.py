"""The sandbox on the loopback interface: a Reddit that the real client talks to over HTTP."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.sandbox import api, authorise, site
from bot.sandbox.gate import WithoutLastSlash, refusal
from bot.sandbox.state import SandboxReddit, UnknownThing
from bot.web import Guest, listener

HOST = "127.0.0.1"


def create_app(reddit: SandboxReddit) -> ASGIApp:
    """The API, the pages and the control API of one sandbox, as an ASGI application."""

    async def refuse(request: Request, problem: Exception) -> Response:
        return refusal(problem)

    routes = api.routes(reddit) + authorise.routes(reddit) + site.routes(reddit)
    return WithoutLastSlash(Starlette(routes=routes, exception_handlers={HTTPException: refuse, UnknownThing: refuse}))


class SandboxServer:
    """Serves a sandbox inside the running event loop, on loopback alone, for as long as the context lasts.

    Port 0 takes a free one; OSError when the port is in use.

        async with SandboxServer(reddit) as server:
            ...  # server.base_url
    """

    base_url: str

    def __init__(self, reddit: SandboxReddit, port: int = 0) -> None:
        self._reddit = reddit
        self._port = port
        self._app = create_app(reddit)
        config = uvicorn.Config(
            self._serve,
            http=H11Protocol,
            interface="asgi3",
            ws="none",
            proxy_headers=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = Guest(config)

    async def __aenter__(self) -> Self:
        listening = listener(HOST, self._port)
        self.base_url = self._reddit.site_url = f"http://{HOST}:{listening.getsockname()[1]}"
        self._running = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not self._running.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._drop()  # a request that hangs would hold up the end
        # A client may keep its connection open for ever; it is not waited for.
        self._server.force_exit = True
        await self._running

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["drop_connection"] = lambda: self._drop(scope["client"])
        await self._app(scope, receive, send)

    def _drop(self, client: tuple[str, int] | None = None) -> None:
        """Ends this client's connection, or everyone's, once what was written to it has gone out."""
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and client in (None, connection.client):
                connection.transport.close()
