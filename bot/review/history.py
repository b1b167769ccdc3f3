"""What moderators did, as it can be read and taken along."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.store import Store
from bot.types import Review, ReviewAction
from models.labels import Level

_ROWS_AT_ONCE = 1000
_COLUMNS = ("number", "time_utc", "moderator", "action", "detail", "note", "post", "subreddit", "level")


@dataclass(frozen=True, slots=True)
class Event:
    """One act, and the case it was about."""

    number: int
    review: Review
    subreddit: str
    level: Level | None  # None for a notice about the bot itself


class History:
    """The events of some subreddits, the newest first. They are only ever added to."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def events(self, subreddits: Collection[str], before: int | None = None, limit: int = 50) -> list[Event]:
        """At most `limit` events with numbers below `before`, or the newest of all."""
        values = {"subreddits": json.dumps(sorted(subreddits)), "before": before, "limit": limit}
        return [_event(row) for row in await self._store.fetch("history", values)]

    async def as_csv(self, subreddits: Collection[str]) -> AsyncIterator[str]:
        """All of them as CSV (RFC 4180), in pieces, with a line of names first."""
        yield _lines([_COLUMNS])
        before = None
        while events := await self.events(subreddits, before, _ROWS_AT_ONCE):
            yield _lines([_cells(event) for event in events])
            before = events[-1].number


def _event(row: sqlite3.Row) -> Event:
    review = Review(
        post_id=row["post_id"],
        delivery_id=row["delivery_id"],
        action=ReviewAction(row["action"]),
        actor=row["actor"],
        at_utc=row["at_utc"],
        detail=row["detail"],
        note=row["note"],
    )
    return Event(row["id"], review, row["subreddit"], Level(row["level"]) if row["level"] else None)


def _cells(event: Event) -> tuple[str, ...]:
    review = event.review
    time = datetime.fromtimestamp(review.at_utc, UTC).isoformat(timespec="seconds")
    words = (
        review.actor,
        review.action,
        review.detail,
        review.note,
        review.post_id,
        event.subreddit,
        event.level or "",
    )
    return (str(event.number), time, *(_harmless(cell) for cell in words))


def _harmless(cell: str) -> str:
    """A spreadsheet takes a cell that begins so for a formula and runs it (OWASP: CSV injection)."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) else cell


def _lines(rows: list[tuple[str, ...]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
