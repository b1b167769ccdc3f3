"""Calls to a language model, so many a day (UTC); counted in the store, so that a restart forgets none."""

from __future__ import annotations

from contextvars import ContextVar

from bot.clock import Clock, date_of
from bot.store import Store
from models.errors import OverBudget

# The day on which this task counted its last call: midnight may come before the call turns out to be none.
_counted_on: ContextVar[str] = ContextVar("counted_on")


async def calls_today(store: Store, clock: Clock) -> int:
    """Calls that were made to a language model since midnight (UTC)."""
    rows = await store.fetch("llm_calls_of", {"day": _today(clock)})
    return rows[0]["calls"] if rows else 0


def _today(clock: Clock) -> str:
    return date_of(clock.now()).isoformat()


class DailyCalls:
    """What is left of the day's calls."""

    def __init__(self, store: Store, clock: Clock, most: int) -> None:
        self._store = store
        self._clock = clock
        self._most = most

    async def spend(self) -> None:
        """Counts a call that is about to be made. Raises OverBudget when the day has none left."""
        day = _today(self._clock)
        async with self._store.transaction():
            if not await self._store.execute("spend_llm_call", {"day": day, "most": self._most}):
                raise OverBudget(f"the {self._most} calls of [llm] budget_per_day are made")
        _counted_on.set(day)

    async def refund(self) -> None:
        """Takes back the call that this task counted last, on the day of which it was; it never reached the server."""
        async with self._store.transaction():
            await self._store.execute("refund_llm_call", {"day": _counted_on.get(_today(self._clock))})
