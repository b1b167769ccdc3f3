"""How often Reddit may be asked: one budget for all calls of a process, shared by deliveries and reading.

Reddit allows 100 calls a minute and client id, averaged over ten minutes, and says in its answers what is left of them.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from bot.clock import Clock

# What reading leaves to deliveries (one alert takes two or three calls, so ten are room for several at once), and
# deliveries to reading: a flood of alerts must not hide the posts that come after it.
RESERVED_SHARE = 0.1
RESERVED_AT_LEAST = 2

_WINDOW_SECONDS = 60.0
_LONGEST_RESET_SECONDS = 600.0  # Reddit's own window
_LONGEST_PAUSE_SECONDS = 3600.0
_UNNAMED_PAUSE_SECONDS = 5.0
# A waiting call looks again this often, since another call's answer can change what it waits for ...
_LOOK_SECONDS = 0.25
# ... and never more often than this: a wait too small for the clock to show would never end.
_SHORTEST_LOOK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Allowance:
    """The budget at one moment: calls allowed a minute, those begun in the last one, and what Reddit says is left.

    `remaining` is None when Reddit has said nothing of its present window. `resumes_in_seconds` is the time until
    reading may go on, 0.0 when it may now.
    """

    per_minute: int
    used: int
    remaining: float | None
    resumes_in_seconds: float


class Budget:
    """Lets at most `per_minute` calls begin in any 60 seconds, however many tasks ask at once.

    Urgent calls (all that a delivery needs) go first; ordinary calls leave `reserved` of the budget untouched for them,
    a tenth and at least two if not given. So many ordinary calls in any 60 seconds begin however many urgent ones wait.
    Calls of one kind begin in the order in which they asked.
    """

    def __init__(self, clock: Clock, per_minute: int = 100, reserved: int | None = None) -> None:
        self.per_minute = per_minute
        self.reserved = max(RESERVED_AT_LEAST, int(per_minute * RESERVED_SHARE)) if reserved is None else reserved
        self._clock = clock
        self._begun: deque[tuple[float, bool]] = deque()  # when, and whether urgent
        self._remaining: float | None = None
        self._reset_at = 0.0
        self._paused_until = 0.0
        self._urgent_line, self._ordinary_line = asyncio.Lock(), asyncio.Lock()
        self._urgent_waiting = 0

    async def take(self, *, urgent: bool) -> None:
        """Waits until one call may begin, and counts it. Cancelled while it waits, it counts nothing."""
        self._urgent_waiting += urgent
        try:
            async with self._urgent_line if urgent else self._ordinary_line:
                while (seconds := self._wait_seconds(urgent)) > 0:
                    await self._clock.sleep(max(_SHORTEST_LOOK_SECONDS, min(seconds, _LOOK_SECONDS)))
                self._begun.append((self._clock.monotonic(), urgent))
                if self._remaining is not None:
                    self._remaining -= 1  # Reddit will say so itself, but only after others have begun
        finally:
            self._urgent_waiting -= urgent

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Learns from an answer's status and headers. A header that is no number is as good as none."""
        now = self._clock.monotonic()
        named = {name.lower(): value for name, value in headers.items()}
        remaining = _number(named.get("x-ratelimit-remaining"))
        reset = _number(named.get("x-ratelimit-reset"))
        if remaining is not None and reset is not None:
            self._remaining, self._reset_at = remaining, now + min(reset, _LONGEST_RESET_SECONDS)
        if status == 429:
            asked = _number(named.get("retry-after"))
            if asked is None:
                # The reset is a pause only where the window is used up; a 429 can have other reasons.
                used_up = reset is not None and (remaining is None or remaining < 1)
                asked = min(reset, _LONGEST_RESET_SECONDS) if reset and used_up else _UNNAMED_PAUSE_SECONDS
            self._paused_until = max(self._paused_until, now + min(asked, _LONGEST_PAUSE_SECONDS))

    def standing(self) -> Allowance:
        """The budget at this moment."""
        seconds = self._wait_seconds(urgent=False)
        left = None if self._remaining is None else max(0.0, self._remaining)
        return Allowance(self.per_minute, len(self._begun), left, seconds)

    def _wait_seconds(self, urgent: bool) -> float:
        now = self._clock.monotonic()
        self._forget(now)
        share_left = max(0, self.reserved - sum(not was_urgent for _, was_urgent in self._begun))
        # Urgent calls keep back what reading has not had of its share, and reading beyond its share their reserve.
        of_urgent, of_reading = share_left, 0 if share_left else self.reserved
        kept_back = of_urgent if urgent else of_reading
        until = self._paused_until
        if self._remaining is not None and (self._remaining < 1 or (not urgent and self._remaining <= self.reserved)):
            until = max(until, self._reset_at)
        over = len(self._begun) - (self.per_minute - kept_back)
        if over >= 0:
            until = max(until, self._begun[over][0] + _WINDOW_SECONDS)
        if self._urgent_waiting and not urgent and not share_left:
            until = max(until, now + _LOOK_SECONDS)
        return max(0.0, until - now)

    def _forget(self, now: float) -> None:
        while self._begun and self._begun[0][0] + _WINDOW_SECONDS <= now:
            self._begun.popleft()
        if now >= self._reset_at:
            self._remaining = None


def _number(value: str | None) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # None is a TypeError
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
