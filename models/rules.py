"""The dictionary annotator: words a moderator can read and correct, and the contexts that take their meaning away.

The lexicon (`lexicon/*.toml`) is written in a small pattern language, one pattern a string:

    want to die              these words, one after the other, in one clause
    (kill|hurt) myself       one of several words or word sequences
    want to just? die        a word or a group that may be missing
    <suicide>                a word list of words.toml
    ..  or  ..6              up to three, or six, other words of the same clause
    cutt~                    any word that starts so (not as the first word of a term)
    ,                        the pause between two clauses
    @                        the hit itself (context patterns only)

Text and patterns are folded alike before they meet: case, accents, apostrophes, full-width letters, characters of no
width, digits that stand for letters. Matching takes time linear in the text: every repetition is bounded or possessive.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib import resources
from itertools import accumulate
from operator import add
from typing import Any, TypeVar

from models.assessment import Assessment, Evidence, Ordinal
from models.document import Document
from models.labels import Disorder, Relevance, Risk, Severity

L = TypeVar("L", Severity, Risk)

_SCALES: Mapping[str, type[StrEnum]] = {
    "risk": Risk,
    "disorders": Disorder,
    "severity": Severity,
    "relevance": Relevance,
}

FILES = ("words", "context", *_SCALES)  # of the lexicon, without their .toml

# A sign counts its weight once, however often it is repeated; from this sum on a label holds.
_ENOUGH = 2

# A context is looked for in the sentence of the hit, this many characters of it to either side at most:
# a text without a single full stop must not cost the square of its length.
_REACH = 240

# Beyond these, more hits of one label tell a reader nothing new.
_LISTED_PER_LABEL = 8

# What the rules are worth as probabilities when they stand alone.
_YES, _NO = 0.9, 0.1
_LEVEL = 0.7

# Whoever states a risk in so many words is at least this unwell.
_SEVERITY_OF_RISK = {
    Risk.NONE: Severity.MINIMAL,
    Risk.INDICATOR: Severity.MINIMAL,
    Risk.IDEATION: Severity.MODERATE,
    Risk.BEHAVIOR: Severity.SEVERE,
    Risk.ATTEMPT: Severity.SEVERE,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the lexicon finds in one document.

    `risk` is the highest level in `evidence`, somebody else's danger included (as `indicator`). `explicit_risk` is the
    highest level that the author states in so many words, of themselves and of now; never above `risk`.
    `set_aside` holds the hits whose context takes their meaning away, each with the reason as its note.
    Of one label at most eight spans are listed in either tuple.
    """

    relevant: bool
    disorders: frozenset[Disorder]
    severity: Severity
    risk: Risk
    explicit_risk: Risk
    evidence: tuple[Evidence, ...]
    set_aside: tuple[Evidence, ...]

    @property
    def calls_for_more(self) -> bool:
        """Whether it is relevant, or any word in it is about risk, even one whose meaning the context takes away."""
        return self.relevant or self.risk > Risk.NONE or any(span.label in _RISKS for span in self.set_aside)


_RISKS = frozenset(Risk)
_NOTHING = Reading(False, frozenset(), Severity.MINIMAL, Risk.NONE, Risk.NONE, (), ())


class Rules:
    """The lexicon; safe to share between threads, as what is compiled late is the same whoever does it."""

    def __init__(self, files: Mapping[str, str]) -> None:
        """Read a lexicon: TOML texts by file stem. Raises ValueError for a pattern or label that it cannot read."""
        digest = hashlib.sha256("\0".join(f"{name}\0{files[name]}" for name in sorted(files)).encode())
        self.version: str = digest.hexdigest()[:12]
        tables = {name: tomllib.loads(text) for name, text in files.items()}
        patterns = _Patterns(tables["words"])
        self._contexts = [_Context.read(table, patterns) for table in tables["context"]["context"]]
        # By the word they begin with: most words of a post begin nothing, and then nothing is tried.
        openings: defaultdict[str, list[_Opening]] = defaultdict(list)
        for scale in _SCALES:
            for table in tables[scale]["term"]:
                term = _Term.read(scale, table)
                for word, regexes in patterns.by_first_word(table["patterns"]).items():
                    openings[word].append(_Opening(term, tuple(regexes)))
        self._openings = dict(openings)

    @classmethod
    def load(cls) -> Rules:
        """The lexicon that comes with the package."""
        folder = resources.files("models") / "lexicon"
        return cls({name: (folder / f"{name}.toml").read_text(encoding="utf-8") for name in FILES})

    def annotate(self, document: Document) -> Reading:
        """Everything the lexicon says of the document, in time linear in its length."""
        text = document.text
        folded = _Folded.of(text)
        hits = _longest(self._hits(folded))
        if not hits:
            return _NOTHING
        quotes = _Spans.quoted(text)
        in_document = [context.shows_in(f" {folded.text}") for context in self._contexts]
        kept: list[_Hit] = []
        evidence: list[Evidence] = []
        set_aside: list[Evidence] = []
        for hit in hits:
            start, end = folded.span(hit.start, hit.end)
            context = self._context(hit, folded.sentence_around(hit), in_document, start in quotes)
            if context is None:
                kept.append(hit)
                evidence.append(Evidence(start, end, hit.term.label, "rules", hit.term.note))
                continue
            set_aside.append(Evidence(start, end, hit.term.label, "rules", context.reason))
            if context.leaves and hit.term.scale == "risk" and hit.term.explicit:
                note = f"{hit.term.note}, {context.reason}"
                evidence.append(Evidence(start, end, context.leaves, "rules", note))
        return _reading(kept, evidence, set_aside)

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order, from the rules alone.

        What the lexicon finds is given 0.9 and what it does not find 0.1 (relevance, disorders); the level it decides
        on is given 0.7, the other levels of its scale an equal share of 0.3. The figures are fixed, not fitted.
        """
        return [self._assessment(self.annotate(document)) for document in documents]

    def _assessment(self, reading: Reading) -> Assessment:
        return Assessment(
            relevance=_YES if reading.relevant else _NO,
            disorders={disorder: _YES if disorder in reading.disorders else _NO for disorder in Disorder},
            severity=_spread(reading.severity),
            risk=_spread(reading.risk),
            evidence=reading.evidence,
            versions={"rules": self.version},
        )

    def _hits(self, folded: _Folded) -> Iterator[_Hit]:
        """Every match of every term, in the order of the text."""
        for word, position in zip(folded.words, folded.positions, strict=True):
            for opening in self._openings.get(word, ()):
                if match := opening.pattern.match(folded.text, position):
                    yield _Hit(opening.term, position, match.end(), match.group())

    def _context(self, hit: _Hit, sentence: str, in_document: Sequence[bool], quoted: bool) -> _Context | None:
        """The first context, in the order of the lexicon, that takes this hit's meaning away."""
        for context, throughout in zip(self._contexts, in_document, strict=True):
            if context.takes(hit, sentence, throughout, quoted):
                return context
        return None


@dataclass(frozen=True, slots=True)
class _Term:
    """What patterns say. `explicit`: in so many words, and of now. `own`: of the author themselves."""

    scale: str
    label: str
    note: str
    weight: int
    explicit: bool
    own: bool

    @classmethod
    def read(cls, scale: str, table: Mapping[str, Any]) -> _Term:
        return cls(
            scale=scale,
            label=_SCALES[scale](table["label"]),
            note=table["note"],
            weight=table.get("weight", 1),
            explicit=table.get("explicit", False),
            own=table.get("own", True),
        )


@dataclass(frozen=True)
class _Opening:
    """What may be read of a term after one first word. Compiled when a text first has the word: most never come."""

    term: _Term
    regexes: tuple[str, ...]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return _any_of(self.regexes)


_FIRST_PERSON = frozenset({"i", "im", "ive", "id", "ill", "me", "my", "myself"})


@dataclass(frozen=True, slots=True)
class _Hit:
    """A match of `term` from `start` to `end` of the folded text, and the words it matched."""

    term: _Term
    start: int
    end: int
    words: str

    @property
    def in_first_person(self) -> bool:
        return not _FIRST_PERSON.isdisjoint(self.words.split())


@dataclass(frozen=True, slots=True)
class _Context:
    """A reason to set hits of some scales aside, and where it shows: around the hit, in quotes, or anywhere at all.

    `leaves` is the risk that remains when an explicit statement of risk is set aside for this reason.
    """

    reason: str
    scales: frozenset[str]
    leaves: Risk | None
    of_others: bool
    in_quotes: bool
    spares_explicit: bool
    spares_first_person: bool
    sentence: re.Pattern[str]
    document: re.Pattern[str] | None
    unless: re.Pattern[str]

    @classmethod
    def read(cls, table: Mapping[str, Any], patterns: _Patterns) -> _Context:
        def any_of(key: str) -> re.Pattern[str]:
            return _any_of([patterns.regex(pattern) for pattern in table.get(key, ())], before=" ")

        return cls(
            reason=table["reason"],
            scales=frozenset(table["scales"]),
            leaves=Risk(table["leaves"]) if "leaves" in table else None,
            of_others=table.get("of_others", False),
            in_quotes=table.get("in_quotes", False),
            spares_explicit=table.get("spares_explicit", False),
            spares_first_person=table.get("spares_first_person", False),
            sentence=any_of("sentence"),
            document=any_of("document") if "document" in table else None,
            unless=any_of("unless"),
        )

    def shows_in(self, text: str) -> bool:
        """Whether it shows somewhere in the folded text, which begins with a space."""
        return self.document is not None and self.document.search(text) is not None

    def takes(self, hit: _Hit, sentence: str, throughout: bool, quoted: bool) -> bool:
        """Whether this context takes the meaning of a hit away; `throughout`: it shows somewhere in the document."""
        if hit.term.scale not in self.scales:
            return False
        if not hit.term.own and self.of_others:
            return True
        shows = (
            (quoted and self.in_quotes)
            or (throughout and not (hit.term.explicit and self.spares_explicit))
            or (self.sentence.search(sentence) and not (self.spares_first_person and hit.in_first_person))
        )
        return bool(shows) and self.unless.search(sentence) is None


# Characters that people, or filters they want to pass, put inside words: apostrophes, asterisks, marks of no width.
_INSIDE = "'’‘`´ʼ＇*\u00ad\u0300-\u036f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_TOKEN = re.compile(rf"[^\W_]++(?:[{_INSIDE}]++[^\W_]++)*+|[😂🤣😹💀]|[.!?;…]+|\n\s*\n|[,:()–—]")
# What a token that is no word begins with, and what it is folded to.
_PAUSES = {**dict.fromkeys(".!?;…\n", "."), **dict.fromkeys(",:()–—", ",")}
_SIGNS = frozenset({".", ",", "@"})
_DROPPED = re.compile(rf"[{_INSIDE.replace('*', '')}]")
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "æ": "ae"})
_DIGIT_LETTERS = str.maketrans("013457", "oieast")


def _fold(word: str) -> str:
    """A word in small letters, without its accents, apostrophes and other marks, its letters the plain ones."""
    if not word.isascii():
        word = unicodedata.normalize("NFKD", word).casefold().translate(_PLAIN)
    word = _DROPPED.sub("", word)
    if word[0].isalpha() and not word.isalpha():
        word = word.translate(_DIGIT_LETTERS)
    return word


def _fold_token(token: str) -> str:
    return _PAUSES.get(token[0]) or _fold(token)


@dataclass(frozen=True)
class _Folded:
    """The words of a text, folded, one space after each, with the way back to the text.

    `.` stands for the end of a sentence and `,` for a pause. `positions` are where the words start in `text`.
    `original` is the text in small letters, of the same length.
    """

    text: str
    words: list[str]
    positions: list[int]
    original: str

    @classmethod
    def of(cls, original: str) -> _Folded:
        # Small letters keep every offset, but for the one capital that has two characters for its small letter.
        original = original.replace("İ", "i").lower()
        words = [
            token if token.isalpha() and token.isascii() else _fold_token(token) for token in _TOKEN.findall(original)
        ]
        return cls(
            text=" ".join([*words, ""]),
            words=words,
            positions=list(map(add, accumulate(map(len, words[:-1]), initial=0), range(len(words)))),
            original=original,
        )

    @cached_property
    def _tokens(self) -> list[re.Match[str]]:
        """Where the words stand in the original; asked for only where a term was found."""
        return list(_TOKEN.finditer(self.original))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original behind `start` to `end` of the folded text."""
        first = bisect_left(self.positions, start)
        last = bisect_left(self.positions, end) - 1
        return self._tokens[first].start(), self._tokens[last].end()

    def sentence_around(self, hit: _Hit) -> str:
        """The hit's sentence as far as it is within reach, with `@` in place of the hit."""
        before = self.text[max(0, hit.start - _REACH) : hit.start].rpartition(". ")[2]
        after = self.text[hit.end : hit.end + _REACH].partition(". ")[0]
        return f" {before}@ {after}"


class _Spans:
    """Stretches of a text that do not overlap; `in` asks whether a character lies in one of them."""

    _QUOTED = re.compile(
        r"""
        ^[ ]{0,3}(?:>|&gt;).*$  # a line that Markdown quotes; > as it is and as dumps of Reddit escape it
        | (?<!\w)"(?=\w)[^"\n]{1,400}(?<!\s)"(?!\w) | “[^“”\n]{1,400}” | «[^«»\n]{1,400}»
        | ♪[^♪]{1,400}♪
        """,
        re.MULTILINE | re.VERBOSE,
    )

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._edges = [edge for span in spans for edge in span]

    @classmethod
    def quoted(cls, text: str) -> _Spans:
        """What the text quotes: somebody else's words, a song, a title."""
        return cls(match.span() for match in cls._QUOTED.finditer(text))

    def __contains__(self, position: int) -> bool:
        return bisect_right(self._edges, position) % 2 == 1


@dataclass(frozen=True, slots=True)
class _Source:
    """A pattern as a regular expression, the fixed words it may begin with (None: it may begin with any), and
    whether it may match nothing."""

    regex: str
    first_words: frozenset[str] | None
    optional: bool


class _Patterns:
    """The pattern language of the module's docstring, with the word lists that patterns may name."""

    _TOKENS = re.compile(r"<\w+>|\.\.\d*|[()|?]|[^\s()|?<>]+|\S")

    def __init__(self, lists: Mapping[str, str]) -> None:
        """Word lists by name; a list may use those above it."""
        self._lists: dict[str, _Source] = {}
        for name, pattern in lists.items():
            self._lists[f"<{name}>"] = self._parse(pattern)

    def regex(self, pattern: str) -> str:
        """Raises ValueError for a pattern that cannot be read."""
        return self._parse(pattern).regex

    def by_first_word(self, patterns: Iterable[str]) -> dict[str, list[str]]:
        """The patterns of a term as regular expressions, by the words they may begin with.

        Raises ValueError for a pattern that may begin with any word.
        """
        regexes: defaultdict[str, list[str]] = defaultdict(list)
        for pattern in patterns:
            source = self._parse(pattern)
            if source.optional or source.first_words is None:
                raise ValueError(f"a term must begin with a fixed word: {pattern!r}")
            for word in source.first_words:
                regexes[word].append(source.regex)
        return dict(regexes)

    def _parse(self, pattern: str) -> _Source:
        tokens = self._TOKENS.findall(pattern)[::-1]
        try:
            source = self._alternatives(tokens)
        except (IndexError, KeyError) as error:
            raise ValueError(f"cannot read the pattern {pattern!r}") from error
        if tokens:
            raise ValueError(f"{tokens[-1]!r} is out of place in the pattern {pattern!r}")
        return source

    def _alternatives(self, tokens: list[str]) -> _Source:
        options = [self._sequence(tokens)]
        while tokens and tokens[-1] == "|":
            tokens.pop()
            options.append(self._sequence(tokens))
        if len(options) == 1:
            return options[0]
        firsts = [option.first_words for option in options]
        return _Source(
            f"(?:{'|'.join(option.regex for option in options)})",
            None if None in firsts else frozenset(word for words in firsts for word in words or ()),
            any(option.optional for option in options),
        )

    def _sequence(self, tokens: list[str]) -> _Source:
        regex = ""
        first_words: frozenset[str] | None = frozenset()
        optional = True
        while tokens and tokens[-1] not in "|)":
            part = self._part(tokens)
            regex += part.regex
            if optional and first_words is not None:
                first_words = None if part.first_words is None else first_words | part.first_words
            optional = optional and part.optional
        return _Source(regex, first_words, optional)

    def _part(self, tokens: list[str]) -> _Source:
        head = tokens.pop()
        if head == "(":
            part = self._alternatives(tokens)
            if tokens.pop() != ")":
                raise IndexError
        elif head.startswith("<"):
            part = self._lists[head]
        elif head.startswith(".."):
            part = _Source(f"(?:[^ .,@]++ ){{0,{head[2:] or 3}}}?", None, True)
        elif head.endswith("~"):
            part = _Source(f"{re.escape(_fold(head[:-1]))}[^ ]*+ ", None, False)
        else:
            word = head if head in _SIGNS else _fold(head)
            part = _Source(f"{re.escape(word)} ", frozenset([word]), False)
        if tokens and tokens[-1] == "?":
            tokens.pop()
            part = _Source(f"(?:{part.regex})?", part.first_words, True)
        return part


def _any_of(regexes: Iterable[str], before: str = "") -> re.Pattern[str]:
    """One expression for all, after `before`; it matches nothing when there are none."""
    return re.compile(f"{before}(?:{'|'.join(regexes) or '(?!)'})")


def _longest(hits: Iterable[_Hit]) -> list[_Hit]:
    """Hits without those that lie within a longer one of their scale: "never kill myself" is not "kill myself"."""
    longest: list[_Hit] = []
    last: dict[str, _Hit] = {}
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        outer = last.get(hit.term.scale)
        if outer is None or hit.end > outer.end or (hit.start, hit.end) == (outer.start, outer.end):
            last[hit.term.scale] = hit
            longest.append(hit)
    return longest


def _reading(kept: Sequence[_Hit], evidence: Sequence[Evidence], set_aside: Sequence[Evidence]) -> Reading:
    """The verdict on the hits that stand."""
    weights: Counter[str] = Counter()
    for label, weight in {(hit.term.label, hit.words): hit.term.weight for hit in kept}.items():
        weights[label[0]] += weight
    risk = max((Risk(item.label) for item in evidence if item.label in _RISKS), default=Risk.NONE)
    explicit = (Risk(hit.term.label) for hit in kept if hit.term.scale == "risk" and hit.term.explicit)
    # What is named in passing, beside a condition that the post is about, does not count.
    foremost = max(weights[disorder] for disorder in Disorder)
    disorders = frozenset(d for d in Disorder if weights[d] >= max(_ENOUGH, foremost / 2))
    severity = max(
        (level for level in Severity if sum(weights[above] for above in Severity if above >= level) >= _ENOUGH),
        default=Severity.MINIMAL,
    )
    return Reading(
        relevant=risk > Risk.NONE or weights[Relevance.MENTAL_HEALTH] + foremost >= _ENOUGH,
        disorders=disorders,
        severity=max(severity, _SEVERITY_OF_RISK[risk]),
        risk=risk,
        explicit_risk=max(explicit, default=Risk.NONE),
        evidence=_listed(evidence),
        set_aside=_listed(set_aside),
    )


def _listed(spans: Sequence[Evidence]) -> tuple[Evidence, ...]:
    seen: Counter[str] = Counter()
    listed: list[Evidence] = []
    for span in spans:
        seen[span.label] += 1
        if seen[span.label] <= _LISTED_PER_LABEL:
            listed.append(span)
    return tuple(listed)


def _spread(decided: L) -> Ordinal[L]:
    levels = list(type(decided))
    rest = (1 - _LEVEL) / (len(levels) - 1)
    return Ordinal({level: _LEVEL if level == decided else rest for level in levels})
