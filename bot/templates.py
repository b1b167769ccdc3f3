"""Where the templates of bot/templates/ are rendered; an undefined name is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

# The texts are Markdown, not HTML. Nothing of a stranger goes into a reply, and `bot.alerts.inert` takes the place of
# escaping in what moderators read.
MARKDOWN = SandboxedEnvironment(
    loader=PackageLoader("bot", "templates"),
    undefined=StrictUndefined,
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


def pages() -> Environment:
    """A new environment for HTML pages, in which every value is escaped and `number` groups digits by thousands."""
    environment = Environment(
        loader=PackageLoader("bot", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment
