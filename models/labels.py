"""The vocabulary: every label the project uses is spelled here and nowhere else."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property


class _Ordinal(StrEnum):
    """A string enum whose members are ordered as they are written.

    Comparing members of two different scales raises TypeError: a level is not a risk.
    """

    @cached_property
    def rank(self) -> int:
        """Position from the mildest member, starting at 0."""
        return list(type(self)).index(self)

    def _rank_of(self, other: object) -> int:
        if not isinstance(other, type(self)):
            raise TypeError(f"cannot order {type(self).__name__} and {type(other).__name__}")
        return other.rank

    # str defines its own, alphabetical, comparisons, so all four are replaced.
    def __lt__(self, other: object) -> bool:
        return self.rank < self._rank_of(other)

    def __le__(self, other: object) -> bool:
        return self.rank <= self._rank_of(other)

    def __gt__(self, other: object) -> bool:
        return self.rank > self._rank_of(other)

    def __ge__(self, other: object) -> bool:
        return self.rank >= self._rank_of(other)


class Relevance(StrEnum):
    """Does the author write about their own or somebody's mental health."""

    MENTAL_HEALTH = "mental_health"
    OTHER = "other"


class Disorder(StrEnum):
    """The nine conditions of SMHD (Cohan et al. 2018, arXiv 1806.05258); a post may show several."""

    DEPRESSION = "depression"
    ANXIETY = "anxiety"
    BIPOLAR = "bipolar"
    PTSD = "ptsd"
    OCD = "ocd"
    ADHD = "adhd"
    AUTISM = "autism"
    SCHIZOPHRENIA = "schizophrenia"
    EATING_DISORDER = "eating_disorder"


class Severity(_Ordinal):
    """How heavy the distress in the post is."""

    MINIMAL = "minimal"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Risk(_Ordinal):
    """Risk of suicide or self-harm shown by the post, after the C-SSRS.

    A post that offers support to others is `none`.
    """

    NONE = "none"
    INDICATOR = "indicator"
    IDEATION = "ideation"
    BEHAVIOR = "behavior"
    ATTEMPT = "attempt"


class Level(_Ordinal):
    """Triage level, what a moderator sees, after the ReachOut scale.

    `unassessed` is no judgement: the post could not be read by the models and a person must look.
    It stands between `watch` and `urgent` so that a list sorted by level never buries it.
    """

    NONE = "none"
    WATCH = "watch"
    UNASSESSED = "unassessed"
    URGENT = "urgent"
    CRISIS = "crisis"


class Task(StrEnum):
    """What labelled posts are labelled for. Stress is judged in evaluation alone; no moderator sees it."""

    RELEVANCE = "relevance"
    DISORDERS = "disorders"
    SEVERITY = "severity"
    RISK = "risk"
    STRESS = "stress"
