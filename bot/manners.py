"""When something may go out: courtesy to moderators, who have quiet hours, and to authors.

Courtesy to authors is checked when a reply is planned and again right before it is sent.

Nothing about an author is kept but a keyed hash of the name, and that only while a cooldown or an opt-out needs it.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bot.clock import Clock
from bot.config import Config, Replies
from bot.errors import StoreError
from bot.store import Store
from bot.types import author_name
from models.labels import Level

_DAY = 86_400.0


class Verdict(StrEnum):
    """What is to become of a reply."""

    SEND = "send"
    HOLD = "hold"  # a person decides
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict and why, in words for moderators; the words are empty for SEND."""

    verdict: Verdict
    words: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What courtesy asks about: `age_seconds` None when the post has no time, `seconds_since_reply` None for never.

    `sent_today` counts the replies of the last 24 hours that no moderator approved.
    """

    author: str | None
    age_seconds: float | None
    opted_out: bool
    seconds_since_reply: float | None
    sent_today: int
    approved: bool


def rule(standing: Standing, replies: Replies) -> Ruling:
    """The team's courtesy, applied; pure. A moderator's approval goes before cooldown and cap, before nothing else."""
    author = (standing.author or "").casefold()
    if standing.opted_out:
        return Ruling(Verdict.NEVER, "the author asked for no more replies")
    if author in {name.casefold() for name in replies.deny_authors}:
        return Ruling(Verdict.NEVER, "the author is on the deny list")
    if replies.allow_authors and author not in {name.casefold() for name in replies.allow_authors}:
        return Ruling(Verdict.NEVER, "the author is not on the allow list")
    if standing.age_seconds is not None and standing.age_seconds > replies.max_age_hours * 3600:
        return Ruling(Verdict.NEVER, f"the post is older than {replies.max_age_hours:g} hours")
    if standing.approved:
        return Ruling(Verdict.SEND)
    since = standing.seconds_since_reply
    if since is not None and since < replies.author_cooldown_days * _DAY:
        return Ruling(Verdict.HOLD, f"the author had a reply within the last {replies.author_cooldown_days:g} days")
    if standing.sent_today >= replies.daily_cap:
        return Ruling(Verdict.HOLD, f"{replies.daily_cap} replies were sent without approval in the last 24 hours")
    return Ruling(Verdict.SEND)


class Manners:
    """Courtesy with its memory in the store. In a dry run nothing is sent, so no cooldown begins."""

    def __init__(self, store: Store, key: bytes, config: Config, clock: Clock) -> None:
        self._store = store
        self._key = key
        self._config = config
        self._clock = clock

    def hash(self, author: str | None) -> str | None:
        """The keyed hash under which an author is remembered; Reddit's names do not tell upper from lower case."""
        if not author:
            return None
        return hmac.digest(self._key, author.casefold().encode(), "sha256").hex()

    async def ruling(
        self,
        subreddit: str,
        author: str | None,
        created_utc: float | None,
        delivery_id: int | None = None,
    ) -> Ruling:
        """The ruling on a reply to a post; `delivery_id` once it has one, to ask whether a moderator approved it."""
        now = self._clock.now()
        of_author = {"hash": self.hash(author), "delivery_id": delivery_id, "now": now}
        known = await self._store.fetch("author", of_author)
        sent = await self._store.fetch("replies_since", {"subreddit": subreddit, "since_utc": now - _DAY})
        approvals = await self._store.fetch("approvals", {"delivery_id": delivery_id})
        replied = [row["replied_utc"] for row in known if row["replied_utc"]]
        standing = Standing(
            author=author,
            age_seconds=None if created_utc is None else now - created_utc,
            opted_out=any(row["opted_out_utc"] for row in known),
            seconds_since_reply=now - replied[0] if replied else None,
            sent_today=sent[0]["n"],
            approved=approvals[0]["n"] > 0,
        )
        return rule(standing, self._config.team(subreddit).replies)

    def quiet_until(self, subreddit: str, level: Level) -> float | None:
        """Until when a chat message waits (seconds since the epoch); None when it need not. A crisis never waits."""
        quiet = self._config.team(subreddit).alerts.quiet
        return None if quiet is None or level is Level.CRISIS else quiet.until(self._clock.now())

    async def begin_reply(self, delivery_id: int, subreddit: str, author: str | None) -> None:
        """A cooldown begins; inside the transaction that writes the reply down as being sent."""
        if not author or self._config.deliver.dry_run:
            return
        days = self._config.team(subreddit).replies.author_cooldown_days
        now = self._clock.now()
        await self._store.execute(
            "note_reply",
            {"hash": self.hash(author), "delivery_id": delivery_id, "now": now, "expires_utc": now + days * _DAY},
        )

    async def opt_out(self, author: str, *, undo: bool = False) -> None:
        """Remembers, or forgets, that an author wants no more replies. Raises NotAName."""
        hashed = self.hash(author_name(author))
        now = self._clock.now()
        expires = now + self._config.replies.opt_out_days * _DAY
        async with self._store.transaction():
            if undo:
                await self._store.execute("undo_opt_out", {"hash": hashed})
            else:
                values = {"hash": hashed, "now": now, "expires_utc": expires}
                await self._store.execute("note_opt_out", values)


def key_path(database: Path) -> Path:
    """Where the key of the hashes lies: beside the database, and in none of its copies."""
    return database.with_name(f"{database.name}.key")


def load_key(path: Path) -> bytes:
    """The key of the hashes, 32 bytes in a file for its owner alone; made when there is none. Raises StoreError."""
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot use the key {path}: {error.strerror or error}") from error
    if len(key) != 32:
        raise StoreError(f"the key {path} is damaged; without it nobody's wish for no more replies is known any more")
    return key


def _make_key(path: Path) -> None:
    # Whole or not at all, and never over another: a link to a finished file can do what a write cannot.
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
