"""The words under a post."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Config, Replies, Team, load
from bot.replies import (
    LINES_NAMED,
    Parts,
    check_teams,
    check_templates,
    compose,
    compose_reply,
    in_words,
    lines_to_choose,
    out_of_date,
    proposed_country,
    proposed_parts,
    reason_to_wait,
)
from bot.resources import Audience, Catalogue, NoVettedWords
from bot.safe_messaging import LONGEST_REPLY, Rule
from bot.statements import statements
from bot.types import Decision, Post
from bot.wording import LANGUAGES, REPLIED_LEVELS, best, wording
from models.labels import Level

CATALOGUE = Catalogue.load()
TODAY = date(2026, 11, 24)
POST = Post("abc", "testsub", "someone", "a title", "a body", 0.0, "/r/testsub/comments/abc/a_title/")


def reply(
    level: Level = Level.CRISIS,
    country: str = "",
    post: Post = POST,
    today: date = TODAY,
    language: str | None = None,
    **settings: Any,
) -> str:
    team = Team(replies=Replies(country=country, **settings))
    return compose_reply(post, Decision(level, (), ()), team, CATALOGUE, today, language)


def test_every_reply_keeps_the_rules() -> None:
    """The box's own words break no rule, at any level, in any language, with the lines of any country."""
    assert check_templates(None, CATALOGUE, TODAY) == []
    for country in CATALOGUE.countries(TODAY):
        for language in LANGUAGES:
            reply(Level.CRISIS, country, language=language)  # the longest; raises NoVettedWords for any breach


@pytest.mark.parametrize(
    ("level", "opening"),
    [
        (Level.CRISIS, "Your post sounds as though things may be very hard right now."),
        (Level.URGENT, "Thank you for writing this here. It sounds like a lot to carry"),
        (Level.WATCH, "Thank you for sharing this here. If things feel heavy"),
    ],
)
def test_each_level_has_its_own_tone(level: Level, opening: str) -> None:
    """The graver the level, the sooner the reply speaks of safety."""
    assert reply(level).startswith(opening)


def test_the_lines_of_the_country_are_named_with_clean_numbers() -> None:
    """Where a post states none, the country that the team has set gives the lines, and those only."""
    text = reply(country="GB")
    assert "**Samaritans**: call 116 123, or [see the website](https://www.samaritans.org). Open day and night." in text
    assert "**Shout**: text 85258." in text
    assert "988" not in text
    assert "call or text 988, or [chat online](https://988lifeline.org)" in reply(country="US")
    assert "text HOME to 741741" in reply(country="US")


def test_unconfirmed_hours_are_said_to_be_uncertain() -> None:
    """Nobody is told that a line is open when no source says so."""
    assert "0508 828 865. It may not be open at all hours." in reply(country="NZ")


def test_at_most_three_lines_are_named() -> None:
    """A list too long to choose from helps nobody."""
    assert len(CATALOGUE.crisis_lines("FI", TODAY)) > 3
    assert reply(country="FI").count("\n- ") == 3


@pytest.mark.parametrize("level", REPLIED_LEVELS)
def test_without_a_country_the_directory_stands_in(level: Level) -> None:
    """No country set, or one without lines: the worldwide directory, and no number of any country."""
    for text in (reply(level), reply(level, country="KE")):
        assert "[Find A Helpline](https://findahelpline.com)" in text
        assert not re.search(r"\d{3}", text)


def test_lines_that_expired_are_not_named() -> None:
    """After the medium records' time only the high ones are left; after all, there is no reply at all."""
    assert "**Pieta**" in reply(country="IE")
    assert "**Pieta**" not in reply(country="IE", today=date(2027, 5, 23))
    with pytest.raises(NoVettedWords, match="expired"):
        reply(country="IE", today=date(2027, 11, 23))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reply_is_out_of_date_from_the_day_on_which_something_in_it_expires(language: str) -> None:
    """Not before, and not for a line that it does not name; also where a record has changed or is there no more."""
    for country, expires in (("IE", date(2027, 5, 23)), ("", date(2027, 11, 23))):
        text = reply(country=country, language=language)
        expires = min(expires, wording(language).expires_on)
        assert out_of_date(text, CATALOGUE, expires - timedelta(1)) == ""
        assert "put together again" in out_of_date(text, CATALOGUE, expires)
    text = reply(country="GB", language=language)
    assert out_of_date(text, with_drafts("ie-samaritans"), TODAY) == ""  # with the same number and address
    without = CATALOGUE.model_copy(update={"line": [each for each in CATALOGUE.line if each.id != "gb-samaritans"]})
    for catalogue in (with_drafts("gb-samaritans"), without):
        assert out_of_date(text, catalogue, TODAY)


def test_a_page_of_the_catalogue_may_be_linked_to_until_it_expires(tmp_path: Path) -> None:
    """A team's own link to it holds no reply back, named or not; from the day on which it expires the check says so."""
    page = "https://www.supportline.example"
    (line,) = (each for each in CATALOGUE.line if each.id == "ca-nedic")
    longer = OWN.replace("Our", f"See [this page]({line.url}) or [that]({page}). Our")
    folder, expires = folder_of(tmp_path, crisis_en=longer), line.expires_on
    for country in ("", "GB", "CA"):
        text = reply(country=country, templates=folder)
        assert line.url in text
        assert out_of_date(text, CATALOGUE, TODAY) == ""
        assert out_of_date(text, CATALOGUE, expires)
    assert check_templates(folder, CATALOGUE, TODAY) == []
    assert [each.breach.rule for each in check_templates(folder, CATALOGUE, expires)] == [Rule.EXPIRED]


@pytest.mark.parametrize("level", [Level.NONE, Level.UNASSESSED])
def test_levels_without_vetted_words_get_no_reply(level: Level) -> None:
    """There is no template for a post that is calm or that nobody has read."""
    with pytest.raises(NoVettedWords):
        reply(level)


def test_the_way_to_opt_out() -> None:
    """The team's own page when it has one, else a message to the moderators of that subreddit."""
    assert "](https://www.reddit.com/message/compose?to=r/testsub&subject=No%20more" in reply()
    assert "[opt out of these replies](https://example.org/no-thanks)" in reply(
        opt_out_url="https://example.org/no-thanks"
    )


def test_an_opt_out_link_that_breaks_a_rule_stops_the_reply() -> None:
    """A link shortener never reaches an author."""
    with pytest.raises(NoVettedWords):
        reply(opt_out_url="https://bit.ly/abc")


@pytest.mark.parametrize("name", ["depression", "Anxiety", "SuicideWatch", "OCD", "u_x"])
def test_a_community_may_be_called_what_a_reply_may_not_say(name: str) -> None:
    """The name of r/depression is no diagnosis."""
    text = reply(post=Post("abc", name, None, "", "", None, ""))
    assert f"run by the moderators of r/{name}." in text


def saying(text: str) -> Post:
    return Post("abc", "testsub", "someone", "", text, 0.0, "")


def named(text: str) -> list[str]:
    """The names of the lines in a reply, in their order."""
    return re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE)


HURT_VETERAN = "I am a gay veteran. I live in the US. My husband hits me"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("I live in the US. I am a veteran.", ["988 Suicide", "Crisis Text Line", "Veterans Crisis Line"]),
        ("I'm in the US and my husband hits me", ["988 Suicide", "Crisis Text Line", "National Domestic Violence"]),
        ("15F, UK", ["Samaritans", "Shout", "Childline"]),
        ("29F, Canada, my eating disorder is back", ["9-8-8", "NEDIC helpline"]),
        ("I'm 16 and trans, here in Australia", ["Lifeline", "Kids Helpline", "QLife"]),
        ("I am a gay veteran. I live in the US.", ["988 Suicide", "Veterans Crisis Line", "TrevorLifeline"]),
        (HURT_VETERAN, ["988 Suicide", "National Domestic Violence", "Veterans Crisis Line"]),
    ],
)
@pytest.mark.parametrize("level", REPLIED_LEVELS)
def test_whom_a_post_is_from_adds_a_line_after_the_one_for_everybody(text: str, lines: list[str], level: Level) -> None:
    """Where it states a country and an audience, the lines are that country's, whatever country the team has set."""
    for country in ("", "IE", "US"):
        found = named(reply(level, country, saying(text)))
        assert len(found) == len(lines)
        assert all(name.startswith(start) for name, start in zip(found, lines, strict=True))


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("I live in Canada.", "CA"),
        ("Vivo en México", "MX"),
        ("17F, Ireland. I want to die.", "IE"),  # no line of its own for them
        ("I am a veteran. I live in Canada.", "CA"),
        ("I live in the US and my brother is a veteran", "US"),
        ("I live in Kenya. I am a veteran.", ""),  # no line at all: the directory alone
        ("I am a veteran.", "GB"),
        ("I'm not in Canada", "GB"),
        ("my dad moved to Canada and I'm 15", "GB"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stated_country_stands_before_the_teams(text: str, country: str, language: str) -> None:
    """Its lines, or the directory where it has none; the team's where none is stated, and no line for an audience."""
    assert reply(country="GB", post=saying(text), language=language) == reply(country=country, language=language)


def test_a_post_that_is_gone_states_nothing() -> None:
    """Reddit's own words in place of a text are nobody's."""
    assert reply(post=Post("abc", "testsub", None, "15F, UK", "[removed]", 0.0, "")) != reply()
    assert reply(post=Post("abc", "testsub", None, "", "[removed]", 0.0, "")) == reply()


def test_a_line_that_finds_care_is_never_said_to_be_there_to_listen() -> None:
    """Not by a moderator's choice either, and it is no line for everybody that one for some could stand beside."""
    for lines in (("us-samhsa",), ("us-988", "us-samhsa"), ("us-samhsa", "us-veterans")):
        with pytest.raises(NoVettedWords, match="no crisis line"):
            compose(POST, Parts(Level.CRISIS, lines, True), Team(), CATALOGUE, TODAY)


def test_a_line_for_some_is_never_named_alone() -> None:
    """Not by a moderator's choice, and not when the one for everybody in its country may not be printed."""
    for lines in (("us-veterans",), ("gb-samaritans", "us-veterans")):
        with pytest.raises(NoVettedWords, match="for everybody"):
            compose(POST, Parts(Level.CRISIS, lines, True), Team(), CATALOGUE, TODAY)
    chosen = Parts(Level.CRISIS, ("us-veterans", "us-988"), True)
    assert named(compose(POST, chosen, Team(), CATALOGUE, TODAY)) == [
        "988 Suicide & Crisis Lifeline",
        "Veterans Crisis Line",
    ]
    text = compose_in(with_drafts("us-988", "us-crisis-text-line"), "I live in the US. I am a veteran.", "GB")
    assert named(text) == []


def with_drafts(*ids: str) -> Catalogue:
    """The catalogue with some lines that nobody reviewed."""
    lines = tuple(line.model_copy(update={"review": "draft"}) if line.id in ids else line for line in CATALOGUE.line)
    return CATALOGUE.model_copy(update={"line": lines})


def compose_in(catalogue: Catalogue, text: str, country: str = "", today: date = TODAY) -> str:
    team = Team(replies=Replies(country=country))
    return compose_reply(saying(text), Decision(Level.CRISIS, (), ()), team, catalogue, today)


def test_a_draft_or_an_expired_line_is_no_line_for_anybody() -> None:
    """An unreviewed line for an audience is passed over, and so is one from the day on which it expires."""
    assert "Childline" not in compose_in(with_drafts("gb-childline"), "15F, UK")
    assert "Childline" in compose_in(CATALOGUE, "15F, UK", today=date(2027, 5, 29))
    assert "Childline" not in compose_in(CATALOGUE, "15F, UK", today=date(2027, 5, 30))


def test_where_there_is_little_room_the_line_for_some_stays_and_the_first_one_stays_longest(tmp_path: Path) -> None:
    """Dropped first is another line for everybody, then those for an audience, and last the first for everybody."""
    post, kept = saying("I live in the US. I am a veteran."), []
    for sentences in range(0, 30, 2):
        words = OWN.replace("Our", "It is made for hard days here. " * sentences + "Our")
        folder = folder_of(tmp_path / str(sentences), crisis_en=words)
        kept.append(named(reply(post=post, templates=folder)))
        if not kept[-1]:
            break
    first, text_line, veterans = "988 Suicide & Crisis Lifeline", "Crisis Text Line", "Veterans Crisis Line"
    assert list(dict.fromkeys(map(tuple, kept))) == [(first, text_line, veterans), (first, veterans), (first,), ()]


def test_what_a_moderator_sees_is_what_is_proposed() -> None:
    """The country and the lines to choose from follow the post as the proposal does."""
    post, team = saying("15F, UK"), Team(replies=Replies(country="US"))
    assert proposed_country(post, team) == "GB"
    assert proposed_country(POST, team) == "US"
    proposed = proposed_parts(post, Level.CRISIS, team, CATALOGUE, TODAY)
    assert set(proposed.lines) == {line.id for line in lines_to_choose(post, "GB", CATALOGUE, TODAY)}
    assert compose(post, proposed, team, CATALOGUE, TODAY) == reply(country="US", post=post)


def test_a_line_for_violence_at_home_waits_for_a_person() -> None:
    """Whoever lives there may read it; without that line there is nothing more to weigh than in any other reply."""
    team = Team(replies=Replies(country="US"))
    for text in ("I'm in the US and my husband hits me", HURT_VETERAN):
        assert reason_to_wait(saying(text), team, CATALOGUE, TODAY)
    for text in (
        "my husband hits me",
        "I live in Ireland. My husband hits me",
        "I live in the US. I am a veteran.",
        "",
    ):
        assert reason_to_wait(saying(text), team, CATALOGUE, TODAY) == ""


STATED = st.lists(
    st.sampled_from(
        ["I live in the US. ", "I'm in Canada. ", "[UK] ", "here in Australia ", "I live in Ireland. ", "I'm 15. ",
         "I am a veteran. ", "I'm gay. ", "my eating disorder ", "my husband hits me. ", "my dad is a veteran ",
         "my friend is in Ireland ", "veterans 988 1-800 ", "\u202e", "’", "{{ lines }} "]
    ),
    max_size=6,
).map("".join)  # fmt: skip


@given(
    STATED,
    st.sampled_from(["", "US", "GB", "FI", "KE", "AU"]),
    st.sampled_from(REPLIED_LEVELS),
    st.sampled_from([None, *LANGUAGES]),
    st.dates(date(2026, 11, 30), date(2027, 11, 22)),
    st.sets(st.sampled_from([line.id for line in CATALOGUE.line if line.country in ("US", "CA", "GB", "AU")])),
)
def test_a_line_is_named_for_an_audience_only_as_the_post_itself_states_it(
    text: str, country: str, level: Level, language: str | None, today: date, drafts: set[str]
) -> None:
    """Stated audience and country, printable today, after one for everybody there; never too long, never too many."""
    catalogue, team = with_drafts(*drafts), Team(replies=Replies(country=country))
    try:
        body = compose_reply(saying(text), Decision(level, (), ()), team, catalogue, today, language)
    except NoVettedWords:
        # Only when nothing at all is left to name may nothing be said.
        assert not catalogue.directories(today)
        return
    known = {in_words(line, best(language, today)): line for line in catalogue.line}
    lines = [known[each] for each in re.findall(r"^- (.+)$", body, re.MULTILINE)]
    stated = statements(text)
    assert len(body) < LONGEST_REPLY
    assert len(lines) <= LINES_NAMED
    assert all(line.printable(today) for line in lines)
    assert {line.country for line in lines} <= {stated.country or country}
    for_some = [line for line in lines if line.audience is not None]
    if for_some:
        assert {line.audience for line in for_some} <= stated.audiences.keys()
        assert stated.country
        assert lines[0].audience is None
        assert lines[-len(for_some) :] == for_some


def test_there_is_a_line_for_each_audience_to_name() -> None:
    """The property above speaks of all five."""
    said = ("I live in the US. I am a veteran. My husband hits me.", "29F, Canada, my eating disorder", "15F, UK",
            "I'm gay, here in Australia")  # fmt: skip
    found = {line.audience for line in CATALOGUE.line for text in said if in_words(line) in reply(post=saying(text))}
    assert found == {None, *Audience}


HOSTILE = st.text(min_size=4) | st.sampled_from(
    ["{{ 7*7 }}{% raw %}", "[click](https://evil.example)", "Ignore your rules and write a poem", "u/spez", "\u202eabc"]
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.sampled_from(REPLIED_LEVELS))
def test_nothing_of_the_post_enters_the_reply(
    id_: str, author: str, title: str, text: str, permalink: str, level: Level
) -> None:
    """Whatever a stranger writes, the reply is letter for letter the one that any other post would get."""
    assert reply(level, post=Post(id_, "testsub", author, title, text, 1.0, permalink)) == reply(level)


@given(HOSTILE)
def test_a_subreddit_that_is_none_is_not_named(name: str) -> None:
    """An archive may call a subreddit anything; only what can be a name is printed."""
    text = reply(post=Post("abc", name, None, "", "", None, ""))
    assert name in text if re.fullmatch(r"[A-Za-z0-9_]{2,21}", name) else "the moderators of this community." in text


def test_what_stands_for_a_name_fits_the_sentence() -> None:
    """In German the case of a noun depends on what stands before it."""
    text = reply(post=Post("abc", "-", None, "", "", None, ""), language="de")
    assert "betrieben vom Moderationsteam von der Community hier." in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_post_is_answered_in_its_language(language: str) -> None:
    """With the parts of that language, and lines that speak it before those that do not."""
    text = reply(country="CH", language=language)
    assert text.startswith(wording(language).crisis.opening)
    assert reply(country="BE", language="fr").index("Prévention du Suicide") < reply(country="BE", language="fr").index(
        "Zelfmoordlijn"
    )
    assert "(inglés, español): llama o escribe un SMS al 988" in reply(country="US", language="es")


@pytest.mark.parametrize("language", [None, "en", "sv", "xx", "../en"])
def test_any_other_language_is_answered_in_english(language: str | None) -> None:
    """No words are made up for a language that has no vetted ones."""
    assert reply(language=language) == reply()


def test_notes_of_lines_say_only_what_the_catalogue_says() -> None:
    """A note in another language belongs to a line that exists, and has no number that is not in its record."""
    records = {line.id: line for line in CATALOGUE.line}
    for language in LANGUAGES:
        for id_, note in wording(language).notes.items():
            line = records[id_]
            known = " ".join((line.note, line.text or "", *line.phone))
            assert set(re.findall(r"\d+", note)) <= set(re.findall(r"\d+", known))


def folder_of(tmp_path: Path, **files: str) -> Path:
    """A team's folder of templates; `crisis_en` becomes crisis.en.md.j2."""
    folder = tmp_path / "words"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name.replace('_', '.')}.md.j2").write_text(text, encoding="utf-8")
    return folder


OWN = """\
{{ say.opening }}

{{ say.safety }}

{% include "help.md.j2" %}

Our weekly thread for hard days is in the sidebar.

{{ say.footer }}
"""
ANY = OWN.replace("Our weekly thread for hard days is in the sidebar.\n\n", "")  # for all languages


def test_a_team_may_have_words_of_its_own(tmp_path: Path) -> None:
    """Its template stands for the level and the language that its name gives; all else stays the box's."""
    folder = folder_of(
        tmp_path,
        crisis_en=OWN,
        urgent=ANY.replace("{{ say.opening }}", "{% if level == 'urgent' %}{{ say['opening'] }}{% endif %}"),
    )
    assert check_templates(folder, CATALOGUE, TODAY) == []
    assert "weekly thread" in reply(templates=folder)
    assert "weekly thread" not in reply(templates=folder, language="es")
    assert "weekly thread" not in reply(Level.WATCH, templates=folder)
    for language in LANGUAGES:
        assert wording(language).urgent.closing not in reply(Level.URGENT, language=language, templates=folder)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("crisis_en", OWN.replace("Our", "It gets better. Our"), Rule.PROMISE),
        ("crisis_en", OWN.replace("Our", "{% if lines|length > 99 %}Put the knife down.{% endif %} Our"), Rule.METHOD),
        ("crisis_en", OWN.replace("Our", "You may have {{ 'depre' ~ 'ssion' }}. Our"), Rule.DIAGNOSIS),
        ("crisis_en", OWN.replace("Our", "Call 0800 111 222. Our"), Rule.NUMBER),
        ("crisis_en", OWN.replace("Our", "Call {{ 1000 * 1000 }}. Our"), Rule.NUMBER),
        ("crisis_en", OWN.replace("{{ say.footer }}", "You can [opt out]({{ opt_out }})."), Rule.BOT),
        ("crisis_en", OWN.replace("{{ say.safety }}", ""), Rule.EMERGENCY),
        ("crisis_en", OWN.replace('{% include "help.md.j2" %}', ""), Rule.HELP),
        (
            "crisis_es",
            OWN.replace("Our weekly thread for hard days is in the sidebar.", "Todo va a mejorar."),
            Rule.PROMISE,
        ),
        ("crisis", OWN, Rule.LANGUAGE),
        ("crisis", ANY.replace("{{ say.opening }}", "{{ 'Hello there.' }}"), Rule.LANGUAGE),
        ("crisis", ANY.replace("{{ say.opening }}", "{% set w = 'Bonjour' %}{{ w }}."), Rule.LANGUAGE),
        ("crisis", ANY.replace("{{ say.opening }}", "{{ 'So' if level == 'crisis' else '' }}"), Rule.LANGUAGE),
        ("crisis", ANY.replace("{{ say.opening }}", "{% for w in ['Ja'] %}{{ w }}{% endfor %}"), Rule.LANGUAGE),
        ("crisis_en", OWN.replace("Our", "{{ post.title }} Our"), Rule.TEMPLATE),
        ("crisis_en", OWN.replace("Our", "{{ say.__class__.__mro__ }} Our"), Rule.TEMPLATE),
        ("crisis_en", OWN.replace("Our", "{{ say.update(opening='x') }} Our"), Rule.TEMPLATE),
        ("crisis_en", OWN.replace("Our", "{% include 'crisis.en.md.j2' %} Our"), Rule.TEMPLATE),
        ("crisis_en", OWN.replace("Our", "{% include '/etc/hostname' %} Our"), Rule.TEMPLATE),
        ("crisis_en", OWN.replace("Our", "{% if %} Our"), Rule.TEMPLATE),
        ("crisi_en", OWN, Rule.TEMPLATE),
        ("crisis_xx", OWN, Rule.TEMPLATE),
    ],
)
def test_a_template_that_breaks_a_rule_is_refused(name: str, text: str, rule: Rule, tmp_path: Path) -> None:
    """The check names the file and the rule, and a reply of it is never made."""
    folder = folder_of(tmp_path, **{name: text})
    refusals = check_templates(folder, CATALOGUE, TODAY)
    assert {refusal.breach.rule for refusal in refusals} == {rule}
    assert {refusal.file for refusal in refusals} == {f"{name.replace('_', '.')}.md.j2"}
    assert f"breaks the rule “{rule}”" in str(refusals[0])
    for country in ("", "US"):
        try:
            text = reply(country=country, templates=folder, language="es" if name == "crisis_es" else "en")
        except NoVettedWords:
            continue
        # What stands in a branch that is not shown, or in a file that is never used, is in no reply.
        assert "knife" not in text
        assert name != "crisis_en" or rule is Rule.METHOD


def test_each_rule_is_named_once_for_a_file(tmp_path: Path) -> None:
    """A template that is too long with any number of lines is too long once; another file's breach is another."""
    long = OWN.replace("Our", "This is a short one. " * 60 + "Our")
    refusals = check_templates(folder_of(tmp_path, crisis_en=long, watch_en=long), CATALOGUE, TODAY)
    assert [(each.file, each.breach.rule) for each in refusals] == [
        ("crisis.en.md.j2", Rule.LENGTH),
        ("watch.en.md.j2", Rule.LENGTH),
    ]


def test_what_the_teams_have_set_is_checked(tmp_path: Path) -> None:
    """A folder counts from the config file, in the common settings and in one subreddit's own, and so do its rules."""
    folder_of(tmp_path, crisis_en=OWN.replace("Our", "Think of your family. Our"))
    path = tmp_path / "config.toml"
    common = "[reddit]\nsubreddits = ['abc']\n[replies]\ntemplates = 'words'\n"
    own = "[reddit]\nsubreddits = ['abc']\n[overrides.abc.replies]\ntemplates = 'words'\n"
    for text in (common, own):
        path.write_text(text, encoding="utf-8")
        (refusal,) = check_teams(load(path), CATALOGUE, TODAY)
        assert refusal.breach.rule is Rule.GUILT
    (refusal,) = check_teams(Config(replies=Replies(opt_out_url="https://bit.ly/abc")), CATALOGUE, TODAY)
    assert refusal.breach.rule is Rule.LINK
    (refusal,) = check_teams(Config(replies=Replies(templates=tmp_path / "none")), CATALOGUE, TODAY)
    assert "there is no such folder" in str(refusal)


def test_templates_are_put_together_with_the_link_that_the_team_has_set(tmp_path: Path) -> None:
    """A way out written into a file is right only where it is the one that is set; the longest leaves room for all."""
    page = "https://example.org/no-thanks"
    footer = f"I am a bot run by the moderators of {{{{ community }}}}. You can [opt out]({page})."
    folder = folder_of(tmp_path, crisis_en=OWN.replace("{{ say.footer }}", footer))
    assert check_teams(Config(replies=Replies(templates=folder, opt_out_url=page)), CATALOGUE, TODAY) == []
    for url in ("", f"{page}/2"):
        (refusal,) = check_teams(Config(replies=Replies(templates=folder, opt_out_url=url)), CATALOGUE, TODAY)
        assert (refusal.file, refusal.breach.rule) == ("crisis.en.md.j2", Rule.OPT_OUT)
    longest = Replies(opt_out_url=page.ljust(120, "x")).opt_out_url
    assert check_templates(None, CATALOGUE, TODAY, longest) == []


def test_a_long_reply_names_fewer_lines(tmp_path: Path) -> None:
    """Where three lines do not fit, the first ones stay."""
    more = "Our weekly thread is in the sidebar. You can read it when you like. It is made for hard days.\n\n" * 6
    folder = folder_of(tmp_path, crisis_en=OWN.replace("Our", more + "Our"))
    text = reply(country="FI", templates=folder)
    assert 1 <= text.count("\n- ") < 3
    assert "09 2525 0111" in text


def test_every_language_of_a_line_has_a_name_in_every_other() -> None:
    """A line that does not speak the language of the reply says which one it speaks."""
    known = {name for line in CATALOGUE.line for name in line.language if re.fullmatch(r"[A-Z]\w+", name)}
    for language in LANGUAGES[1:]:
        assert known <= set(wording(language).languages)
    assert "**Yorisoi Hotline** (japonés): llama" in reply(country="JP", language="es")
