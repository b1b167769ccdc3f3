"""The annotators of an experiment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import cast

from bot.annotators import open_annotator, open_llm
from bot.config import Llm
from bot.experiment.settings import AnnotatorSettings, Experiment
from bot.second import in_doubt
from models.annotation import Annotation, Annotator, ClassifierAnnotator, Status
from models.document import Document
from models.labels import Relevance


class SecondRead:
    """A local judgement whose doubts a language model reads again, as in a live run: it can add, and take nothing away.

    When it refuses or cannot be read, the local judgement stands; when it fails, so does the annotation, for the next
    run to try again. Tokens and seconds are those of both.
    """

    def __init__(self, local: ClassifierAnnotator, reader: Annotator, llm: Llm) -> None:
        self._local = local
        self._reader = reader
        self._llm = llm
        self.versions = {**local.versions, **reader.versions}

    async def annotate(self, documents: Sequence[Document]) -> list[Annotation]:
        """One annotation a document, in the same order."""
        judged = await self._local.judge(documents)
        doubtful = [assessment is not None and in_doubt(assessment, self._llm) for _, assessment in judged]
        readings = iter(await self._reader.annotate(list(compress(documents, doubtful))))
        return [
            replace(raised(local, next(readings)) if asked else local, versions=self.versions)
            for (local, _), asked in zip(judged, doubtful, strict=True)
        ]


def raised(local: Annotation, reading: Annotation) -> Annotation:
    """The local labels and whatever another reader adds to them; none when that one failed."""
    both = replace(
        reading if reading.status is Status.FAILED else local,
        cached=reading.cached,
        prompt_tokens=local.prompt_tokens + reading.prompt_tokens,
        completion_tokens=local.completion_tokens + reading.completion_tokens,
        seconds=local.seconds + reading.seconds,
    )
    if reading.status is not Status.OK:
        return both
    relevant = Relevance.MENTAL_HEALTH in (local.relevance, reading.relevance)
    return replace(
        both,
        relevance=Relevance.MENTAL_HEALTH if relevant else Relevance.OTHER,
        disorders=(local.disorders or frozenset()) | (reading.disorders or frozenset()),
        severity=max(filter(None, (local.severity, reading.severity)), default=None),
        risk=max(filter(None, (local.risk, reading.risk)), default=None),
    )


@asynccontextmanager
async def open_reader(experiment: Experiment, settings: AnnotatorSettings, cache: Path) -> AsyncIterator[Annotator]:
    """The annotator of these settings, closed at the end.

    Raises UsageError when a prompt is unknown, and ModelError when a model or the cache cannot be used.
    """
    config = experiment.config(settings, cache)
    if settings.kind == "llm":
        async with open_llm(config, api_key=settings.api_key()) as llm:
            yield llm
    elif settings.second:
        async with (
            open_annotator("hybrid", config) as local,
            open_llm(config, api_key=experiment.annotator(settings.second).api_key()) as llm,
        ):
            yield SecondRead(cast("ClassifierAnnotator", local), llm, config.llm)
    else:
        async with open_annotator(settings.kind, config) as annotator:
            yield annotator
