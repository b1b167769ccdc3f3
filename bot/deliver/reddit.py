"""Alerts and digests as internal moderator discussions, replies as comments."""

from __future__ import annotations

from typing import cast

from asyncpraw.models import Comment

from bot.deliver.worker import Letter
from bot.errors import Gone
from bot.reddit import Gateway
from bot.types import DeliveryKind

# An internal discussion is listed under `mod`; once a moderator archived it, under `archived`. Never under `all`.
_STATES = ("mod", "archived")
_NEWEST = 100


class RedditMessenger:
    """Carries letters to Reddit. Never a private message to an author: the two ways out are below."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def find(self, letter: Letter) -> str | None:
        """The bot's own comment under the post, or the discussion with this very subject; subjects are unique."""
        if letter.kind is DeliveryKind.REPLY:
            return await self._own_comment(letter)
        async with self._gateway.reading() as reddit:
            subreddit = await reddit.subreddit(letter.subreddit)
            for state in _STATES:
                async for each in subreddit.modmail.conversations(state=state, sort="recent", limit=_NEWEST):
                    if each.subject == letter.subject:
                        return str(each.id)
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
        async with self._gateway.writing() as reddit:
            submission = await reddit.submission(letter.post_id, fetch=False)
            comment = await submission.reply(letter.body)
            return "" if comment is None else str(comment.id)

    async def _own_comment(self, letter: Letter) -> str | None:
        me = await self._gateway.me()
        async with self._gateway.reading() as reddit:
            submission = await reddit.submission(letter.post_id)
            if submission.author is None or getattr(submission, "removed_by_category", None) is not None:
                raise Gone("the post was deleted or removed")
            for comment in submission.comments.list():
                if isinstance(comment, Comment) and comment.author is not None and comment.author.name == me:
                    return str(comment.id)
        return None
