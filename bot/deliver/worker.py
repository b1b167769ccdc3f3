"""Claims deliveries from the outbox and sends them, one at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from bot.clock import Clock
from bot.config import Deliver
from bot.digest import compose_digest
from bot.errors import BadCredentials, Gone, Permanent, Transient, Unclear
from bot.keeper import Keeper
from bot.manners import Manners
from bot.notices import Notices
from bot.outbox import SECONDS_BEFORE_LOOKING, Outbox
from bot.types import Delivery, DeliveryKind
from models.labels import Level

log = structlog.get_logger()

_LONGEST_PAUSE_SECONDS = 3600.0
_LONGEST_BACKOFF_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Letter:
    """What goes out in one call: a delivery, or the lines of one digest put together.

    `since_utc` is when the oldest of them was written down, in seconds since the epoch: no earlier can it have arrived.
    `unclear` is how many calls before this one may have sent it.
    """

    kind: DeliveryKind
    subreddit: str
    post_id: str
    subject: str
    body: str
    since_utc: float = 0.0
    level: Level = Level.NONE
    unclear: int = 0


class Messenger(Protocol):
    """Whoever carries letters out. Every call raises Transient or Permanent, and `send` Unclear too."""

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Which of these posts their author or Reddit deleted."""
        ...

    async def find(self, letter: Letter) -> str | None:
        """The id of this letter where it already arrived; None when it did not."""
        ...

    async def send(self, letter: Letter) -> str:
        """Sends it once; the id it got."""
        ...


class Worker:
    """Sends what is due to Reddit, or through one chat channel. A letter that was ever begun is looked for before it is
    sent again.

    `after` hears of every delivery that was settled, once that is stored.
    """

    def __init__(
        self,
        outbox: Outbox,
        messenger: Messenger,
        manners: Manners,
        keeper: Keeper,
        notices: Notices,
        config: Deliver,
        clock: Clock,
        after: Callable[[Delivery, str], None] = lambda delivery, outcome: None,
        channel: str = "",
    ) -> None:
        self._outbox = outbox
        self._messenger = messenger
        self._manners = manners
        self._keeper = keeper
        self._notices = notices
        self._give_up_seconds = config.give_up_hours * 3600
        self._clock = clock
        self._after = after
        self._channel = channel

    async def run(self, stop: asyncio.Event, look_seconds: float = 1.0) -> None:
        """Until stopped. Moderators approve from another process, so the outbox is looked at every `look_seconds`."""
        reclaimed = await self._outbox.reclaim(self._channel)
        if reclaimed:
            log.warning("delivery.reclaimed", count=reclaimed)
        while not stop.is_set():
            if not await self.deliver_next():
                await self._clock.wait(stop, look_seconds)

    async def deliver_next(self) -> bool:
        """Sends the most pressing delivery; False when nothing was due."""
        deliveries = await self._outbox.claim(self._manners, self._channel)
        if not deliveries:
            return False
        try:
            await self._deliver(deliveries)
        except (Unclear, Transient, BadCredentials) as error:
            await self._put_off(deliveries, error)
        except Permanent as error:
            if isinstance(error, Gone) and deliveries[0].kind is DeliveryKind.REPLY:
                # Nobody is there to answer any more; that is no failure.
                await self._settle(self._outbox.drop(deliveries, str(error)), deliveries, "dropped", error)
            else:
                await self._bury(deliveries, error)
        return True

    async def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        if any(each.attempts > 1 for each in deliveries) and (sent := await self._messenger.find(_letter(deliveries))):
            await self._settle(self._outbox.finish(deliveries, sent), deliveries, "sent")
            return
        ids = [each.post_id for each in deliveries if each.about_post]
        if gone := await self._messenger.gone(ids) if ids else set():
            await self._keeper.purge(gone, "the post was deleted")
            for each in deliveries:
                if each.post_id in gone:
                    self._tell(each, "gone", None)
            deliveries = [each for each in deliveries if each.post_id not in gone]
        if deliveries:
            sent = await self._messenger.send(_letter(deliveries))
            await self._settle(self._outbox.finish(deliveries, sent), deliveries, "sent")

    async def _put_off(self, deliveries: Sequence[Delivery], error: Transient | Unclear | BadCredentials) -> None:
        now, first = self._clock.now(), deliveries[0]
        if now - first.since_utc > self._give_up_seconds:
            await self._bury(deliveries, error)
            return
        if isinstance(error, Unclear):
            pause, outcome = SECONDS_BEFORE_LOOKING, "unclear"
        else:
            named = error.retry_after_seconds if isinstance(error, Transient) else None
            pause, outcome = named or _pause(first.attempts), "postponed"
        pause = min(pause, _LONGEST_PAUSE_SECONDS)
        work = self._outbox.retry(deliveries, now + pause, str(error), undone=not isinstance(error, Unclear))
        await self._settle(work, deliveries, outcome, error)

    async def _bury(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        async def tell() -> None:
            told = (
                self._notices.dead_reply if deliveries[0].kind is DeliveryKind.REPLY else self._notices.silent_channel
            )
            await told(deliveries[0], str(error))

        await self._settle(self._outbox.bury(deliveries, str(error), tell), deliveries, "dead", error)

    async def _settle(
        self, work: Awaitable[None], deliveries: Sequence[Delivery], outcome: str, error: Exception | None = None
    ) -> None:
        await _to_the_end(work)
        for each in deliveries:
            self._tell(each, outcome, error)

    def _tell(self, delivery: Delivery, outcome: str, error: Exception | None) -> None:
        log.log(
            30 if error else 20,
            f"delivery.{outcome}",
            delivery_id=delivery.id,
            post_id=delivery.post_id,
            kind=delivery.kind,
            channel=delivery.channel or None,
            attempts=delivery.attempts,
            error=str(error) if error else None,
        )
        self._after(delivery, outcome)


async def _to_the_end(work: Awaitable[None]) -> None:
    """Awaits work that no cancellation breaks off, and only then is cancelled itself.

    What happened in the world and is not written down would happen again, and whoever cancels closes the store next.
    """
    writing = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not writing.done():
        try:
            await asyncio.wait((writing,))
        except asyncio.CancelledError as error:
            cancelled = error
    writing.result()
    if cancelled is not None:
        raise cancelled


def _letter(deliveries: Sequence[Delivery]) -> Letter:
    """One call's worth: a single alert or reply, or all lines of one digest under their common subject."""
    first = deliveries[0]
    lines = [each.body for each in deliveries]
    body = compose_digest(first.subreddit, lines) if first.kind is DeliveryKind.DIGEST else first.body
    since = min(each.created_utc for each in deliveries)
    return Letter(first.kind, first.subreddit, first.post_id, first.subject, body, since, first.level, first.unclear)


def _pause(attempts: int) -> float:
    """Exponential backoff with full jitter, in seconds."""
    return random.uniform(0.5, 1.0) * min(2.0 ** min(attempts, 30), _LONGEST_BACKOFF_SECONDS)  # noqa: S311
