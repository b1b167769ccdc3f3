"""The words to the moderators."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.advice import advice_words
from bot.alerts import alert_marker, compose_alert, compose_message
from bot.config import Replies, Team
from bot.digest import compose_digest, compose_digest_line, how_many_fit
from bot.inert import inert
from bot.policy import decide
from bot.recommendations import Counsel, counsel, general_counsel
from bot.resources import Catalogue
from bot.types import LONGEST_BODY, Decision, Message, Post, Reason
from models.assessment import Assessment, Evidence, Ordinal
from models.document import Document
from models.labels import Disorder, Level, Risk, Severity

CATALOGUE = Catalogue.load()
DAY = date(2026, 11, 24)
TITLE = "I cannot sleep and I am so tired"
BODY = "It has been weeks. I want to die, most nights. Nobody here knows."


def post(title: str = TITLE, text: str = BODY, id_: str = "abc", permalink: str = "/r/testsub/comments/abc/x/") -> Post:
    return Post(id_, "testsub", "a_stranger", title, text, 0.0, permalink)


def assessment(
    evidence: tuple[Evidence, ...] = (), disorders: dict[Disorder, float] | None = None, risk: Risk = Risk.IDEATION
) -> Assessment:
    return Assessment(
        relevance=0.9,
        disorders=dict.fromkeys(Disorder, 0.1) | (disorders or {}),
        severity=Ordinal({Severity.SEVERE: 1.0}),
        risk=Ordinal({risk: 1.0}),
        evidence=evidence,
        versions={},
    )


def span(words: str, label: str, note: str = "", source: str = "rules") -> Evidence:
    start = Document(TITLE, BODY).text.index(words)
    return Evidence(start, start + len(words), label, source, note)


def alert(
    given_: Assessment | None, about: Post | None = None, team: Team | None = None, helping: Counsel | None = None
) -> Message:
    about = about or post()
    decision = decide(about, given_, team or Team())
    return compose_alert(about, given_, decision, CATALOGUE, counsel=helping or Counsel())


@pytest.mark.parametrize(
    ("level", "first"),
    [
        (Level.CRISIS, "**Crisis: please read this post now, before anything else.**"),
        (Level.URGENT, "**Urgent: please read this post soon, today if you can.**"),
        (
            Level.UNASSESSED,
            "**Not read: the bot could not read this post, so a person has to. Please look at it soon.**",
        ),
    ],
)
def test_the_first_line_says_what_to_do(level: Level, first: str) -> None:
    """A tired volunteer learns the level and the next step before anything else, then where the post is."""
    message = compose_alert(post(), None, Decision(level, (), ()), CATALOGUE)
    lines = message.body.splitlines()
    assert lines[0] == first
    assert lines[2] == "https://www.reddit.com/r/testsub/comments/abc/x/"
    assert message.subject.startswith(f"[Nightlight] {level}: ")
    assert "(t3_abc)" in message.subject
    assert TITLE not in message.subject


def test_reasons_and_the_words_noticed() -> None:
    """The reasons, then the place in the post with a little around it and what it means."""
    body = alert(assessment((span("I want to die", Risk.IDEATION, "says they want to die"),))).body
    assert "- The post speaks of thoughts of dying or of self-harm (very likely)" in body
    assert "“…so tired It has been weeks. I want to die, most nights. Nobody here…” (says they" in body


def test_the_gravest_words_come_first_and_five_at_most() -> None:
    """Of many places five are shown: risk before severity before topics, the graver the sooner, none twice."""
    text = "\n".join(f"{n:02d} {'word ' * 40}" for n in range(12))
    labels = [Disorder.OCD, Severity.MILD, Severity.SEVERE, Risk.IDEATION, Risk.ATTEMPT] * 2
    evidence = tuple(
        Evidence(text.index(f"{n:02d} "), text.index(f"{n:02d} ") + 8, label, "encoder")
        for n, label in enumerate(labels)
    )
    body = alert(assessment((*evidence, *evidence)), post("", text)).body
    shown = re.findall(r"^- “.*?(\d\d) word.*” \((.*)\)$", body, re.MULTILINE)
    assert [meaning for _, meaning in shown] == [
        "an attempt to end one's life",
        "an attempt to end one's life",
        "thoughts of dying or of self-harm",
        "thoughts of dying or of self-harm",
        "severe distress",
    ]
    assert [number for number, _ in shown] == ["04", "09", "03", "08", "02"]


def test_a_held_reply_names_the_command_that_shows_it() -> None:
    """The moderator can copy the command; nothing is said of a reply when there is none."""
    held = alert(assessment()).body
    assert "\n    nightlight reviews show abc\n" in held
    sent = alert(assessment(), team=Team(replies=Replies(auto=("crisis",)))).body
    assert "goes out without waiting for approval" in sent
    assert "nightlight reviews" not in sent
    assert "No reply is proposed" in alert(assessment(), post(text="[removed]")).body


def test_an_unread_post_is_said_to_be_unread() -> None:
    """Nobody takes a failure of the bot for a calm post."""
    message = alert(None)
    assert "could not read" in message.subject
    assert "Nobody has judged this post yet" in message.body


def test_what_may_help_comes_with_reasons_and_names_no_condition() -> None:
    """Three recommendations with guideline, reason and place, the card, and doubts; the author is given no label."""
    evidence = (span("I cannot sleep", Disorder.DEPRESSION, "a word for depression"),)
    given = assessment(evidence, dict.fromkeys(Disorder, 0.9))
    helping = counsel(Document(TITLE, BODY), given, Level.CRISIS, CATALOGUE, DAY)
    body = alert(given, helping=helping).body
    assert "It is about the post and says nothing of who wrote it" in body
    assert re.findall(r"^(\d)\. ", body, re.MULTILINE) == ["1", "2", "3"]
    assert "1. Where lines are listed: Find A Helpline, https://findahelpline.com" in body
    assert body.count(" Why: ") == 3
    assert re.search(r"\((?:NICE|WHO|APA|VA/DoD) [^)]*\d", body)
    assert "If you answer (Somebody may not be safe):" in body
    assert "What the bot is unsure about:" not in alert(given).body
    assert all(f"- {doubt}" in body for doubt in helping.doubts)
    assert "(low mood)" in body
    assert not re.search(r"depress|anxiety|bipolar|ptsd|autis|schizo|diagnos", body, re.IGNORECASE)
    assert "What may help" not in alert(assessment()).body


def test_a_line_says_how_it_is_reached_and_when() -> None:
    """A moderator who names a line knows what to press and whether anybody answers at night."""
    assert advice_words(CATALOGUE.find("us-veterans")) == (
        "A line to name: Veterans Crisis Line. Call 988. Text 838255. Open day and night. After calling, press 1. "
        "Chat: https://www.veteranscrisisline.net/get-help-now/chat/"
    )
    assert advice_words(CATALOGUE.find("ca-nedic")).endswith("Call 1-866-633-4220. It may not be open at all hours.")
    assert "Open 15:00 to 24:00 every day." in advice_words(CATALOGUE.find("au-qlife"))


def test_a_models_reasons_are_as_harmless_as_a_post() -> None:
    """Moderators see that a model chose, and why it says it did; nothing in that works."""
    given = assessment((span("I cannot sleep", Severity.SEVERE),))
    helping = counsel(Document(TITLE, BODY), given, Level.CRISIS, CATALOGUE, DAY)
    first = helping.recommendations[0].id
    helping = replace(helping, chosen_by="fake [x](http://evil.example)", model_reasons={first: "ask u/spez\n# now"})
    body = alert(given, helping=helping).body
    assert "A language model (fake" in body
    assert "The model says: ask u /spez \\# now" in body
    assert "http://evil" not in body


def test_the_author_is_not_named_and_the_reader_is_looked_after() -> None:
    """No name of a person in an alert, and a word for the moderator who has to read this."""
    body = alert(assessment()).body
    assert "a_stranger" not in body
    assert "hand it to somebody else or step away" in body
    assert "emergency services" in body


def test_the_last_line_finds_the_alert_again() -> None:
    """The marker is the whole last line and differs from post to post."""
    assert alert(assessment()).body.splitlines()[-1] == "nightlight alert t3_abc" == alert_marker(post())
    assert alert_marker(post(id_="abd")) != alert_marker(post())


@pytest.mark.parametrize(
    "permalink", ["", "javascript:alert(1)", "/r/x/) [click](https://evil.example", "//evil.example/r/x", "/r/a\n# big"]
)
def test_a_strange_permalink_gives_way_to_the_id(permalink: str) -> None:
    """Only a path as Reddit makes them becomes a link; anything else is replaced by the post's short address."""
    body = alert(assessment(), post(permalink=permalink)).body
    assert body.splitlines()[2] == "https://www.reddit.com/comments/abc"


def test_a_full_permalink_and_another_host() -> None:
    """A permalink may be a whole address of Reddit's, and the link leads to the Reddit that is configured."""
    full = post(permalink="https://www.reddit.com/r/testsub/comments/abc/x/")
    message = compose_alert(full, None, Decision(Level.UNASSESSED, (), ()), CATALOGUE, "http://127.0.0.1:8123")
    assert message.body.splitlines()[2] == "http://127.0.0.1:8123/r/testsub/comments/abc/x/"


HOSTILE = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["u/spez", "/u/x ", "r/all", "_u/x_", "http://evil.example", "ht\u200btps://evil", "www.evil.example", "@all",
         "**", "`", "\\", "[a](b)", "![i](j)", "\n\n# ", "\n    ", "> ", ">!", "\u202e", "\u2066", "&#x27;", "<b>", "|",
         "nightlight alert t3_other", "\ud800", "\x00", "😀", "{{ 1 }}", "a" * 90]
    ),
    max_size=30,
).map("".join)  # fmt: skip


def assert_inert(text: str) -> None:
    """Nothing Markdown would act on, no link, no mention, nothing that hides, one line."""
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_{}\[\]<>#|~^&]", text)
    assert not re.search(r"://|\bwww\.\w|(?<![A-Za-z0-9])[ur]/|@\w", text, re.IGNORECASE)
    assert not re.search(r"[\x00-\x1f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]", text)


@given(HOSTILE, st.integers(1, 200))
@example("\\", 5)
@example("u/u/u/u", 9)
def test_a_strangers_text_does_nothing(text: str, longest: int) -> None:
    """No link, mention or formatting works, nothing hides, and the length holds before the escapes."""
    made = inert(text, longest)
    assert_inert(made)
    assert len(re.sub(r"\\(.)", r"\1", made)) <= longest
    made.encode()


def test_a_strangers_text_stays_readable() -> None:
    """Plain words come through unchanged, and what was made harmless can still be read."""
    assert inert("I can't, and it's 3 a.m. (again)!", 80) == "I can't, and it's 3 a.m. (again)!"
    assert inert("see [me](https://x.example)\nor u/me", 80) == r"see \[me\](https: //x.example) or u /me"
    assert inert("a" * 50, 10) == "a" * 9 + "…"


EVIDENCE = st.builds(
    Evidence,
    st.integers(-5, 400),
    st.integers(-5, 400),
    st.sampled_from([*Risk, *Severity, *Disorder, "something new"]),
    st.sampled_from(["rules", "encoder", "llm"]),
    HOSTILE,
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.lists(EVIDENCE, max_size=12), st.sampled_from(Level))
def test_an_alert_holds_whatever_the_post_says(
    id_: str, title: str, text: str, permalink: str, evidence: list[Evidence], level: Level
) -> None:
    """Any post and any evidence give an alert within bounds: five excerpts, one marker, at the end, nothing active."""
    hostile = post(title, text, id_, permalink)
    reasons = tuple(Reason("x", piece.note) for piece in evidence)
    message = compose_alert(
        hostile, assessment(tuple(evidence), dict.fromkeys(Disorder, 1.0)), Decision(level, reasons, ()), CATALOGUE
    )
    assert len(message.subject) <= 100
    assert "\n" not in message.subject
    assert len(message.body) < LONGEST_BODY
    lines = message.body.splitlines()
    assert [line for line in lines if line.startswith("nightlight alert")] == [alert_marker(hostile)] == lines[-1:]
    excerpts = [line for line in lines if line.startswith("- “")]
    assert len(excerpts) <= 5
    for line in excerpts:
        assert_inert(line)
        assert len(re.sub(r"\\(.)", r"\1", line[3 : line.rindex("”")])) <= 120
    message.body.encode()


def test_the_longest_alert_still_fits() -> None:
    """Everything at its longest, every sign escaped, stays below the bound."""
    about = post("#" * 300, "#" * 40_000, "i" * 300, "/r/" + "x" * 300)
    evidence = tuple(Evidence(n * 500, n * 500 + 400, Risk.ATTEMPT, "llm", "#" * 400) for n in range(60))
    reasons = tuple(Reason("x", "#" * 400) for _ in range(60))
    decision = Decision(Level.CRISIS, reasons, decide(about, assessment(risk=Risk.ATTEMPT), Team()).deliveries)
    given_ = assessment(evidence, dict.fromkeys(Disorder, 1.0))
    helping = counsel(Document(about.title, about.text), given_, Level.CRISIS, CATALOGUE, DAY)
    helping = replace(
        helping,
        chosen_by="#" * 300,
        model_reasons=dict.fromkeys((each.id for each in helping.recommendations), "#" * 999),
        doubts=("#" * 80,) * 3,
    )
    message = compose_alert(about, given_, decision, CATALOGUE, counsel=helping)
    assert "“\\#" in message.body
    assert len(message.subject) <= 100
    assert 5000 < len(message.body) < LONGEST_BODY


WATCH = Decision(Level.WATCH, (Reason("x", "The post shows marked distress or more (possible)"),), ())


def digest(*posts: Post) -> str:
    return compose_digest("testsub", [compose_digest_line(each, WATCH, DAY).body for each in posts])


def test_a_digest_names_each_post_with_its_link() -> None:
    """A line a post: title, why, where; and a marker at the end."""
    body = digest(post(), post("", "x", "abd", ""))
    assert f"- “{TITLE}”: The post shows marked distress or more (possible). https://www.reddit.com/r/" in body
    assert "- “no title”: " in body
    assert body.splitlines()[-1] == "nightlight digest testsub"
    assert " http://127.0.0.1:1/" in compose_digest_line(post(), WATCH, DAY, "http://127.0.0.1:1").body


def test_all_lines_of_a_day_share_their_subject() -> None:
    """One digest a subreddit and day: the subject is the same for all its posts and another on the next day."""
    subject = compose_digest_line(post(), WATCH, DAY).subject
    assert subject == "[Nightlight] posts to look at in r/testsub, 2026-11-24"
    assert compose_digest_line(post("another", id_="abd"), WATCH, DAY).subject == subject
    assert compose_digest_line(post(), WATCH, date(2026, 11, 25)).subject != subject


def test_a_message_of_a_digest_has_all_the_lines_it_has_room_for() -> None:
    """Below 9,000 characters with so many, no longer with one more; a line alone goes out whatever it holds."""
    lines = [compose_digest_line(post("#" * 300, id_=f"p{n}"), WATCH, DAY).body for n in range(500)]
    fitting = how_many_fit("testsub", lines)
    assert 20 < fitting < 500
    bodies = [compose_digest("testsub", lines[:count]) for count in (fitting, fitting + 1)]
    assert len(bodies[0]) < LONGEST_BODY <= len(bodies[1])
    assert all(line in bodies[0] for line in lines[:fitting])
    assert (how_many_fit("testsub", lines[:3]), how_many_fit("testsub", ["#" * 20_000])) == (3, 1)


@given(HOSTILE, HOSTILE)
def test_a_digest_line_is_one_inert_line(title: str, subreddit: str) -> None:
    """A title cannot break out of its line, nor a subreddit's name out of the subject and the marker."""
    message = compose_digest_line(Post("abc", subreddit, None, title, "", None, ""), WATCH, DAY)
    assert_inert(message.body.rsplit(" https://", 1)[0])
    assert re.search(r" r/[A-Za-z0-9_]+, 2026-11-24$", message.subject)
    assert len(message.subject) <= 100
    body = compose_digest(subreddit, [message.body])
    assert message.body in body
    assert re.fullmatch(r"nightlight digest \w+", body.splitlines()[-1])


SECRET = "xylophone"
PAGE = "https://mods.example.org"


@given(st.text(max_size=300), st.text(max_size=3000), st.sampled_from(Level))
def test_a_chat_message_has_no_word_of_the_post(title: str, text: str, level: Level) -> None:
    """Whatever the post says, two posts of one id and level make the same message, which fits into a chat, says how to
    answer and what may help with any such post, and where the rest is to be found."""
    decision = Decision(level, (Reason("x", "a reason"),), ())
    evidence = (Evidence(0, 5, Risk.IDEATION, "rules", "a note"),)
    about = Post("abc", "testsub", SECRET, title, text, 0.0, f"/r/testsub/comments/abc/{SECRET}/")
    judged = assessment(evidence)
    helping = general_counsel(level, CATALOGUE, DAY)
    for page, rest in ((None, "nightlight reviews show abc"), (PAGE, f"{PAGE}/case/abc")):
        message = compose_message(about, judged, decision, CATALOGUE, counsel=helping, page_url=page)
        other = compose_message(post("", "", permalink=""), None, decision, CATALOGUE, counsel=helping, page_url=page)
        assert message == other
        assert rest in message.body
        assert len(message.body) < 1900
        assert (helping.card is None) is (level is Level.NONE)
        assert not helping.card or f"If you answer ({helping.card.title}): {helping.card.answer[0]}" in message.body
        for each in helping.recommendations:
            assert f"{advice_words(CATALOGUE.find(each.id))}\n" in message.body
        assert bool(helping.recommendations) is (level is Level.CRISIS)
    assert "https://www.reddit.com/comments/abc\n" in message.body
    assert SECRET not in message.subject + message.body


def test_a_chat_message_with_words_of_the_post_says_what_may_help() -> None:
    """Where a team shares text: up to three recommendations with their reasons, how to answer, and the doubts."""
    judged = assessment((span("want to die", Risk.IDEATION),), {Disorder.DEPRESSION: 0.6})
    helping = counsel(Document(TITLE, BODY), judged, Level.CRISIS, CATALOGUE, DAY)
    body = compose_message(
        post(), judged, decide(post(), judged, Team()), CATALOGUE, counsel=helping, share_text=True
    ).body
    assert len(helping.recommendations) == 3
    for each in helping.recommendations:
        assert f"Why: {each.reason}" in body
    assert helping.card
    assert f"If you answer ({helping.card.title}): {helping.card.answer[0]}" in body
    assert helping.doubts
    assert all(f"- {doubt}" in body for doubt in helping.doubts)


def test_an_alert_leads_to_the_case_on_the_page() -> None:
    """Where the team has a page; without one no address is named."""
    decision = decide(post(), assessment(), Team())
    with_page = compose_alert(post(), assessment(), decision, CATALOGUE, page_url=PAGE).body
    assert f"On your page: {PAGE}/case/abc" in with_page
    assert "On your page" not in compose_alert(post(), assessment(), decision, CATALOGUE).body


@given(st.text(max_size=300), st.text(min_size=1, max_size=5000), st.lists(st.text(max_size=400), max_size=12))
def test_a_chat_message_with_words_of_the_post_fits_and_nothing_in_it_acts(
    title: str, text: str, reasons: list[str]
) -> None:
    """Where a team shares text: in fewer than 1,900 characters, and no mention or link of the author's works."""
    whole = Document(title, text).text
    evidence = tuple(Evidence(at, at + 40, Risk.IDEATION, "rules", "n" * 200) for at in range(0, len(whole), 90))
    decision = Decision(Level.CRISIS, tuple(Reason("x", words) for words in reasons), ())
    about = Post("abc", "testsub", SECRET, title, text, 0.0, "")
    judged = assessment(evidence)
    helping = counsel(Document(title, text), judged, Level.CRISIS, CATALOGUE, DAY)
    body = compose_message(about, judged, decision, CATALOGUE, counsel=helping, page_url=PAGE, share_text=True).body
    assert 0 < len(body) < 1900
    named = [CATALOGUE.find(each.id) for each in helping.recommendations]
    ours = {
        "https://www.reddit.com/comments/abc",
        PAGE,
        *re.findall(r"https://\S+", " ".join(map(advice_words, named))),
    }
    for address in ours:
        body = body.replace(address, "")
    assert body.count("://") == 0
    assert not re.search(r"@\w", body)
