"""Time, passed in so that a test or a replay can hold it still."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime
from typing import Protocol


def timestamp(utc: float) -> str:
    """Seconds since the epoch as a person reads them: date and time in UTC."""
    return f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%d %H:%M:%S} UTC"


def date_of(utc: float) -> date:
    """The day in UTC in which a moment (seconds since the epoch) lies."""
    return datetime.fromtimestamp(utc, UTC).date()


class Clock(Protocol):
    """Wall-clock seconds since the epoch, seconds that never jump, and a way to wait."""

    def now(self) -> float:
        """Seconds since the epoch. May jump: the machine's time can be set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment in the past; only ever goes forward."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits so many seconds."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits until the event is set, at most so many seconds; whether it is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment in the past; only ever goes forward."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits so many seconds."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits until the event is set, at most so many seconds; whether it is set."""
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return event.is_set()
