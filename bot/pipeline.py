"""From the inbox to a stored decision: take -> assess -> decide -> store it all in one transaction.

What the local judgement leaves in doubt may be read by a language model before it is stored. Such a post stays in the
inbox meanwhile, beside the loop and in nobody's way; after a crash it is judged again, and an answer that came is not
paid for again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta

import structlog

from bot.alerts import compose_alert, compose_message
from bot.choosing import Reader
from bot.clock import Clock, date_of
from bot.config import Config
from bot.digest import compose_digest_line
from bot.errors import SetupError
from bot.inbox import Fetched, Inbox
from bot.judge import Judgement, document_of, judge, unassessed
from bot.links import REDDIT
from bot.manners import Manners, Verdict
from bot.outbox import Draft, Outbox
from bot.recommendations import Counsel, Kind, counsel, general_counsel
from bot.record import Record, to_record
from bot.replies import compose_reply, reason_to_wait
from bot.resources import Catalogue, NoVettedWords
from bot.store import Store
from bot.threads import apart
from bot.types import DeliveryKind, DeliveryState, Message, Planned, Post
from models.assessment import Classifier
from models.labels import Level

log = structlog.get_logger()

# A post that ended the process so many times (out of memory, a crash in native code) is not given to the model again.
# Not fewer: a process that is killed for other reasons has some post in hand, too.
_TRIES = 5
_HUNG_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class _Provided:
    """A judgement with all that is to be stored of it."""

    fetched: Fetched
    judgement: Judgement
    drafts: tuple[Draft, ...]


class Pipeline:
    """Judges posts off the event loop and stores each with all its deliveries, or not at all.

    One batch is in a thread at a time: the models use all cores themselves. A post that `second` wants to read is
    stored when that is over, every other at once. `after` hears of each judgement once it is stored, with the time it
    was fetched at.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        inbox: Inbox,
        outbox: Outbox,
        manners: Manners,
        classifier: Classifier,
        catalogue: Catalogue,
        clock: Clock,
        after: Callable[[Judgement, float], None] = lambda judgement, fetched_utc: None,
        second: Reader | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._inbox = inbox
        self._outbox = outbox
        self._manners = manners
        self._classifier = classifier
        self._catalogue = catalogue
        self._clock = clock
        self._after = after
        self._second = second
        self._readings: dict[asyncio.Task[Judgement], Fetched] = {}
        self._hung = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Judges whatever comes into the inbox, until stopped between two batches; what is left stays for the next run.

        Raises SetupError when the model hangs again and again.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                worked = await self._judge_next()
                worked |= await self._store_what_was_read()
                if not worked:
                    arriving = asyncio.create_task(self._inbox.arrived.wait())
                    await asyncio.wait((stopping, arriving, *self._readings), return_when=asyncio.FIRST_COMPLETED)
                    arriving.cancel()
        finally:
            stopping.cancel()
            for reading in self._readings:
                reading.cancel()
            await asyncio.gather(*self._readings, return_exceptions=True)

    async def _judge_next(self) -> bool:
        """Judges the next batch and stores it, but for what is to be read again; False when there is no batch."""
        in_hand = [each.post.id for each in self._readings.values()]
        batch = await self._inbox.take(self._config.model.batch_size, in_hand)
        if not batch:
            return False
        settled = []
        for fetched, judgement in zip(batch, await self._judge(batch), strict=True):
            if self._second is not None and self._second.wants(judgement):
                self._readings[asyncio.create_task(self._second.read(judgement))] = fetched
            else:
                settled.append((fetched, judgement))
        await self._settle(settled)
        if self._hung >= _HUNG_IN_A_ROW:
            raise SetupError(f"the model hung {self._hung} times in a row; what it did not read went to the moderators")
        return True

    async def _store_what_was_read(self) -> bool:
        """Stores the posts whose second reading is over, however it ended; False when there is none."""
        over = [reading for reading in self._readings if reading.done()]
        # One that was cancelled by whatever it waited for leaves its post in the inbox, to be judged anew.
        await self._settle([(self._readings[each], each.result()) for each in over if not each.cancelled()])
        for reading in over:
            del self._readings[reading]
        return bool(over)

    async def _settle(self, judged: Sequence[tuple[Fetched, Judgement]]) -> None:
        """Stores judgements with all that follows from them, together or not at all."""
        if not judged:
            return
        async with self._store.transaction():
            # A post that was purged while it was judged is not brought back.
            held = await self._inbox.held([fetched.post.id for fetched, _ in judged])
            provided = [await self._provide(*each) for each in judged if each[0].post.id in held]
            for each in provided:
                await self._keep(each)
            await self._inbox.remove([each.fetched.post for each in provided])
        for each in provided:
            post, level = each.judgement.post, each.judgement.decision.level
            log.info("post.judged", post_id=post.id, subreddit=post.subreddit, triage=level)
            self._after(each.judgement, each.fetched.fetched_utc)

    async def _judge(self, batch: Sequence[Fetched]) -> list[Judgement]:
        posts = [each.post for each in batch]
        if batch[0].tries >= _TRIES:
            log.error("post.unassessed", post_id=posts[0].id, error="the process ended each time it was judged")
            return [unassessed(post, self._config.team) for post in posts]
        seconds = self._config.model.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                judgements = await apart(lambda: judge(posts, self._classifier, self._config.team), "models")
        except TimeoutError:
            self._hung += 1
            log.error("model.hung", count=len(posts), seconds=seconds)
            return [unassessed(post, self._config.team) for post in posts]
        self._hung = 0
        return judgements

    async def _provide(self, fetched: Fetched, judgement: Judgement) -> _Provided:
        """The judgement with what courtesy leaves of its deliveries, and their words."""
        post, decision = judgement.post, judgement.decision
        deliveries: list[Planned] = []
        note = ""
        for planned in decision.deliveries:
            if planned.kind is DeliveryKind.REPLY:
                ruling = await self._manners.ruling(post.subreddit, post.author, post.created_utc)
                note = ruling.words
                if ruling.verdict is Verdict.NEVER:
                    continue
                note = note or reason_to_wait(post, self._config.team(post.subreddit), self._catalogue, self._today())
                if note:
                    planned = replace(planned, state=DeliveryState.HELD)
            deliveries.append(planned)
        judgement = replace(judgement, decision=replace(decision, deliveries=tuple(deliveries)))
        return _Provided(fetched, judgement, tuple(self._drafts(judgement, note)))

    async def _keep(self, provided: _Provided) -> None:
        post, decision = provided.judgement.post, provided.judgement.decision
        record = to_record(provided.judgement, self._config.team(post.subreddit).policy)
        kept, forgotten_utc = (post, None) if _is_needed(provided.judgement) else (_emptied(post), self._clock.now())
        await self._store.execute(
            "add_post",
            {
                **asdict(kept),
                "author_hash": self._manners.hash(kept.author),
                "level": decision.level,
                "reasons": json.dumps([asdict(reason) for reason in decision.reasons]),
                "record": json.dumps(record if forgotten_utc is None else Record(**{**record, "evidence": []})),
                "choice": _choice(provided.judgement.counsel),
                "fetched_utc": provided.fetched.fetched_utc,
                "now": self._clock.now(),
                "forgotten_utc": forgotten_utc,
            },
        )
        await self._outbox.enqueue(provided.drafts)

    def _drafts(self, judgement: Judgement, note: str) -> list[Draft]:
        post, decision = judgement.post, judgement.decision
        is_alert = any(planned.kind is DeliveryKind.ALERT for planned in decision.deliveries)
        # Once, through however many channels the alert goes.
        helping = self._helping(judgement) if is_alert else Counsel()
        drafts = []
        for planned in decision.deliveries:
            try:
                message, due_utc = self._message(judgement, planned, note, helping)
            except NoVettedWords as error:
                # The alert still goes out; only the words to the author are missing.
                log.error("reply.refused", post_id=post.id, error=str(error))
                continue
            drafts.append(
                Draft(post.id, post.subreddit, decision.level, planned, message.subject, message.body, due_utc)
            )
        return drafts

    def _message(self, judgement: Judgement, planned: Planned, note: str, helping: Counsel) -> tuple[Message, float]:
        post, assessment, decision = judgement.post, judgement.assessment, judgement.decision
        team, now = self._config.team(post.subreddit), self._clock.now()
        base_url, page = self._config.reddit.base_url or REDDIT, self._config.review.public_url
        match planned.kind:
            case DeliveryKind.ALERT if planned.channel:
                share = team.alerts.share_text
                if not share:
                    helping = general_counsel(decision.level, self._catalogue, self._today())
                return compose_message(
                    post, assessment, decision, self._catalogue, base_url, helping, page, share_text=share
                ), now
            case DeliveryKind.ALERT:
                return compose_alert(post, assessment, decision, self._catalogue, base_url, note, helping, page), now
            case DeliveryKind.REPLY:
                said_to_author = judgement.local or decision
                language = judgement.assessment.language if judgement.assessment else None
                body = compose_reply(post, said_to_author, team, self._catalogue, self._today(), language)
                return Message("", body), now
            case DeliveryKind.DIGEST:
                due = next_digest(now, team.alerts.digest_hour_utc)
                return compose_digest_line(post, decision, due.date(), base_url), due.timestamp()

    def _today(self) -> date:
        return date_of(self._clock.now())

    def _helping(self, judgement: Judgement) -> Counsel:
        document, level = document_of(judgement.post), judgement.decision.level
        return judgement.counsel or counsel(document, judgement.assessment, level, self._catalogue, self._today())


def _choice(chosen: Counsel | None) -> str | None:
    """What a language model chose, so that it can be told from the ranker's choice again; see `Case.counsel`."""
    if chosen is None or not chosen.chosen_by:
        return None
    ids = [each.id for each in chosen.recommendations if each.kind is not Kind.LINE]
    return json.dumps({"ids": ids, "reasons": dict(chosen.model_reasons), "model": chosen.chosen_by})


def _is_needed(judgement: Judgement) -> bool:
    """Whether a person may still have to read the post here; of all others nothing is kept that somebody wrote."""
    return judgement.decision.level is not Level.NONE or bool(judgement.decision.deliveries)


def _emptied(post: Post) -> Post:
    return Post(post.id, post.subreddit, None, "", "", post.created_utc, "")


def next_digest(now: float, hour_utc: int) -> datetime:
    """The first time after `now` (seconds since the epoch) at which the clock in UTC strikes the hour."""
    moment = datetime.fromtimestamp(now, UTC)
    today = moment.replace(hour=hour_utc, minute=0, second=0, microsecond=0)
    return today if today > moment else today + timedelta(days=1)
