"""Where templates are rendered; an undefined name is an error."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

_SETTINGS: dict[str, Any] = {
    "auto_reload": False,
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}

# The texts are Markdown, not HTML. Nothing of a stranger goes into a reply, and `bot.alerts.inert` takes the place of
# escaping in what moderators read.
MARKDOWN = SandboxedEnvironment(loader=PackageLoader("bot"), autoescape=False, **_SETTINGS)


def pages(package: str = "bot") -> Environment:
    """A new environment for the HTML pages in the templates/ of a package.

    Every value is escaped, and `number` groups digits by thousands.
    """
    environment = Environment(loader=PackageLoader(package), autoescape=True, **_SETTINGS)
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment
