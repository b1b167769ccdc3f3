"""Notices to moderators about the bot itself, and a moderator's question to the others."""

from __future__ import annotations

from bot.notices import (
    dead_reply_notice,
    gap_notice,
    question_notice,
    refusal_notice,
    silent_channel_notice,
    stall_notice,
)
from bot.types import Delivery, DeliveryKind, DeliveryState, Post
from models.labels import Level

SUBREDDIT, CHANNEL = "s" * 21, "c" * 30
ID = "z" * 13  # any number of 64 bits in Reddit's letters
DELIVERY = Delivery(
    1_000_000,
    ID,
    SUBREDDIT,
    DeliveryKind.REPLY,
    DeliveryState.DEAD,
    Level.UNASSESSED,
    "",
    "",
    0.0,
    0.0,
    0.0,
    10_000,
    channel=CHANNEL,
)


def test_every_subject_fits_whatever_the_names_are() -> None:
    """Reddit takes a hundred characters: a longer one would never be told, and here everything is as long as may be."""
    why = "w" * 500
    notices = [
        gap_notice(SUBREDDIT, 0.0, 1.0),
        refusal_notice(SUBREDDIT, why, 0.0),
        stall_notice(SUBREDDIT, 0.0),
        dead_reply_notice(DELIVERY, why, 0.0),
        silent_channel_notice(DELIVERY, why, 0.0),
        question_notice(Post(ID, SUBREDDIT, None, "t" * 300, "", 0.0, ""), 0.0),
    ]
    assert [each.subject for each in notices if len(each.subject) > 100] == []
