"""Claims deliveries from the outbox and sends them, one at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from bot.alerts import compose_digest
from bot.clock import Clock
from bot.errors import Permanent, Transient, Unclear
from bot.outbox import Outbox
from bot.types import Delivery, DeliveryKind

log = structlog.get_logger()

_LONGEST_PAUSE_SECONDS = 900.0
_SECONDS_BEFORE_LOOKING = 5.0


@dataclass(frozen=True, slots=True)
class Letter:
    """What goes out in one call: a delivery, or the lines of one digest put together."""

    kind: DeliveryKind
    subreddit: str
    post_id: str
    subject: str
    body: str


class Messenger(Protocol):
    """Whoever carries letters out. Both calls raise Transient, Permanent or (send) Unclear."""

    async def find(self, letter: Letter) -> str | None:
        """The id of this letter where it already arrived; None when it did not."""
        ...

    async def send(self, letter: Letter) -> str:
        """Sends it once; the id it got."""
        ...


class Worker:
    """Sends what is due. A letter that was ever begun is looked for before it is sent again.

    `after` hears of every delivery that was settled, once that is stored.
    """

    def __init__(
        self,
        outbox: Outbox,
        messenger: Messenger,
        clock: Clock,
        after: Callable[[Delivery, str], None] = lambda delivery, outcome: None,
    ) -> None:
        self._outbox = outbox
        self._messenger = messenger
        self._clock = clock
        self._after = after

    async def run(self, stop: asyncio.Event, look_seconds: float = 1.0) -> None:
        """Until stopped. Moderators approve from another process, so the outbox is looked at every `look_seconds`."""
        reclaimed = await self._outbox.reclaim()
        if reclaimed:
            log.warning("delivery.reclaimed", count=reclaimed)
        while not stop.is_set():
            if not await self.deliver_next():
                await self._clock.wait(stop, look_seconds)

    async def deliver_next(self) -> bool:
        """Sends the most pressing delivery; False when nothing was due."""
        deliveries = await self._outbox.claim()
        if not deliveries:
            return False
        first = deliveries[0]
        letter = _letter(deliveries)
        try:
            sent = await self._messenger.find(letter) if any(each.attempts > 1 for each in deliveries) else None
            outcome = sent or await self._messenger.send(letter)
        except Permanent as error:
            await asyncio.shield(self._outbox.bury(deliveries, str(error)))
            self._tell(first, "dead", error)
        except Unclear as error:
            # Reddit may show what it did only a moment later.
            due = self._clock.now() + _SECONDS_BEFORE_LOOKING
            await asyncio.shield(self._outbox.retry(deliveries, due, str(error)))
            self._tell(first, "unclear", error)
        except Transient as error:
            due = self._clock.now() + (error.retry_after_seconds or _pause(first.attempts))
            await asyncio.shield(self._outbox.retry(deliveries, due, str(error)))
            self._tell(first, "postponed", error)
        else:
            # Shielded: a cancellation between Reddit's answer and this write would make a second look necessary.
            await asyncio.shield(self._outbox.finish(deliveries, outcome))
            self._tell(first, "sent", None)
        return True

    def _tell(self, delivery: Delivery, outcome: str, error: Exception | None) -> None:
        log.log(
            30 if error else 20,
            f"delivery.{outcome}",
            delivery_id=delivery.id,
            post_id=delivery.post_id,
            kind=delivery.kind,
            attempts=delivery.attempts,
            error=str(error) if error else None,
        )
        self._after(delivery, outcome)


def _letter(deliveries: Sequence[Delivery]) -> Letter:
    """One call's worth: a single alert or reply, or all lines of one digest under their common subject."""
    first = deliveries[0]
    lines = [each.body for each in deliveries]
    body = compose_digest(first.subreddit, lines) if first.kind is DeliveryKind.DIGEST else first.body
    return Letter(first.kind, first.subreddit, first.post_id, first.subject, body)


def _pause(attempts: int) -> float:
    """Exponential backoff with full jitter, in seconds."""
    return random.uniform(0.5, 1.0) * min(2.0**attempts, _LONGEST_PAUSE_SECONDS)  # noqa: S311
