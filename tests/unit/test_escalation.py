"""Who is told next of a crisis that nobody takes up."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.escalation import Told, next_channel

CHANNELS = ("discord", "phone", "mail")
QUARTER = 900.0


def test_the_next_one_after_so_long_and_then_from_the_beginning() -> None:
    """Discord, telephone, mail, Discord: each a quarter of an hour after the one before, and not a second sooner."""
    told = [Told("discord", 0.0)]
    for name in ("phone", "mail", "discord", "phone"):
        over = told[-1].at_utc + QUARTER
        assert next_channel(CHANNELS, told, over - 1, QUARTER) is None
        assert next_channel(CHANNELS, told, over, QUARTER) == name
        told.append(Told(name, over))


def test_a_channel_that_fails_is_not_waited_for() -> None:
    """The next one is told at once; once all have failed, the time is kept, so that there is no tight loop."""
    told = [Told("discord", 0.0, dead=True)]
    assert next_channel(CHANNELS, told, 1.0, QUARTER) == "phone"
    told += [Told("phone", 1.0, dead=True)]
    assert next_channel(CHANNELS, told, 2.0, QUARTER) == "mail"
    told += [Told("mail", 2.0, dead=True)]
    assert next_channel(CHANNELS, told, 3.0, QUARTER) is None
    assert next_channel(CHANNELS, told, 2.0 + QUARTER, QUARTER) == "discord"


def test_one_channel_is_reminded() -> None:
    """With nobody else to tell, it is told again, whether it works or not, and only when it is time."""
    for dead in (False, True):
        assert next_channel(("discord",), [Told("discord", 0.0, dead)], QUARTER - 1, QUARTER) is None
        assert next_channel(("discord",), [Told("discord", 0.0, dead)], QUARTER, QUARTER) == "discord"


def test_nothing_to_go_on_with() -> None:
    """Without channels, or before the first message, nobody is told."""
    assert next_channel((), [Told("discord", 0.0)], 1e9, QUARTER) is None
    assert next_channel(CHANNELS, [], 1e9, QUARTER) is None


def test_a_channel_that_the_team_took_away_is_followed_by_the_first() -> None:
    """Settings may change between two steps."""
    assert next_channel(CHANNELS, [Told("pager", 0.0)], QUARTER, QUARTER) == "discord"


def test_a_message_from_the_future_holds_nothing_up() -> None:
    """A clock that was ahead when it was written down delays nobody."""
    assert next_channel(CHANNELS, [Told("discord", 1e9)], 0.0, QUARTER) == "phone"


@given(st.integers(1, 4), st.lists(st.booleans(), min_size=1, max_size=40))
def test_it_goes_on_and_never_in_a_rush(count: int, fates: list[bool]) -> None:
    """Whatever fails: somebody is told within a quarter of an hour, and what fails is not tried more often."""
    channels = [f"c{number}" for number in range(count)]
    told = [Told(channels[0], 0.0, fates[0])]
    for dead in fates[1:]:
        now = told[-1].at_utc
        name = next_channel(channels, told, now + 1, QUARTER)
        at_utc = now + 1
        if name is None:
            at_utc, name = now + QUARTER, next_channel(channels, told, now + QUARTER, QUARTER)
        assert name is not None
        told.append(Told(name, at_utc, dead))
    for name in channels:
        dead = [each.at_utc for each in told if each.channel == name and each.dead]
        assert all(later - earlier >= QUARTER for earlier, later in pairwise(dead)) or count == 1
