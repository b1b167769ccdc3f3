"""The vetted catalogue: crisis lines, help by topic and severity, therapies with guidelines, cards for moderators."""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bot.errors import ConfigError, NightlightError
from bot.vetted import Source, Vetted, Words
from models.labels import Disorder, Severity

# The files of the catalogue, each with the tables that stand in it and in no other.
FILES: Mapping[str, tuple[str, ...]] = {
    "crisis_lines.toml": ("line", "directory", "retired"),
    "guidelines.toml": ("guideline",),
    "steps.toml": ("step",),
    "therapies.toml": ("therapy",),
    "disorders.toml": ("topic", "help"),
    "cards.toml": ("card",),
}

Identity = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=60)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Number = Annotated[str, Field(pattern=r"^[+(]?[0-9][0-9 ()-]*$", max_length=20)]
Link = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9./-]+$")]
Cue = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9' -]*$", max_length=40)]
ReadingAge = Annotated[int, Field(ge=8, le=16)]


class NoVettedWords(NightlightError):
    """There is nothing vetted that could be said, so nothing is said. Trying again cannot help."""


class Audience(StrEnum):
    """Whom a line is for, when it is not for everybody."""

    YOUNG_PEOPLE = "young_people"
    VETERANS = "veterans"
    LGBTQ = "lgbtq"
    EATING_DISORDERS = "eating_disorders"
    DOMESTIC_VIOLENCE = "domestic_violence"


class Channel(StrEnum):
    """How a line is reached."""

    CALL = "call"
    TEXT = "text"
    CHAT = "chat"


class Circumstance(StrEnum):
    """What may be so in a post, and makes some advice the wrong one."""

    DANGER = "danger"
    EMERGENCY = "emergency"
    VIOLENCE = "violence"
    FAINTS = "faints"
    HIGH = "high"
    EATING = "eating"
    DRINKS_DAILY = "drinks_daily"
    LOSS = "loss"


class Situation(StrEnum):
    """What a guidance card is for."""

    CRISIS = "crisis"
    VIOLENCE = "violence"
    YOUNG = "young"
    HELPER = "helper"
    VOICES = "voices"
    EATING = "eating"
    MEDICATION = "medication"
    THERAPIST = "therapist"
    VENTING = "venting"
    HEAVY = "heavy"
    CALM = "calm"
    UNREAD = "unread"


class Record(Vetted):
    """One entry of the catalogue."""

    id: Identity


class Line(Record):
    """A crisis line. `keyword` is what to text; `hours` in local time, empty when nobody could confirm them.

    `audience` is None for a line that is there for everybody. One that `finds_care` is no crisis line.
    """

    country: Country
    name: Words
    audience: Audience | None = None
    finds_care: bool = False
    phone: tuple[Number, ...] = ()
    text: Number | None = None
    keyword: Annotated[str, Field(pattern=r"^[A-Z]+$")] | None = None
    whatsapp: Number | None = None
    chat: Link | None = None
    url: Link | None = None
    hours: Words | Literal[""] = ""
    language: Annotated[tuple[Words, ...], Field(min_length=1)]
    note: Words | Literal[""] = ""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Line:
        if not self.channels:
            raise ValueError("a line needs a phone, text, whatsapp or chat")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every number that reaches this line."""
        return (*self.phone, *(number for number in (self.text, self.whatsapp) if number))

    @property
    def channels(self) -> frozenset[Channel]:
        """The ways to reach this line."""
        there = {Channel.CALL: self.phone, Channel.TEXT: self.text or self.whatsapp, Channel.CHAT: self.chat}
        return frozenset(channel for channel, way in there.items() if way)


class Directory(Record):
    """A place that lists lines all over the world."""

    name: Words
    url: Link


# How each body numbers its guidelines.
_NUMBERED: Mapping[str, str] = {
    "NICE": r"(NG|CG|PH|TA)[1-9]\d{0,3}",
    "WHO": r"mhGAP 20\d\d",
    "APA": r".+(\d(st|nd|rd|th) edition| 20\d\d)",
    "VA/DoD": r".+ 20\d\d",
}


class Guideline(Record):
    """A published guideline, known by its number."""

    by: Literal["NICE", "WHO", "APA", "VA/DoD"]
    number: Words
    title: Words

    @model_validator(mode="after")
    def _is_numbered(self) -> Guideline:
        if not re.fullmatch(_NUMBERED[self.by], self.number):
            raise ValueError(f"number: {self.by} has no guideline of such a number, year or edition")
        return self

    @property
    def name(self) -> str:
        """Whose it is and its number, such as NICE NG222."""
        return f"{self.by} {self.number}"


class Advice(Record):
    """Something that may help: the guidelines (by id) it rests on, what it is not for, and how easy it is to read.

    `not_for` says it to people; where a post shows one of `not_with`, the advice is not named. `reading_age` is the age
    in years from which its words are easy; `bot.vetting` measures it.
    """

    guidelines: Annotated[tuple[Identity, ...], Field(min_length=1)]
    not_for: Words
    not_with: tuple[Circumstance, ...] = ()
    reading_age: ReadingAge


class Cued(Advice):
    """Advice that words of a post can point to. `needs_cue` is True for what fits only where one of them stands."""

    words: Words
    cues: Annotated[tuple[Cue, ...], Field(min_length=1)]
    needs_cue: bool = False


class Step(Cued):
    """Something a person can do alone or with a friend."""


class Therapy(Cued):
    """A treatment that a guideline recommends, for moderators to know of."""

    name: Words


class Help(Advice):
    """What helps with one topic at one severity. `self_help` and `therapies` are ids, each as fitting as the next.

    `peers` and `moderators` are what either can say; `seek` is which professional, and when.
    """

    disorder: Disorder
    severity: Severity
    self_help: Annotated[tuple[Identity, ...], Field(min_length=2)]
    therapies: Annotated[tuple[Identity, ...], Field(min_length=2)]
    peers: Words
    moderators: Words
    seek: Words


class Card(Record):
    """How moderators meet one situation: what to say, what not to, Reddit's admins, and themselves."""

    fits: Situation
    title: Words
    answer: Annotated[tuple[Words, ...], Field(min_length=1)]
    avoid: Annotated[tuple[Words, ...], Field(min_length=1)]
    admins: Words
    self_care: Words
    reading_age: ReadingAge


class Retired(BaseModel):
    """A number that still goes round and must never be printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: Country
    number: Number
    reason: Words
    source: Annotated[tuple[Source, ...], Field(min_length=1)]
    verified_on: date


class Catalogue(BaseModel):
    """Everything vetted. The fields are the tables of the files; ask through the methods, which know the date.

    `topic` names what a post is about, in words that put no label on whoever wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: tuple[Line, ...]
    directory: tuple[Directory, ...]
    retired: tuple[Retired, ...]
    guideline: tuple[Guideline, ...]
    step: tuple[Step, ...]
    therapy: tuple[Therapy, ...]
    topic: Mapping[Disorder, Words]
    help: tuple[Help, ...]
    card: tuple[Card, ...]

    @model_validator(mode="after")
    def _is_consistent(self) -> Catalogue:
        for record, rule in contradictions(self):
            raise ValueError(f"{record}: {rule}" if record else rule)
        return self

    @classmethod
    def load(cls, folder: Traversable | None = None) -> Catalogue:
        """The catalogue that comes with the package, or the same files in another folder.

        Raises ConfigError with one line that names the file or the entry and what is wrong with it.
        """
        folder = folder if folder is not None else files("bot") / "resources"
        tables: dict[str, object] = {}
        for name in FILES:
            tables |= read_tables(folder, name)
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            problem = error.errors()[0]
            key = ".".join(map(str, problem["loc"])) or "the files together"
            raise ConfigError(f"catalogue: {key}: {problem['msg']}") from error

    def crisis_lines(self, country: str, today: date, audiences: Collection[Audience] = ()) -> tuple[Line, ...]:
        """The lines of a country (ISO code) that may be printed today, the first one to try first.

        Those for everybody, then those for the given audiences.
        """
        lines = [line for line in self._lines(country, today) if not line.finds_care]
        return (
            *(line for line in lines if line.audience is None),
            *(line for line in lines if line.audience in audiences),
        )

    def care_lines(self, country: str, today: date) -> tuple[Line, ...]:
        """The lines of a country that help to find care and may be printed today; never for a crisis."""
        return tuple(line for line in self._lines(country, today) if line.finds_care)

    def _lines(self, country: str, today: date) -> Iterator[Line]:
        yield from (line for line in self.line if line.country == country and line.printable(today))

    def countries(self, today: date) -> tuple[str, ...]:
        """The countries that have a line for everybody to print today, in alphabetical order."""
        for_everybody = (line for line in self.line if line.audience is None and not line.finds_care)
        return tuple(sorted({line.country for line in for_everybody if line.printable(today)}))

    def directories(self, today: date) -> tuple[Directory, ...]:
        """The directories that may be printed today, the best one first."""
        return tuple(directory for directory in self.directory if directory.printable(today))

    def help_for(self, disorder: Disorder, severity: Severity) -> Help:
        """What helps with a topic at a severity, printable or not; there is an entry for each."""
        return self._helps[disorder, severity]

    def steps(self, today: date) -> tuple[Step, ...]:
        """The self-help steps that may be printed today."""
        return tuple(step for step in self.step if step.printable(today))

    def card_for(self, situation: Situation, today: date) -> Card | None:
        """The guidance card for a situation, if it may be printed today."""
        return next((card for card in self.card if card.fits is situation and card.printable(today)), None)

    def find(self, identity: str) -> Record | None:
        """The record of this id, printable or not."""
        return self._by_id.get(identity)

    def words(self, identity: str) -> str:
        """What a record recommends in a sentence or two, and for whom not; empty for one that recommends nothing."""
        match self.find(identity):
            case Therapy() as therapy:
                return f"{therapy.name}. {therapy.words} Not for: {therapy.not_for}"
            case Step() as step:
                return f"{step.words} Not for: {step.not_for}"
            case Help() as help_:
                return help_.seek
        return ""

    def guideline_names(self, advice: Advice) -> str:
        """The guidelines that advice rests on, by number, such as `NICE NG222, WHO mhGAP 2023`."""
        found = [record for each in advice.guidelines if isinstance(record := self.find(each), Guideline)]
        return ", ".join(guideline.name for guideline in found)

    def cues_in(self, text: str) -> dict[str, dict[str, tuple[int, int]]]:
        """By record, the cues of it that stand in a text, each with the first place where it stands."""
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for match in self._cue.finditer(text.replace("’", "'")):  # one character for one, so that places hold
            for record in self._cued[match.group().lower()]:
                found.setdefault(record, {}).setdefault(match.group().lower(), match.span())
        return found

    def expired(self, today: date) -> tuple[Record, ...]:
        """Every entry whose time is over and that needs a person to look at its sources again."""
        return tuple(record for record in self.records() if today >= record.expires_on)

    def due(self, until: date) -> tuple[Record, ...]:
        """Every entry that nobody reviewed or that is no longer printed on that day, the most pressing first."""
        due = [record for record in self.records() if not record.printable(until)]
        return tuple(sorted(due, key=lambda record: (record.expires_on, record.id)))

    def records(self) -> Iterator[Record]:
        """Every entry, in the order of the files."""
        for table in (self.line, self.directory, self.guideline, self.step, self.therapy, self.help, self.card):
            yield from table

    @cached_property
    def _by_id(self) -> dict[str, Record]:
        return {record.id: record for record in self.records()}

    @cached_property
    def _cued(self) -> defaultdict[str, list[str]]:
        records: defaultdict[str, list[str]] = defaultdict(list)
        for record in (*self.step, *self.therapy):
            for cue in record.cues:
                records[cue].append(record.id)
        return records

    @cached_property
    def _cue(self) -> re.Pattern[str]:
        longest_first = sorted(self._cued, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)

    @cached_property
    def _helps(self) -> dict[tuple[Disorder, Severity], Help]:
        return {(each.disorder, each.severity): each for each in self.help}


def read_tables(folder: Traversable, name: str) -> dict[str, Any]:
    """The tables of one file. Raises ConfigError that names the file, also for a table that belongs in no such file."""
    try:
        tables = tomllib.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"catalogue: {name}: {error}") from error
    for table in tables:
        if table not in FILES[name]:
            raise ConfigError(f"catalogue: {name}: there is no place for a table {table!r} in this file")
    return tables


def contradictions(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """What is wrong between records that are fine by themselves: the id of the record, and the rule it breaks."""
    for name, count in Counter(record.id for record in catalogue.records()).items():
        if count > 1:
            yield name, "id used twice"
    yield from _retired_numbers(catalogue)
    yield from _dead_references(catalogue)
    for disorder in Disorder:
        if disorder not in catalogue.topic:
            yield "", f"no topic for {disorder}"
        for severity in Severity:
            if (found := [(h.disorder, h.severity) for h in catalogue.help].count((disorder, severity))) != 1:
                yield f"{disorder}-{severity}", f"there must be one entry of help for it, and there are {found}"
    for situation in Situation:
        if situation not in {card.fits for card in catalogue.card}:
            yield "", f"no card for {situation}"


def _retired_numbers(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    for entry in catalogue.retired:
        spaced = r"[ ().-]*".join(filter(str.isdigit, entry.number))
        number = re.compile(rf"(?<!\d)(?<!\d[ ().-]){spaced}(?![ ().-]?\d)")  # alone, not as part of a longer one
        for line in catalogue.line:
            if line.country == entry.country:
                for text in (*line.numbers, line.name, line.note, line.hours):
                    if found := number.search(text):
                        yield line.id, f"uses {found.group()}, which is retired: {entry.reason}"


def _dead_references(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    guidelines = {each.id for each in catalogue.guideline}
    steps, therapies = {each.id for each in catalogue.step}, {each.id for each in catalogue.therapy}
    for advice in (*catalogue.step, *catalogue.therapy, *catalogue.help):
        for unknown in set(advice.guidelines) - guidelines:
            yield advice.id, f"rests on {unknown}, which is no guideline of the catalogue"
    for help_ in catalogue.help:
        for unknown in (set(help_.self_help) - steps) | (set(help_.therapies) - therapies):
            yield help_.id, f"names {unknown}, which is not in the catalogue"
