"""What a classifier says of labelled rows, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.assessment import Assessment, Classifier
from models.document import Document
from models.errors import ModelError
from models.labels import Disorder, Risk, Severity

Floats = NDArray[np.float64]
OnDone = Callable[[int], None]

_BATCH = 256


@runtime_checkable
class JudgesStress(Protocol):
    """A classifier that also says how likely it is that the author is stressed; no label that moderators see."""

    def stress(self, documents: Sequence[Document]) -> Sequence[float]:
        """One calibrated probability a document, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of `rows` rows.

    `relevance` is (rows,), `disorders` (rows, 9) in the order of `Disorder`. `severity` and `risk` hold P(at least that
    level) for every level of their scale, (rows, levels): the first column is 1, and along a row they never rise.
    """

    relevance: Floats
    disorders: Floats
    severity: Floats
    risk: Floats

    @classmethod
    def of(cls, assessments: Sequence[Assessment]) -> Scores:
        """The probabilities of at least one assessment. Raises ModelError when one is no number."""
        scores = cls(
            relevance=np.array([each.relevance for each in assessments]),
            disorders=np.array([[each.disorders[disorder] for disorder in Disorder] for each in assessments]),
            severity=np.array([[each.severity.at_least(level) for level in Severity] for each in assessments]),
            risk=np.array([[each.risk.at_least(level) for level in Risk] for each in assessments]),
        )
        if not all(np.isfinite(getattr(scores, field.name)).all() for field in fields(scores)):
            raise ModelError("the model gave something that is no number")
        return scores

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The rows of at least one, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Scores:
        return Scores(self.relevance[chosen], self.disorders[chosen], self.severity[chosen], self.risk[chosen])

    def highest(self, posts: Sequence[int]) -> Scores:
        """One row for every user, who wrote so many of the rows, one after the other: the most that any of them says.

        A user so reaches exactly the highest level that is decided of one of their posts.
        """
        starts = np.array([0, *accumulate(posts[:-1])])
        return Scores(
            *(
                np.maximum.reduceat(each, starts, axis=0)
                for each in (self.relevance, self.disorders, self.severity, self.risk)
            )
        )


def judge(classifier: Classifier, documents: Sequence[Document]) -> Scores:
    """The scores of at least one document. Raises ModelError as the classifier does."""
    return Scores.of(classifier.assess(documents))


def judge_stress(classifier: Classifier, documents: Sequence[Document], on_done: OnDone = lambda count: None) -> Floats:
    """P(stress) of every document, (rows,). Raises ModelError when the classifier does not judge it."""
    if not isinstance(classifier, JudgesStress):
        raise ModelError("this annotator does not judge stress; name a model that was trained for it with --model")
    stress: list[float] = []
    for start in range(0, len(documents), _BATCH):
        batch = documents[start : start + _BATCH]
        stress += classifier.stress(batch)
        on_done(len(batch))
    return np.array(stress)
