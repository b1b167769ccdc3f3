"""The pages that say no."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bot.review.rendering import page

# What a refusal says. Nothing of the request is repeated in it.
_REFUSALS = {
    400: ("This address is not right", "Something in it is missing or wrong."),
    401: ("Please sign in", "This page is for moderators who are signed in."),
    403: ("This was not done", "The page was too old, or this is not yours to do. Go back, reload it and try again."),
    404: ("There is nothing here", "It may have been dealt with, or it is not in a community of yours."),
    405: ("This cannot be done here", "Go back and try it from the page itself."),
    413: ("This is too long", "Please shorten what you wrote."),
    415: ("This cannot be read", "Go back and try it from the page itself."),
    429: ("Please wait a minute", "Somebody tried to sign in very often. It goes on in a minute."),
    500: ("Something went wrong here", "It is in the log. Reload the page; nothing was lost."),
    503: ("Reddit does not answer", "Without it, nobody knows whom you moderate with. Try again in a minute."),
}


def refusal(request: Request, status: int) -> Response:
    """The page that says no."""
    title, words = _REFUSALS.get(status, _REFUSALS[400])
    return page(request, "refusal.html", status, title=title, words=words)
