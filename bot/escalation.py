"""A crisis that nobody takes up: which chat channel is told next, and when; and how messages are numbered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """A message about a crisis: its channel, when it was written down (seconds since the epoch), whether it is dead."""

    channel: str
    at_utc: float
    dead: bool = False


def next_channel(channels: Sequence[str], told: Sequence[Told], now: float, escalate_seconds: float) -> str | None:
    """The channel to tell at `now`; None when it is not time, or there is nothing to go on with.

    `channels` are the team's, in order, and `told` every message so far, oldest first. The next channel is due
    `escalate_seconds` after the last message, sent or not, and after the last channel comes the first again. When the
    last message is dead the next channel is due at once, unless its own last message is dead too.
    """
    if not channels or not told:
        return None
    last = told[-1]
    place = channels.index(last.channel) + 1 if last.channel in channels else 0
    following = channels[place % len(channels)]
    # A message from the future was written down by a clock that was wrong: it holds nothing up.
    if not 0 <= now - last.at_utc < escalate_seconds:
        return following
    before = [each for each in told if each.channel == following]
    return following if last.dead and not (before and before[-1].dead) else None


# The alerts about a post are its steps 0, 1, 2, ... What else moderators are told of it has steps below 0: odd ones for
# all-clears, even ones for questions.


def all_clear_step(last: int) -> int:
    """The step of the message that somebody has a crisis, after the alert of the step `last` (from 0)."""
    return -1 - 2 * last


def question_step(number: int) -> int:
    """The step of a moderator's question to the others; `number` tells those about one post apart, from 0."""
    return -2 - 2 * number
