"""The watch over one subreddit: look, put what is new into the inbox, wait, and go on after whatever Reddit does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from bot.clock import Clock
from bot.config import Config
from bot.errors import BadCredentials, Forbidden, Permanent, Transient
from bot.inbox import Inbox
from bot.notices import Notices
from bot.reddit import Gateway
from bot.sources.reddit import Catch, NewPosts
from bot.store import Store

log = structlog.get_logger()

_BACKOFF = wait_random_exponential(multiplier=1, max=60)
_DEEP_LOOK_SECONDS = 600.0
_ASK_AGAIN_SECONDS = 3600.0
_YOUNG = 500  # posts
# Reddit in trouble has refused good credentials before; it is asked a few times before they are called bad.
_SIGN_IN_TRIES = 4


class Watch:
    """Looks at one subreddit's new posts for as long as the process lives.

    `refused` says whether Reddit does not let this account in at the moment. `heard` is when (on the clock's monotonic
    scale) Reddit last gave a usable answer, which may be that there is nothing new. `after` hears how many posts a
    look brought.
    """

    def __init__(
        self,
        subreddit: str,
        config: Config,
        store: Store,
        inbox: Inbox,
        gateway: Gateway,
        notices: Notices,
        clock: Clock,
        after: Callable[[str, int], None] = lambda subreddit, count: None,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self.subreddit = subreddit
        self.refused = False
        self.heard = clock.monotonic()
        self._config = config.reddit
        self._store = store
        self._inbox = inbox
        self._gateway = gateway
        self._notices = notices
        self._clock = clock
        self._after = after
        self._on_refusal = on_refusal
        self._posts = NewPosts(gateway, subreddit, inbox.known)
        self._looked_deep = -_DEEP_LOOK_SECONDS
        self._saw_any = False
        self._sign_ins_failed = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped. What may pass is tried again for ever; a refusal is told once and asked again every hour."""
        while not stop.is_set():
            try:
                await self._patiently(stop)
            except Permanent as error:
                if isinstance(error, BadCredentials) and await self._may_pass(error, stop):
                    continue
                self.refused = True
                await self._notices.refused(self.subreddit, str(error))
                self._on_refusal()
                await self._clock.wait(stop, _ASK_AGAIN_SECONDS)
            except Transient:
                return  # patience ends only when stopped

    async def _may_pass(self, error: BadCredentials, stop: asyncio.Event) -> bool:
        self._sign_ins_failed += 1
        seconds = 2.0**self._sign_ins_failed
        log.warning("watch.failed", subreddit=self.subreddit, error=str(error), seconds=seconds)
        return self._sign_ins_failed < _SIGN_IN_TRIES and not await self._clock.wait(stop, seconds)

    async def _patiently(self, stop: asyncio.Event) -> None:
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
        await patiently(self._ask_whether_allowed)
        since_utc = await self._begin()
        while not stop.is_set():
            started = self._clock.monotonic()
            await patiently(self._ask_whether_allowed)
            await self._keep(await patiently(self._look, since_utc), since_utc)
            # Looks begin at a steady pace, however long each of them takes.
            await self._clock.wait(stop, max(0.0, self._config.poll_seconds - (self._clock.monotonic() - started)))

    async def _ask_whether_allowed(self) -> None:
        # Reddit grants the data for moderating alone: nothing is read where this account is no moderator.
        if not await self._gateway.moderates(self.subreddit):
            raise Forbidden(f"this account does not moderate r/{self.subreddit}")

    async def _begin(self) -> float:
        """The time from which posts are ours, fixed at the very first start; seconds since the epoch."""
        async with self._store.transaction():
            await self._store.execute("begin_watch", {"subreddit": self.subreddit, "since_utc": self._earliest()})
            (row,) = await self._store.fetch("get_watch", {"subreddit": self.subreddit})
        self.refused = False
        # Reddit lets it in again: that it did not is no silence of Reddit's.
        self.heard = self._clock.monotonic()
        log.info("watch.started", subreddit=self.subreddit, since_utc=row["since_utc"])
        return float(row["since_utc"])

    def _earliest(self) -> float:
        return self._clock.now() - self._config.backfill_hours * 3600

    async def _look(self, since_utc: float) -> Catch:
        now = self._clock.monotonic()
        deep = now - self._looked_deep >= _DEEP_LOOK_SECONDS
        # A watch that began while the clock was ahead must not leave posts alone that are new by the right time.
        catch = await self._posts.look(min(since_utc, self._earliest()), deep=deep)
        if deep:
            self._looked_deep = now
        return catch

    async def _keep(self, catch: Catch, since_utc: float) -> None:
        async with self._store.transaction():
            if catch.gap_until_utc is not None:
                (newest,) = await self._store.fetch("newest_known", {"subreddit": self.subreddit})
                known_utc = newest["created_utc"]
                # At the very first look a listing that ends may be all that a young community ever wrote.
                if known_utc is not None or len(catch.posts) > _YOUNG:
                    await self._notices.gap(
                        self.subreddit, since_utc if known_utc is None else known_utc, catch.gap_until_utc
                    )
            if catch.posts:
                await self._inbox.put(catch.posts)
            await self._store.execute("note_look", {"subreddit": self.subreddit, "now": self._clock.now()})
        self._saw_any = self._saw_any or not catch.empty
        if not catch.empty or not self._saw_any:
            # A Reddit that suddenly shows no post where it showed some is as silent as one that does not answer.
            self.heard = self._clock.monotonic()
        self._sign_ins_failed = 0
        self._after(self.subreddit, len(catch.posts))

    def _log_failure(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("watch.failed", subreddit=self.subreddit, error=str(error), seconds=round(state.upcoming_sleep, 1))


def _pause(state: RetryCallState) -> float:
    """The time Reddit named, else exponential backoff with jitter, in seconds."""
    error = state.outcome.exception() if state.outcome else None
    named = error.retry_after_seconds if isinstance(error, Transient) else None
    return named if named is not None else _BACKOFF(state)
