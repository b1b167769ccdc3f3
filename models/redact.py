"""What points to a person is taken out of a text before it leaves the machine, as far as patterns find it.

Taken out: user names (`u/name`, `@name`), e-mail addresses (also `name at host dot com`, and `name at host.com` where
the host is known for mail or the name is no plain word), links, telephone numbers, and names of places (`models.places`
says which). Not taken out: names of people, street addresses, employers and schools, user names without a mark, links
with neither `https://` nor `www.` nor a common ending, the rest of a link from its first Chinese, Japanese or Thai
letter on, numbers in words, and whatever else is spelled so as to escape a pattern. When in doubt a number goes, also
the long one of a crisis line; most dates, years, prices and round numbers, and the short numbers of crisis lines stay,
as they carry meaning.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

from models.places import gazetteer

# In braces, because no prompt uses them and Reddit's markdown gives them no meaning.
_PLACEHOLDERS = {"email": "{email}", "link": "{link}", "user": "{user}", "phone": "{phone}", "place": "{place}"}

# Links end at the first character from Thai on, beyond Latin, Cyrillic, Arabic and the like: in Chinese or Japanese no
# space follows a link, and the words after it must not vanish with it.
_IN_LINK = r"[!#-;=?-~\u00a1-\u0dff]"

# Top-level domains that are no English word, so that "home.Then" and "leave.me" are no links; and, in small letters,
# some that are one but seldom begin a sentence.
_TLD = (
    r"(?:com|net|org|edu|gov|mil|info|biz|mobi|io|co|gg|app|dev|xyz|xxx|tv|ly|cc|tk|fm|gl|ws|uk|ca|au|nz|ie|de"
    r"|fr|nl|eu|ch|se|dk|fi|pl|cz|sk|hu|ro|bg|gr|pt|lt|lv|ee|ru|ua|tr|il|br|mx|ar|cl|jp|kr|cn|tw|hk|sg|vn|th|ph|pk"
    r"|za|ng|ke|(?-i:us|ai|online|site|website|blog|shop|club|tech))"
)

# A word of an address. Reddit's Markdown escapes underscores. Where one begins, `_START` keeps it from beginning again.
_WORD = r"(?:[\w+%-]|\\_)++"
_LOCAL = rf"{_WORD}(?:\.{_WORD})*+"
_START = r"(?<![\w.+%-]) (?! (?<=\\)_ )"

# How a dot is spelled, a host, and one that is known for its mail.
_DOT = r"(?:[ ]dot[ ]|[ ]?[(\[]dot[)\]][ ]?)"
_HOST = rf"(?:[a-z0-9-]++\.){{1,8}}{_TLD}(?![\w-])"
_MAIL = r"(?:gmail|googlemail|yahoo|ymail|hotmail|outlook|live|msn|icloud|aol|proton|protonmail|gmx|web|mail|yandex|qq)"

# What stands between the digits of a telephone number, beside brackets and slashes: spaces, dots, underscores, and
# dashes of every kind.
_DASHES = r"\u2010-\u2015\u2212\ufe58\ufe63\uff0d-"
_GAP = rf"(?:\\?[ \u00a0\u2007\u2009\u202f.\u00b7\u2022_{_DASHES}])"

_DAY, _MONTH, _YEAR = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])", r"(?:19|20)\d\d"

# Every branch takes time linear in the text: repetitions are possessive or bounded, and the lookbehinds let a branch
# with an unbounded repetition start once in a run of its own characters.
_PERSONAL = re.compile(
    rf"""
    (?P<link>
        (?:https?|ftp):// (?: {_IN_LINK}++ | [\w-]++ (?:\.[\w-]++)++ (?:[/:?]{_IN_LINK}*+)? )
      | (?<![\w@.-]) www\.{_IN_LINK}++
      | (?<![\w@.-]) (?:[a-z0-9-]++\.){{1,8}} {_TLD} (?![\w@-]) (?:[/:?]{_IN_LINK}*+)?
      | (?<![\w@.-]) (?:[a-z0-9-]++\.){{1,8}} [a-z]{{2,10}} / {_IN_LINK}++
    )
  | (?P<email>
        {_START} (?:[\w.+%-]|\\_)++ [@＠] (?: [\w-]++ (?:\.[\w-]++)++ | [^\W\d_][\w-]++ )
      | {_START} {_LOCAL} (?: {_DOT} {_LOCAL} ){{0,3}}+
        (?: [ ]at[ ] [\w-]++ [ ]dot[ ]
          | [ ]?[(\[]at[)\]][ ]? [\w-]++ (?: {_DOT} | \. ) )
        (?:com|net|org|edu|co|uk|de|fr|io|me)\b
      | {_START} {_LOCAL} (?: [ ]{{0,2}} [@＠] [ ]{{0,2}} | [ ]at[ ] (?={_MAIL}\.) ) {_HOST}
      # Elsewhere only a name that is no plain word: "look at example.com".
      | {_START} (?=[^\W\d_]++[._\d\\]) {_LOCAL} [ ]at[ ] {_HOST}
    )
  | (?P<user>
        (?<!\w) /? u(?:ser)? / (?:[\w-]|\\_){{2,40}}+
      | (?<![\w.+%-]) [@＠] (?:\w|\\_) (?:[\w.-]|\\_)*+ (?:@[\w.-]++)?
    )
  | (?P<phone>
        # After a letter and a mark it may stand, and after two marks, and is no decimals: "Tel.0151", "it is...0151".
        (?: (?<=[^\W\d][.,/-]) | (?<=[.,/-][.,/-]) | (?<![^\W_]) (?<![.,/-]) )
        # No date, no two years, not from so many hundreds to so many.
        (?! (?: \d{{4}}[/.{_DASHES}]\d\d?[/.{_DASHES}]\d\d? | \d\d?[/.{_DASHES}]\d\d?[/.{_DASHES}]\d{{4}}
              | {_YEAR} (?:/|{_GAP}){{1,5}} {_YEAR} | \d\d00 {_GAP}{{1,5}} \d\d00 ) (?!\d) )
        (?: (?:\+|00)[ ]? \(?\d (?:(?:[()/]|{_GAP}){{0,5}}\d){{6,18}}      # with a country code
          | \(?\d (?:(?:[()]|{_GAP}){{0,5}}\d){{8,18}}                      # nine digits or more
          | \(?0\d{{2,5}}\)? [ ]?/[ ]? \d (?:{_GAP}?\d){{3,9}} (?!\d)        # an area, a slash and a number
          | 0\d/\d{{3}} {_GAP}? \d\d {_GAP}? \d\d (?!\d)
          | \d{{3}} [ ]{{0,2}}/[ ]{{0,2}} \d{{3}} (?: [ ]{{0,2}}/[ ]{{0,2}} | {_GAP} ) \d{{4}} (?!\d)
          | \d{{3,4}} {_GAP} \d{{4}} (?!\d)                                # a local number
          | \d\d (?:{_GAP}\d\d){{3}} (?!\d)                                # a number in pairs
          # Seven or eight digits in a row, unless they are a price, a date or a round number.
          | (?<![$€£¥\#]) (?<![$€£¥][ ])
            (?! (?: {_YEAR}{_MONTH}{_DAY} | {_DAY}{_MONTH}{_YEAR} | {_MONTH}{_DAY}{_YEAR} | \d{{4,5}}000 ) (?!\d) )
            \d{{7,8}} (?! [^\W_] | [.,]\d | [ ]?[%€$£¥] )
        )
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Cut:
    """The original characters `start` to `end` became the characters `new_start` to `new_end`."""

    start: int
    end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders, and the way back to the text it was made of."""

    text: str
    cuts: tuple[_Cut, ...]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The original characters that `text[start:end]` (not empty) stands for.

        A placeholder, even a part of one, stands for everything it replaced.
        """
        return self._original(start)[0], self._original(end - 1)[1]

    def _original(self, position: int) -> tuple[int, int]:
        index = bisect_right(self.cuts, position, key=lambda cut: cut.new_start) - 1
        if index < 0:
            return position, position + 1
        cut = self.cuts[index]
        if position < cut.new_end:
            return cut.start, cut.end
        original = position - cut.new_end + cut.end
        return original, original + 1


def redact(text: str) -> Redacted:
    """The text with placeholders for what points to a person, in time linear in its length."""
    parts: list[str] = []
    cuts: list[_Cut] = []
    done = length = 0
    for start, end, kind in _found(text):
        placeholder = _PLACEHOLDERS[kind]
        kept = text[done:start]
        parts += (kept, placeholder)
        new_start = length + len(kept)
        length = new_start + len(placeholder)
        done = end
        cuts.append(_Cut(start, done, new_start, length))
    return Redacted("".join(parts) + text[done:], tuple(cuts))


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of all that goes, in order, without overlap."""
    personal = [(match.start(), match.end(), match.lastgroup or "") for match in _PERSONAL.finditer(text)]
    # A place within an address or a link is no place of its own.
    elsewhere = _PERSONAL.sub(lambda match: "\0" * len(match.group()), text)
    return merge(personal, ((start, end, "place") for start, end in gazetteer().find(elsewhere)))
