"""Forgetting: what is deleted on Reddit is deleted here, and everybody's words are forgotten after a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from bot.clock import Clock
from bot.config import Config
from bot.errors import RedditError
from bot.manners import Manners
from bot.store import Store
from bot.types import Presence, author_name

log = structlog.get_logger()

_ROUND_SECONDS = 1800.0
_IDS_A_CALL = 100


LookUp = Callable[[Sequence[str]], Awaitable[Mapping[str, Presence]]]


class Keeper:
    """Keeps what the store holds of people as small and as short as it can be."""

    def __init__(self, store: Store, manners: Manners, config: Config, clock: Clock) -> None:
        self._store = store
        self._manners = manners
        self._config = config.store
        self._clock = clock

    async def run(self, stop: asyncio.Event, look_up: LookUp) -> None:
        """Forgets what is old and asks Reddit about what is held, every half hour, until stopped."""
        while not stop.is_set():
            await self.forget()
            try:
                await self.recheck(look_up)
            except RedditError as error:
                log.warning("recheck.failed", error=str(error))
            await self._clock.wait(stop, _ROUND_SECONDS)

    async def forget(self) -> None:
        """Whatever would outlast the retention time before the next round loses its text, author and evidence.

        So do the write-ahead log and the copy.
        """
        now, retention = self._clock.now(), self._config.retention_hours * 3600
        values = {"now": now, "before_utc": now - max(retention - _ROUND_SECONDS, retention / 2)}
        async with self._store.transaction():
            changed = [await self._store.execute(name, values) for name in ("forget_posts", "forget_deliveries")]
            await self._store.execute("forget_notes", {})
            await self._store.execute("forget_authors", {"now": now})
        if any(changed):
            log.info("store.forgot", count=changed[0])
        await self._store.scrub()

    async def recheck(self, look_up: LookUp) -> None:
        """Asks about every post whose text is held and that was not asked about lately; purges what is gone."""
        before = self._clock.now() - self._config.recheck_hours * 3600
        while rows := await self._store.fetch("due_for_a_check", {"before_utc": before, "limit": _IDS_A_CALL}):
            ids = [row["id"] for row in rows]
            found = await look_up(ids)
            if all(found.get(id, Presence.UNKNOWN) is Presence.UNKNOWN for id in ids):
                # One post that is not mentioned was erased; not one mentioned is a Reddit that is not well.
                log.warning("recheck.failed", error="Reddit mentions none of the posts", count=len(ids))
                return
            # Purged first: a crash in between makes a second look necessary, and forgets none of these.
            await self.purge([id for id in ids if found.get(id) is not Presence.THERE], "the post was deleted")
            async with self._store.transaction():
                await self._store.execute("note_check", {"ids": json.dumps(ids), "now": self._clock.now()})

    async def purge(self, ids: Collection[str], why: str) -> int:
        """These posts lose their text, author, evidence and reasons at once, and whatever still waits is dropped.

        How many of them were known. `why` is what moderators read beside what was dropped.
        """
        if not ids:
            return 0
        known, now = 0, self._clock.now()
        async with self._store.transaction():
            for id in ids:
                known += await self._store.execute("purge_post", {"id": id, "now": now})
                known += await self._store.execute("purge_unjudged_post", {"id": id, "now": now})
                await self._store.execute("purge_deliveries", {"id": id, "error": why, "now": now})
            await self._store.execute("forget_notes", {})
            await self._store.execute("take_out_of_inbox", {"ids": json.dumps(list(ids))})
        log.info("store.purged", count=known)
        await self._store.scrub()
        return known

    async def purge_author(self, name: str) -> int:
        """Everything an author wrote, as far as it is still held; how many posts. Raises NotAName."""
        name = author_name(name)
        rows = await self._store.fetch("posts_of_author", {"hash": self._manners.hash(name), "name": name})
        return await self.purge([row["id"] for row in rows], "purged by a moderator")

    async def purge_all(self) -> int:
        """Every post that is still remembered; how many."""
        rows = await self._store.fetch("remembered_posts")
        return await self.purge([row["id"] for row in rows], "purged by a moderator")
