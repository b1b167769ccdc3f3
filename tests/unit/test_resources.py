"""The vetted catalogue."""

from __future__ import annotations

import re
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.resources import Audience, Catalogue, Channel, Help, Situation, Step, Therapy
from bot.wording import LANGUAGES, wording
from models.labels import Disorder, Severity

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


@pytest.mark.parametrize("disorder", Disorder)
@pytest.mark.parametrize("severity", Severity)
def test_every_topic_has_help_at_every_severity(disorder: Disorder, severity: Severity) -> None:
    """All nine at all four: self-help, what to say, when to seek whom, therapies, each with its numbered guideline."""
    help_ = CATALOGUE.help_for(disorder, severity)
    assert (help_.disorder, help_.severity) == (disorder, severity)
    advice = [help_, *(CATALOGUE.find(each) for each in (*help_.self_help, *help_.therapies))]
    assert len(advice) >= 5
    for each in advice:
        assert isinstance(each, Help | Step | Therapy)
        assert re.search(r"(NICE (NG|CG)\d+|WHO mhGAP|APA|VA/DoD) ?.*\d", CATALOGUE.guideline_names(each))
        assert each.printable(TODAY)
    assert disorder.value.split("_")[0] not in CATALOGUE.topic[disorder]


@pytest.mark.parametrize(
    ("entries", "has", "lacks"),
    [
        (["ptsd-minimal"], {"watchful-waiting"}, {"trauma-focused-cbt", "emdr", "cognitive-processing"}),
        (["adhd-minimal", "adhd-mild"], {"adhd-information"}, {"adhd-medicine-review"}),
        (["ocd-minimal", "ocd-mild"], {"erp-self-help"}, {"exposure-response", "ocd-combined"}),
        (["ocd-severe"], {"ocd-combined"}, {"erp-self-help"}),
        (["anxiety-minimal", "anxiety-mild"], {"guided-self-help-worry"}, {"applied-relaxation", "cbt-worry"}),
        (["anxiety-severe"], {"cbt-worry", "worry-medicine"}, {"problem-solving-therapy"}),
        (["depression-severe"], {"mood-combined", "cbt-mood"}, {"guided-self-help-mood"}),
        (["eating_disorder-minimal", "eating_disorder-mild"], {"eating-information"}, {"mantra"}),
        (["schizophrenia-severe"], {"psychosis-medicine-review"}, {"arts-therapy", "peer-support-worker"}),
    ],
)
def test_how_heavy_it_is_decides_what_is_offered(entries: list[str], has: set[str], lacks: set[str]) -> None:
    """Information, self-help and waiting for little distress; what is made for severe distress there alone."""
    for entry in entries:
        help_ = CATALOGUE.find(entry)
        assert isinstance(help_, Help)
        assert has <= set(help_.therapies)
        assert not lacks & set(help_.therapies)


@pytest.mark.parametrize("disorder", [Disorder.BIPOLAR, Disorder.SCHIZOPHRENIA])
@pytest.mark.parametrize("severity", Severity)
def test_new_highs_and_voices_want_a_doctor_soon(disorder: Disorder, severity: Severity) -> None:
    """However faint they are: no entry takes for granted that somebody is in care already."""
    assert re.search(r"within days|within a day|today", CATALOGUE.help_for(disorder, severity).seek)


@pytest.mark.parametrize("disorder", Disorder)
def test_severe_distress_of_any_topic_names_care_for_today(disorder: Disorder) -> None:
    """Whoever speaks of dying is told of these entries, whatever the topic is."""
    seek = CATALOGUE.help_for(disorder, Severity.SEVERE).seek
    assert re.search(r"mergency care.*(dying|not safe)", seek)
    assert "today" in seek


@pytest.mark.parametrize("text", ["a panic attack", "I plan a trip", "my new job started", "images of my holiday"])
def test_common_words_are_no_cue_for_a_treatment(text: str) -> None:
    """They stand in too many posts to point to a treatment of trauma, of danger or of voices."""
    assert not {"emdr", "safety-planning", "early-intervention"} & CATALOGUE.cues_in(text).keys()


def test_there_is_a_card_for_every_situation() -> None:
    """Each says what to answer, what not to say, when to turn to Reddit, and how to look after oneself."""
    for situation in Situation:
        card = CATALOGUE.card_for(situation, TODAY)
        assert card is not None
        assert card.answer and card.avoid and card.admins and card.self_care
        assert CATALOGUE.card_for(situation, date(2100, 1, 1)) is None


def test_lines_for_one_audience_come_only_when_it_is_named() -> None:
    """Whoever says nothing of themselves is told the lines that are there for everybody; the others come after."""
    everybody = CATALOGUE.crisis_lines("US", TODAY)
    assert {line.audience for line in everybody} == {None}
    veterans = CATALOGUE.crisis_lines("US", TODAY, {Audience.VETERANS})
    assert veterans[:-1] == everybody
    assert veterans[-1].id == "us-veterans"
    assert {line.audience for line in CATALOGUE.line} == {None, *Audience}


def test_danger_at_home_comes_before_who_somebody_is() -> None:
    """Not every line for an audience has room: of a country's, only one for young people may stand before it."""
    for country in CATALOGUE.countries(TODAY):
        audiences = [line.audience for line in CATALOGUE.crisis_lines(country, TODAY, set(Audience)) if line.audience]
        if Audience.DOMESTIC_VIOLENCE in audiences:
            before = audiences[: audiences.index(Audience.DOMESTIC_VIOLENCE)]
            assert set(before) <= {Audience.YOUNG_PEOPLE}, country


def test_a_line_that_finds_care_is_no_crisis_line() -> None:
    """It is asked for by itself, for its own country, as long as it may be printed, and counts for no country."""
    assert [line.id for line in CATALOGUE.care_lines("US", TODAY)] == ["us-samhsa"]
    assert "us-samhsa" not in {line.id for line in CATALOGUE.crisis_lines("US", TODAY, set(Audience))}
    assert CATALOGUE.care_lines("GB", TODAY) == ()
    assert CATALOGUE.care_lines("US", date(2100, 1, 1)) == ()
    alone = CATALOGUE.model_copy(update={"line": CATALOGUE.care_lines("US", TODAY)})
    assert alone.countries(TODAY) == ()


def test_no_language_loses_a_note_or_the_name_of_a_language() -> None:
    """What a reader must know of a crisis line, such as another number, is there in every language of a reply."""
    for line in CATALOGUE.line:
        for words in map(wording, LANGUAGES):
            for_spanish_alone = line.id == "us-988" and words.language != "Spanish"
            if line.note and not (line.finds_care or words.reads_the_catalogue or for_spanish_alone):
                assert words.notes.get(line.id), (line.id, words.language)
        assert line.language


def test_a_line_names_its_channels() -> None:
    """Call, text and chat are told apart."""
    channels = {line.id: line.channels for line in CATALOGUE.line}
    assert channels["gb-samaritans"] == {Channel.CALL}
    assert channels["gb-shout"] == {Channel.TEXT}
    assert channels["us-988"] == set(Channel)


def test_there_are_lines_for_thirty_countries() -> None:
    """A moderator of most communities finds the lines of their country."""
    assert len(CATALOGUE.countries(TODAY)) >= 30


def test_what_is_due_is_what_expires_or_was_never_reviewed(folder: Path) -> None:
    """A record is due from its expiry on, a draft at once, the most pressing first."""
    catalogue = Catalogue.load(add(folder, LINE.replace('"reviewed"', '"draft"')))
    assert [record.id for record in catalogue.due(TODAY)] == ["xx-one"]
    soon = catalogue.due(date(2027, 5, 23))
    assert "us-crisis-text-line" in {record.id for record in soon}
    assert [record.expires_on for record in soon] == sorted(record.expires_on for record in soon)
    assert {record.id for record in catalogue.due(date(2100, 1, 1))} == {record.id for record in catalogue.records()}


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
    assert CATALOGUE.steps(far) == ()


def test_a_clock_that_is_behind_silences_no_line() -> None:
    """A day before anybody looked at a record is no reason to leave a crisis without it; the linter tells of it."""
    assert CATALOGUE.crisis_lines("GB", date(2020, 1, 1)) == CATALOGUE.crisis_lines("GB", TODAY)


def test_a_draft_is_not_printed(folder: Path) -> None:
    """A record that nobody reviewed stays in the file."""
    catalogue = Catalogue.load(add(folder, LINE.replace('"reviewed"', '"draft"')))
    assert catalogue.crisis_lines("XX", TODAY) == ()
    assert "XX" not in catalogue.countries(TODAY)


def test_a_medium_record_expires_sooner() -> None:
    """What rests on one copy stands for six months, what rests on more for twelve."""
    for record in CATALOGUE.records():
        assert (record.expires_on - record.verified_on).days <= {"high": 366, "medium": 184}[record.confidence]


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


def test_a_retired_number_says_who_said_so() -> None:
    """Whoever wants to bring one back finds where, and on which day, it was seen to serve no more."""
    for entry in CATALOGUE.retired:
        assert entry.source
        assert entry.verified_on <= TODAY


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
