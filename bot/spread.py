"""How widely recommendations spread over many posts: advice that everybody gets tells nobody anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import islice

from bot.config import Team
from bot.judge import document_of, judge
from bot.recommendations import Counsel, Kind, counsel
from bot.resources import Catalogue
from bot.types import Post
from models.assessment import Classifier
from models.labels import Level

# No intervention may be named in a larger share of the posts that get any.
WIDEST = 0.4

_BATCH = 256


@dataclass(slots=True)
class Spread:
    """Counts over posts, never a text. A line is no intervention and is counted apart: every crisis must have one."""

    posts: int = 0
    advised: int = 0
    crises: int = 0
    crises_with_line_first: int = 0
    interventions: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)

    def add(self, level: Level, given: Counsel) -> None:
        """Counts one post."""
        self.posts += 1
        chosen = given.recommendations
        self.advised += bool(chosen)
        for each in chosen:
            (self.lines if each.kind is Kind.LINE else self.interventions)[each.id] += 1
        if level is Level.CRISIS:
            self.crises += 1
            self.crises_with_line_first += bool(chosen) and chosen[0].kind is Kind.LINE

    @property
    def widest(self) -> float:
        """The share of the advised posts in which the most frequent intervention is named; 0 when there are none."""
        return max(self.interventions.values(), default=0) / self.advised if self.advised else 0.0

    @property
    def is_fine(self) -> bool:
        """Whether no intervention is named too often and every crisis has its line first."""
        return self.widest <= WIDEST and self.crises == self.crises_with_line_first


def measure(
    posts: Iterable[Post], classifier: Classifier, team_of: Callable[[str], Team], catalogue: Catalogue, today: date
) -> Spread:
    """What would be recommended for each of the posts, counted. Flat in memory."""
    spread = Spread()
    coming = iter(posts)
    while batch := list(islice(coming, _BATCH)):
        for judgement in judge(batch, classifier, team_of):
            level = judgement.decision.level
            spread.add(level, counsel(document_of(judgement.post), judgement.assessment, level, catalogue, today))
    return spread
