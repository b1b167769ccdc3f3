"""The words of replies, as records that expire."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from bot.check import check
from bot.config import Config, Secrets, Team
from bot.replies import compose_reply
from bot.resources import Catalogue, NoVettedWords
from bot.types import Decision, Post
from bot.wording import ENGLISH, LANGUAGES, best, wording
from models.labels import Level
from models.rules import Rules

CATALOGUE = Catalogue.load()
POST = Post("abc", "testsub", "someone", "a title", "a body", 0.0, "")


def reply(today: date, language: str | None = None, catalogue: Catalogue = CATALOGUE) -> str:
    return compose_reply(POST, Decision(Level.CRISIS, (), ()), Team(), catalogue, today, language)


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != ENGLISH])
def test_words_that_expired_give_way_to_english(language: str) -> None:
    """From the day on that the file names, a post in that language is answered in English; the day before it is not."""
    day = wording(language).expires_on
    assert best(language, day - timedelta(days=1)) == language
    assert best(language, day) == ENGLISH
    assert wording(language).crisis.opening in reply(day - timedelta(days=1), language)
    assert reply(day, language) == reply(day)


def test_words_that_nobody_reviewed_are_not_printed() -> None:
    """A draft waits in its file, whatever its dates."""
    words = wording(ENGLISH)
    assert words.printable(words.verified_on)
    assert not words.model_copy(update={"review": "draft"}).printable(words.verified_on)


def test_without_english_words_nothing_is_said() -> None:
    """There is nothing to fall back to, so no reply is made, also where the catalogue may be printed longer."""
    day = wording(ENGLISH).expires_on
    longer = tuple(each.model_copy(update={"expires_on": date.max}) for each in CATALOGUE.directory)
    catalogue = CATALOGUE.model_copy(update={"directory": longer})
    assert "findahelpline" in reply(day - timedelta(days=1), catalogue=catalogue)
    for language in LANGUAGES:
        with pytest.raises(NoVettedWords, match="the words of replies have expired"):
            reply(day, language, catalogue)


async def test_the_check_names_words_that_have_expired() -> None:
    """A team hears of it before its readers do, beside the records of the catalogue."""
    day = wording("es").expires_on
    (found,) = [each async for each in check(Config(), Secrets(), Rules, day) if each.name == "catalogue"]
    assert not found.fine
    assert "words in Spanish" in found.words
    assert "words in English" not in found.words
