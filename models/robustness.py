"""What should not change a judgement: how a post is spelled, decorated, and who it is about. Pure, text to text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

Change = Callable[[str], str]

_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|\Z)|(?<![.!?…])(?=\n|\Z)")
_EMOJIS = ("😢", "😭", "💔", "😔", "🥺", "😅", "😂", "🙏", "✨", "🌙")

# Words shorter than this are rarely mistyped, and a slip would make another word of them.
_SHORTEST_MISTYPED = 4

_LYRICS = """
The river took my lantern and the river took my name,
and I walked beneath the water till the water turned to flame.
Oh sing me down, you harbour bells, I have no more to say,
the night that came to hold me is the night that wants to stay.
"""


def mistype(text: str, seed: int, share: float = 0.1) -> str:
    """The text with a slip in about `share` of its longer words: two letters swapped, one doubled or one left out.

    The first letter stays. The same text and seed give the same slips.
    """
    rng = _rng(text, seed)

    def slip(match: re.Match[str]) -> str:
        word = match.group()
        if len(word) < _SHORTEST_MISTYPED or rng.random() >= share:
            return word
        at = int(rng.integers(1, len(word) - 1))
        kinds = (word[at + 1] + word[at], word[at] * 2 + word[at + 1], word[at + 1])
        return word[:at] + kinds[rng.integers(len(kinds))] + word[at + 2 :]

    return _WORD.sub(slip, text)


def shout(text: str) -> str:
    """The text in upper case."""
    return text.upper()


def add_emojis(text: str, seed: int, share: float = 0.3) -> str:
    """The text with an emoji after about `share` of its sentences, and one at its end."""
    rng = _rng(text, seed)

    def decorate(match: re.Match[str]) -> str:
        chosen = match.end() == len(text) or rng.random() < share
        return f"{match.group()} {_EMOJIS[rng.integers(len(_EMOJIS))]}" if chosen else match.group()

    return _SENTENCE_END.sub(decorate, text)


def paste_lyrics(text: str) -> str:
    """The text with four dark lines of a song, as a quotation, at its end."""
    quoted = "\n".join(f"> {line}" for line in _LYRICS.strip().splitlines())
    return f"{text}\n\n{quoted}"


def _rng(text: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "replace")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8]))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Words of two sides, each with its one partner on the other: who a post is about, or how it is spelled.

    `name` says what differs, `first` and `second` what the sides are. Capitals stay as they are.
    """

    name: str
    first: str
    second: str
    to_first: Mapping[str, str]
    to_second: Mapping[str, str]
    _words: re.Pattern[str]

    @classmethod
    def read(cls, name: str, first: str, second: str, pairs: str) -> Pairs:
        """Pairs written as `man/woman boy/girl`, with `_` for a space in one of several words.

        Raises ValueError when a word stands in two pairs: swapping twice would not give the text back.
        """
        written = (pair.replace("_", " ").partition("/") for pair in pairs.split())
        partners = [(one, other) for one, _, other in written]
        words = sorted((word for pair in partners for word in pair), key=len, reverse=True)
        if len(set(words)) != len(words):
            raise ValueError(f"{name}: a word stands in two pairs")
        to_second = MappingProxyType(dict(partners))
        to_first = MappingProxyType({other: one for one, other in partners})
        return cls(name, first, second, to_first, to_second, re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE))

    def speaks_of(self, text: str) -> bool:
        """Whether a word of either side is in the text."""
        return self.all_first(text) != text or self.all_second(text) != text

    def swap(self, text: str) -> str:
        """The text with every word in place of its partner; twice gives the text back."""
        return self._replace(text, {**self.to_first, **self.to_second})

    def all_first(self, text: str) -> str:
        """The text with words of the first side alone."""
        return self._replace(text, self.to_first)

    def all_second(self, text: str) -> str:
        """The text with words of the second side alone."""
        return self._replace(text, self.to_second)

    def _replace(self, text: str, partners: Mapping[str, str]) -> str:
        def partner(match: re.Match[str]) -> str:
            word = match.group()
            other = partners.get(word.lower(), "")
            for style in (str.lower, str.upper, str.capitalize):
                if other and word == style(word):
                    return style(other)
            return word  # not one of these, or in capitals that its partner could not wear

        return self._words.sub(partner, text)


# "his", "him" and "her" are left alone, as no pairs of single words swap them both ways; so are words that are mostly
# about something else: "old" about any age, "senior" and "youth" about school, "straight" about days and thoughts.
IDENTITIES = (
    Pairs.read(
        "gender",
        "male",
        "female",
        "he/she himself/herself man/woman men/women boy/girl boys/girls guy/gal guys/gals male/female males/females "
        "husband/wife husbands/wives boyfriend/girlfriend boyfriends/girlfriends father/mother fathers/mothers dad/mom "
        "dads/moms daddy/mommy son/daughter sons/daughters brother/sister brothers/sisters uncle/aunt "
        "uncles/aunts nephew/niece grandfather/grandmother grandpa/grandma grandson/granddaughter stepdad/stepmom "
        "son-in-law/daughter-in-law "
        "stepfather/stepmother father-in-law/mother-in-law fiance/fiancee widower/widow mr/mrs sir/madam "
        "masculine/feminine bro/sis",
    ),
    Pairs.read(
        "age",
        "young",
        "old",
        "younger/older youngest/oldest teen/pensioner teens/pensioners teenager/retiree teenagers/retirees "
        "teenage/elderly adolescent/septuagenarian grandson/grandfather granddaughter/grandmother "
        "grandchild/grandparent grandchildren/grandparents",
    ),
    Pairs.read(
        "religion",
        "christian",
        "muslim",
        "christian/muslim christians/muslims christianity/islam church/mosque churches/mosques bible/quran "
        "priest/imam priests/imams pastor/mufti jesus/muhammad god/allah easter/eid catholic/sunni "
        "protestant/shia baptist/sufi",
    ),
    Pairs.read(
        "orientation",
        "straight",
        "gay",
        "straight_man/gay_man straight_men/gay_men straight_woman/gay_woman straight_women/gay_women "
        "straight_guy/gay_guy straight_guys/gay_guys straight_girl/gay_girl straight_girls/gay_girls "
        "straight_boy/gay_boy straight_boys/gay_boys straight_male/gay_male straight_males/gay_males "
        "straight_female/gay_female straight_females/gay_females straight_person/gay_person "
        "straight_people/gay_people straight_friend/gay_friend straight_friends/gay_friends "
        "straight_couple/gay_couple straight_couples/gay_couples "
        "heterosexual/homosexual hetero/homo heterosexuals/homosexuals straights/gays "
        "heterosexuality/homosexuality cishet/queer",
    ),
)
SPELLINGS = Pairs.read(
    "spelling",
    "American",
    "British",
    "mom/mum moms/mums mommy/mummy color/colour colors/colours favorite/favourite favorites/favourites "
    "behavior/behaviour behaviors/behaviours behavioral/behavioural neighbor/neighbour neighbors/neighbours "
    "honor/honour humor/humour labor/labour rumor/rumour flavor/flavour center/centre centers/centres theater/theatre "
    "meter/metre realize/realise realized/realised realizes/realises realizing/realising apologize/apologise "
    "apologized/apologised apologizing/apologising recognize/recognise recognized/recognised organize/organise "
    "organized/organised hospitalized/hospitalised hospitalization/hospitalisation traumatized/traumatised "
    "traumatizing/traumatising stigmatized/stigmatised fantasize/fantasise fantasizing/fantasising "
    "socialize/socialise socializing/socialising medicalize/medicalise analyze/analyse analyzed/analysed "
    "paralyzed/paralysed counselor/counsellor counselors/counsellors counseling/counselling canceled/cancelled "
    "traveling/travelling traveled/travelled defense/defence offense/offence license/licence gray/grey "
    "pajamas/pyjamas math/maths anesthesia/anaesthesia pediatrician/paediatrician skeptical/sceptical "
    "fulfill/fulfil enroll/enrol jewelry/jewellery program/programme programs/programmes "
    "learned/learnt dreamed/dreamt burned/burnt leaped/leapt",
)


def noises(seed: int) -> Mapping[str, Change]:
    """The changes that any post can undergo, by their name."""
    return {
        "spelling noise": lambda text: mistype(text, seed),
        "upper case": shout,
        "emoji added": lambda text: add_emojis(text, seed),
        "lyrics pasted": paste_lyrics,
    }
