"""Quiet hours: across midnight, and where clocks are changed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.quiet import QuietHours

DUBLIN = "Europe/Dublin"


def at(words: str, zone: str = DUBLIN, fold: int = 0) -> float:
    """Seconds since the epoch at a moment on the clocks of a place."""
    return datetime.fromisoformat(words).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-10 21:59:59", None),
        ("2026-01-10 22:00:00", "2026-01-11 07:00"),
        ("2026-01-10 23:59:59", "2026-01-11 07:00"),
        ("2026-01-11 00:00:00", "2026-01-11 07:00"),
        ("2026-01-11 06:59:59", "2026-01-11 07:00"),
        ("2026-01-11 07:00:00", None),
        ("2026-01-11 12:00:00", None),
    ],
)
def test_a_night_goes_past_midnight(now: str, until: str | None) -> None:
    """From ten to seven: the last second before it and the first after it are not quiet."""
    quiet = QuietHours.parse("22:00-07:00", DUBLIN)
    assert quiet.until(at(now)) == (at(until) if until else None)


def test_hours_of_one_day() -> None:
    """A siesta ends on the same day."""
    quiet = QuietHours.parse("13:00-15:30", "Europe/Madrid")
    assert quiet.until(at("2026-07-01 14:00", "Europe/Madrid")) == at("2026-07-01 15:30", "Europe/Madrid")
    assert quiet.until(at("2026-07-01 15:30", "Europe/Madrid")) is None


def test_a_night_in_which_clocks_are_changed() -> None:
    """It ends at seven on the clocks of the place: an hour earlier in spring, an hour later in autumn."""
    quiet = QuietHours.parse("22:00-07:00", DUBLIN)
    spring, autumn = at("2026-03-28 22:00"), at("2026-10-24 22:00")
    assert (quiet.until(spring), quiet.until(autumn)) == (spring + 8 * 3600, autumn + 10 * 3600)


def test_an_end_that_comes_twice_or_never() -> None:
    """Clocks that are set back strike half past one twice: quiet ends at the first, and the second ends it again."""
    quiet = QuietHours.parse("22:00-01:30", DUBLIN)
    assert quiet.until(at("2026-10-25 01:15")) == at("2026-10-25 01:30")
    assert quiet.until(at("2026-10-25 01:15", fold=1)) == at("2026-10-25 01:30", fold=1)
    # In spring they go from one to two: half past one is half past two.
    assert quiet.until(at("2026-03-29 00:59")) == at("2026-03-29 02:30")


TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda clock: f"{clock[0]:02}:{clock[1]:02}")
ZONES = st.sampled_from(["UTC", DUBLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"])


@given(TIMES, TIMES, ZONES, st.floats(1.7e9, 1.9e9))
def test_quiet_always_ends(start: str, end: str, zone: str, now: float) -> None:
    """Within 25 hours, and then it is over."""
    if start == end:
        return
    quiet = QuietHours.parse(f"{start}-{end}", zone)
    until = quiet.until(now)
    if until is not None:
        assert now < until <= now + 25 * 3600
        assert quiet.until(until) is None


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        ("22-7", "UTC"),
        ("24:00-07:00", "UTC"),
        ("22:00-22:00", "UTC"),
        ("22:00-07:00\n", "UTC"),
        ("22:00-07:00", "Europe/Nowhere"),
        ("22:00-07:00", "../etc/passwd"),
        ("22:00-07:00", ""),
        ("22:00-07:00", "Europe"),
    ],
)
def test_nonsense_is_an_error(hours: str, zone: str) -> None:
    """Neither hours nor places are guessed."""
    with pytest.raises(ValueError, match="quiet_"):
        QuietHours.parse(hours, zone)
