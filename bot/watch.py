"""The watch over one subreddit: look, judge, wait, and go on after whatever Reddit does."""

from __future__ import annotations

import asyncio

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from bot.clock import Clock
from bot.config import Config
from bot.errors import Forbidden, Permanent, Transient
from bot.pipeline import Pipeline
from bot.reddit import Gateway
from bot.sources.reddit import Catch, NewPosts
from bot.store import Store

log = structlog.get_logger()

_BACKOFF = wait_random_exponential(multiplier=1, max=60)


class Watch:
    """Looks at one subreddit's new posts for as long as Reddit lets it."""

    def __init__(
        self, subreddit: str, config: Config, store: Store, gateway: Gateway, pipeline: Pipeline, clock: Clock
    ) -> None:
        self._subreddit = subreddit
        self._config = config.reddit
        self._store = store
        self._gateway = gateway
        self._pipeline = pipeline
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> bool:
        """True once stopped; False when Reddit refuses this subreddit for good, which is logged.

        A failure that may pass is tried again forever, with growing pauses.
        """

        async def pause(seconds: float) -> None:
            await self._clock.wait(stop, seconds)

        patiently = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            wait=_pause,
            stop=lambda _: stop.is_set(),
            sleep=pause,
            before_sleep=self._log_failure,
            reraise=True,
        )
        try:
            await patiently(self._ask_whether_allowed)
            source = NewPosts(self._gateway, self._subreddit, self._pipeline.known, await self._begin())
            while not stop.is_set():
                catch: Catch = await patiently(source.look)
                if catch.gap_until_utc is not None:
                    await self._pipeline.report_gap(self._subreddit, catch.gap_until_utc)
                await self._pipeline.process(catch.posts, stop)
                await self._clock.wait(stop, self._config.poll_seconds)
        except Permanent as error:
            log.error("watch.ended", subreddit=self._subreddit, error=str(error))
            return False
        except Transient:
            return stop.is_set()  # patience ends with nothing else
        return True

    async def _ask_whether_allowed(self) -> None:
        # Reddit grants the data for moderating alone: nothing is read where this account is no moderator.
        if not await self._gateway.moderates(self._subreddit):
            raise Forbidden(f"this account does not moderate r/{self._subreddit}")

    async def _begin(self) -> float:
        """The time from which posts are ours, fixed at the very first start; seconds since the epoch."""
        since_utc = self._clock.now() - self._config.backfill_hours * 3600
        async with self._store.transaction():
            await self._store.execute("begin_watch", {"subreddit": self._subreddit, "since_utc": since_utc})
            (row,) = await self._store.fetch("watched_since", {"subreddit": self._subreddit})
        log.info("watch.started", subreddit=self._subreddit, since_utc=row["since_utc"])
        return float(row["since_utc"])

    def _log_failure(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("watch.failed", subreddit=self._subreddit, error=str(error), seconds=round(state.upcoming_sleep, 1))


def _pause(state: RetryCallState) -> float:
    """The time Reddit named, else exponential backoff with jitter, in seconds."""
    error = state.outcome.exception() if state.outcome else None
    named = error.retry_after_seconds if isinstance(error, Transient) else None
    return named if named is not None else _BACKOFF(state)
