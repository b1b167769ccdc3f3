"""Posts fetched and not judged yet, in the store: whatever Reddit showed once outlives a crash."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile

from bot.clock import Clock
from bot.store import Store
from bot.types import Post


@dataclass(frozen=True, slots=True)
class Fetched:
    """A post in the inbox: when it was fetched (seconds since the epoch) and how often judging it was begun before."""

    post: Post
    fetched_utc: float
    tries: int


class Inbox:
    """First in, first out. `arrived` is set whenever there may be something in it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.arrived = asyncio.Event()

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these posts were judged or wait to be."""
        return {row["id"] for row in await self._store.fetch("known_posts", {"ids": json.dumps(list(ids))})}

    async def put(self, posts: Sequence[Post]) -> None:
        """Stores posts inside the caller's transaction; one that is known already is left out."""
        now = self._clock.now()
        await self._store.execute_each("put_in_inbox", [{**asdict(post), "now": now} for post in posts])
        self.arrived.set()

    async def take(self, limit: int, besides: Collection[str] = ()) -> tuple[Fetched, ...]:
        """The oldest posts, at most `limit`, each counted as begun; they stay in the inbox until `remove`.

        `besides` are the ids of posts that are in hand already.
        A post that was begun before comes alone: should it be the one that kills the process, it takes no other along.
        """
        async with self._store.transaction():
            rows = await self._store.fetch("next_in_inbox", {"limit": limit, "besides": json.dumps(list(besides))})
            if not rows:
                self.arrived.clear()
                return ()
            rows = rows[:1] if rows[0]["tries"] else list(takewhile(lambda row: row["tries"] == 0, rows))
            await self._store.execute("begin_judging", {"ids": json.dumps([row["id"] for row in rows])})
        return tuple(_fetched(row) for row in rows)

    async def held(self, ids: Sequence[str]) -> set[str]:
        """Which of these posts are still here: a moderator can purge one while it is judged."""
        return {row["id"] for row in await self._store.fetch("held_in_inbox", {"ids": json.dumps(list(ids))})}

    async def remove(self, posts: Sequence[Post]) -> None:
        """They are judged; inside the transaction that stores their decisions."""
        await self._store.execute("take_out_of_inbox", {"ids": json.dumps([post.id for post in posts])})

    async def depth(self) -> int:
        """How many posts wait."""
        (row,) = await self._store.fetch("count_inbox")
        return int(row["n"])


def _fetched(row: sqlite3.Row) -> Fetched:
    post = Post(**{name: row[name] for name in Post.__dataclass_fields__})
    return Fetched(post, row["fetched_utc"], row["tries"])
