"""Decision -> the words under a post: vetted templates and the vetted catalogue, and nothing else.

No word of the post, its title or its author goes in, and nothing about the author is guessed: the country is the one
the team has set. The rules and their sources are in docs/safe-messaging.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from bot.config import Team
from bot.resources import Catalogue, Line, NoVettedWords
from bot.templates import MARKDOWN
from bot.types import Decision, Post
from models.labels import Level

LONGEST_REPLY = 1500  # exclusive, in characters

# More lines than these are a list to read instead of a number to call.
LINES_NAMED = 3

_TEMPLATES = {
    Level.CRISIS: "reply_crisis.md.j2",
    Level.URGENT: "reply_urgent.md.j2",
    Level.WATCH: "reply_watch.md.j2",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reply is made of: the words for a level, lines of the catalogue by id in their order, and a directory."""

    words: Level
    lines: tuple[str, ...]
    directory: bool


def proposed_parts(level: Level, team: Team, catalogue: Catalogue, today: date) -> Parts:
    """What a reply at the level crisis, urgent or watch is made of unless a moderator chooses otherwise."""
    lines = catalogue.crisis_lines(team.replies.country, today)[:LINES_NAMED]
    return Parts(level, tuple(line.id for line in lines), directory=True)


def compose_reply(post: Post, decision: Decision, team: Team, catalogue: Catalogue, today: date) -> str:
    """The reply to a post at the level crisis, urgent or watch, in Markdown; it passes `lint`.

    Raises NoVettedWords as `compose` does.
    """
    return compose(post, proposed_parts(decision.level, team, catalogue, today), team, catalogue, today)


def compose(post: Post, parts: Parts, team: Team, catalogue: Catalogue, today: date) -> str:
    """The reply made of these parts, in Markdown; it passes `lint`.

    Raises NoVettedWords when the level has no template, when a line may not be printed today or there are too many,
    when neither a line nor a directory is left, or when the outcome would break a rule of safe messaging.
    """
    if parts.words not in _TEMPLATES:
        raise NoVettedWords(f"there are no vetted words for the level {parts.words}")
    printable = {line.id: line for line in catalogue.line if line.printable(today)}
    if not printable.keys() >= set(parts.lines):
        raise NoVettedWords("a crisis line that was chosen is not in the catalogue, or has expired")
    lines = [printable[id] for id in dict.fromkeys(parts.lines)]
    if len(lines) > LINES_NAMED:
        raise NoVettedWords(f"a reply names {LINES_NAMED} crisis lines at most")
    directories = catalogue.directories(today) if parts.directory else ()
    if not lines and not directories:
        raise NoVettedWords("no crisis line and no directory is left: none was chosen, or all have expired")
    subreddit = post.subreddit if re.fullmatch(r"\w{2,21}", post.subreddit, re.ASCII) else ""
    text = MARKDOWN.get_template(_TEMPLATES[parts.words]).render(
        community=f"r/{subreddit}" if subreddit else "this community",
        lines=[in_words(line) for line in lines],
        directory=directories[0] if directories else None,
        opt_out_url=team.replies.opt_out_url or _opt_out_url(subreddit),
    )
    if broken := lint(text):
        raise NoVettedWords(f"the reply breaks a rule of safe messaging: {broken[0]}")
    return text


def _opt_out_url(subreddit: str) -> str:
    """A message to the moderators, already addressed when the subreddit is known."""
    to = f"to=r/{subreddit}&" if subreddit else ""
    return f"https://www.reddit.com/message/compose?{to}subject={quote('No more bot replies, please')}"


def in_words(line: Line) -> str:
    """A crisis line as a reply names it, in Markdown."""
    language = "" if line.language in ((), ("English",)) else f" ({', '.join(line.language)})"
    hours = f"Open {line.hours.replace('24/7', 'day and night')}." if line.hours else "It may not be open at all hours."
    note = f" {line.note[0].upper()}{line.note[1:]}." if line.note else ""
    return f"**{line.name}**{language}: {', or '.join(_ways(line))}. {hours}{note}"


def _ways(line: Line) -> Iterator[str]:
    both = line.text if line.text in line.phone and line.keyword is None else None
    if both:
        yield f"call or text {both}"
    if phones := [number for number in line.phone if number != both]:
        yield f"call {' or '.join(phones)}"
    if line.text and not both:
        yield f"text {line.keyword} to {line.text}" if line.keyword else f"text {line.text}"
    if line.whatsapp:
        yield f"WhatsApp {line.whatsapp}"
    if line.chat:
        yield f"[chat online]({line.chat})"
    elif line.url:
        yield f"[see the website]({line.url})"


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_BANNED = {
    "names a diagnosis": _words(
        r"depress\w*|anxi(ety|ous)\w*|bipolar|mania|manic|ptsd|ocd|adhd|autis\w+|schizo\w+|psycho\w+|"
        r"anorex\w+|bulimi\w+|disorders?|diagnos\w+|symptoms?|mental(ly)? ill\w*|patients?"
    ),
    "says what somebody is": _words(r"suicidal|at risk|you are (in crisis|unwell|sick|ill|not well)|crazy"),
    "promises": _words(
        r"gets? better|will be (ok|okay|fine|alright|all right|better)|will pass|promise\w*|guarantee\w*|"
        r"everything will|things will|always there|cure\w*"
    ),
    "lays guilt or gives orders": _words(
        r"selfish|burden|you (should|must|need to)|your loved ones|think of (your|the)|stay strong|worse off|"
        r"attention.seeking|committed?|failed|how could"
    ),
    "names a method": _words(
        r"overdos\w+|pills?|medication|jump\w*|hang\w*|guns?|ropes?|bridges?|blades?|knife|razors?|cut\w*|"
        r"poison\w*|kill\w*|drown\w*|self.harm\w*"
    ),
    "plays a person": _words(r"i (understand|feel|care|know how|am sorry|hear)|i'm sorry"),
    "asks something": re.compile(r"\?"),
    "names a user": re.compile(r"\bu/\w", re.IGNORECASE),
}

_SHORTENED = _words(r"bit\.ly|tinyurl\.com|t\.co|goo\.gl|ow\.ly|is\.gd|redd\.it|buff\.ly|rb\.gy|cutt\.ly|t\.ly")

_NEEDED = {
    "does not say that a bot run by the moderators wrote it": re.compile(r"I am a bot run by the moderators of "),
    "has no way to opt out": re.compile(r"\[opt out of these replies\]\(https://[^\s()]+\)"),
    "does not name the emergency number": re.compile(r"your local emergency number"),
    "names nowhere to turn": re.compile(
        r"^- \*\*.+: |\]\(https://(?!www\.reddit\.com/).+ (lists|shows) ", re.MULTILINE
    ),
}


def lint(text: str) -> list[str]:
    """The rules of safe messaging that a reply breaks, each in a few words; empty when it breaks none."""
    words = re.sub(r"https://[^\s()]+|\br/\w+", "", text)  # a community may well be called r/depression
    broken = [rule for rule, pattern in _BANNED.items() if pattern.search(words)]
    broken += [rule for rule, pattern in _NEEDED.items() if not pattern.search(text)]
    if _SHORTENED.search(text):
        broken.append("hides where a link goes")
    if len(text) >= LONGEST_REPLY:
        broken.append(f"is longer than {LONGEST_REPLY - 1} characters")
    return broken
