"""A language model may choose, never write: it puts recommendations in order for moderators, and drops some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Protocol

import structlog

from bot.clock import Clock
from bot.config import Config, Llm, llm_api_key
from bot.judge import Judgement, document_of
from bot.recommendations import OFFERED, Kind, counsel, reordered
from bot.resources import Catalogue
from bot.types import DeliveryKind
from models.document import Document
from models.labels import Level

if TYPE_CHECKING:
    from models.chooser import Choice

log = structlog.get_logger()

# Posts that wait for an answer at once; with more, the server is too slow for the stream.
_MOST_WAITING = 256


class Reader(Protocol):
    """Whatever looks at a judgement once more before it is stored."""

    def wants(self, judgement: Judgement) -> bool:
        """Whether to read it."""
        ...

    async def read(self, judgement: Judgement) -> Judgement:
        """The judgement after that. Never raises for what a post, a model or a server does."""
        ...


class Model(Protocol):
    """Whatever picks among ids; see `models.chooser.LlmChooser`."""

    async def choose(self, document: Document, options: Mapping[str, str]) -> Choice | None:
        """What it picks, or None."""
        ...


class Chooser:
    """Has a language model choose among what the ranker offers, for alerts in communities that opted in.

    `second` reads first what it wants to read. A crisis never waits for this, an unread post has nothing to choose
    from, and a line always stays first. Whatever goes wrong leaves the ranker's choice: an unknown id, an empty answer,
    a refusal, a server that is slow or away, a day without calls left.
    """

    def __init__(
        self, second: Reader, model: Model, config: Llm, catalogue: Catalogue, today: Callable[[], date]
    ) -> None:
        self._second = second
        self._model = model
        self._config = config
        self._catalogue = catalogue
        self._today = today
        self._waiting = 0

    def wants(self, judgement: Judgement) -> bool:
        """Whether the second reader wants it, or there is an urgent alert whose advice may be chosen."""
        return self._second.wants(judgement) or self._has_a_choice(judgement)

    async def read(self, judgement: Judgement) -> Judgement:
        """The judgement, read again where it is in doubt, with what the model chose of the advice.

        Both take `timeout_seconds` at most together.
        """
        until = asyncio.get_running_loop().time() + self._config.timeout_seconds
        if self._second.wants(judgement):
            judgement = await self._second.read(judgement)
        return await self._chosen(judgement, until) if self._has_a_choice(judgement) else judgement

    def _has_a_choice(self, judgement: Judgement) -> bool:
        decision, post = judgement.decision, judgement.post
        alerts = any(planned.kind is DeliveryKind.ALERT for planned in decision.deliveries)
        urgent = alerts and decision.level is Level.URGENT and judgement.assessment is not None
        return urgent and not post.is_gone and self._config.may_read(post.subreddit)

    async def _chosen(self, judgement: Judgement, until: float) -> Judgement:
        post, level = judgement.post, judgement.decision.level
        document = document_of(post)
        offer = counsel(document, judgement.assessment, level, self._catalogue, self._today(), OFFERED)
        options = {
            each.id: self._catalogue.words(each.id) for each in offer.recommendations if each.kind is not Kind.LINE
        }
        if len(options) < 2 or self._waiting >= _MOST_WAITING:
            return judgement
        self._waiting += 1
        try:
            async with asyncio.timeout_at(until):
                choice = await self._model.choose(document, options)
        except Exception as error:  # the last fence: no answer, however made, may cost a post its alert
            log.info("post.not_chosen", post_id=post.id, subreddit=post.subreddit, error=type(error).__name__)
            return judgement
        finally:
            self._waiting -= 1
        log.info("post.chosen", post_id=post.id, subreddit=post.subreddit, kind="none" if choice is None else "ok")
        if choice is None:
            return judgement
        return replace(judgement, counsel=reordered(offer, choice.ids, choice.reasons, choice.model))


@asynccontextmanager
async def open_chooser(
    config: Config, clock: Clock, permit: Callable[[], Awaitable[None]], refund: Callable[[], Awaitable[None]]
) -> AsyncIterator[Model]:
    """The language model that [llm] names, asked once a post; see `Server` for `permit` and `refund`."""
    import prompts
    from models.chat import Server
    from models.chooser import LlmChooser

    llm = config.llm
    server = Server(llm.base_url or "", llm.model, llm_api_key(), llm.timeout_seconds, 1, clock, permit, refund)
    chooser = LlmChooser(server, prompts.load("choose"), llm.concurrency)
    try:
        yield chooser
    finally:
        await chooser.aclose()
