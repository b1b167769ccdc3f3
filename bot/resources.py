"""The vetted catalogue: crisis lines by country, directories of lines, and words of help by topic."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bot.errors import ConfigError, NightlightError
from models.labels import Disorder

# How long a record may stand before a person looks at its sources again.
_LIFETIME = {"high": timedelta(days=366), "medium": timedelta(days=184)}

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Number = Annotated[str, Field(pattern=r"^[+(]?[0-9][0-9 ()-]*$", max_length=20)]
Link = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9./-]+$")]
Source = Annotated[str, Field(pattern=r"^https?://\S+$")]
Words = Annotated[str, Field(min_length=1, pattern=r"^[^\n*_`\[\]<>|\\?]*$")]  # nothing Markdown would act on


class NoVettedWords(NightlightError):
    """There is nothing vetted that could be said, so nothing is said. Trying again cannot help."""


class Record(BaseModel):
    """What every entry of the catalogue carries: where it comes from and how long it may be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
    source: Annotated[tuple[Source, ...], Field(min_length=1)]
    confidence: Literal["high", "medium"]
    verified_on: date
    verified_by: Words
    expires_on: date = Field(description="the first day on which the record is no longer printed")
    review: Literal["reviewed", "draft"]

    @model_validator(mode="after")
    def _stands_no_longer_than_it_may(self) -> Record:
        if not self.verified_on < self.expires_on <= self.verified_on + _LIFETIME[self.confidence]:
            raise ValueError(f"expires_on must lie within {_LIFETIME[self.confidence].days} days after verified_on")
        return self

    def printable(self, today: date) -> bool:
        """Whether a person may be shown this today: reviewed, and not expired."""
        return self.review == "reviewed" and today < self.expires_on


class Line(Record):
    """A crisis line. `keyword` is what to text; `hours` in local time, empty when nobody could confirm them."""

    country: Country
    name: Words
    phone: tuple[Number, ...] = ()
    text: Number | None = None
    keyword: Annotated[str, Field(pattern=r"^[A-Z]+$")] | None = None
    whatsapp: Number | None = None
    chat: Link | None = None
    url: Link | None = None
    hours: Words | Literal[""] = ""
    language: tuple[Words, ...]
    note: Words | Literal[""] = ""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Line:
        if not (self.numbers or self.chat):
            raise ValueError("a line needs a phone, text, whatsapp or chat")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every number that reaches this line."""
        return (*self.phone, *(number for number in (self.text, self.whatsapp) if number))


class Directory(Record):
    """A place that lists lines all over the world."""

    name: Words
    url: Link


class Help(Record):
    """What a moderator may find useful when a post touches a topic. `id` is a `models.labels.Disorder`.

    `topic` names what the post is about, never what its author has.
    """

    id: Disorder
    topic: Words
    words: Words
    seek_help: Words
    guideline: Words


class Retired(BaseModel):
    """A number that still goes round and must never be printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: Country
    number: Number
    reason: Words


class Catalogue(BaseModel):
    """Everything vetted. The fields are the tables of the files; ask through the methods, which know the date."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: tuple[Line, ...]
    directory: tuple[Directory, ...]
    retired: tuple[Retired, ...]
    disorder: tuple[Help, ...]

    @model_validator(mode="after")
    def _is_consistent(self) -> Catalogue:
        if repeated := [name for name, count in Counter(r.id for r in self._records()).items() if count > 1]:
            raise ValueError(f"id used twice: {', '.join(repeated)}")
        if missing := set(Disorder) - {help_.id for help_ in self.disorder}:
            raise ValueError(f"no words of help for: {', '.join(sorted(missing))}")
        retired = {(entry.country, _digits(entry.number)): entry for entry in self.retired}
        for line in self.line:
            for number in line.numbers:
                if entry := retired.get((line.country, _digits(number))):
                    raise ValueError(f"{line.id} uses {number}, which is retired: {entry.reason}")
        return self

    @classmethod
    def load(cls, folder: Traversable | None = None) -> Catalogue:
        """The catalogue that comes with the package, or the same files in another folder.

        Raises ConfigError with one line that names the file or the entry and what is wrong with it.
        """
        folder = folder if folder is not None else files("bot") / "resources"
        tables: dict[str, object] = {}
        for name in ("crisis_lines.toml", "disorders.toml"):
            try:
                tables |= tomllib.loads((folder / name).read_text(encoding="utf-8"))
            except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ConfigError(f"catalogue: {name}: {error}") from error
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            problem = error.errors()[0]
            key = ".".join(map(str, problem["loc"])) or "the files together"
            raise ConfigError(f"catalogue: {key}: {problem['msg']}") from error

    def crisis_lines(self, country: str, today: date) -> tuple[Line, ...]:
        """The lines of a country (ISO code) that may be printed today, the first one to try first."""
        return tuple(line for line in self.line if line.country == country and line.printable(today))

    def countries(self, today: date) -> tuple[str, ...]:
        """The countries that have a line to print today, in alphabetical order."""
        return tuple(sorted({line.country for line in self.line if line.printable(today)}))

    def directories(self, today: date) -> tuple[Directory, ...]:
        """The directories that may be printed today, the best one first."""
        return tuple(directory for directory in self.directory if directory.printable(today))

    def help_for(self, disorder: Disorder) -> Help:
        """Words for moderators about a topic; there is an entry for all nine."""
        return next(help_ for help_ in self.disorder if help_.id == disorder)

    def expired(self, today: date) -> tuple[Record, ...]:
        """Every entry whose time is over and that needs a person to look at its sources again."""
        return tuple(record for record in self._records() if today >= record.expires_on)

    def _records(self) -> Iterable[Record]:
        return (*self.line, *self.directory, *self.disorder)


def _digits(number: str) -> str:
    return "".join(character for character in number if character.isdigit())
