"""What a post shows that makes some advice the wrong one.

Read for one purpose, to leave advice out: a word too many costs a post one record of many, one too few may do harm. So
words count as they stand, whoever says them of whom.
"""

from __future__ import annotations

from collections.abc import Iterator

from bot.resources import Audience, Circumstance
from bot.statements import Statements


def circumstances(stated: Statements) -> Iterator[Circumstance]:
    """What is so in the post that states this. Never raises for what is in it."""
    if Audience.DOMESTIC_VIOLENCE in stated.audiences:
        yield Circumstance.VIOLENCE
