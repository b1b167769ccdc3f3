"""Moderators' words on what posts really are, as labels beside the probabilities that the models gave.

Labels and numbers, no words: they outlive the posts. They set bounds and measure; no model is trained on them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.deployment import ALERTING, Stream
from bot.record import assessment_of
from bot.store import Store
from models.judged import Floats, Scores
from models.labels import Level

_EVER = 4e9
_ALL = 1_000_000

Ints = NDArray[np.int64]
NOT_MARKED = -1


@dataclass(frozen=True, slots=True)
class Judged:
    """Posts as they were judged; every field has a row for each, the newest first.

    `decided` and `said` are ranks of `Level`: what the bot decided, and what a moderator said, `NOT_MARKED` where
    nobody did. `judged_utc` is seconds since the epoch.
    """

    ids: tuple[str, ...]
    judged_utc: Floats
    decided: Ints
    said: Ints
    scores: Scores

    @property
    def marked(self) -> NDArray[np.bool_]:
        """Which rows a moderator said something about."""
        return np.asarray(self.said != NOT_MARKED)

    @property
    def at_risk(self) -> NDArray[np.bool_]:
        """Which rows a moderator said need somebody today or sooner."""
        return np.asarray(self.said >= min(level.rank for level in ALERTING))

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Which rows were cases of which nobody said what they really are, whatever was done about them."""
        return np.asarray(~self.marked & (self.decided > Level.NONE.rank))

    def stream(self) -> Stream:
        """All of them as the stream that they are. A post that was no case is ordinary unless somebody denies it."""
        nothing = np.zeros(len(self.ids), dtype=bool)
        kinds = np.array([f"decided as {list(Level)[rank]}" for rank in self.decided])
        ordinary = ~self.at_risk & ~self.unknown
        return Stream(self.scores, np.array(self.ids), kinds, self.at_risk, ordinary, nothing, nothing, self.unknown)

    @property
    def a_day(self) -> float:
        """How many posts were judged a day, from the first to the last."""
        return len(self.ids) / max(1.0, float(self.judged_utc.max() - self.judged_utc.min()) / 86_400)

    @property
    def share(self) -> float:
        """How much of the stream is at risk, as far as moderators said so."""
        return float(self.at_risk.mean())


async def read_judged(
    store: Store,
    subreddits: Collection[str] | None = None,
    after_utc: float = 0.0,
    until_utc: float = _EVER,
    limit: int = _ALL,
) -> list[sqlite3.Row]:
    """Rows for `judged`, which takes long for many and is best called in a thread of its own."""
    values = {
        "subreddits": None if subreddits is None else json.dumps(sorted(subreddits)),
        "after_utc": after_utc,
        "until_utc": until_utc,
        "limit": limit,
    }
    return await store.fetch("judged_between", values)


def judged(rows: Sequence[sqlite3.Row]) -> Judged | None:
    """What rows of `read_judged` say, but for posts the models did not read; None when none is left."""
    read = [(row, assessment) for row in rows if (assessment := assessment_of(json.loads(row["record"]))) is not None]
    if not read:
        return None
    return Judged(
        ids=tuple(row["id"] for row, _ in read),
        judged_utc=np.array([row["judged_utc"] for row, _ in read]),
        decided=np.array([Level(row["level"]).rank for row, _ in read]),
        said=np.array([Level(row["said"]).rank if row["said"] else NOT_MARKED for row, _ in read]),
        scores=Scores.of([assessment for _, assessment in read]),
    )
