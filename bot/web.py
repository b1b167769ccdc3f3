"""An ASGI application on a port, served inside the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp


class Guest(uvicorn.Server):
    """Uvicorn as a guest: the signals belong to the program around it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one. Raises OSError when it is taken."""
    # asyncio turns off Nagle's delay for sockets that name their protocol alone: else the second part of every answer
    # would wait 40 ms for the browser to acknowledge the first.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # now, so that a port that is taken is an error here and not later
    except OSError:
        listening.close()
        raise
    return listening


@asynccontextmanager
async def serving(
    app: ASGIApp, listening: socket.socket, *, certificate: Path | None = None, key: Path | None = None
) -> AsyncIterator[None]:
    """Serves the application on a `listener` until the context ends, over TLS when there is a certificate.

    Raises OSError (of which ssl.SSLError is one) when certificate or key cannot be used.
    """
    config = uvicorn.Config(
        app,
        interface="asgi3",
        ws="none",
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except BaseException:
        listening.close()
        raise
    server = Guest(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        # A client may keep its connection open for ever; it is not waited for.
        server.force_exit = True
        await running
