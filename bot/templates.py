"""Where the Markdown templates of bot/templates/ are rendered: sandboxed, and an undefined name is an error."""

from __future__ import annotations

from jinja2 import PackageLoader, StrictUndefined
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
