"""What strangers wrote, so that nothing in it can act.

Modmail and chat messages are Markdown: no link, no mention and no formatting of a stranger's works in them, and no
character that hides text or turns it around gets through.
"""

from __future__ import annotations

import re
import unicodedata

# How much of each a message shows, in characters.
TITLE_LENGTH, REASON_LENGTH = 80, 160

# Markdown's own signs; a backslash before one makes it a plain character on old and new Reddit alike.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~^&])")
# What Reddit, mail and chat programs turn into a link or a call without any sign of Markdown.
_SELF_ACTING = (
    (re.compile(r"://"), ": //"),
    (re.compile(r"\bwww\.", re.IGNORECASE), "www ."),
    (re.compile(r"(?<![A-Za-z0-9])([ur])/", re.IGNORECASE), r"\1 /"),
    (re.compile(r"@"), "@ "),
)


def inert(text: str, longest: int) -> str:
    """A stranger's text on one line, at most `longest` characters before escaping, with nothing in it that acts."""
    text = visible(text[: 4 * longest])
    for pattern, replacement in _SELF_ACTING:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    if len(text) > longest:
        text = text[: longest - 1].rstrip() + "…"
    return _MARKDOWN.sub(r"\\\1", text)


def visible(text: str) -> str:
    """A stranger's text on one line, without characters that hide it, turn it around or command a terminal."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    """Nothing for characters that hide or turn text around or that no encoding takes; a space for line ends."""
    category = unicodedata.category(character)
    if category in {"Zl", "Zp"} or character.isspace():
        return " "
    return "" if category in {"Cc", "Cf", "Cs", "Co", "Cn"} else character


def plain_name(subreddit: str) -> str:
    """A subreddit's name with nothing in it but what Reddit's names are made of."""
    return re.sub(r"[^A-Za-z0-9_]", "", subreddit)[:21] or "unknown"
