"""Alerts and digests as internal moderator discussions, replies as comments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from asyncpraw.models import Comment, MoreComments

from bot.deliver.worker import Letter
from bot.errors import Forbidden, Gone
from bot.reddit import Gateway
from bot.sources.reddit import look_up
from bot.types import DeliveryKind, Presence

# An internal discussion is listed under `mod`; once a moderator archived it, under `archived`. Never under `all`.
_STATES = ("mod", "archived")
# How much earlier than our clock says Reddit's clock may date what we wrote.
_SKEW_SECONDS = 600.0


class RedditMessenger:
    """Carries letters to Reddit. Never a private message to an author: the two ways out are below."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Which of these posts their author or Reddit deleted."""
        found = await look_up(self._gateway, ids, urgent=True)
        return {id for id, presence in found.items() if presence is Presence.GONE}

    async def find(self, letter: Letter) -> str | None:
        """The bot's own comment under the post, or the discussion with this very subject; subjects are unique."""
        if letter.kind is DeliveryKind.REPLY:
            return await self._own_comment(letter)
        async with self._gateway.reading(urgent=True) as reddit:
            subreddit = await reddit.subreddit(letter.subreddit)
            for state in _STATES:
                async for each in subreddit.modmail.conversations(state=state, sort="recent", limit=None):
                    if each.subject == letter.subject:
                        return str(each.id)
                    if _time(each.last_updated) < letter.since_utc - _SKEW_SECONDS:
                        break  # this one and all after it are older than the letter
        return None

    async def send(self, letter: Letter) -> str:
        """One POST, never repeated here. A reply first looks whether the post is still there and unanswered by us."""
        if letter.kind is DeliveryKind.REPLY:
            return await self._own_comment(letter) or await self._comment(letter)
        async with self._gateway.writing() as reddit:
            subreddit = await reddit.subreddit(letter.subreddit)
            # No recipient makes it a discussion among the moderators; the type says str, Reddit's API says optional.
            conversation = await subreddit.modmail.create(
                subject=letter.subject,
                body=letter.body,
                recipient=cast(str, None),
            )
            return str(conversation.id)

    async def _comment(self, letter: Letter) -> str:
        if not await self._gateway.moderates(letter.subreddit):
            raise Forbidden(f"this account no longer moderates r/{letter.subreddit}")
        async with self._gateway.writing() as reddit:
            submission = await reddit.submission(letter.post_id, fetch=False)
            comment = await submission.reply(letter.body)
            return "" if comment is None else str(comment.id)

    async def _own_comment(self, letter: Letter) -> str | None:
        me = await self._gateway.me()
        async with self._gateway.reading(urgent=True) as reddit:
            submission = await reddit.submission(letter.post_id)
            if submission.author is None or getattr(submission, "removed_by_category", None) is not None:
                raise Gone("the post was deleted or removed")
            thread = submission.comments.list()
            ours = [str(each.id) for each in thread if isinstance(each, Comment) and _author(each) == me]
            if not ours and any(isinstance(each, MoreComments) for each in thread):
                # Reddit shows a long thread in part, so ours may be hidden; our own newest comments are all listed.
                account = await reddit.redditor(me)
                async for comment in account.comments.new(limit=None):
                    if comment.link_id == f"t3_{letter.post_id}":
                        return str(comment.id)
                    if comment.created_utc < letter.since_utc - _SKEW_SECONDS:
                        break
        return ours[0] if ours else None


def _author(comment: Comment) -> str | None:
    return comment.author.name if comment.author is not None else None


def _time(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
