"""The daily summary of posts to watch: a line a post, and as many messages as the lines need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from itertools import accumulate

from bot.inert import REASON_LENGTH, TITLE_LENGTH, inert, plain_name
from bot.links import REDDIT, link_to
from bot.templates import MARKDOWN
from bot.types import LONGEST_BODY, Decision, Message, Post


def compose_digest_line(post: Post, decision: Decision, day: date, base_url: str = REDDIT) -> Message:
    """One post's line in the digest of a day, under the subject that all lines of that digest share."""
    why = f": {inert(decision.reasons[0].words, REASON_LENGTH)}" if decision.reasons else ""
    return Message(
        f"[Nightlight] posts to look at in r/{plain_name(post.subreddit)}, {day.isoformat()}",
        f"- “{inert(post.title, TITLE_LENGTH) or 'no title'}”{why}. {link_to(post, base_url)}",
    )


def next_part(subject: str) -> str:
    """The subject of the message that goes on where a digest with this subject has no more room."""
    begun = re.fullmatch(r"(.*) \((\d+)\)", subject)
    return f"{begun[1]} ({int(begun[2]) + 1})" if begun else f"{subject} (2)"


def compose_digest(subreddit: str, lines: Sequence[str]) -> str:
    """The body of a digest made of such lines, in their order."""
    return MARKDOWN.get_template("digest.md.j2").render(lines=lines, subreddit=plain_name(subreddit)).strip()


def how_many_fit(subreddit: str, lines: Sequence[str]) -> int:
    """How many of these lines, from the first on, one message of a digest has room for; one at least."""
    room = LONGEST_BODY - len(compose_digest(subreddit, [])) - 1
    ends = accumulate(len(line) + 1 for line in lines)
    return max(1, sum(end <= room for end in ends))
