"""Where the templates of bot/templates/ are rendered; an undefined name is an error."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

_SETTINGS: dict[str, Any] = {
    "loader": PackageLoader("bot", "templates"),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}

# The texts are Markdown, not HTML. Nothing of a stranger goes into a reply, and `bot.alerts.inert` takes the place of
# escaping in what moderators read.
MARKDOWN = SandboxedEnvironment(autoescape=False, **_SETTINGS)


def pages() -> Environment:
    """A new environment for HTML pages, in which every value is escaped and `number` groups digits by thousands."""
    environment = Environment(autoescape=True, **_SETTINGS)
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment
