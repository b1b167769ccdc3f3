"""Everything that an author may read: one file a language, and the templates that put its parts together."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bot.vetted import Vetted
from models.labels import Level

ENGLISH = "en"
LANGUAGES = (ENGLISH, "es", "de", "fr", "pt")  # ISO 639-1; a reply in any other language is given in English
REPLIED_LEVELS = (Level.CRISIS, Level.URGENT, Level.WATCH)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(_Part):
    """What is said at one level."""

    opening: str
    safety: str = Field(description="what to do when not safe")
    listen: str = Field(description="stands before crisis lines")
    listen_directory: str = Field(description="stands for them when there are none; {directory}")
    closing: str


class Every(_Part):
    """What is said at every level."""

    elsewhere: str = Field(description="{directory}")
    this_community: str = Field(description="in place of a subreddit's name that cannot be one")
    footer: str = Field(description="{community} and {opt_out}")


class LineWords(_Part):
    """How a crisis line is put into words; `hours` where the catalogue's own words for them can be read."""

    colon: str
    both: str
    call: str
    text: str
    keyword: str
    whatsapp: str
    chat: str
    website: str
    or_: str = Field(alias="or")
    always: str
    hours: str = ""
    unsure: str


def _compiled(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        re.compile(pattern)
    return patterns


Patterns = Annotated[tuple[str, ...], AfterValidator(_compiled)]


class Never(_Part):
    """Regular expressions of whole words that break a rule, by rule."""

    diagnosis: Patterns
    claim: Patterns
    promise: Patterns
    guilt: Patterns
    method: Patterns
    person: Patterns
    number: Patterns


class Needed(_Part):
    """What every reply says somewhere, letter for letter; `opt_out` stands in the text of a link.

    `negation` holds regular expressions of whole words that may not stand before it in the same clause, or right after.
    """

    bot: str
    emergency: str
    opt_out: str
    negation: Patterns


class Wording(Vetted):
    """One language. `language` is its name in the catalogue, `languages` the names of others in this one."""

    language: str
    crisis: Said
    urgent: Said
    watch: Said
    every: Every
    line: LineWords
    languages: Mapping[str, str] = Field(default_factory=dict)
    notes: Mapping[str, str] = Field(default_factory=dict, description="by the id of a crisis line")
    never: Never
    needed: Needed

    @property
    def id(self) -> str:
        """What it is called in a list of records."""
        return f"words in {self.language}"

    @property
    def reads_the_catalogue(self) -> bool:
        """Whether hours and notes can be printed as the catalogue has them, in English."""
        return self.language == "English"

    def said(self, level: Level) -> Mapping[str, str]:
        """The parts for one of the replied levels, with those for every level, by name."""
        at_level: Said = {Level.CRISIS: self.crisis, Level.URGENT: self.urgent, Level.WATCH: self.watch}[level]
        return {**self.every.model_dump(), **at_level.model_dump()}

    def parts(self) -> Iterator[str]:
        """Every part that a reply may hold, with its placeholders."""
        for level in REPLIED_LEVELS:
            yield from self.said(level).values()
        yield from self.line.model_dump().values()
        yield from self.languages.values()
        yield from self.notes.values()


@cache
def wording(language: str) -> Wording:
    """The wording of one of `LANGUAGES`."""
    if language not in LANGUAGES:
        raise KeyError(language)
    text = files(__name__).joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return Wording.model_validate(tomllib.loads(text))


def best(language: str | None, today: date) -> str:
    """The language to answer in: this one when there is a wording for it that may be printed today, else English."""
    return language if language in LANGUAGES and wording(language).printable(today) else ENGLISH


def language_of(reply: str) -> str:
    """The language in which a reply was put together, English when it is none of ours or its words are forgotten."""
    return next((language for language in LANGUAGES if wording(language).needed.bot in reply), ENGLISH)
