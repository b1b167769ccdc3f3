"""How a page is made of a template and a request."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.clock import timestamp

# Every value is escaped; an undefined name is an error.
_ENVIRONMENT = Environment(
    loader=PackageLoader("bot.review"), autoescape=True, auto_reload=False, undefined=StrictUndefined
)
_ENVIRONMENT.filters["moment"] = timestamp
# Read now, so that no request waits for the disk inside the event loop.
_TEMPLATES = {name: _ENVIRONMENT.get_template(name) for name in _ENVIRONMENT.list_templates()}


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page, with what every page needs: who is signed in, and the token that its forms carry."""
    state = request.state
    values |= {
        "moderator": getattr(state, "moderator", None),
        "csrf": getattr(state, "csrf", ""),
        "path": request.url.path,
    }
    return HTMLResponse(_TEMPLATES[template].render(values), status)
