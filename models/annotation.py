"""What an annotator says of one document, and the one interface that all annotators share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import Field, PlainSerializer

from models.assessment import Assessment, Classifier, Evidence
from models.document import Document
from models.labels import Disorder, Relevance, Risk, Severity

Count = Annotated[int, Field(ge=0)]


class Status(StrEnum):
    """What became of one document."""

    OK = "ok"
    REFUSED = "refused"  # the model or its service will not read it; such posts need a person more, not less
    INVALID = "invalid"  # two answers that could not be read
    FAILED = "failed"  # no answer: the server is away, overloaded or says no


def _in_order(held: frozenset[Disorder]) -> list[Disorder]:
    return [disorder for disorder in Disorder if disorder in held]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The labels of one document. They are None unless `status` is `ok`; a person may leave out some even then.

    `evidence` are spans of `Document.text`, none when the annotator names none. `versions` names whatever produced the
    labels. Tokens are what the server counted over all calls for this document, 0 where it did not; `seconds` is the
    time spent on it, waits included. `cached` is True when it was known from an earlier call: tokens and seconds are
    then those of that call. `error` names what went wrong, in no word of the server's or the post's.
    """

    status: Status
    relevance: Relevance | None = None
    disorders: Annotated[frozenset[Disorder], PlainSerializer(_in_order)] | None = None
    severity: Severity | None = None
    risk: Risk | None = None
    evidence: tuple[Evidence, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    cached: bool = False
    error: str = ""


class Annotator(Protocol):
    """Texts in, labels with evidence out: a dictionary, an encoder, a language model, or a person."""

    @property
    def versions(self) -> Mapping[str, str]:
        """What every annotation carries: the names and versions of what produces it."""
        ...

    async def annotate(self, documents: Sequence[Document]) -> list[Annotation]:
        """One annotation a document, in the same order. Never raises for what a document says."""
        ...


class ClassifierAnnotator:
    """A classifier as an annotator: what is more likely than not holds, of an ordinal scale the decided level.

    One batch is judged at a time, off the event loop. A batch that breaks the classifier is tried again document by
    document, and the one that breaks it is `failed`.
    """

    def __init__(self, classifier: Classifier, versions: Mapping[str, str]) -> None:
        self._classifier = classifier
        self._turn = asyncio.Lock()
        self.versions = versions

    async def annotate(self, documents: Sequence[Document]) -> list[Annotation]:
        """One annotation a document, in the same order; `seconds` is an equal share of the time the batch took."""
        return [annotation for annotation, _ in await self.judge(documents)]

    async def judge(self, documents: Sequence[Document]) -> list[tuple[Annotation, Assessment | None]]:
        """The same, each with the assessment that it comes from; None where the classifier broke."""
        async with self._turn:
            return await asyncio.to_thread(self._judge, documents)

    def _judge(self, documents: Sequence[Document]) -> list[tuple[Annotation, Assessment | None]]:
        if not documents:
            return []
        started = time.perf_counter()
        try:
            assessments = self._classifier.assess(documents)
        except Exception as error:
            if len(documents) > 1:
                return [judged for document in documents for judged in self._judge([document])]
            return [(Annotation(Status.FAILED, versions=self.versions, error=type(error).__name__), None)]
        seconds = (time.perf_counter() - started) / len(documents)
        return [(self._decided(assessment, seconds), assessment) for assessment in assessments]

    def _decided(self, assessment: Assessment, seconds: float) -> Annotation:
        return Annotation(
            Status.OK,
            relevance=Relevance.MENTAL_HEALTH if assessment.relevance >= 0.5 else Relevance.OTHER,
            disorders=frozenset(label for label, probability in assessment.disorders.items() if probability >= 0.5),
            severity=assessment.severity.level,
            risk=assessment.risk.level,
            evidence=assessment.evidence,
            # Not the assessment's: of a post that is skimmed it names a part, and labels of one file have one maker.
            versions=self.versions,
            seconds=seconds,
        )
