"""What moderators do with the replies that wait for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bot.clock import Clock
from bot.errors import UsageError
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
class Standing:
    """Where everything stands: posts by level, deliveries by kind and state."""

    posts: Mapping[Level, int]
    deliveries: Mapping[tuple[DeliveryKind, DeliveryState], int]


class Desk:
    """Where replies lie until somebody says yes or no."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._outbox = Outbox(store, clock)

    async def waiting(self) -> list[Case]:
        """Every held reply, the most pressing first."""
        return [await self._case(each) for each in await self._outbox.find(DeliveryState.HELD)]

    async def case(self, identity: str) -> Case:
        """The reply with this number, or to the post with this id; UsageError when there is none."""
        return await self._case(await self._find(identity))

    async def decide(self, identity: str, action: ReviewAction, actor: str, note: str = "") -> Delivery:
        """A moderator's word, stored as an event; UsageError when the reply no longer waits for one."""
        return await self._outbox.review((await self._find(identity)).id, action, actor, note)

    async def standing(self) -> Standing:
        """Counts over everything that is stored."""
        posts = await self._store.fetch("count_posts_by_level")
        deliveries = await self._store.fetch("count_deliveries")
        return Standing(
            {Level(row["level"]): row["n"] for row in posts},
            {(DeliveryKind(row["kind"]), DeliveryState(row["state"])): row["n"] for row in deliveries},
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
