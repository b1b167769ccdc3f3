"""What a post shows that makes some advice the wrong one.

Read for one purpose, to leave advice out: a word too many costs a post one record of many, one too few may do harm. So
words count as they stand, whoever says them of whom.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from bot.resources import Audience, Circumstance
from bot.statements import Statements
from models.labels import Disorder


def circumstances(text: str, stated: Statements, about: Collection[Disorder]) -> Iterator[Circumstance]:
    """What is so in a text that states this and may be about these topics, in time linear in its length.

    Whether somebody is in danger is not told from words alone, and not here. Never raises for what is in a text.
    """
    text = text.replace("’", "'")
    if Audience.DOMESTIC_VIOLENCE in stated.audiences:
        yield Circumstance.VIOLENCE
    if Disorder.EATING_DISORDER in about or Audience.EATING_DISORDERS in stated.audiences:
        yield Circumstance.EATING
    if Disorder.BIPOLAR in about and _SLEEPS_LITTLE.search(text):
        yield Circumstance.HIGH
    yield from (circumstance for circumstance, words in _WORDS.items() if words.search(text))


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)


# Nights that somebody who knows highs may not even miss; who cannot sleep lies awake and wants to.
_SLEEPS_LITTLE = _any(
    r"(?:no|zero|without|hardly any|barely any|almost no|little|hours? of) sleep",
    r"(?:haven't|havent|hadn't|didn't|don't|dont|(?<!can )not|barely|hardly) (?:\w+ )?(?:slept|sleep|sleeping)",
    r"(?:awake|up) (?:all night|(?:for )?(?:\w+ ){0,2}(?:days|nights))",
    r"stopped sleeping",
)

_DRINK = r"drink\w*|drank|drunk|alcohol\w*|booze|liquor|vodka|whiske?y|wine|beers?|gin|rum|bottles?"
_DAILY = (
    r"every ?(?:single )?(?:day|night|morning|evening)|each (?:day|night)|most (?:days|nights)|daily|nightly|all day|"
    r"in the mornings?|before (?:noon|work)"
)
_NEAR = r"\b[^.!?\n]{0,80}?\b"

_WORDS: Mapping[Circumstance, re.Pattern[str]] = {
    Circumstance.HIGH: _any(
        r"(?:don't|dont|do not|hardly|barely|didn't) (?:even )?need (?:to |any |much |the )?sleep",
        r"no need (?:for|to) sleep",
        r"never felt (?:better|more alive|so (?:good|alive|great))",
        r"feel(?:ing)? (?:amazing|invincible|unstoppable|euphoric|like (?:an? )?god|on top of the world)",
        r"(?:have|had|having|got|full of|with) (?:so much|endless|all this|unlimited) energy",
        r"(?:i'm|im|i am|been|feeling|going|is) (?:so |very |really |fully )?(?:hypo)?manic",
        r"(?:hypo)?manic (?:again|episode|right now)",
    ),
    Circumstance.FAINTS: _any(
        r"faint(?:ed|ing)",
        r"(?:i|to|almost|nearly|might|will|feel(?:ing)?) faint",
        r"(?:pass|black)(?:ed|es|ing)? out",
        r"collaps(?:e|es|ed|ing)",
        r"chest (?:pains?|hurts|is hurting)",
        r"pains? in (?:my|the) (?:chest|left arm)",
        r"(?:can't|cant|cannot|not|couldn't) keep (?:\w+ )?down|keep(?:ing)? nothing down",
        r"(?:cough|vomit|throw|spit)\w* (?:up )?blood|threw up blood",
    ),
    Circumstance.LOSS: _any(
        r"died|dead|stillb\w+|miscarr\w+|ectopic|no heartbeat|passed away|funeral|buried|terminat\w+|abortion",
        r"(?:lost|losing|loss of) (?:the |my |our |a |an |her |him |this |another )?(?:\w+ )?"
        r"(?:bab(?:y|ies)|pregnancy|pregnancies|twins?|child|son|daughter)",
        r"lost (?:her|him|them|it) at (?:\w+ )?(?:weeks?|\d\d?|birth)",
    ),
    Circumstance.DRINKS_DAILY: _any(
        rf"(?:{_DRINK}){_NEAR}(?:{_DAILY})",
        rf"(?:{_DAILY}){_NEAR}(?:{_DRINK})",
        r"alcoholic",
        r"withdrawals?|the shakes",
    ),
}
