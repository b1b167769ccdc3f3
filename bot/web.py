"""An ASGI application on a port, served inside the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp


class Guest(uvicorn.Server):
    """Uvicorn as a guest: the signals belong to the program around it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one. Raises OSError when it is taken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # now, so that a port that is taken is an error here and not later
    except OSError:
        listening.close()
        raise
    return listening


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[str]:
    """Serves the application until the context ends; the base URL it has meanwhile. Raises OSError like `listener`."""
    listening = listener(host, port)
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
    )
    server = Guest(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.005)
        yield f"http://{host}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        # A client may keep its connection open for ever; it is not waited for.
        server.force_exit = True
        await running
