"""How a page is made of a template and a request."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

# Every value is escaped; an undefined name is an error.
_ENVIRONMENT = Environment(
    loader=PackageLoader("bot.review"), autoescape=True, auto_reload=False, undefined=StrictUndefined
)
# Read now, so that no request waits for the disk inside the event loop.
_TEMPLATES = {name: _ENVIRONMENT.get_template(name) for name in _ENVIRONMENT.list_templates()}

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


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page, with what every page needs: who is signed in, and the token that its forms carry."""
    state = request.state
    values |= {
        "moderator": getattr(state, "moderator", None),
        "csrf": getattr(state, "csrf", ""),
        "path": request.url.path,
    }
    return HTMLResponse(_TEMPLATES[template].render(values), status)


def refusal(request: Request, status: int) -> Response:
    """The page that says no."""
    title, words = _REFUSALS.get(status, _REFUSALS[400])
    return page(request, "refusal.html", status, title=title, words=words)
