"""The vetted catalogue."""

from __future__ import annotations

from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.resources import Catalogue
from models.labels import Disorder

CATALOGUE = Catalogue.load()
TODAY = date(2026, 11, 24)

LINE = """
[[line]]
id = "xx-one"
country = "XX"
name = "One"
phone = ["123"]
language = ["English"]
source = ["https://example.org/one"]
confidence = "high"
verified_on = 2026-11-23
verified_by = "a test"
expires_on = 2027-11-23
review = "reviewed"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The packaged files, to be changed by a test."""
    for path in (files("bot") / "resources").iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def add(folder: Path, toml: str) -> Path:
    with (folder / "crisis_lines.toml").open("a", encoding="utf-8") as file:
        file.write(toml)
    return folder


def test_lines_come_for_the_country_in_their_order() -> None:
    """A country's lines are its own, the first one to try first."""
    assert [line.name for line in CATALOGUE.crisis_lines("GB", TODAY)] == ["Samaritans", "Shout"]
    assert CATALOGUE.crisis_lines("US", TODAY)[0].phone == ("988",)


@pytest.mark.parametrize("country", ["", "KE", "CN", "gb", "ZZ"])
def test_a_country_without_vetted_lines_has_none(country: str) -> None:
    """No country, a country whose lines nobody could confirm, or no such country: nothing is made up."""
    assert CATALOGUE.crisis_lines(country, TODAY) == ()


def test_the_directories_are_the_way_out_everywhere() -> None:
    """There are directories to print when a country has no line."""
    assert CATALOGUE.directories(TODAY)[0].url == "https://findahelpline.com"


def test_every_topic_has_words_of_help() -> None:
    """All nine have an entry, with a guideline, and none names its condition as the topic."""
    for disorder in Disorder:
        help_ = CATALOGUE.help_for(disorder)
        assert help_.id is disorder
        assert help_.guideline.startswith("NICE ")
        assert disorder.value.split("_")[0] not in help_.topic.lower()


def test_an_expired_record_is_not_printed() -> None:
    """From `expires_on` on, a record is left out and named as expired; the day before it still stands."""
    samaritans = CATALOGUE.crisis_lines("GB", TODAY)[0]
    eve, day = samaritans.expires_on - timedelta(days=1), samaritans.expires_on
    assert samaritans in CATALOGUE.crisis_lines("GB", eve)
    assert samaritans not in CATALOGUE.crisis_lines("GB", day)
    assert samaritans in CATALOGUE.expired(day)
    assert CATALOGUE.expired(TODAY) == ()
    far = date(2100, 1, 1)
    assert CATALOGUE.countries(far) == ()
    assert CATALOGUE.directories(far) == ()


def test_a_draft_is_not_printed(folder: Path) -> None:
    """A record that nobody reviewed stays in the file."""
    catalogue = Catalogue.load(add(folder, LINE.replace('"reviewed"', '"draft"')))
    assert catalogue.crisis_lines("XX", TODAY) == ()
    assert "XX" not in catalogue.countries(TODAY)


def test_a_medium_record_expires_sooner() -> None:
    """What rests on one copy stands for six months, what rests on more for twelve."""
    spans = {record.confidence: record.expires_on for record in (*CATALOGUE.line, *CATALOGUE.directory)}
    assert spans == {"high": date(2027, 11, 23), "medium": date(2027, 5, 23)}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('"high"', '"low"'), "confidence"),
        (("expires_on = 2027-11-23", "expires_on = 2028-11-23"), "expires_on"),
        (('phone = ["123"]', ""), "needs a phone"),
        (('phone = ["123"]', 'phone = ["123 (ask for Ann)"]'), "phone"),
        (('name = "One"', 'name = "[One](https://example.org)"'), "name"),
        (('phone = ["123"]', 'phone = ["123"]\nchat = "http://example.org"'), "chat"),
        (('phone = ["123"]', 'phone = ["123"]\ncolour = "blue"'), "colour"),
        (('"xx-one"', '"us-988"'), "used twice"),
        (
            ('country = "XX"\nname = "One"\nphone = ["123"]', 'country = "BR"\nname = "One"\nphone = ["1-4-1"]'),
            "retired",
        ),
    ],
)
def test_a_bad_record_is_refused_by_name(folder: Path, change: tuple[str, str], complaint: str) -> None:
    """Low confidence, too long a life, explanations in a number, Markdown, a retired number: one line says which."""
    assert LINE.replace(*change) != LINE
    with pytest.raises(ConfigError, match=complaint) as caught:
        Catalogue.load(add(folder, LINE.replace(*change)))
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_a_clear_error(folder: Path) -> None:
    """The error names the file."""
    (folder / "disorders.toml").write_text("[[", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"disorders\.toml"):
        Catalogue.load(folder)
    (folder / "disorders.toml").unlink()
    with pytest.raises(ConfigError, match=r"disorders\.toml"):
        Catalogue.load(folder)


@pytest.mark.parametrize(
    "number",
    ["1-800-273-8255", "1-833-456-4566", "45645", "07725 909090", "08457 90 90 90", "0900-0113", "199 284 284",
     "1577-0199", "1393"],
)  # fmt: skip
def test_retired_numbers_are_nowhere(number: str) -> None:
    """Numbers that still go round in lists, and no longer serve, are in no line."""
    wanted = "".join(filter(str.isdigit, number))
    used = {"".join(filter(str.isdigit, each)) for line in CATALOGUE.line for each in line.numbers}
    assert wanted not in used
