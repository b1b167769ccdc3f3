"""New submissions of one subreddit, with catch-up after an outage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.reddit import Gateway
from bot.types import Post

_PAGE = 100
# Reddit's listings end at about 1,000, fewer when removed posts are among them. One that ends beyond this many posts
# without a known one was cut off; a shorter one was simply all there is.
_CUT_OFF = 500

Knows = Callable[[Sequence[str]], Awaitable[set[str]]]


@dataclass(frozen=True, slots=True)
class Catch:
    """What one look at a subreddit brought: posts not seen before, oldest first.

    `gap_until_utc` is set when Reddit's listing ended before a known post was met: posts older than this time (seconds
    since the epoch) and younger than the newest known one may be missing.
    """

    posts: tuple[Post, ...]
    gap_until_utc: float | None


class NewPosts:
    """Looks at /new and pages back until it meets a post it knows or one from before the watch began.

    asyncpraw's own stream shows only the newest 70 to 100 after a pause and forgets everything at a restart, so what
    was already seen is asked of the store, and only a page with a known post on it ends the look.
    """

    def __init__(self, gateway: Gateway, subreddit: str, knows: Knows, since_utc: float) -> None:
        self._gateway = gateway
        self._subreddit = subreddit
        self._knows = knows
        self._since_utc = since_utc

    async def look(self) -> Catch:
        """One look. Raises Transient or Permanent, and then nothing of what it had fetched counts as seen."""
        found: dict[str, Post] = {}
        after: str | None = None
        while True:
            page, after = await self._page(after)
            known = await self._knows([post.id for post in page])
            fresh = [post for post in page if post.id not in known and not self._too_old(post)]
            found |= {post.id: post for post in fresh}
            met_the_past = len(fresh) < len(page)
            if met_the_past or after is None:
                break
        posts = tuple(reversed(found.values()))
        cut_off = not met_the_past and len(posts) > _CUT_OFF
        return Catch(posts, posts[0].created_utc if cut_off else None)

    def _too_old(self, post: Post) -> bool:
        return post.created_utc is not None and post.created_utc < self._since_utc

    async def _page(self, after: str | None) -> tuple[list[Post], str | None]:
        # asyncpraw's listing generator hides `after`, and a short page is no sign of the end: Reddit leaves removed
        # posts out of a page without filling it up.
        params: dict[str, str | int] = {"limit": _PAGE}
        if after is not None:
            params["after"] = after
        async with self._gateway.reading() as reddit:
            listing = await reddit.get(f"r/{self._subreddit}/new", params=params)
            return [to_post(each) for each in listing], listing.after


def to_post(submission: Any) -> Post:
    """Reddit's submission as ours."""
    return Post(
        id=submission.id,
        subreddit=submission.subreddit.display_name,
        author=submission.author.name if submission.author is not None else None,
        title=submission.title,
        text=submission.selftext or "",
        created_utc=float(submission.created_utc),
        permalink=submission.permalink,
    )
