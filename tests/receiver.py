"""A chat service on loopback: takes what Apprise's `json://` and `ntfy://` send, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.web import listener, serving

TOKEN = "hush-hush-token"


class Receiver:
    """What arrived, in order. `answers` are the statuses of the next calls, 200 once they are used up; 0 hangs."""

    def __init__(self) -> None:
        self.arrived: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        """On a free port until the context ends."""
        receiver = cls()
        app = Starlette(routes=[Route("/{path:path}", receiver._take, methods=["POST"])])
        listening = listener("127.0.0.1", 0)
        receiver.address = f"127.0.0.1:{listening.getsockname()[1]}"
        async with serving(app, listening):
            yield receiver

    def url(self, scheme: str = "json", query: str = "") -> SecretStr:
        """Where it is, for Apprise, with a secret in it."""
        return SecretStr(f"{scheme}://{self.address}/{TOKEN}{query}")

    @property
    def titles(self) -> list[str]:
        """The titles of what arrived."""
        return [message["title"] for message in self.arrived]

    def __str__(self) -> str:
        """All that arrived, for a test to search."""
        return repr(self.arrived)

    async def _take(self, request: Request) -> Response:
        self.arrived.append(await request.json())
        status = self.answers.pop(0) if self.answers else 200
        if not status:
            await asyncio.sleep(5)
        headers = {"location": f"http://{self.address}/elsewhere"} if status in (301, 302) else {}
        return Response(status_code=status or 200, headers=headers)
