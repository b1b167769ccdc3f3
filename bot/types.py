"""The words of the project: Post, Decision, Delivery, Review. All frozen; a change makes a new object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.errors import NotAName
from models.labels import Level

# Stands where Reddit's id would, when a dry run sent nothing.
DRY_RUN = "dry-run"

LONGEST_BODY = 9000  # of a message, exclusive, in characters; Reddit takes 10,000


@dataclass(frozen=True, slots=True)
class Post:
    """One submission, ours. Nothing of asyncpraw or of a dump format passes this point.

    `id` is Reddit's id without the `t3_` prefix, or whatever id an archive gives. `author` is None when Reddit no
    longer names one. `created_utc` is seconds since the epoch, None when the source does not know it.
    """

    id: str
    subreddit: str
    author: str | None
    title: str
    text: str
    created_utc: float | None
    permalink: str

    @property
    def fullname(self) -> str:
        """Reddit's name for the submission, `t3_` and the id."""
        return f"t3_{self.id}"

    @property
    def plain_id(self) -> str:
        """The id with nothing in it but what Reddit's ids are made of."""
        return re.sub(r"[^A-Za-z0-9_-]", "", self.id)[:32] or "unknown"

    @property
    def is_gone(self) -> bool:
        """Whether the author deleted the text or a moderator removed it: what stands in its place is Reddit's."""
        return self.text.strip() in {"[deleted]", "[removed]"}


def author_name(typed: str) -> str:
    """A Reddit user's name as a person types it, without the `u/` before it. Raises NotAName."""
    name = re.sub(r"^/?u/", "", typed.strip(), flags=re.IGNORECASE)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,20}", name):
        raise NotAName(f"{typed!r} is not the name of a Reddit user")
    return name


class Presence(StrEnum):
    """Whether Reddit still has a post."""

    THERE = "there"
    GONE = "gone"  # its author or Reddit deleted it
    UNKNOWN = "unknown"  # Reddit's answer does not mention it


@dataclass(frozen=True, slots=True)
class Message:
    """A modmail or a chat message: a subject of at most 100 characters and a body in Markdown of fewer than 9,000.

    The subject belongs to one alert, one digest or one gap, so that a message can be found again by it.
    """

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision came out as it did: a stable `code` for counting and the `words` a moderator reads."""

    code: str
    words: str


class DeliveryKind(StrEnum):
    """What is to be done in the world."""

    ALERT = "alert"  # word to the moderators about one post: an internal modmail discussion, or a message in a chat
    DIGEST = "digest"  # a line in the daily modmail summary
    REPLY = "reply"  # a public comment under the post, made of vetted words only


class DeliveryState(StrEnum):
    """The life of a delivery: held -> pending -> sending -> sent, or one of the ends dismissed and dead."""

    HELD = "held"  # waits for a moderator's approval
    PENDING = "pending"  # may be sent once due
    SENDING = "sending"  # written down before the call; after a crash it is looked for on Reddit first
    SENT = "sent"
    DISMISSED = "dismissed"  # a moderator said no
    DEAD = "dead"  # the dead letter: Reddit refuses it for good; a moderator sees it


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery that a decision asks for, before the outbox has given it a number.

    `channel` is the chat channel an alert goes through, by the team's name for it; empty: it goes to Reddit.
    """

    kind: DeliveryKind
    state: DeliveryState
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the team's policy makes of an assessment: a triage level, its reasons, and what is to be done."""

    level: Level
    reasons: tuple[Reason, ...]
    deliveries: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the outbox.

    `level` says how pressing it is. `body` is what will be written, complete, at the moment of the decision, and
    `reddit_id` what Reddit called it once sent. `since_utc` is from when on it could have been sent, `created_utc` when
    it was decided, `written_utc` when the post was written, where that is known. `about_post` is False for a notice
    about the bot itself (a gap, a refusal), which no post stands behind. `channel` is the chat channel it goes through,
    empty for Reddit; `step` counts the alerts about one post, from 0, for as long as nobody takes it up, and is below 0
    for whatever else moderators are told of it; `unclear` is how many calls before this one may have done its work.
    Times are seconds since the epoch.
    """

    id: int
    post_id: str
    subreddit: str
    kind: DeliveryKind
    state: DeliveryState
    level: Level
    subject: str
    body: str
    due_utc: float
    since_utc: float
    created_utc: float
    attempts: int = 0
    reddit_id: str | None = None
    error: str | None = None
    about_post: bool = True
    written_utc: float | None = None
    channel: str = ""
    step: int = 0
    unclear: int = 0

    @property
    def was_dry(self) -> bool:
        """Whether it was only written down as sent: it reached nobody."""
        return self.reddit_id == DRY_RUN


class ReviewAction(StrEnum):
    """What a moderator did."""

    CLAIMED = "claimed"  # took the case, so that nobody else does
    RELEASED = "released"  # gave it back
    EDITED = "edited"  # put the reply together from other vetted parts
    APPROVED = "approved"  # the reply may go out
    DISMISSED = "dismissed"  # the case is closed, and no reply goes out
    MARKED = "marked"  # said which level it really is, or took that word back
    ESCALATED = "escalated"  # asked for another pair of eyes
    UNDONE = "undone"  # took back what they did last
    RETRIED = "retried"  # had a dead letter sent again
    LOOKED = "looked"  # looked through a time of which the bot may have missed posts


@dataclass(frozen=True, slots=True)
class Review:
    """One act of a moderator on one case: an event, never changed afterwards.

    `post_id` is the case, or the name of a notice about the bot itself, such as a gap, which no post stands behind.
    `delivery_id` is the delivery it was about, None where there was none. `detail` is a word of ours: why a case was
    dismissed, the level it is marked as, the parts of an edited reply, what was undone. `note` is the moderator's own
    and is forgotten with the post.
    """

    post_id: str
    delivery_id: int | None
    action: ReviewAction
    actor: str
    at_utc: float
    detail: str = ""
    note: str = ""
