"""What moderators do with the replies that wait for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.calls import calls_today
from bot.clock import Clock
from bot.errors import UsageError
from bot.manners import Manners, Verdict
from bot.outbox import Outbox
from bot.store import Store
from bot.types import Delivery, DeliveryKind, DeliveryState, Post, Review, ReviewAction
from models.labels import Level


@dataclass(frozen=True, slots=True)
class Case:
    """A proposed reply with all that a moderator needs to decide on it."""

    delivery: Delivery
    post: Post
    level: Level
    reasons: tuple[str, ...]
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """A subreddit: the last good look (seconds since the epoch, None before the first), and why Reddit refuses it."""

    subreddit: str
    looked_utc: float | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Posts written between two times (seconds since the epoch) that may never have been read."""

    subreddit: str
    from_utc: float
    until_utc: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where everything stands. `messages` are those of the deliveries that go through chat channels, by channel.

    `vitals` are the running process's last figures by name, taken at `vitals_utc`; `llm_calls` were made today (UTC).
    """

    posts: Mapping[Level, int]
    deliveries: Mapping[tuple[DeliveryKind, DeliveryState], int]
    messages: Mapping[tuple[str, DeliveryState], int]
    dead: Sequence[Delivery]
    watches: Sequence[Watched]
    gaps: Sequence[Gap]
    vitals: Mapping[str, float]
    vitals_utc: float | None
    llm_calls: int


class Desk:
    """Where replies lie until somebody says yes or no."""

    def __init__(self, store: Store, manners: Manners, clock: Clock) -> None:
        self._store = store
        self._manners = manners
        self._clock = clock
        self._outbox = Outbox(store, clock)

    async def waiting(self) -> list[Case]:
        """Every held reply, the most pressing first."""
        return [await self._case(each) for each in await self._outbox.find(DeliveryState.HELD)]

    async def case(self, identity: str) -> Case:
        """The reply with this number, or to the post with this id; UsageError when there is none."""
        return await self._case(await self._find(identity))

    async def decide(self, identity: str, action: ReviewAction, actor: str, note: str = "") -> Delivery:
        """A moderator's word, stored as an event.

        Raises UsageError when the reply no longer waits for one, or when courtesy forbids what is to be approved.
        """
        delivery = await self._find(identity)
        if action is ReviewAction.APPROVED:
            (row,) = await self._store.fetch("get_post", {"id": delivery.post_id})
            ruling = await self._manners.ruling(delivery.subreddit, row["author"], row["created_utc"], delivery.id)
            if ruling.verdict is Verdict.NEVER:
                raise UsageError(f"reply {delivery.id} cannot go out: {ruling.words}")
        return await self._outbox.review(delivery.id, action, actor, note)

    async def retry(self, delivery_id: int) -> Delivery:
        """Sends a dead letter again; UsageError when there is none of that number."""
        return await self._outbox.revive(delivery_id)

    async def standing(self) -> Standing:
        """Counts over everything that is stored."""
        posts = await self._store.fetch("count_posts_by_level")
        deliveries = await self._store.fetch("count_deliveries")
        messages = await self._store.fetch("count_messages")
        vitals = await self._store.fetch("vitals")
        return Standing(
            posts={Level(row["level"]): row["n"] for row in posts},
            deliveries={(DeliveryKind(row["kind"]), DeliveryState(row["state"])): row["n"] for row in deliveries},
            messages={(row["channel"], DeliveryState(row["state"])): row["n"] for row in messages},
            dead=await self._outbox.find(DeliveryState.DEAD),
            watches=[
                Watched(row["subreddit"], row["looked_utc"], row["refusal"])
                for row in await self._store.fetch("watches")
            ],
            gaps=[Gap(row["subreddit"], row["from_utc"], row["until_utc"]) for row in await self._store.fetch("gaps")],
            vitals={row["name"]: row["value"] for row in vitals},
            vitals_utc=max((row["at_utc"] for row in vitals), default=None),
            llm_calls=await calls_today(self._store, self._clock),
        )

    async def _find(self, identity: str) -> Delivery:
        # The alert in modmail names the post, the list names the number: either will do.
        found = [each for each in await self._outbox.of_post(identity) if each.kind is DeliveryKind.REPLY]
        if not found and identity.isascii() and identity.isdigit():
            numbered = await self._outbox.get(int(identity))
            found = [numbered] if numbered is not None and numbered.kind is DeliveryKind.REPLY else []
        if not found:
            raise UsageError(f"there is no reply {identity}; see `nightlight reviews list`")
        return found[0]

    async def _case(self, delivery: Delivery) -> Case:
        (row,) = await self._store.fetch("get_post", {"id": delivery.post_id})
        post = Post(**{name: row[name] for name in Post.__dataclass_fields__})
        reasons = tuple(reason["words"] for reason in json.loads(row["reasons"]))
        reviews = tuple(await self._outbox.reviews(delivery.id))
        return Case(delivery, post, Level(row["level"]), reasons, reviews)
