"""The second reader: a language model sees the posts that the models here are unsure of, and can only raise a level."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from bot.config import Llm, Team
from bot.judge import Judgement, document_of
from bot.policy import decide_again
from bot.types import Post
from models.annotation import Annotation, Annotator, Status
from models.assessment import Assessment
from models.errors import OverBudget
from models.labels import Level, Risk

log = structlog.get_logger()

# Posts that wait for an answer at once. More than these are not let in line: the server is too slow for the stream.
_MOST_WAITING = 256


def in_doubt(assessment: Assessment, config: Llm) -> bool:
    """Whether the model is unsure of thoughts of dying, or two readers disagree about any risk."""
    band = config.unsure
    unsure = assessment.unsure if band is None else assessment.risk.at_least(Risk.IDEATION) in band
    return unsure or assessment.disputed


class SecondReader:
    """Reads again what the local judgement is unsure of, where the community's moderators opted in.

    It is never the first to speak of a post: with or without an answer the local judgement stands, and what the model
    says can add to it, not take from it.
    """

    def __init__(self, annotator: Annotator, config: Llm, team_of: Callable[[str], Team]) -> None:
        self._annotator = annotator
        self._config = config
        self._team_of = team_of
        self._waiting = 0

    def wants(self, judgement: Judgement) -> bool:
        """Whether to read the post again: it is in doubt, no crisis already, and allowed to leave the machine."""
        post, assessment, level = judgement.post, judgement.assessment, judgement.decision.level
        if assessment is None or level in (Level.CRISIS, Level.UNASSESSED):
            return False
        if post.is_gone or not self._config.may_read(post.subreddit):
            return False
        return in_doubt(assessment, self._config)

    async def read(self, judgement: Judgement) -> Judgement:
        """The judgement after a second reading, within `timeout_seconds`; the same one when the day's calls are made.

        Never raises for what a post, a model or a server does.
        """
        post, assessment = judgement.post, judgement.assessment
        if assessment is None:
            return judgement
        try:
            reading = await self._reading(post)
        except OverBudget:
            log.info("post.not_read_again", post_id=post.id, subreddit=post.subreddit, error="over budget")
            return judgement
        decision = decide_again(post, judgement.decision, reading, self._team_of(post.subreddit))
        log.info(
            "post.read_again",
            post_id=post.id,
            subreddit=post.subreddit,
            kind=reading.status,
            triage=decision.level,
            error=reading.error,
        )
        both = replace(
            assessment,
            evidence=(*assessment.evidence, *reading.evidence),
            versions={**assessment.versions, **reading.versions},
        )
        return Judgement(post, both, decision, local=judgement.decision)

    async def _reading(self, post: Post) -> Annotation:
        if self._waiting >= _MOST_WAITING:
            return self._failed("too many wait")
        self._waiting += 1
        try:
            # All of it: waiting for a turn, every attempt, the repair of an answer.
            async with asyncio.timeout(self._config.timeout_seconds):
                (reading,) = await self._annotator.annotate([document_of(post)])
                return reading
        except OverBudget:
            raise
        except Exception as error:
            return self._failed(type(error).__name__)
        finally:
            self._waiting -= 1

    def _failed(self, why: str) -> Annotation:
        return Annotation(Status.FAILED, versions=self._annotator.versions, error=why)
