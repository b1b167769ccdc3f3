"""The rules that every word to an author keeps, and the check that holds a text to them.

docs/safe-messaging.md gives each rule its reason and its source. What a rule forbids or asks for in a language stands
in that language's file in bot/wording/.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

from bot.wording import ENGLISH, Never, wording

LONGEST_REPLY = 1500  # exclusive, in characters

# A school grade of 6 is an age of 11 to 12.
_HIGHEST_GRADE = 6.0
# For languages that the grade was not made for, in words on average.
_LONGEST_SENTENCE = 16.0


class Rule(StrEnum):
    """One rule, as a moderator reads it."""

    DIAGNOSIS = "no diagnosis"
    CLAIM = "no claim about the author"
    PROMISE = "no promise"
    GUILT = "no guilt and no orders"
    METHOD = "no method"
    PERSON = "no pretending to be a person"
    QUESTION = "no question"
    USER = "no user named"
    LINK = "links in full, by https, never shortened"
    HIDDEN = "no hidden characters, no letters of two scripts in a word"
    NUMBER = "no number that is not in the catalogue"
    LENGTH = "fewer than 1,500 characters"
    READING = "easy to read at twelve"
    BOT = "says that it is a bot and who runs it"
    OPT_OUT = "has a link to opt out"
    EMERGENCY = "names the emergency number, in words"
    HELP = "names somewhere to turn"
    EXPIRED = "nothing of the catalogue that may not be printed today"
    LANGUAGE = "words of your own in a file that names their language"
    TEMPLATE = "a template that can be rendered"


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a text breaks, and what in it does; empty where something is missing."""

    rule: Rule
    found: str = ""

    def __str__(self) -> str:
        return f"breaks the rule “{self.rule}”" + (f": “{self.found}”" if self.found else "")


def lint(
    text: str, language: str = ENGLISH, lines: Collection[str] = (), directory: str = "", opt_out: str = ""
) -> list[Breach]:
    """What a whole reply breaks; empty when it keeps every rule.

    `lines` are the crisis lines in it, as they were put into words from the catalogue: what stands in those is vetted
    there. `directory` and `opt_out` are the addresses that it may name as help, beside a line, and as the way out.
    """
    own = text
    for line in lines:
        own = own.replace(line, "")
    breaches = lint_words(own, language)
    if len(text) >= LONGEST_REPLY:
        breaches.append(Breach(Rule.LENGTH, f"{len(text):,}"))
    if (hard := _hard_to_read(own, language)) is not None:
        breaches.append(Breach(Rule.READING, hard))
    shown = _SHOWN_TO_NOBODY.sub("", text)
    return breaches + [Breach(rule) for rule in _missing(shown, language, lines, directory, opt_out)]


def lint_words(text: str, language: str = ENGLISH) -> list[Breach]:
    """What some words break that may be only a part of a reply: the first thing found for each rule.

    They are held to the rules of their own language and to those of English, and looked at as a reader sees them: no
    line break, link, emphasis, quote, full-width letter or hidden character keeps two words apart.
    """
    return list(_breaches(text, language))


@lru_cache(maxsize=256)  # replies differ in their lines, which are taken out, more than in their own words
def _breaches(text: str, language: str) -> tuple[Breach, ...]:
    text = html.unescape(text)  # Markdown shows an entity as the letter it stands for
    found = {rule: match.group() for rule, match in _found(text, language)}
    if hidden := next(filter(_is_hidden, text), None):
        found[Rule.HIDDEN] = unicodedata.name(hidden, f"U+{ord(hidden):04X}")
    return tuple(Breach(rule, " ".join(found[rule].split())) for rule in Rule if rule in found)


_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol by their category, that show nothing


def _is_hidden(character: str) -> bool:
    if character in _BLANK_LETTERS:
        return True
    return not character.isprintable() and character != "\n" and unicodedata.category(character) != "Zs"


# Addresses and the names of subreddits: a community may well be called r/depression.
_NAMES = re.compile(r"https://[^\s()]+|(?<!\w)r/\w+")
_QUOTES = str.maketrans(dict.fromkeys("‘’‛ʼ′´", "'") | dict.fromkeys('“”„‟«»‹›"', ""))
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
# Signs for a quote, a heading or a list, and those for emphasis.
_SIGNS = r"^[ \t]*(?:[>#+-]+|\d{1,2}[.)])[ \t]|>!|!<|!(?=\[)|[\[\]*_`~^\\]"
# What Markdown hides: those, where a link goes, and most numbers of a list.
_UNSEEN = re.compile(rf"\]\((?:[^()]|\([^()]*\))*\)|\]\[[^\]]*\]|^[ \t]*\d+[.)][ \t]|{_SIGNS}", re.MULTILINE)
# Of that, what it always hides: no title of a link, nothing that only looks like one, no number that could be called.
_NEVER_SHOWN = re.compile(_SIGNS, re.MULTILINE)
_ADDRESS_OF_LINK = re.compile(r"\]\(https://(?:[^\s()]|\([^\s()]*\))*\)")
_REFERENCE = re.compile(r"\]\[([^\]]*)\]")
_DEFINED = re.compile(r"^ {0,3}\[([^\]]+)\]:", re.MULTILINE)
_PAUSES = re.compile(r"\.{2,}|[()]")
_EDGE_QUOTES = re.compile(r"(?<!\w)'|'(?!\w)")
# Cyrillic and Greek have letters that look like Latin ones.
_TWO_SCRIPTS = re.compile(
    r"[^\W\d_]*(?:[a-z\u00c0-\u024f][\u0370-\u052f]|[\u0370-\u052f][a-z\u00c0-\u024f])[^\W\d_]*", re.IGNORECASE
)
_ANYWHERE = {
    Rule.QUESTION: re.compile(r"[?¿\u037e\u061f？]"),
    Rule.USER: re.compile(r"(?<!\w)u/\w+", re.IGNORECASE),
    Rule.HIDDEN: _TWO_SCRIPTS,
    Rule.NUMBER: re.compile(r"\d(?:[ .()-]{0,2}\d){2,}|\d(?: ?[/,:] ?\d){2,}"),
}
# A link by any other way than https, or from a service that hides where it goes.
_BAD_LINK = re.compile(
    r"\b(?!https:)[a-z][a-z+-]*://\S*|\]\((?!https://)[^)]*\)|(?<!/)\bwww\.\S+"
    r"|\b(?:bit\.ly|tinyurl\.com|t\.co|goo\.gl|ow\.ly|is\.gd|redd\.it|buff\.ly|rb\.gy|cutt\.ly|t\.ly|lnkd\.in|tiny\.cc"
    r"|shorturl\.at)\b\S*",
    re.IGNORECASE,
)


@cache
def _never(language: str) -> dict[Rule, re.Pattern[str]]:
    """By rule, what must not be said in a language; nor may it be said in English, which readers of any know."""
    lists = [wording(each).never for each in dict.fromkeys((language, ENGLISH))]
    words = {name: [each for never in lists for each in getattr(never, name)] for name in Never.model_fields}
    return {Rule[name.upper()]: re.compile(rf"\b(?:{'|'.join(each)})\b", re.IGNORECASE) for name, each in words.items()}


def _found(text: str, language: str) -> Iterator[tuple[Rule, re.Match[str]]]:
    plain = _plain(text)
    for words in dict.fromkeys((_as_written(plain), _as_read(plain))):  # mostly one and the same
        for rule, pattern in (*_never(language).items(), *_ANYWHERE.items()):
            if match := pattern.search(words):
                yield rule, match
    for rule, pattern in ((Rule.LINK, _BAD_LINK), (Rule.HIDDEN, _TWO_SCRIPTS)):
        if match := pattern.search(plain):
            yield rule, match


def _plain(text: str) -> str:
    """The text with one character for all that look like it, and none that cannot be seen."""
    seen = "".join(" " if c.isspace() and c != "\n" else c for c in text.translate(_QUOTES) if not _hides(c))
    composed = unicodedata.normalize("NFKC", seen).translate(_DASHES)
    # Marks that no letter has taken up, such as one that strikes it through or makes a key of a digit.
    return "".join(c for c in composed if unicodedata.category(c) not in ("Mn", "Me"))


def _hides(character: str) -> bool:
    return _is_hidden(character) and not character.isspace()


def _as_read(plain: str) -> str:
    """The words alone, one space apart: no address, no name of a subreddit, no Markdown."""
    return _spaced(_UNSEEN.sub("", _NAMES.sub("", plain)))


def _as_written(plain: str) -> str:
    """The same with what may be shown after all: titles, what is no link to anything, a number that begins a line."""
    labels = {label.casefold() for label in _DEFINED.findall(plain)}
    words = _REFERENCE.sub(lambda match: "" if match[1].casefold() in labels else f" {match[1]} ", plain)
    words = _NAMES.sub("", _ADDRESS_OF_LINK.sub("", words)).replace("](", " ")
    return _spaced(_NEVER_SHOWN.sub("", words))


def _spaced(words: str) -> str:
    return " ".join(_EDGE_QUOTES.sub("", _PAUSES.sub(" ", words)).split())


# Spoilers, words struck out, comments, code (where no link works), and where a link is defined with its title.
_SHOWN_TO_NOBODY = re.compile(
    r">!.*?!<|~~.*?~~|<!--.*?-->|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)"
    r"|(?:\A|(?<=\n\n))(?: {4}|\t)[^\n]*|^ {0,3}\[[^\]]+\]:.*?(?=\n[ \t]*\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_WORKING_LINK = re.compile(r"(?<![\\!])\[([^\[\]\\]*\w[^\[\]\\]*)\]\((https://[^\s()]+)\)")
_END_OF_PARAGRAPH = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+>#]|\d+[.)])[ \t])")
_END_OF_CLAUSE = re.compile(r"[.,:;!](?: |$)| - ")


def _missing(shown: str, language: str, lines: Iterable[str], directory: str, opt_out: str) -> Iterator[Rule]:
    needed, links = wording(language).needed, _WORKING_LINK.findall(shown)
    ways_out = [words for words, address in links if needed.opt_out in words and address == opt_out]
    if not _says(shown, needed.bot, language):
        yield Rule.BOT
    if not ways_out or not _says(shown, needed.opt_out, language):
        yield Rule.OPT_OUT
    if not _says(shown, needed.emergency, language):
        yield Rule.EMERGENCY
    if not any(line in shown for line in lines) and all(address != directory for _, address in links):
        yield Rule.HELP


def _says(shown: str, needed: str, language: str) -> bool:
    """Whether the words stand in a clause in which nothing before them, or right after, turns them round."""
    turns_round = re.compile(rf"\b(?:{'|'.join(wording(language).needed.negation)})\b", re.IGNORECASE)
    words = _as_read(_plain(needed))
    for paragraph in _END_OF_PARAGRAPH.split(html.unescape(shown)):
        before, *rest = _as_read(_plain(paragraph)).split(words)
        for after in rest:
            beside = (_END_OF_CLAUSE.split(before)[-1], *after.split(maxsplit=1)[:1])
            if not turns_round.search(" … ".join(beside)):
                return True
            before = after
    return False


def prose(text: str) -> str:
    """The sentences alone: no list, no address, no Markdown."""
    text = re.sub(r"^- .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\*|^---$", "", text, flags=re.MULTILINE)


def _hard_to_read(text: str, language: str) -> str | None:
    """By the automated readability index (Senter and Smith 1967) in English, by the length of sentences elsewhere."""
    words = prose(text).split()
    if not words:
        return None
    sentences = [each for each in re.split(r"(?<=[.!:])\s", prose(text)) if re.search(r"\w", each)]
    mean = len(words) / max(1, len(sentences))
    if language != ENGLISH:
        return f"{mean:.0f} words a sentence" if mean > _LONGEST_SENTENCE else None
    grade = 4.71 * len("".join(words)) / len(words) + 0.5 * mean - 21.43
    return f"school grade {grade:.1f}" if grade > _HIGHEST_GRADE else None
