"""Goes on telling about a crisis until somebody takes it up."""

from __future__ import annotations

import asyncio

import structlog

from bot.alerts import REDDIT, Message, compose_all_clear, compose_reminder
from bot.clock import Clock
from bot.config import Config
from bot.escalation import Told, next_channel
from bot.outbox import Draft, Outbox
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Planned
from models.labels import Level

log = structlog.get_logger()

_ROUND_SECONDS = 10.0
_ALL_CLEAR = -1  # its step: there is one a channel and post


class Escalator:
    """Writes the next message about each crisis that nobody took up into the outbox, and takes back what has become
    needless. All it goes by is in the store, so that a restart neither repeats nor forgets a step.
    """

    def __init__(self, store: Store, outbox: Outbox, config: Config, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._config = config
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every ten seconds, until stopped."""
        while not stop.is_set():
            await self.escalate()
            await self._clock.wait(stop, _ROUND_SECONDS)

    async def escalate(self) -> None:
        """One look at every crisis."""
        async with self._store.transaction():
            rows = await self._store.fetch("unclaimed_crises", {"now": self._clock.now()})
            unclaimed = {row["id"]: row["subreddit"] for row in rows}
            for post_id, subreddit in unclaimed.items():
                await self._go_on(post_id, subreddit)
            for row in await self._store.fetch("told_crises"):
                if row["id"] not in unclaimed:
                    await self._stand_down(row["id"], row["subreddit"])

    async def _go_on(self, post_id: str, subreddit: str) -> None:
        alerts, now = self._config.team(subreddit).alerts, self._clock.now()
        if not alerts.escalate_minutes:
            return
        steps = await self._store.fetch("steps_of_post", {"post_id": post_id})
        told = [Told(row["channel"], row["created_utc"], row["state"] == DeliveryState.DEAD) for row in steps]
        channel = next_channel(alerts.channels_for(Level.CRISIS), told, now, alerts.escalate_minutes * 60)
        if channel is None:
            return
        names = tuple(dict.fromkeys(each.channel for each in told))
        message = compose_reminder(post_id, subreddit, told[0].at_utc, names, self._base_url)
        await self._enqueue(post_id, subreddit, channel, steps[-1]["step"] + 1, message)
        log.warning("crisis.escalated", post_id=post_id, channel=channel, count=len(told))

    async def _stand_down(self, post_id: str, subreddit: str) -> None:
        """Somebody has it: what still waits is not sent, and whoever was called in after others hears that, too."""
        values = {"post_id": post_id, "error": "somebody took it up", "now": self._clock.now()}
        await self._store.execute("drop_messages", values)
        steps = await self._store.fetch("steps_of_post", {"post_id": post_id})
        if steps[-1]["step"] == 0:
            return
        for channel in dict.fromkeys(row["channel"] for row in steps if row["state"] == DeliveryState.SENT):
            message = compose_all_clear(post_id, subreddit, self._base_url)
            await self._enqueue(post_id, subreddit, channel, _ALL_CLEAR, message)

    async def _enqueue(self, post_id: str, subreddit: str, channel: str, step: int, message: Message) -> None:
        plan = Planned(DeliveryKind.ALERT, DeliveryState.PENDING, channel)
        now = self._clock.now()
        draft = Draft(post_id, subreddit, Level.CRISIS, plan, message.subject, message.body, now, step)
        await self._outbox.enqueue([draft])

    @property
    def _base_url(self) -> str:
        return self._config.reddit.base_url or REDDIT
