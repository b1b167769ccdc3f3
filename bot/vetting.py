"""The catalogue's linter: every entry that breaks a rule, with its file, and how easy its words are to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import BaseModel, ValidationError

from bot.errors import ConfigError
from bot.resources import (
    FILES,
    Advice,
    Card,
    Catalogue,
    Circumstance,
    Directory,
    Guideline,
    Help,
    Line,
    Record,
    Retired,
    Step,
    Therapy,
    contradictions,
    read_tables,
)
from bot.wording import ENGLISH, LANGUAGES, wording

_KINDS: Mapping[str, type[BaseModel]] = {
    "line": Line,
    "directory": Directory,
    "retired": Retired,
    "guideline": Guideline,
    "step": Step,
    "therapy": Therapy,
    "help": Help,
    "card": Card,
}

_FEWEST_COUNTRIES = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that is broken: in which file, by which record (empty when by none alone), and the rule in words."""

    file: str
    record: str
    rule: str


def check(today: date, folder: Traversable | None = None) -> list[Finding]:
    """Every rule that the catalogue in a folder breaks; without a folder, the one that comes with the package.

    Entries come first: while one of them cannot be read, what holds between them is not looked at. A catalogue in which
    nothing is found can be loaded. Whether a record has expired is no rule; `Catalogue.due` tells that. Never raises
    for what is in the files.
    """
    folder = folder if folder is not None else files("bot") / "resources"
    tables: dict[str, Any] = {}
    at: dict[str, str] = {}
    found = list(_unread(folder))
    for name in FILES:
        try:
            here = read_tables(folder, name)
        except ConfigError as error:
            found.append(Finding(name, "", str(error)))
            continue
        found += _entries(name, here)
        at |= {str(entry.get("id")): name for table in here.values() for entry in _dicts(table)}
        tables |= here
    if found:
        return found
    try:
        catalogue = Catalogue.model_construct(**_parsed(tables))
    except KeyError as error:
        return [Finding("", "", f"no table {error}")]
    broken = [*contradictions(catalogue), *_wordings(catalogue, today)]
    return [Finding(at.get(record, ""), record, rule) for record, rule in broken] or list(_unloadable(folder))


def _unread(folder: Traversable) -> Iterator[Finding]:
    """A file beside the catalogue's whose name is none of theirs, so that whatever is in it would be missed."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".toml"))
    except OSError:
        return  # each file is missing then, and is told as such
    yield from (Finding(name, "", "no file of this name is read") for name in names if name not in FILES)


def _unloadable(folder: Traversable) -> Iterator[Finding]:
    try:
        Catalogue.load(folder)
    except ConfigError as error:
        yield Finding("", "", str(error))


def _dicts(table: object) -> Iterator[dict[str, Any]]:
    yield from (entry for entry in table if isinstance(entry, dict)) if isinstance(table, list) else ()


def _entries(file: str, tables: Mapping[str, Any]) -> Iterator[Finding]:
    for table, entries in tables.items():
        if not isinstance(entries, list if table in _KINDS else dict):
            yield Finding(file, "", f"{table} is not the kind of table that it should be")
            continue
        for entry in entries if table in _KINDS else ():
            try:
                _KINDS[table].model_validate(entry)
            except ValidationError as error:
                identity = str(entry.get("id") or entry.get("number") or "") if isinstance(entry, dict) else ""
                for problem in error.errors():
                    key = ".".join(map(str, problem["loc"]))
                    yield Finding(file, identity, f"{key}: {problem['msg']}" if key else problem["msg"])


def _parsed(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The entries as records, unlike in `Catalogue.load` without a look at what holds between them."""
    records = {table: tuple(kind.model_validate(entry) for entry in tables[table]) for table, kind in _KINDS.items()}
    return {**records, "topic": tables["topic"]}


def _wordings(catalogue: Catalogue, today: date) -> Iterator[tuple[str, str]]:
    if (countries := len(catalogue.countries(today))) < _FEWEST_COUNTRIES:
        yield "", f"lines for {countries} countries, of {_FEWEST_COUNTRIES} that are needed"
    for line in catalogue.line:
        if line.country not in _countries():
            yield line.id, f"{line.country} is no country's code (ISO 3166)"
        for name in line.language:
            if name[0].isupper() and name not in _languages():
                yield line.id, f"{name} is no language that every wording of a reply has a name for"
    for record in catalogue.records():
        if record.verified_on > today:
            yield record.id, f"verified_on {record.verified_on} is in the future"
        if isinstance(record, Advice):
            yield from _rests_on_nothing(record, catalogue)
            yield from _only_said(record)
        if isinstance(record, Help):
            yield from _unfounded_therapies(record, catalogue)
        if isinstance(record, Advice | Card):
            yield from _readable(record)
            if any(_NUMBER.search(text) for text in texts(record)):
                yield record.id, "has a number in its words; numbers to call belong to a line, with their source"
        said, advised = _said(record), _advised(record)
        for rule, pattern in _UNFIT.items():
            if any(pattern.search(text) for text in (said if rule == _CLINICAL else said + advised)):
                yield record.id, rule


@cache
def _countries() -> frozenset[str]:
    """Every country's two letters: the list that comes with the time zones."""
    lines = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines()
    return frozenset(line.partition("\t")[0] for line in lines if not line.startswith("#"))


@cache
def _languages() -> frozenset[str]:
    """The names of languages, as the catalogue has them, that a reply in any language can print."""
    names = [frozenset(wording(language).languages) for language in LANGUAGES if language != ENGLISH]
    return frozenset.intersection(*names)


def _rests_on_nothing(advice: Advice, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Advice is printed with the names of its guidelines, so those may be printed as long."""
    for guideline in (record for each in advice.guidelines if (record := catalogue.find(each))):
        if guideline.review == "draft" and advice.review == "reviewed":
            yield advice.id, f"rests on {guideline.id}, which nobody reviewed"
        if guideline.expires_on < advice.expires_on:
            yield advice.id, f"rests on {guideline.id}, which expires before it"


def _unfounded_therapies(help_: Help, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """A therapy is said to be recommended for the topic of an entry, and some therapy must fit every post about it."""
    therapies = [record for each in help_.therapies if isinstance(record := catalogue.find(each), Therapy)]
    for therapy in therapies:
        if not set(therapy.guidelines) & set(help_.guidelines):
            yield help_.id, f"names {therapy.id}, which rests on none of its guidelines"
    if all(therapy.needs_cue for therapy in therapies):
        yield help_.id, "has no therapy that fits without a cue"


def _only_said(advice: Advice) -> Iterator[tuple[str, str]]:
    """What prose alone rules out is named all the same: nothing reads it before a moderator does."""
    for circumstances, words in _RULED_OUT.items():
        if (found := words.search(advice.not_for)) and not set(circumstances) & set(advice.not_with):
            yield advice.id, f"not_for says {found.group().lower()!r}, and not_with lacks {' or '.join(circumstances)}"


def _readable(record: Advice | Card) -> Iterator[tuple[str, str]]:
    age = reading_age(" ".join(texts(record)))
    if age > record.reading_age:
        yield record.id, f"reads like a text for the age of {age:.0f}, and reading_age says {record.reading_age}"


def texts(record: Advice | Card) -> tuple[str, ...]:
    """Every sentence of a record that people read."""
    match record:
        case Step():
            return (record.words, record.not_for)
        case Therapy():
            return (record.words, record.not_for)
        case Help():
            return (record.peers, record.moderators, record.seek, record.not_for)
        case Card():
            return (*record.answer, *record.avoid, record.admins, record.self_care)
    return ()


def _said(record: Record) -> tuple[str, ...]:
    """What may end up, in whatever words, in front of whoever wrote a post."""
    match record:
        case Step():
            return (record.words,)
        case Help():
            return (record.peers,)
    return ()


def _advised(record: Record) -> tuple[str, ...]:
    """What only moderators read, who may pass it on."""
    match record:
        case Therapy():
            return (record.words,)
        case Help():
            return (record.moderators, record.seek)
        case Card():
            return record.answer
    return ()


def reading_age(text: str) -> float:
    """The age in years at which a text is easy: the automated readability index (Smith and Senter 1967), plus five."""
    words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)
    if not words:
        return 0.0
    letters = sum(len(word) for word in words)
    sentences = len(re.findall(r"[.!](?=\s|$)", text)) or 1
    return 4.71 * letters / len(words) + 0.5 * len(words) / sentences - 21.43 + 5


_NUMBER = re.compile(r"\d{3,}|\d[\d -]{4,}\d")


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


# Which words of `not_for` want one of which values in `not_with`.
_RULED_OUT = {
    (Circumstance.DANGER, Circumstance.EMERGENCY, Circumstance.VIOLENCE): _words(
        r"danger|dying|(?:not|staying)(?: be)? safe|end(?:ing)? (?:it|one's life)|wish to follow"
    ),
    (Circumstance.VIOLENCE,): _words(
        r"violen\w+|(?:do|bring) harm|danger (?:in the home|that goes on)|to control|used against|"
        r"(?:home|places?|people)\b[^.]*\bnot safe"
    ),
    (Circumstance.FAINTS,): _words(r"faint(?:s|ing)|chest"),
    (Circumstance.HIGH,): _words(r"(?:a|so) high|(?:almost )?no (?:need for )?sleep|episode"),
    (Circumstance.EATING,): _words(r"exercise|moving"),
    (Circumstance.LOSS,): _words(r"loss|lost|died"),
    (Circumstance.DRINKS_DAILY,): _words(r"drinks|drinking"),
}

_CLINICAL = "sounds clinical or names a condition"
_CONDITION = (
    r"depress\w*|anxiety|bipolar|mania|manic|ptsd|ocd|adhd|autis\w+|schizo\w+|psycho\w+|anorex\w+|bulimi\w+|suicid\w+"
)

_UNFIT = {
    _CLINICAL: _words(
        r"diagnos\w+|disorders?|symptoms?|patients?|clinical\w*|comorbid\w*|dysregulat\w+|maladaptive|pathological|"
        rf"treatment|intervention\w*|{_CONDITION}"
    ),
    "puts a label on somebody": _words(
        rf"(you|they|he|she|the author|the writer)('re|'ve)? (\w+ ){{0,3}}({_CONDITION}|\w+ disorder|mentally ill)"
    ),
    "promises": _words(r"gets? better|will be (ok|okay|fine|alright)|will pass|promis\w+|guarantee\w*|cures?"),
    "lays guilt or gives orders": _words(
        r"you (should|must|need to)|selfish|burden|your loved ones|stay strong|worse off|attention.seeking"
    ),
}
