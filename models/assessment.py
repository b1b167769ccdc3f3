"""What the models say of one post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from models.document import Document
from models.labels import Disorder, Risk, Severity

L = TypeVar("L", Severity, Risk)

# What finds evidence: the dictionary, the crisis terms of other languages, the network, a language model.
Source = Literal["rules", "terms", "encoder", "llm"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The characters `start` to `end` (exclusive) of `Document.text` that support `label`.

    `label` is a member of `models.labels`; `source` found it; `note` says in plain words why the span counts (or why it
    was set aside), for a moderator to read.
    """

    start: int
    end: int
    label: str
    source: Source
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ordinal(Generic[L]):
    """Calibrated probabilities over every level of one ordinal scale, adding up to 1."""

    probs: Mapping[L, float]

    def at_least(self, level: L) -> float:
        """Probability that the post stands at `level` or above."""
        return sum(p for other, p in self.probs.items() if other >= level)

    @property
    def level(self) -> L:
        """The decided level: the highest one that is more likely reached than not (the median of the scale)."""
        return max((level for level in self.probs if self.at_least(level) >= 0.5), default=min(self.probs))


@dataclass(frozen=True, slots=True)
class Band:
    """Probabilities from `start` up to and without `end`, 0 <= start <= end <= 1."""

    start: float
    end: float

    def __contains__(self, probability: float) -> bool:
        return self.start <= probability < self.end


@dataclass(frozen=True, slots=True)
class Assessment:
    """Judgement of one post, never of its author.

    `relevance` and the values of `disorders` are calibrated probabilities in [0, 1]; `disorders` names all nine.
    `versions` names whatever produced the judgement, for instance `{"rules": "3f2a…", "encoder": "minilm 91bc…"}`.
    `disputed` is True when two readers disagree about whether the post shows any risk at all. `language` (ISO 639-1) is
    the one it is written in, None when nobody looked or it is not certain. `unsure` is True when thoughts of dying are
    so likely in it that the model was measured to be unsure.
    """

    relevance: float
    disorders: Mapping[Disorder, float]
    severity: Ordinal[Severity]
    risk: Ordinal[Risk]
    evidence: tuple[Evidence, ...]
    versions: Mapping[str, str]
    disputed: bool = False
    language: str | None = None
    unsure: bool = False


class Classifier(Protocol):
    """Whatever turns documents into assessments: rules, encoder, LLM, hybrid."""

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in the same order; blocking, so it is run off the event loop."""
        ...
