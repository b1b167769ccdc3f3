"""Where a post is on Reddit, and its case on the moderators' page."""

from __future__ import annotations

import re

from bot.types import Post

REDDIT = "https://www.reddit.com"


def link_to(post: Post, base_url: str = REDDIT) -> str:
    """The full link; by id alone when an archive's permalink is not the path that Reddit would give."""
    path = post.permalink.removeprefix(REDDIT)
    return base_url + path if re.fullmatch(r"/r/[\w%/-]{1,300}", path) else plain_link(post.plain_id, base_url)


def plain_link(post_id: str, base_url: str = REDDIT) -> str:
    """The link by id alone, which holds no word of the post; Reddit's own ends in words of the title."""
    return f"{base_url}/comments/{post_id}"


def case_link(post_id: str, page_url: str | None) -> str:
    """Where a case is on the moderators' page; empty where there is none."""
    return f"{page_url}/case/{post_id}" if page_url else ""
