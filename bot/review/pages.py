"""The pages behind the door."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.review.rendering import page


def routes() -> list[BaseRoute]:
    """Every page."""
    return [Route("/", front)]


async def front(request: Request) -> Response:
    """Where one arrives."""
    return page(request, "front.html")
