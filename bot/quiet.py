"""Quiet hours: when a message that can wait does not ring anybody's telephone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` until before `end` on the clocks of a place, every day; past midnight when `end` is the earlier."""

    start: time
    end: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, hours: str, zone: str) -> Self:
        """From words such as "22:00-07:00" and "Europe/Dublin". Raises ValueError when they mean nothing."""
        said = _HOURS.fullmatch(hours)
        if said is None:
            raise ValueError('quiet_hours must look like "22:00-07:00"')
        start, end = time(int(said[1]), int(said[2])), time(int(said[3]), int(said[4]))
        if start == end:
            raise ValueError("quiet_hours begin when they end")
        try:
            return cls(start, end, ZoneInfo(zone))
        except (OSError, ValueError, LookupError) as error:
            raise ValueError(f"quiet_zone: there is no time zone {zone!r}") from error

    def until(self, now: float) -> float | None:
        """When the quiet that reigns at `now` ends, both in seconds since the epoch; None when there is none.

        Always after `now`, and at most 25 hours later: where the clocks are set back, a day has so many.
        """
        here = datetime.fromtimestamp(now, self.zone)
        if not self._is_quiet(here.time()):
            return None
        # The hour at which clocks are set back comes twice (`fold`); one that they skip ends where they go on.
        ends = (
            datetime.combine(here.date() + timedelta(days=days), self.end, self.zone).replace(fold=fold).timestamp()
            for days in (0, 1)
            for fold in (0, 1)
        )
        return min(end for end in ends if end > now)

    def _is_quiet(self, clock: time) -> bool:
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end
