"""What waits for a moderator, by level."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.clock import Clock
from bot.review.case import Claim, reasons_of
from bot.review.desk import LEVELS
from bot.store import Store
from models.labels import Level

# A count this old, in seconds, is new enough for whoever only watches it.
_FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many cases of a level nobody has settled, and since when the oldest and the newest wait (None: none does)."""

    level: Level
    count: int = 0
    oldest_utc: float | None = None
    newest_utc: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the queue. No word of the post is in it: nobody reads one unprepared."""

    post_id: str
    subreddit: str
    level: Level
    why: str
    since_utc: float
    claim: Claim | None
    escalated_by: str | None


class Queue:
    """The open cases of some subreddits: those that a moderator passed on first, then the oldest first."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counted: Sequence[sqlite3.Row] = ()
        self._counted_at = float("-inf")

    async def waiting(self, subreddits: Collection[str]) -> list[Waiting]:
        """Every level at which cases can wait, the highest first."""
        return _summed(await self._store.fetch("count_open_cases"), subreddits)

    async def set_aside(self, subreddits: Collection[str]) -> int:
        """How many gaps and dead letters wait for somebody."""
        (row,) = await self._store.fetch("count_set_aside", {"subreddits": json.dumps(sorted(subreddits))})
        count: int = row["n"]
        return count

    async def watched(self, subreddits: Collection[str]) -> list[Waiting]:
        """The same, at most two seconds old: however many pages watch it, the store is asked once for all."""
        if self._clock.monotonic() - self._counted_at > _FRESH_SECONDS:
            self._counted_at = self._clock.monotonic()
            self._counted = await self._store.fetch("count_open_cases")
        return _summed(self._counted, subreddits)

    async def entries(
        self, level: Level, subreddits: Collection[str], *, holder: str | None = None, limit: int = 20, offset: int = 0
    ) -> list[Entry]:
        """Some cases of a level; only those that `holder` has in hand if one is named."""
        now = self._clock.now()
        values = {"level": level, "subreddits": json.dumps(sorted(subreddits)), "limit": limit, "offset": offset}
        if holder is None:
            rows = await self._store.fetch("open_cases", values)
        else:
            rows = await self._store.fetch("cases_in_hand", {**values, "holder": holder, "now": now})
        return [_entry(row, now) for row in rows]


def _summed(rows: Sequence[sqlite3.Row], subreddits: Collection[str]) -> list[Waiting]:
    found = []
    for level in LEVELS:
        own = [row for row in rows if row["level"] == level and row["subreddit"].casefold() in subreddits]
        oldest = min((row["oldest_utc"] for row in own), default=None)
        newest = max((row["newest_utc"] for row in own), default=None)
        found.append(Waiting(level, sum(row["n"] for row in own), oldest, newest))
    return found


def _entry(row: sqlite3.Row, now: float) -> Entry:
    reasons = reasons_of(row)
    return Entry(
        post_id=row["id"],
        subreddit=row["subreddit"],
        level=Level(row["level"]),
        why=reasons[0].words if reasons else "",
        since_utc=row["judged_utc"],
        claim=Claim.of(row, now),
        escalated_by=row["escalated_by"],
    )
