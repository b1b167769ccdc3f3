"""Soft labels: how likely each label and level of a post is, where annotators are not of one mind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

from models.annotation import Annotation
from models.heads import OUTPUTS, TASKS, Floats
from models.labels import Disorder, Relevance, Risk, Severity

Probability = Annotated[float, Field(ge=0, le=1)]
Key = TypeVar("Key", bound=StrEnum)
Each = Mapping[Key, Probability]

_ROUNDED = 1e-3  # what rounding in a file may cost a sum


def _of_each(scale: type[Key]) -> AfterValidator:
    def check(probabilities: Each[Key]) -> Each[Key]:
        if len(probabilities) < len(scale):
            raise ValueError("does not name every label")
        return probabilities

    return AfterValidator(check)


def _adding_up(probabilities: Each[Key]) -> Each[Key]:
    if not math.isclose(sum(probabilities.values()), 1, abs_tol=_ROUNDED):
        raise ValueError("does not add up to 1")
    return probabilities


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """Probabilities of the labels of one document; None where nobody said anything.

    `relevance` is that of mental health. The nine `disorders` are independent of each other; the levels of `severity`
    and of `risk` add up to 1.
    """

    relevance: Probability | None = None
    disorders: Annotated[Each[Disorder], _of_each(Disorder)] | None = None
    severity: Annotated[Each[Severity], _of_each(Severity), AfterValidator(_adding_up)] | None = None
    risk: Annotated[Each[Risk], _of_each(Risk), AfterValidator(_adding_up)] | None = None

    @classmethod
    def of(cls, annotation: Annotation) -> SoftLabels:
        """The labels of one annotator, as sure as that annotator: each 0 or 1."""
        disorders, severity, risk = annotation.disorders, annotation.severity, annotation.risk
        return cls(
            relevance=None if annotation.relevance is None else float(annotation.relevance is Relevance.MENTAL_HEALTH),
            disorders=None if disorders is None else {label: float(label in disorders) for label in Disorder},
            severity=None if severity is None else {level: float(level is severity) for level in Severity},
            risk=None if risk is None else {level: float(level is risk) for level in Risk},
        )

    def targets(self) -> Floats:
        """What a model is to learn, float32 (OUTPUTS,) in [0, 1] in the order of `TASKS`; NaN where nothing is known.

        An ordinal scale is one target a level above its lowest: how likely it is that the post reaches that level.
        """
        targets = np.full(OUTPUTS, np.nan, dtype=np.float32)
        if self.relevance is not None:
            targets[TASKS["relevance"]] = self.relevance
        if self.disorders is not None:
            targets[TASKS["disorders"]] = [self.disorders[label] for label in Disorder]
        if self.severity is not None:
            targets[TASKS["severity"]] = _reached([self.severity[level] for level in Severity])
        if self.risk is not None:
            targets[TASKS["risk"]] = _reached([self.risk[level] for level in Risk])
        return np.clip(targets, 0, 1)


def _reached(levels: list[float]) -> list[float]:
    """P(at least that level) for every level above the lowest."""
    return list(accumulate(reversed(levels)))[-2::-1]
