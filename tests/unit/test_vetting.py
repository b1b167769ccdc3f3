"""The catalogue's linter and its commands."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest
import textstat
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bot import cli
from bot.errors import ConfigError
from bot.resources import Advice, Card, Catalogue
from bot.vetting import Finding, check, reading_age, texts

TODAY = date(2026, 12, 1)
MINIMAL = "depression-minimal"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The packaged files, to be changed by a test."""
    for path in (files("bot") / "resources").iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_shipped_catalogue_keeps_every_rule() -> None:
    """Nothing that ships is found fault with."""
    assert check(TODAY) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "record", "rule"),
    [
        ("steps.toml", 'words = "Getting up', 'words = "For symptoms, getting up', "sleep-rhythm", "clinical"),
        ("steps.toml", 'words = "Getting up', 'words = "It gets better. Getting up', "sleep-rhythm", "promises"),
        ("steps.toml", 'words = "Getting up', 'words = "You must begin. Getting up', "sleep-rhythm", "orders"),
        ("steps.toml", 'words = "Getting up', 'words = "Call 0800 123 456. Getting up', "sleep-rhythm", "number"),
        (
            "steps.toml",
            'words = "Getting up',
            'words = "Psychophysiological hyperarousal characteristically perpetuates nonrestorative sleeplessness '
            "notwithstanding getting up",
            "sleep-rhythm",
            "reads like",
        ),
        ("steps.toml", 'id = "sleep-rhythm"', 'id = "move-a-little"', "move-a-little", "used twice"),
        ("steps.toml", '"nice-ng222"]', '"nice-ng999"]', "sleep-rhythm", "no guideline"),
        ("steps.toml", "verified_on = 2026-11-30", "verified_on = 2026-12-24", "sleep-rhythm", "future"),
        ("therapies.toml", 'not_for = "', 'not_four = "', "behavioural-activation", "not_for: Field required"),
        ("disorders.toml", 'severity = "mild"', 'severity = "severe"', "depression-mild", "one entry of help"),
        ("disorders.toml", '"guided-self-help-mood"', '"snake-oil"', "depression-minimal", "snake-oil"),
        ("steps.toml", 'not_for = "', 'not_for = "A home with violence. ', "sleep-rhythm", "lacks violence"),
        ("steps.toml", 'not_for = "', 'not_for = "Thoughts of dying. ', "sleep-rhythm", "lacks danger or emergency"),
        ("steps.toml", 'not_with = ["faints"]', "", "slow-breath", "not_for says 'chest', and not_with lacks faints"),
        ("steps.toml", 'not_with = ["high", "loss"]', 'not_with = ["high"]', "share-the-nights", "lacks loss"),
        ("steps.toml", 'not_with = ["high"]', "", "sleep-rhythm", "lacks high"),
        ("steps.toml", 'not_with = ["drinks_daily"]', "", "less-alcohol", "lacks drinks_daily"),
        ("therapies.toml", 'not_with = ["eating"]', "", "group-exercise", "lacks eating"),
        ("therapies.toml", 'not_with = ["eating"]', 'not_with = ["rain"]', "group-exercise", "not_with"),
        ("therapies.toml", 'not_for = "', 'not_for = "A home with violence. ', "behavioural-activation", "violence"),
        ("disorders.toml", 'not_for = "', 'not_for = "It is not for danger that goes on. ', MINIMAL, "lacks violence"),
        ("guidelines.toml", 'number = "NG222"', 'number = "the new one"', "nice-ng222", "number"),
        ("cards.toml", 'fits = "crisis"', 'fits = "voices"', "", "no card for crisis"),
        ("guidelines.toml", 'number = "NG222"', 'number = "NG22222"', "nice-ng222", "number"),
        ("crisis_lines.toml", 'phone = ["988"]', 'phone = ["1-800-273-8255"]', "us-988", "retired"),
        ("crisis_lines.toml", 'name = "988 ', 'name = "1 (800) 273-8255 or 988 ', "us-988", "retired"),
        ("crisis_lines.toml", 'hours = "24/7"', 'hours = "24/7 on 1800 273 8255"', "us-988", "retired"),
        ("crisis_lines.toml", 'note = "', 'note = "or dial 18002738255; ', "us-988", "retired"),
        ("crisis_lines.toml", 'country = "US"', 'country = "ZZ"', "us-988", "ZZ is no country"),
        ("crisis_lines.toml", 'language = ["English", "Spanish"]', 'language = ["Klingon"]', "us-988", "Klingon"),
        ("crisis_lines.toml", 'language = ["English", "Spanish"]', "language = []", "us-988", "language"),
        ("crisis_lines.toml", 'verified_by = "Nightlight', 'verified_by = " "\n# "', "us-988", "verified_by"),
        ("disorders.toml", 'moderators = "', 'moderators = "Tell them you have bipolar disorder. ', MINIMAL, "label"),
        ("disorders.toml", 'moderators = "', 'moderators = "Say that it gets better. ', MINIMAL, "promises"),
        ("disorders.toml", 'seek = "', 'seek = "You must go. ', MINIMAL, "orders"),
        ("therapies.toml", 'words = "', 'words = "It cures you. ', "behavioural-activation", "promises"),
        ("cards.toml", "answer = [", 'answer = [\n    "Say: you are schizophrenic.",', "card-crisis", "label"),
        ("disorders.toml", "[topic]", "[topic]\nmuscle = 'aches'", "", "muscle"),
        ("disorders.toml", '"low mood"', '"**low** mood"', "", "depression"),
        ("disorders.toml", '"low mood"', "3", "", "depression"),
        ("disorders.toml", "[topic]", "[[topic]]", "", "topic"),
        ("crisis_lines.toml", 'confidence = "high"', 'confidence = "low"', "us-988", "confidence"),
        ("crisis_lines.toml", 'review = "reviewed"', 'review = "seen"', "us-988", "review"),
    ],
)
def test_a_broken_rule_is_named_with_file_and_record(
    folder: Path, name: str, old: str, new: str, record: str, rule: str
) -> None:
    """Clinical words, promises, orders, numbers in prose, hard words, dead references, missing and retired things."""
    change(folder, name, old, new)
    findings = check(TODAY, folder)
    assert any(rule in each.rule and each.record == record for each in findings), findings
    assert all(each.file == name for each in findings if each.record == record and rule in each.rule and record)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('review = "reviewed"', 'review = "draft"', "rests on nice-ng222, which nobody reviewed"),
        ("expires_on = 2027-11-30", "expires_on = 2027-06-30", "rests on nice-ng222, which expires before it"),
    ],
)
def test_advice_stands_no_longer_than_what_it_rests_on(folder: Path, old: str, new: str, rule: str) -> None:
    """The name of a guideline is printed with the advice, so a draft or an older guideline is told with its advice."""
    change(folder, "guidelines.toml", old, new)
    assert Finding("steps.toml", "sleep-rhythm", rule) in check(TODAY, folder)


def test_an_entry_of_help_names_what_its_guidelines_recommend(folder: Path) -> None:
    """A therapy of another guideline is told, and so is an entry none of whose therapies fits without a cue."""
    change(folder, "disorders.toml", '"ocd-information", ', '"safety-planning", ')
    change(folder, "therapies.toml", 'id = "erp-self-help"', 'id = "erp-self-help"\nneeds_cue = true')
    change(folder, "therapies.toml", 'id = "safety-planning"', 'id = "safety-planning"\nneeds_cue = true')
    assert check(TODAY, folder) == [
        Finding("disorders.toml", "ocd-minimal", "names safety-planning, which rests on none of its guidelines"),
        Finding("disorders.toml", "ocd-minimal", "has no therapy that fits without a cue"),
    ]


def test_too_few_countries_are_told(folder: Path) -> None:
    """Drafts do not count: without them the lines would reach too few people."""
    path = folder / "crisis_lines.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"reviewed"', '"draft"'), encoding="utf-8")
    assert "lines for 0 countries, of 30 that are needed" in {each.rule for each in check(TODAY, folder)}


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    """Broken TOML, a missing file, a table nobody knows: each is told, none ends the linter."""
    (folder / "steps.toml").write_text("[[", encoding="utf-8")
    (folder / "cards.toml").unlink()
    (folder / "guidelines.toml").write_text("[[rumour]]\nid = 'x'\n", encoding="utf-8")
    found = check(TODAY, folder)
    assert {each.file for each in found} == {"steps.toml", "cards.toml", "guidelines.toml"}
    (folder / "steps.toml").write_text("", encoding="utf-8")
    (folder / "cards.toml").write_text("card = 3", encoding="utf-8")
    assert Finding("cards.toml", "", "card is not the kind of table that it should be") in check(TODAY, folder)


def test_a_table_in_the_wrong_file_replaces_nothing(folder: Path) -> None:
    """A second table of lines would silently take the place of the first: neither loaded nor passed by the check."""
    text = (folder / "crisis_lines.toml").read_text(encoding="utf-8")
    with (folder / "steps.toml").open("a", encoding="utf-8") as file:
        file.write(text[text.index("[[line]]") : text.index("[[line]]", text.index("[[line]]") + 1)])
    (finding,) = check(TODAY, folder)
    assert finding.file == "steps.toml"
    assert "'line'" in finding.rule
    with pytest.raises(ConfigError, match=r"steps\.toml.*'line'"):
        Catalogue.load(folder)


def test_a_file_that_nothing_reads_is_told(folder: Path) -> None:
    """Records in a file of another name would be missed by everybody."""
    (folder / "more_lines.toml").write_text("", encoding="utf-8")
    assert check(TODAY, folder) == [Finding("more_lines.toml", "", "no file of this name is read")]


@given(st.text(max_size=200))
def test_the_linter_takes_whatever_is_in_a_file(text: str) -> None:
    """Any text as a file gives findings, never a traceback."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        for path in (files("bot") / "resources").iterdir():
            (Path(name) / path.name).write_bytes(path.read_bytes())
        (Path(name) / "steps.toml").write_text(text, encoding="utf-8", errors="replace")
        assert check(TODAY, Path(name))


def test_the_measure_agrees_with_a_well_known_one() -> None:
    """Within two and a half years of textstat's index, which also counts the signs between words."""
    for record in Catalogue.load().records():
        if isinstance(record, Advice | Card):
            text = " ".join(texts(record))
            assert abs(reading_age(text) - (textstat.automated_readability_index(text) + 5)) < 2.5


def test_check_says_so_when_all_is_well() -> None:
    """Exit code 0 and one line."""
    result = CliRunner().invoke(cli.app, ["resources", "check"])
    assert result.exit_code == 0
    assert result.output == "Every record keeps the rules.\n"


def test_check_names_what_is_wrong_and_fails(folder: Path) -> None:
    """Exit code 1, a line each: file, record, rule."""
    change(folder, "steps.toml", 'words = "Getting up', 'words = "It gets better. Getting up')
    result = CliRunner().invoke(cli.app, ["resources", "check", str(folder)])
    assert result.exit_code == 1
    assert result.output == "steps.toml: sleep-rhythm: promises\n"


def test_due_lists_what_to_look_at_again() -> None:
    """Far enough ahead everything is due, with its day and its sources, whole even in a narrow window."""
    result = CliRunner().invoke(cli.app, ["resources", "due", "--within", "4000"], env={"COLUMNS": "40"})
    assert result.exit_code == 0
    assert (
        "us-988: expires on 2027-11-23\n  https://988lifeline.org/get-help/what-to-expect\n  https://www.samhsa.gov/"
    ) in result.output
    for record in Catalogue.load().records():
        assert f"{record.id}: expires on {record.expires_on}\n" in result.output
        assert all(f"  {source}\n" in result.output for source in record.source)
    assert "words in Spanish: expires on 2027-05-30\n  https://www.orygen.org.au/" in result.output


def test_due_looks_into_another_folder(folder: Path) -> None:
    """As `check` does, so that a team can keep its own catalogue up to date."""
    change(folder, "steps.toml", 'review = "reviewed"', 'review = "draft"')
    result = CliRunner().invoke(cli.app, ["resources", "due", str(folder), "--within", "36500"])
    assert result.exit_code == 0
    assert "nobody reviewed it" in result.output
    assert "words in" not in result.output  # those of the package, which the team's folder has nothing to do with


@pytest.mark.parametrize("days", ["9999999", "-1"])
def test_due_looks_a_century_ahead_at_most(days: str) -> None:
    """A number of days that no calendar holds is a usage error, not a traceback."""
    result = CliRunner().invoke(cli.app, ["resources", "due", "--within", days])
    assert result.exit_code == 2
    assert "--within" in result.output
