"""The pages that say no. Nothing of the request is repeated in them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bot.review.rendering import page
from bot.review.words import Words

_say = Words.load()
_KNOWN = frozenset({400, 401, 403, 404, 405, 413, 415, 429, 500, 503})


def refusal(request: Request, status: int) -> Response:
    """The page for a status; one that has no words of its own gets those of 400."""
    return page(request, "problem.html", status, what=_say(f"refused.{status if status in _KNOWN else 400}"))
