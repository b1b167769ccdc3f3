"""How a page of the moderators is rendered: every value escaped, every word from words.toml."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from bot.clock import timestamp
from bot.review.desk import digest
from bot.review.words import Words
from bot.templates import pages


@cache
def templates() -> dict[str, Any]:
    """Every template by name. Reads and compiles them at the first call, which is best made before anybody waits."""
    environment = pages("bot.review")
    environment.globals["say"] = Words.load()
    environment.globals["span"] = Words.load().span
    environment.filters["time"] = timestamp
    environment.filters["minute"] = lambda utc: f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%d %H:%M} UTC"
    environment.filters["clock"] = lambda utc: f"{datetime.fromtimestamp(utc, UTC):%H:%M} UTC"
    environment.filters["day"] = lambda utc: f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%d}"
    environment.filters["iso"] = lambda utc: datetime.fromtimestamp(utc, UTC).isoformat(timespec="seconds")
    environment.filters["digest"] = digest
    environment.filters["percent"] = lambda share: f"{share:.0%}"
    # For our own vetted replies. This preset escapes HTML and drops links that could run something.
    environment.filters["markdown"] = lambda text: Markup(MarkdownIt("js-default").render(text))  # noqa: S704
    return {name: environment.get_template(name) for name in environment.list_templates()}


def page(request: Request, name: str, status: int = 200, **values: object) -> HTMLResponse:
    """The template of this name as a response; `moderator` is None where nobody is signed in."""
    state = request.state
    common = {
        "moderator": getattr(state, "moderator", None),
        "csrf": getattr(state, "csrf", ""),
        "path": request.url.path,
        "waiting": None,
        "set_aside": 0,
        "undoable": (),
        "dry_run": False,
    }
    return HTMLResponse(templates()[name].render(common | values), status)
