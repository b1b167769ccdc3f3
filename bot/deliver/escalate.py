"""Goes on telling about a crisis until somebody takes it up."""

from __future__ import annotations

import asyncio
from functools import cached_property
from sqlite3 import Row

import structlog

from bot.alerts import compose_all_clear, compose_reminder
from bot.clock import Clock
from bot.config import Alerts, Config
from bot.escalation import Told, all_clear_step, next_channel
from bot.links import REDDIT
from bot.outbox import Draft, Outbox
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Message, Planned
from models.labels import Level

log = structlog.get_logger()

_ROUND_SECONDS = 10.0


class Escalator:
    """Writes the next message about each crisis that nobody took up into the outbox, and takes back what has become
    needless. All it goes by is in the store, so that a restart neither repeats nor forgets a step.
    """

    def __init__(self, store: Store, outbox: Outbox, config: Config, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._config = config
        self._clock = clock
        self._alerts: dict[str, Alerts] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every ten seconds, until stopped."""
        while not stop.is_set():
            await self.escalate()
            await self._clock.wait(stop, _ROUND_SECONDS)

    async def escalate(self) -> None:
        """One look at every crisis."""
        if not any([await self._due(), await self._fetch("needless_messages"), await self._fetch("due_all_clears")]):
            return
        # Asked again, since somebody may have taken it up a moment ago.
        async with self._store.transaction():
            for row in await self._due():
                await self._go_on(row["id"], row["subreddit"])
            # Somebody has it: what still waits is not sent, and whoever was called in hears that it is over.
            for row in await self._fetch("needless_messages"):
                values = {"id": row["id"], "error": "somebody took it up", "now": self._clock.now()}
                await self._store.execute("drop_message", values)
            for row in await self._fetch("due_all_clears"):
                await self._stand_down(row["post_id"], row["subreddit"], row["channel"], row["last_step"])

    async def _due(self) -> list[Row]:
        """Crises that nobody has, of which it may be time to tell the next channel; `next_channel` knows."""
        values = {"now": self._clock.now(), "escalate_seconds": self._soonest_seconds}
        return await self._store.fetch("due_crises", values) if self._soonest_seconds else []

    async def _fetch(self, query: str) -> list[Row]:
        return await self._store.fetch(query, {"now": self._clock.now()})

    async def _go_on(self, post_id: str, subreddit: str) -> None:
        alerts, now = self._alerts_of(subreddit), self._clock.now()
        if not alerts.escalate_minutes:
            return
        steps = await self._store.fetch("steps_of_post", {"post_id": post_id})
        told = [Told(row["channel"], row["created_utc"], row["state"] == DeliveryState.DEAD) for row in steps]
        channel = next_channel(alerts.channels_for(Level.CRISIS), told, now, alerts.escalate_minutes * 60)
        if channel is None:
            return
        names = tuple(dict.fromkeys(each.channel for each in told))
        message = compose_reminder(post_id, subreddit, told[0].at_utc, names, self._base_url, self._page_url)
        await self._enqueue(post_id, subreddit, channel, steps[-1]["step"] + 1, message)
        log.warning("crisis.escalated", post_id=post_id, channel=channel, count=len(told))

    async def _stand_down(self, post_id: str, subreddit: str, channel: str, last_step: int) -> None:
        message = compose_all_clear(post_id, subreddit, self._base_url, self._page_url)
        await self._enqueue(post_id, subreddit, channel, all_clear_step(last_step), message)

    async def _enqueue(self, post_id: str, subreddit: str, channel: str, step: int, message: Message) -> None:
        plan = Planned(DeliveryKind.ALERT, DeliveryState.PENDING, channel)
        now = self._clock.now()
        draft = Draft(post_id, subreddit, Level.CRISIS, plan, message.subject, message.body, now, step)
        await self._outbox.enqueue([draft])

    def _alerts_of(self, subreddit: str) -> Alerts:
        """The settings of a team, worked out once."""
        name = subreddit.casefold()
        if name not in self._alerts:
            self._alerts[name] = self._config.team(name).alerts
        return self._alerts[name]

    @cached_property
    def _soonest_seconds(self) -> float:
        """After how long the team in the greatest hurry wants the next channel told; 0.0 where none does."""
        teams = [self._config.alerts, *map(self._alerts_of, self._config.overrides)]
        return 60 * min((each.escalate_minutes for each in teams if each.escalate_minutes), default=0.0)

    @property
    def _base_url(self) -> str:
        return self._config.reddit.base_url or REDDIT

    @property
    def _page_url(self) -> str | None:
        return self._config.review.public_url
