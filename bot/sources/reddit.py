"""New submissions of one subreddit, with catch-up after an outage; and whether posts are still there.

Listings are read as plain JSON: asyncpraw's objects break on a submission whose author is null, and one such would hide
all others of its page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bot.reddit import Gateway
from bot.types import Post, Presence

log = structlog.get_logger()

_PAGE = 100
# Who takes a post away for good, as `removed_by_category` names them. What moderators or their filters removed is
# still theirs to look at.
_DELETED_BY = {"deleted", "author", "reddit", "anti_evil_ops", "copyright_takedown", "content_takedown"}

Knows = Callable[[Sequence[str]], Awaitable[set[str]]]


@dataclass(frozen=True, slots=True)
class Catch:
    """What one look at a subreddit brought: posts not seen before, oldest first.

    `gap_until_utc` is set when Reddit's listing ended before a known post was met: posts older than this time (seconds
    since the epoch) and younger than the newest known one may be missing. `empty`: Reddit showed no post at all.
    """

    posts: tuple[Post, ...]
    gap_until_utc: float | None
    empty: bool


class NewPosts:
    """Looks at /new and pages back until it meets a post it knows or one that is too old to be ours.

    asyncpraw's own stream shows only the newest 70 to 100 after a pause and forgets everything at a restart, so what
    was already seen is asked of the store, and only a page with a known post on it ends the look.
    """

    def __init__(self, gateway: Gateway, subreddit: str, knows: Knows) -> None:
        self._gateway = gateway
        self._subreddit = subreddit
        self._knows = knows

    async def look(self, since_utc: float, *, deep: bool = False) -> Catch:
        """One look at the posts written at `since_utc` (seconds since the epoch) or later.

        A `deep` look does not end at a known post: a post that moderators approve late stands among older ones. Raises
        Transient or Permanent, and then nothing of what it had fetched counts as seen.
        """
        found: dict[str, Post] = {}
        shown, met_the_past, after = 0, False, None
        while True:
            page, after = await self._page(after)
            known = await self._knows([post.id for post in page])
            old = {post.id for post in page if post.created_utc is not None and post.created_utc < since_utc}
            found |= {post.id: post for post in page if post.id not in known | old}
            shown += len(page)
            met_the_past = met_the_past or bool(known or old)
            if after is None or old or (known and not deep):
                break
        posts = tuple(reversed(found.values()))
        # Reddit's listings end at about 1,000, fewer when removed posts are among them. One of more than a page that
        # ends without a known post was cut off; a shorter one was simply all there is.
        cut_off = not met_the_past and len(posts) > _PAGE
        return Catch(posts, posts[0].created_utc if cut_off else None, shown == 0)

    async def _page(self, after: str | None) -> tuple[list[Post], str | None]:
        # A short page is no sign of the end: Reddit leaves removed posts out of a page without filling it up.
        params: dict[str, str | int] = {"limit": _PAGE, "raw_json": 1}
        if after is not None:
            params["after"] = after
        async with self._gateway.reading() as reddit:
            listing: Any = await reddit.request(method="GET", path=f"r/{self._subreddit}/new", params=params)
            children = [child["data"] for child in listing["data"]["children"]]
            return [post for each in children if (post := to_post(each))], listing["data"]["after"]


async def look_up(gateway: Gateway, ids: Sequence[str], *, urgent: bool = False) -> dict[str, Presence]:
    """Whether Reddit still has these posts, a hundred a call. Raises Transient or Permanent."""
    shown: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(ids), _PAGE):
        names = ",".join(f"t3_{id}" for id in ids[start : start + _PAGE])
        async with gateway.reading(urgent) as reddit:
            listing: Any = await reddit.request(method="GET", path="api/info", params={"id": names, "raw_json": 1})
            shown |= {child["data"]["id"]: child["data"] for child in listing["data"]["children"]}
    return {id: _presence(shown[id]) if id in shown else Presence.UNKNOWN for id in ids}


def _presence(submission: Mapping[str, Any]) -> Presence:
    deleted = submission.get("removed_by_category") in _DELETED_BY or submission.get("selftext") == "[deleted]"
    return Presence.GONE if deleted else Presence.THERE


def to_post(submission: Mapping[str, Any]) -> Post | None:
    """Reddit's submission as ours, whatever is missing of it; None, with a line in the log, when it has no id."""
    id = submission.get("id")
    if not isinstance(id, str) or not id:
        log.error("post.nameless", subreddit=str(submission.get("subreddit")))
        return None
    author, created = _text(submission.get("author")), submission.get("created_utc")
    return Post(
        id=_text(id),
        subreddit=_text(submission.get("subreddit")),
        author=author if author not in ("", "[deleted]") else None,
        title=_text(submission.get("title")),
        text=_text(submission.get("selftext")),
        created_utc=float(created) if isinstance(created, int | float) else None,
        permalink=_text(submission.get("permalink")),
    )


def _text(value: object) -> str:
    # JSON may carry half of a surrogate pair, which neither the database nor a letter takes.
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""
