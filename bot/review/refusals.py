"""The pages that say no, and what the log keeps of it; nothing of the request is repeated in either. And what stands
around a page of the door's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from bot.review.rendering import page
from bot.review.words import Words

log = structlog.get_logger()

# Renders a page: a request, the name of a template, a status and values.
Surround = Callable[..., Awaitable[Response]]

_say = Words.load()
_KNOWN = frozenset({400, 401, 403, 404, 405, 413, 415, 429, 500, 503})


async def refusal(request: Request, status: int) -> Response:
    """The page for a status; one that has no words of its own gets those of 400."""
    return await surrounded(request, "problem.html", status, what=_words(status))


def bare_refusal(request: Request, status: int) -> Response:
    """The same for when nothing else can be relied on."""
    return page(request, "problem.html", status, what=_words(status))


async def surrounded(request: Request, name: str, status: int = 200, **values: object) -> Response:
    """The template of this name, for whoever is signed in with all that stands around the other pages."""
    surround: Surround | None = getattr(request.app.state, "surround", None)
    if surround is None or getattr(request.state, "moderator", None) is None:
        return page(request, name, status, **values)
    return await surround(request, name, status, **values)


def _words(status: int) -> str:
    return _say(f"refused.{status if status in _KNOWN else 400}")


def note_refusal(request: Request, why: str) -> None:
    """Keeps in the log that somebody who is signed in was refused: at which route, in which session, and why.

    A path is anybody's words, so the route is told as it is written down here; the session by its number, which opens
    nothing. `why` is a word of ours.
    """
    session = getattr(request.state, "session", None)
    log.warning("review.refused", route=_route(request), session=session and session.id, error=why)


def _route(request: Request) -> str:
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            return route.path
    return "none"
