"""The pulse of a running process: proof that its parts live, figures for whoever asks, an alert when all is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bot.budget import Budget
from bot.clock import Clock
from bot.config import Config
from bot.errors import StoreError
from bot.health import Health
from bot.inbox import Inbox
from bot.notices import Notices
from bot.store import Store
from bot.watch import Watch

_BEAT_SECONDS = 5.0
_STORE_SECONDS = 60.0


class Pulse:
    """Beats every five seconds. `on_beat` hears of each one, so that a watchdog notices when there is none."""

    def __init__(
        self,
        config: Config,
        store: Store,
        inbox: Inbox,
        notices: Notices,
        budget: Budget,
        watches: Sequence[Watch],
        health: Health,
        clock: Clock,
        on_beat: Callable[[], None],
    ) -> None:
        self._stalled_seconds = config.alerts.stalled_minutes * 60
        self._store = store
        self._inbox = inbox
        self._notices = notices
        self._budget = budget
        self._watches = watches
        self._health = health
        self._clock = clock
        self._on_beat = on_beat
        self._told: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped. Raises StoreError when the store no longer answers."""
        while not stop.is_set():
            try:
                # A dead thread of the store raises nothing anywhere: whoever asks it waits for ever.
                async with asyncio.timeout(_STORE_SECONDS):
                    await self.beat()
            except TimeoutError:
                raise StoreError("the database no longer answers") from None
            self._on_beat()
            await self._clock.wait(stop, _BEAT_SECONDS)

    async def beat(self) -> None:
        """Takes the figures once, and tells the moderators of a subreddit that has fallen silent."""
        allowance = self._budget.standing()
        depth = await self._inbox.depth()
        deliveries = await self._store.fetch("count_deliveries")
        outbox = {(row["kind"], row["state"]): row["n"] for row in deliveries}
        dead = sum(row["dead"] for row in deliveries)
        messages = await self._store.fetch("count_messages")
        self._health.channels_stood({(row["channel"], row["state"]): row["n"] for row in messages})
        (gaps,) = await self._store.fetch("count_gaps")
        self._health.stood(depth, outbox, dead, gaps["n"], allowance.used, allowance.per_minute, allowance.remaining)
        vitals: dict[str, float] = {
            "queue_depth": depth,
            "budget_used": allowance.used,
            "budget_per_minute": allowance.per_minute,
        }
        if allowance.remaining is not None:
            vitals["budget_remaining"] = allowance.remaining
        now = self._clock.now()
        async with self._store.transaction():
            noted = [{"name": name, "value": value, "now": now} for name, value in vitals.items()]
            await self._store.execute_each("note_vital", noted)
        for watch in self._watches:
            await self._listen(watch)

    async def _listen(self, watch: Watch) -> None:
        silent = self._clock.monotonic() - watch.heard
        if watch.refused or silent < self._stalled_seconds or self._told.get(watch.subreddit) == watch.heard:
            return
        self._told[watch.subreddit] = watch.heard
        await self._notices.stalled(watch.subreddit, self._clock.now() - silent)
