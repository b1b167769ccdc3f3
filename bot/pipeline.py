"""One post on its way: seen? -> assess -> decide -> store it all in one transaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import structlog

from bot.alerts import REDDIT, Message, compose_alert, compose_digest_line, compose_gap
from bot.clock import Clock
from bot.config import Config
from bot.judge import Judgement, judge
from bot.outbox import Draft, Outbox
from bot.record import to_record
from bot.replies import compose_reply
from bot.resources import Catalogue, NoVettedWords
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Planned, Post
from models.assessment import Classifier
from models.labels import Level

log = structlog.get_logger()


class Pipeline:
    """Judges posts off the event loop and stores each with all its deliveries, or not at all.

    `executor` has one thread: the models use all cores themselves. `after` hears of each judgement once it is stored.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        outbox: Outbox,
        classifier: Classifier,
        catalogue: Catalogue,
        clock: Clock,
        executor: Executor,
        after: Callable[[Judgement], None] = lambda judgement: None,
    ) -> None:
        self._config = config
        self._store = store
        self._outbox = outbox
        self._classifier = classifier
        self._catalogue = catalogue
        self._clock = clock
        self._executor = executor
        self._after = after

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these posts were judged before."""
        return {row["id"] for row in await self._store.fetch("known_posts", {"ids": json.dumps(list(ids))})}

    async def process(self, posts: Sequence[Post], stop: asyncio.Event) -> None:
        """Judges and stores the posts not known yet, in their order, until done or stopped between two batches."""
        loop = asyncio.get_running_loop()
        known = await self.known([post.id for post in posts])
        fresh = [post for post in posts if post.id not in known]
        for batch in _batches(fresh, self._config.model.batch_size):
            if stop.is_set():
                return
            judgements = await loop.run_in_executor(self._executor, judge, batch, self._classifier, self._config.team)
            for judgement in judgements:
                await self._keep(judgement)

    async def report_gap(self, subreddit: str, until_utc: float) -> None:
        """Tells the moderators that posts from before `until_utc` could not be fetched any more."""
        message = compose_gap(subreddit, until_utc)
        plan = Planned(DeliveryKind.ALERT, DeliveryState.PENDING)
        now = self._clock.now()
        draft = Draft(
            f"gap-{subreddit}-{until_utc:.0f}", subreddit, Level.URGENT, plan, message.subject, message.body, now
        )
        log.error("stream.gap", subreddit=subreddit, until_utc=until_utc)
        async with self._store.transaction():
            await self._outbox.enqueue([draft])

    async def _keep(self, judgement: Judgement) -> None:
        post, decision = judgement.post, judgement.decision
        async with self._store.transaction():
            await self._store.execute(
                "add_post",
                {
                    **asdict(post),
                    "level": decision.level,
                    "reasons": json.dumps([asdict(reason) for reason in decision.reasons]),
                    "record": json.dumps(to_record(judgement, self._config.team(post.subreddit).policy)),
                    "judged_utc": self._clock.now(),
                },
            )
            await self._outbox.enqueue(self._drafts(judgement))
        log.info("post.judged", post_id=post.id, subreddit=post.subreddit, triage=decision.level)
        self._after(judgement)

    def _drafts(self, judgement: Judgement) -> list[Draft]:
        post, decision = judgement.post, judgement.decision
        drafts = []
        for planned in decision.deliveries:
            try:
                message, due_utc = self._message(judgement, planned.kind)
            except NoVettedWords as error:
                # The alert still goes out; only the words to the author are missing.
                log.error("reply.refused", post_id=post.id, error=str(error))
                continue
            drafts.append(
                Draft(post.id, post.subreddit, decision.level, planned, message.subject, message.body, due_utc)
            )
        return drafts

    def _message(self, judgement: Judgement, kind: DeliveryKind) -> tuple[Message, float]:
        post, decision = judgement.post, judgement.decision
        team, now = self._config.team(post.subreddit), self._clock.now()
        base_url = self._config.reddit.base_url or REDDIT
        match kind:
            case DeliveryKind.ALERT:
                return compose_alert(post, judgement.assessment, decision, self._catalogue, base_url), now
            case DeliveryKind.REPLY:
                today = datetime.fromtimestamp(now, UTC).date()
                return Message("", compose_reply(post, decision, team, self._catalogue, today)), now
            case DeliveryKind.DIGEST:
                due = next_digest(now, team.alerts.digest_hour_utc)
                return compose_digest_line(post, decision, due.date()), due.timestamp()


def _batches(posts: Sequence[Post], size: int) -> Iterator[Sequence[Post]]:
    return (posts[start : start + size] for start in range(0, len(posts), size))


def next_digest(now: float, hour_utc: int) -> datetime:
    """The first time after `now` (seconds since the epoch) at which the clock in UTC strikes the hour."""
    moment = datetime.fromtimestamp(now, UTC)
    today = moment.replace(hour=hour_utc, minute=0, second=0, microsecond=0)
    return today if today > moment else today + timedelta(days=1)
