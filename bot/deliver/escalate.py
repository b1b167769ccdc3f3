"""Goes on telling about a crisis until somebody takes it up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Reminder:
    """The next message about a crisis: where it goes, which step it is, and the alerts before it, the oldest first."""

    post_id: str
    subreddit: str
    channel: str
    step: int
    told: tuple[Told, ...]


class Escalator:
    """Writes the next message about each crisis that nobody took up into the outbox, and takes back what has become
    needless or untrue. All it goes by is in the store, so that a restart neither repeats nor forgets a step.
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
        """One look at every crisis. Nobody who wants to write waits for it while there is nothing to be done."""
        waiting = [await self._due(), await self._needless()]
        waiting += [await self._fetch("untrue_all_clears"), await self._fetch("due_all_clears")]
        if not any(waiting):
            return
        # Asked again, since somebody may have taken it up, or given it back, a moment ago.
        async with self._store.transaction():
            for reminder in await self._due():
                await self._go_on(reminder)
            # Somebody has it: what still waits is not sent, and whoever was called in hears that it is over.
            for row in await self._needless():
                await self._drop(row["id"], "somebody took it up")
            for row in await self._fetch("untrue_all_clears"):
                await self._drop(row["id"], "it was given back")
            for row in await self._fetch("due_all_clears"):
                await self._stand_down(row["post_id"], row["subreddit"], row["channel"], row["last_step"])

    async def _due(self) -> list[_Reminder]:
        """The next message about each crisis that nobody has and of which it is time to tell somebody else."""
        if not self._soonest_seconds:
            return []
        rows = await self._fetch("due_crises", escalate_seconds=self._soonest_seconds)
        reminders = [await self._reminder(row["id"], row["subreddit"]) for row in rows]
        return [each for each in reminders if each is not None]

    async def _needless(self) -> list[Row]:
        """Alerts that wait although somebody has the crisis: for good, or for now where its team hears of it again."""
        rows = await self._fetch("needless_messages")
        return [row for row in rows if row["settled"] or self._alerts_of(row["subreddit"]).escalate_minutes]

    async def _fetch(self, query: str, **values: object) -> list[Row]:
        return await self._store.fetch(query, {"now": self._clock.now(), **values})

    async def _reminder(self, post_id: str, subreddit: str) -> _Reminder | None:
        alerts = self._alerts_of(subreddit)
        if not alerts.escalate_minutes:
            return None
        steps = await self._store.fetch("steps_of_post", {"post_id": post_id})
        told = [Told(row["channel"], row["created_utc"], row["state"] == DeliveryState.DEAD) for row in steps]
        channels, wait_seconds = alerts.channels_for(Level.CRISIS), alerts.escalate_minutes * 60
        channel = next_channel(channels, told, self._clock.now(), wait_seconds)
        return None if channel is None else _Reminder(post_id, subreddit, channel, steps[-1]["step"] + 1, tuple(told))

    async def _go_on(self, reminder: _Reminder) -> None:
        post_id, subreddit, told = reminder.post_id, reminder.subreddit, reminder.told
        names = tuple(dict.fromkeys(each.channel for each in told))
        message = compose_reminder(post_id, subreddit, told[0].at_utc, names, self._base_url, self._page_url)
        await self._enqueue(post_id, subreddit, reminder.channel, reminder.step, message)
        log.warning("crisis.escalated", post_id=post_id, channel=reminder.channel, count=len(told))

    async def _drop(self, delivery_id: int, why: str) -> None:
        await self._store.execute("drop_message", {"id": delivery_id, "error": why, "now": self._clock.now()})

    async def _stand_down(self, post_id: str, subreddit: str, channel: str, last_step: int) -> None:
        message = compose_all_clear(post_id, subreddit, self._base_url, self._page_url)
        step = all_clear_step(last_step)
        values = {"post_id": post_id, "channel": channel, "step": step, "body": message.body, "now": self._clock.now()}
        if not await self._store.execute("renew_all_clear", values):
            await self._enqueue(post_id, subreddit, channel, step, message)

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
