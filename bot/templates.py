"""Where templates are rendered; an undefined name is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment

_SETTINGS: dict[str, Any] = {
    "auto_reload": False,
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}

# The texts are Markdown, not HTML. Nothing of a stranger goes into a reply, and `bot.inert` takes the place of
# escaping in what moderators read.
MARKDOWN = SandboxedEnvironment(loader=PackageLoader("bot"), autoescape=False, **_SETTINGS)


def pages(package: str = "bot") -> Environment:
    """A new environment for the HTML pages in the templates/ of a package.

    Every value is escaped, and `number` groups digits by thousands.
    """
    environment = Environment(loader=PackageLoader(package), autoescape=True, **_SETTINGS)
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment


@cache
def reply_templates(folder: Path | None = None) -> ImmutableSandboxedEnvironment:
    """The templates of replies: a team's own in `folder`, then those of bot/wording/.

    A team's file is data that somebody edits: it can reach no attribute of Python's and change no value. What was read
    once is kept, so that a file cannot change between the check at the start and the reply.
    """
    own = PackageLoader("bot", "wording")
    return ImmutableSandboxedEnvironment(
        autoescape=False,
        loader=own if folder is None else ChoiceLoader([FileSystemLoader(folder), own]),
        **_SETTINGS,
    )
