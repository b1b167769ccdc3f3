"""What may help with a post."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.circumstances import circumstances
from bot.recommendations import MOST, OFFERED, Counsel, Kind, counsel, general_counsel, reordered
from bot.resources import Advice, Catalogue, Circumstance, Cued, Line, Record, Situation, Therapy
from bot.statements import statements
from models.assessment import Assessment, Evidence, Ordinal
from models.crisis_terms import CrisisTerms
from models.document import Document
from models.labels import Disorder, Level, Risk, Severity
from tests.unit.test_multilingual import IN_DANGER

CATALOGUE = Catalogue.load()
TERMS = CrisisTerms.load()
TODAY = date(2026, 12, 1)
LINES = {record.id for record in (*CATALOGUE.line, *CATALOGUE.directory)}


def assessment(
    *likely: Disorder,
    severity: Severity = Severity.MODERATE,
    risk: Risk = Risk.NONE,
    evidence: tuple[Evidence, ...] = (),
    disputed: bool = False,
) -> Assessment:
    return Assessment(
        relevance=0.9,
        disorders={disorder: 0.9 if disorder in likely else 0.1 for disorder in Disorder},
        severity=Ordinal({level: float(level is severity) for level in Severity}),
        risk=Ordinal({level: float(level is risk) for level in Risk}),
        evidence=evidence,
        versions={},
        disputed=disputed,
    )


def advise(text: str, given_: Assessment, level: Level = Level.URGENT, today: date = TODAY) -> Counsel:
    return counsel(Document("", text), given_, level, CATALOGUE, today)


def offered(text: str, given_: Assessment, level: Level = Level.URGENT) -> Counsel:
    return counsel(Document("", text), given_, level, CATALOGUE, TODAY, OFFERED)


def not_with(identity: str) -> tuple[Circumstance, ...]:
    record = CATALOGUE.find(identity)
    return record.not_with if isinstance(record, Advice) else ()


def ids(given_: Counsel) -> list[str]:
    return [each.id for each in given_.recommendations]


def test_it_knows_one_post_and_nothing_else() -> None:
    """No author, no history, no subreddit goes in."""
    expected = ["document", "assessment", "level", "catalogue", "today", "most"]
    assert list(inspect.signature(counsel).parameters) == expected


@pytest.mark.parametrize("disorder", Disorder)
@pytest.mark.parametrize("severity", Severity)
def test_every_topic_at_every_severity_gets_its_own(disorder: Disorder, severity: Severity) -> None:
    """A step, whom to see and a therapy, all from the entry for this topic and severity."""
    help_ = CATALOGUE.help_for(disorder, severity)
    by_kind = {each.kind: each.id for each in advise("so.", assessment(disorder, severity=severity)).recommendations}
    assert by_kind[Kind.PROFESSIONAL] == help_.id
    assert by_kind[Kind.THERAPY] in help_.therapies
    assert by_kind[Kind.STEP] in help_.self_help


@pytest.mark.parametrize(
    ("disorder", "text", "therapy", "never"),
    [
        (Disorder.PTSD, "It happened ten years ago, when I was a child", "trauma-information", "watchful-waiting"),
        (Disorder.PTSD, "The crash was two weeks ago and I see it a lot", "watchful-waiting", ""),
        (Disorder.EATING_DISORDER, "I restrict what I eat", "eating-information", "eating-guided-self-help"),
        (Disorder.EATING_DISORDER, "I binge at night", "eating-guided-self-help", ""),
        (Disorder.SCHIZOPHRENIA, "Steady for years, the voices are faint", "psychosis-cbt", "early-intervention"),
        (Disorder.SCHIZOPHRENIA, "I started hearing whispers", "early-intervention", ""),
    ],
)
def test_little_distress_gets_what_fits_the_post(disorder: Disorder, text: str, therapy: str, never: str) -> None:
    """What is made for some people alone is named where the post says so, and what fits everybody elsewhere."""
    for number in range(9):
        named = ids(advise(f"{text}, {number}.", assessment(disorder, severity=Severity.MINIMAL), Level.WATCH))
        assert therapy in named
        assert never not in named


def test_the_words_of_a_post_choose_among_what_fits() -> None:
    """The step whose cues stand in the post comes before the others, with the place as evidence."""
    text = "I keep having nightmares and wake up screaming"
    first = advise(text, assessment(Disorder.PTSD)).recommendations[0]
    assert first.id == "after-a-nightmare"
    assert text[first.evidence.start : first.evidence.end] == "nightmares"
    assert "trauma and its memories" in first.reason


NOT_IN_DANGER = {
    "guided-self-help-worry", "guided-self-help-mood", "let-thoughts-be", "one-small-thing", "be-a-friend-to-self",
    "put-it-into-words", "depression-moderate",
}  # fmt: skip
NOT_IN_AN_EMERGENCY = {"plan-for-hard-hours", "ask-before-changing", "first-call-for-therapy", "cbt-worry"}
AMONG_THOSE_AT_HOME = {
    "eating-family-therapy", "interpersonal-therapy", "bipolar-family", "psychosis-family", "first-weeks-apart",
    "prolonged-exposure", "after-a-nightmare",
}  # fmt: skip


@pytest.mark.parametrize(
    ("disorder", "text"),
    [
        (Disorder.EATING_DISORDER, "My dad hits me and my mum too. I purge after dinner"),
        (Disorder.DEPRESSION, "My husband hits me. We argue and fight with him, a divorce, my ex, no contact"),
        (Disorder.BIPOLAR, "My husband hits me, my mum and my kids know"),
        (Disorder.SCHIZOPHRENIA, "My mum hits me, my brother and my sister see it"),
        (Disorder.PTSD, "My boyfriend chokes me, nightmares, the same dream"),
    ],
)
def test_what_is_not_for_a_violent_home_is_not_named_in_one(disorder: Disorder, text: str) -> None:
    """Whatever cue of it stands in the post: no session with those at home, and no step back towards them."""
    for severity in Severity:
        for level in (Level.WATCH, Level.CRISIS):
            found = ids(offered(text, assessment(disorder, severity=severity), level))
            assert not set(found) & AMONG_THOSE_AT_HOME
            assert not [each for each in found if Circumstance.VIOLENCE in not_with(each)]
            assert "safe-at-home" in found


@pytest.mark.parametrize("risk", list(Risk)[1:])
@pytest.mark.parametrize(
    ("disorder", "text"),
    [
        (
            Disorder.ANXIETY,
            "I need to find a therapist. Any workbook or app, self help, an online course? What if, worry",
        ),
        (Disorder.OCD, "intrusive, awful thoughts, unwanted thoughts, images in my head"),
        (
            Disorder.DEPRESSION,
            "self help, workbook, no motivation, numb, pointless, hate myself, worthless. Need to vent",
        ),
        (Disorder.BIPOLAR, "my exams, he died, I miss him, pills, my meds? Just diagnosed"),
    ],
)
def test_what_is_not_for_thoughts_of_dying_is_not_named_beside_them(risk: Risk, disorder: Disorder, text: str) -> None:
    """Whatever cue of it stands in the post, at whatever level, on offer or named."""
    for severity in Severity:
        for level in (Level.URGENT, Level.CRISIS):
            found = ids(offered(text, assessment(disorder, severity=severity, risk=risk), level))
            for each in found:
                assert Circumstance.DANGER not in not_with(each)
                assert risk < Risk.BEHAVIOR or Circumstance.EMERGENCY not in not_with(each)
            assert not set(found) & NOT_IN_DANGER
            assert risk < Risk.BEHAVIOR or not set(found) & NOT_IN_AN_EMERGENCY


HELD_BACK = [
    ("No sleep for four days and I feel amazing, so much energy", [Disorder.BIPOLAR], {"sleep-rhythm", "mood-note"}),
    ("I don't need sleep, I’ve never felt better. no sleep", [], {"sleep-rhythm", "cbt-insomnia"}),
    ("Manic again, awake for three days, cannot sleep", [Disorder.BIPOLAR], {"sleep-rhythm", "bipolar-low-therapy"}),
    ("drinking a litre of vodka every day, always drunk", [Disorder.DEPRESSION], {"less-alcohol"}),
    ("All day there is booze in my coffee", [Disorder.DEPRESSION], {"less-alcohol"}),
    ("panic attack, heart pounding, chest tight, I fainted twice", [Disorder.ANXIETY],
     {"slow-breath", "anxiety-minimal", "anxiety-mild", "anxiety-moderate", "applied-relaxation"}),
    ("I purge and I pass out", [Disorder.EATING_DISORDER], {"eat-by-the-clock", "cbt-ed", "eating_disorder-mild"}),
    ("running, the gym, exercise, sluggish, stuck inside", [Disorder.EATING_DISORDER, Disorder.DEPRESSION],
     {"group-exercise", "move-a-little"}),
    ("I was pregnant and last week we lost the baby", [Disorder.DEPRESSION], {"share-the-nights"}),
    ("My newborn died in March, postpartum, our baby", [], {"share-the-nights"}),
    ("postpartum and stillborn, breastfeeding hurts", [], {"share-the-nights"}),
    ("we lost our first baby, new mum", [], {"share-the-nights"}),
    ("I am 45 and I get bullied at work, they laugh at me", [], {"tell-a-grown-up"}),
    ("I broke down in the car again", [], {"money-talk"}),
    ("I am in pain, emotionally, since he died", [], {"pace-with-pain"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "topics", "never"), HELD_BACK, ids=[text for text, *_ in HELD_BACK])
def test_what_a_post_shows_holds_back_what_is_not_for_it(text: str, topics: list[Disorder], never: set[str]) -> None:
    """A high, daily drinking, fainting, exercise beside trouble with food, an adult: whosever turn it is."""
    for severity in Severity:
        for number in range(5):
            assert not never & set(
                ids(offered(f"{text} {number}", assessment(*topics, severity=severity), Level.WATCH))
            )


@pytest.mark.parametrize(
    ("text", "topic", "named"),
    [
        ("I am drinking too much wine", Disorder.DEPRESSION, "less-alcohol"),
        ("every day is grey. I am drinking too much wine", Disorder.DEPRESSION, "less-alcohol"),
        ("I can't sleep, insomnia", Disorder.DEPRESSION, "sleep-rhythm"),
        ("it takes so much energy to get up, no motivation, out of bed", Disorder.DEPRESSION, "behavioural-activation"),
        ("a crash, low again, can't get out of bed", Disorder.BIPOLAR, "bipolar-low-therapy"),
        ("panic, a wave of panic, heart racing, faint voices outside", Disorder.ANXIETY, "slow-breath"),
        ("we lost the baby last week", Disorder.DEPRESSION, "grief-has-time"),
        ("I had a miscarriage", Disorder.ANXIETY, "grief-has-time"),
        ("a newborn at home", Disorder.ANXIETY, "share-the-nights"),
        ("my classmates laugh at me", Disorder.AUTISM, "tell-a-grown-up"),
        ("i'm broke, and the rent", Disorder.ANXIETY, "money-talk"),
        ("I relapsed and cut again", Disorder.DEPRESSION, "make-it-safer"),
    ],
)
def test_what_is_right_is_still_named(text: str, topic: Disorder, named: str) -> None:
    """A word alone holds nothing back."""
    assert named in ids(offered(text, assessment(topic, severity=Severity.MODERATE)))


def test_a_language_model_is_told_what_a_record_is_not_for() -> None:
    """It could drop none that does not fit if it saw only what each is good for."""
    assert CATALOGUE.words("let-thoughts-be").endswith(
        "Not for: Wishes to end one's life. Those are to be told to someone, today."
    )
    assert "Not for: A home where there is violence." in CATALOGUE.words("bipolar-family")


def test_equals_take_turns() -> None:
    """Where nothing points anywhere, posts differ in what is named first, and one post always gets the same."""
    first = {ids(advise(f"day {n}.", assessment(Disorder.DEPRESSION)))[0] for n in range(40)}
    assert len(first) >= 4
    assert advise("day 1.", assessment(Disorder.DEPRESSION)) == advise("day 1.", assessment(Disorder.DEPRESSION))


@pytest.mark.parametrize(
    ("text", "step", "situation"),
    [
        ("Week two of sertraline, is this normal?", "ask-before-changing", Situation.MEDICATION),
        ("how do I find a therapist", "first-call-for-therapy", Situation.THERAPIST),
        ("just need to vent", "put-it-into-words", Situation.VENTING),
        ("worried about my sister, how do I help her", "listen-first", Situation.HELPER),
        ("my husband hits me", "safe-at-home", Situation.VIOLENCE),
        ("im 15 and everything is too much", "tell-a-grown-up", Situation.YOUNG),
    ],
)
def test_what_a_post_asks_for_is_answered_first(text: str, step: str, situation: Situation) -> None:
    """The question comes before the topic, and the card that fits goes with it."""
    given_ = advise(text, assessment(Disorder.DEPRESSION), Level.WATCH)
    assert step in ids(given_)[:2]
    assert given_.card is not None
    assert given_.card.fits is situation


def test_a_helper_is_not_told_to_help_themselves_as_if_they_were_the_other() -> None:
    """What is about the other person says so, and no step of their topic is given to the writer."""
    given_ = advise("worried about my sister, she is manic", assessment(Disorder.BIPOLAR, severity=Severity.SEVERE))
    steps = [each.id for each in given_.recommendations if each.kind is Kind.STEP]
    assert set(steps) <= {"listen-first", "helper-rests-too"}
    professional = next(each for each in given_.recommendations if each.kind is Kind.PROFESSIONAL)
    assert professional.reason.endswith("This is for whom it is about.")
    therapy = next(each for each in given_.recommendations if each.kind is Kind.THERAPY)
    assert therapy.reason.endswith("This is for whom it is about.")


def test_a_crisis_gets_the_line_of_the_country_it_states() -> None:
    """The stated country's line, or where none is stated the directory; never a country nobody stated."""
    danger = assessment(Disorder.DEPRESSION, severity=Severity.SEVERE, risk=Risk.IDEATION)
    assert ids(advise("I live in Ireland. I want to die", danger, Level.CRISIS))[0] == "ie-samaritans"
    assert ids(advise("I want to die", danger, Level.CRISIS))[0] == "findahelpline"
    assert ids(advise("I live in Kenya. I want to die", danger, Level.CRISIS))[0] == "findahelpline"


@pytest.mark.parametrize("disorder", Disorder)
@pytest.mark.parametrize(
    ("risk", "level"), [(Risk.IDEATION, Level.URGENT), (Risk.ATTEMPT, Level.CRISIS), (Risk.NONE, Level.CRISIS)]
)
def test_whoever_may_not_be_safe_is_never_told_to_wait_for_weeks(disorder: Disorder, risk: Risk, level: Level) -> None:
    """However little distress the model sees, whom to see names care for today; a plan is for calmer days than that."""
    for text in ("I took all my pills an hour ago", "so.", "worried about my sister, how do I help her"):
        found = advise(text, assessment(disorder, severity=Severity.MINIMAL, risk=risk), level)
        professional = next(each for each in found.recommendations if each.kind is Kind.PROFESSIONAL)
        assert professional.id == f"{disorder}-severe"
        assert "with little distress. To be on the safe side" in professional.reason
        if risk is not Risk.IDEATION:
            assert "plan-for-hard-hours" not in ids(found)


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language, texts in IN_DANGER.items() for text in texts]
)
def test_a_wish_to_die_in_any_language_with_terms_gets_a_line_and_a_step_for_safety(language: str, text: str) -> None:
    """The model reads no risk in it; what people say of dying in their own language counts as it does in English."""
    found = advise(text, dataclasses.replace(assessment(evidence=TERMS.find(Document("", text))), language=language))
    assert found.recommendations[0].kind is Kind.LINE
    assert found.recommendations[1].id in {"make-it-safer", "plan-for-hard-hours", "tell-one-person"}


def test_without_the_words_of_a_post_a_crisis_gets_a_line_and_what_needs_no_calm_day() -> None:
    """Nothing is known of it but its level."""
    known = general_counsel(Level.CRISIS, CATALOGUE, TODAY)
    assert ids(known) == ["findahelpline", "make-it-safer", "tell-one-person"]


def test_a_stated_language_and_audience_choose_among_the_lines_of_a_country() -> None:
    """Belgium has one in each language; after that for all a veteran hears of theirs, of danger at home first."""
    danger = assessment(risk=Risk.IDEATION, severity=Severity.SEVERE)
    french = "I'm in Belgium, my first language is French. I want to die"
    assert ids(advise(french, danger, Level.CRISIS))[0] == "be-prevention-suicide"
    veteran = "I'm in the US, two tours. I want to die"
    assert ids(advise(veteran, danger, Level.CRISIS))[:2] == ["us-988", "us-veterans"]
    assert "us-veterans" not in ids(advise("two tours. I want to die", danger, Level.CRISIS))
    hurt = "I'm in the US, two tours, and my husband hits me. I want to die"
    assert ids(advise(hurt, danger, Level.CRISIS))[:2] == ["us-988", "us-domestic-violence"]


@pytest.mark.parametrize(
    ("text", "line", "evidence"),
    [
        ("I want to die. I live in Ireland.", "ie-", "I live in Ireland"),
        ("Quiero morir. Vivo en México.", "mx-", "Vivo en México"),
        ("I want to die. I'm not from Ireland.", "", "want to die"),
    ],
)
def test_the_evidence_of_a_country_s_line_is_where_the_country_is_stated(text: str, line: str, evidence: str) -> None:
    """In any of the five languages; a directory, for a post that states none, rests on the gravest place."""
    gravest = (Evidence(text.find("want"), text.find("want") + 11, Risk.IDEATION, "a rule"),)
    danger = assessment(risk=Risk.IDEATION, severity=Severity.SEVERE, evidence=gravest)
    first = advise(text, danger, Level.CRISIS).recommendations[0]
    assert text[first.evidence.start : first.evidence.end] == evidence
    assert first.id.startswith(line) if line else first.id in {each.id for each in CATALOGUE.directory}


def test_a_line_that_finds_care_answers_a_question_for_it_and_no_crisis() -> None:
    """Where a post asks for a therapist and says that it is from its country; in danger the crisis line comes first."""
    text = "I'm in the US, how do I find a therapist"
    found = advise(text, assessment(Disorder.DEPRESSION), Level.WATCH)
    assert ids(found)[:2] == ["first-call-for-therapy", "us-samhsa"]
    assert "us-samhsa" not in ids(advise("how do I find a therapist", assessment(Disorder.DEPRESSION), Level.WATCH))
    assert "us-samhsa" not in ids(advise("I'm in the US. so sad", assessment(Disorder.DEPRESSION), Level.WATCH))
    danger = assessment(Disorder.DEPRESSION, risk=Risk.IDEATION)
    offer = counsel(Document("", text), danger, Level.CRISIS, CATALOGUE, TODAY, OFFERED)
    assert ids(offer)[0] == "us-988"
    assert "us-samhsa" not in ids(offer)


def test_a_helper_of_somebody_in_danger_hears_of_the_line_too() -> None:
    """They may call it themselves."""
    given_ = advise("worried about my friend, he has a plan", assessment(risk=Risk.INDICATOR))
    assert given_.recommendations[0].kind is Kind.LINE


def test_what_is_not_judged_or_not_pressing_gets_nothing() -> None:
    """No assessment: the card for a post nobody read. Level none: nothing at all."""
    unread = counsel(Document("", "x"), None, Level.UNASSESSED, CATALOGUE, TODAY)
    assert unread.recommendations == ()
    assert unread.doubts == ("What it says: the bot could not read this post, and it may be about a crisis.",)
    assert unread.card is not None
    assert unread.card.fits is Situation.UNREAD
    assert advise("x", assessment(Disorder.OCD), Level.NONE) == Counsel()


def test_nothing_expired_is_named() -> None:
    """When every record has had its time, there is no recommendation and no card."""
    danger = assessment(Disorder.DEPRESSION, risk=Risk.ATTEMPT, severity=Severity.SEVERE)
    late = advise("I want to die", danger, Level.CRISIS, date(2100, 1, 1))
    assert late.recommendations == ()
    assert late.card is None


def drafts(is_draft: Callable[[Record], bool]) -> Catalogue:
    """The catalogue with some of its records not reviewed."""

    tables = CATALOGUE.model_dump()
    for table in ("step", "therapy", "help", "card"):
        for entry, record in zip(tables[table], getattr(CATALOGUE, table), strict=True):
            entry["review"] = "draft" if is_draft(record) else "reviewed"
    return Catalogue.model_validate(tables)


@pytest.mark.parametrize(
    ("draft", "disorder", "text"),
    [("after-a-nightmare", Disorder.PTSD, "nightmares"), ("exposure-response", Disorder.OCD, "the washing ritual")],
)
def test_a_draft_is_passed_over_for_the_next(draft: str, disorder: Disorder, text: str) -> None:
    """An unreviewed step or therapy costs a post nothing but itself, even where its cues stand."""
    given_ = assessment(disorder)
    assert draft in ids(advise(text, given_))
    catalogue = drafts(lambda record: record.id == draft)
    found = counsel(Document("", text), given_, Level.URGENT, catalogue, TODAY)
    assert draft not in ids(found)
    assert sorted(each.kind for each in found.recommendations) == [Kind.PROFESSIONAL, Kind.STEP, Kind.THERAPY]


@pytest.mark.parametrize(
    ("is_draft", "kinds"),
    [
        (lambda record: isinstance(record, Therapy), {Kind.STEP, Kind.PROFESSIONAL}),
        (lambda record: isinstance(record, Cued), {Kind.PROFESSIONAL}),
        (lambda record: record.id == "ptsd-moderate", {Kind.STEP}),
        (lambda record: True, set()),
    ],
)
def test_where_nothing_is_left_nothing_is_named(is_draft: Callable[[Record], bool], kinds: set[Kind]) -> None:
    """No therapy, no step, no entry for the topic: the rest is named, and nothing raises, in a crisis either."""
    catalogue = drafts(is_draft)
    given_ = assessment(Disorder.PTSD)
    found = counsel(Document("", "so."), given_, Level.URGENT, catalogue, TODAY)
    assert {each.kind for each in found.recommendations} == kinds
    in_crisis = counsel(Document("", "so."), given_, Level.CRISIS, catalogue, TODAY)
    assert in_crisis.recommendations[0].kind is Kind.LINE
    assert kinds <= {each.kind for each in in_crisis.recommendations}


def test_what_is_for_danger_is_named_only_in_danger() -> None:
    """Without a sign of risk no topic gets a plan for safety; with one it takes turns with those of the topic."""
    for_danger = {"safety-planning", "self-harm-therapy", "dbt-skills"}
    texts = [f"urges, not safe, self harm, day {n}." for n in range(3)]
    for disorder in Disorder:
        for severity in Severity:
            calm, risky = (assessment(disorder, severity=severity, risk=risk) for risk in (Risk.NONE, Risk.INDICATOR))
            assert not for_danger & {each for text in texts for each in ids(advise(text, calm, Level.WATCH))}
            assert for_danger & {each for text in texts for each in ids(advise(text, risky))}
    in_crisis = assessment(Disorder.OCD, risk=Risk.BEHAVIOR)
    offer = counsel(Document("", "self harm"), in_crisis, Level.CRISIS, CATALOGUE, TODAY, OFFERED)
    named = next(each for each in offer.recommendations if each.kind is Kind.THERAPY)
    assert named.id in for_danger
    assert named.reason.startswith("It is made for times when staying safe is hard")


def test_a_sign_of_risk_without_a_topic_gets_a_step_for_safety_and_no_therapy_for_self_harm() -> None:
    """A programme for those who hurt themselves is for a post that speaks of it; a sign of risk is no such word."""
    risky = assessment(risk=Risk.INDICATOR)
    found = [advise(f"so {number}.", risky).recommendations for number in range(20)]
    steps = {"make-it-safer", "plan-for-hard-hours", "tell-one-person"}
    assert {step.id for step, *_ in found} == steps
    assert {step.reason for step, *_ in found} == {"Staying safe comes first."}
    assert {each.id for _, *others in found for each in others} == {*steps, "safety-planning"}
    cut = {each for number in range(9) for each in ids(advise(f"I relapsed and cut again {number}", risky))}
    assert {"make-it-safer", "self-harm-therapy", "dbt-skills"} <= cut


def test_nights_without_sleep_get_their_therapy_but_in_a_high() -> None:
    """Its cue is enough, with a topic or without; who hardly needs sleep in a high is not told of it."""
    text = "insomnia, I can't sleep, no sleep"
    assert "cbt-insomnia" in ids(advise(text, assessment()))
    assert "cbt-insomnia" in ids(advise(text, assessment(Disorder.ANXIETY)))
    assert "cbt-insomnia" not in ids(advise(text, assessment(Disorder.BIPOLAR)))
    assert "cbt-insomnia" not in ids(advise("so.", assessment()))


ASKED = ("My meds?", "how do I find a therapist", "just need to vent", "worried about my sister", "my husband hits me",
         "I'm 15")  # fmt: skip


@pytest.mark.parametrize("record", [*CATALOGUE.step, *CATALOGUE.therapy, *CATALOGUE.help], ids=lambda record: record.id)
def test_every_record_is_named_for_some_post(record: Record) -> None:
    """Nothing lies in the catalogue that no judgement leads to."""
    cues = ". ".join(record.cues) if isinstance(record, Cued) else "so."
    assert any(
        record.id in ids(advise(text, assessment(disorder, severity=severity, risk=risk)))
        for text in (cues, *(f"{ask}. {cues}" for ask in ASKED))
        for disorder in Disorder
        for severity in Severity
        for risk in (Risk.NONE, Risk.INDICATOR)
    )


def test_doubts_say_what_the_bot_does_not_know() -> None:
    """A dispute, a risk in between, no topic, and a weight it guessed; before those, whom it is about."""
    unsure = Assessment(
        relevance=0.6,
        disorders=dict.fromkeys(Disorder, 0.1),
        severity=Ordinal(dict(zip(Severity, (0.25, 0.3, 0.3, 0.15), strict=True))),
        risk=Ordinal({Risk.NONE: 0.6, Risk.IDEATION: 0.4}),
        evidence=(),
        versions={},
        disputed=True,
    )
    doubts = advise("x", unsure).doubts
    assert doubts[0] == "Dictionary and model disagree about whether there is any risk."
    assert "40%" in doubts[1]
    assert len(doubts) == 3
    about_another = dataclasses.replace(unsure, language="de")
    doubts = advise("How do I help my brother? He says he wants to die", about_another).doubts
    assert doubts[1] == "Whom it is about: it may be somebody else, and both may need care."
    assert doubts[2] == "Dictionary and model disagree about whether there is any risk."
    assert advise("x", assessment(Disorder.OCD)).doubts == ()


@pytest.mark.parametrize(
    ("language", "doubts"),
    [
        (None, ()),
        ("en", ()),
        ("de", ("What it says: it is in German, which the model was not trained on.",)),
        ("xx", ("What it says: it is in another language, which the model was not trained on.",)),
    ],
)
def test_doubts_name_a_language_that_the_model_cannot_read(language: str | None, doubts: tuple[str, ...]) -> None:
    """A moderator who reads the doubts alone must not take the labels of such a post for certain."""
    given_ = dataclasses.replace(assessment(Disorder.OCD), language=language)
    assert advise("x", given_).doubts == doubts


WEIRD = st.text(max_size=200) | st.lists(
    st.sampled_from(
        ["i want to die ", "my friend ", "i live in ", "Ireland ", "two tours ", "my meds? ", "vent. ", "nightmares ",
         "I'm in the US. ", "15F, UK ", "I am a veteran. ",
         "no sleep, I feel amazing ", "I fainted ", "drinking every day ", "we lost the baby, a newborn ",
         "xylophonist ", "\ud800", "\u202e", "’", "İ", "\x00", "calories ", "my wife hits me ", "i'm 15 "]
    ),
    max_size=20,
).map("".join)  # fmt: skip
EVIDENCE = st.builds(
    Evidence,
    st.integers(-5, 300),
    st.integers(-5, 300),
    st.sampled_from([*Risk, *Severity, *Disorder, "something new"]),
    st.sampled_from(["rules", "terms", "encoder", "llm"]),
    WEIRD,
)
PROBABILITY = st.floats(0, 1)


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    """Any assessment, sound or not."""

    def spread(scale: list[str]) -> dict[str, float]:
        weights = draw(st.lists(st.floats(0.01, 1), min_size=len(scale), max_size=len(scale)))
        return dict(zip(scale, (weight / sum(weights) for weight in weights), strict=True))

    return Assessment(
        draw(PROBABILITY),
        {disorder: draw(PROBABILITY) for disorder in Disorder},
        Ordinal(spread(list(Severity))),  # type: ignore[arg-type]
        Ordinal(spread(list(Risk))),  # type: ignore[arg-type]
        tuple(draw(st.lists(EVIDENCE, max_size=5))),
        {},
        draw(st.booleans()),
    )


@given(WEIRD, WEIRD, assessments(), st.sampled_from(Level), st.dates(date(2026, 11, 30), date(2028, 1, 1)))
@example("", "", assessment(), Level.CRISIS, TODAY)
def test_whatever_is_judged_only_vetted_records_are_named(
    title: str, body: str, given_: Assessment, level: Level, today: date
) -> None:
    """At most three, each once, printable today, with a place in the post; a crisis has its line first; no quote."""
    document = Document(title, body)
    found = counsel(document, given_, level, CATALOGUE, today)
    so = set(circumstances(document.text, statements(document.text), ()))
    assert len(found.recommendations) <= MOST
    assert len(set(ids(found))) == len(found.recommendations)
    for each in found.recommendations:
        record = CATALOGUE.find(each.id)
        assert record is not None
        assert record.printable(today)
        assert Circumstance.DANGER not in not_with(each.id) or given_.risk.level is Risk.NONE
        assert not set(not_with(each.id)) & so
        assert 0 <= each.evidence.start <= each.evidence.end <= len(document.text)
        assert re.fullmatch(r"[A-Za-z ,.;:'0-9-]+", each.reason)
        assert "xylophonist" not in each.reason
    assert all("xylophonist" not in doubt for doubt in found.doubts)
    if level is Level.CRISIS and CATALOGUE.directories(today):
        first = CATALOGUE.find(ids(found)[0])
        assert first is not None and first.id in LINES
        assert getattr(first, "audience", None) is None
        assert not getattr(first, "finds_care", False)
    stated = statements(document.text)
    for line in (record for each in ids(found) if isinstance(record := CATALOGUE.find(each), Line)):
        assert line.country == stated.country
        assert line.audience is None or line.audience in stated.audiences
    assert counsel(document, given_, level, CATALOGUE, today) == found
    more = counsel(document, given_, level, CATALOGUE, today, OFFERED)
    assert more.recommendations[:MOST] == found.recommendations


@given(
    st.sampled_from(["i want to die", "nightmares and panic", "my meds?", "x"]),
    st.lists(st.text(max_size=8) | st.sampled_from([record.id for record in CATALOGUE.records()]), max_size=4),
    st.sampled_from([Level.URGENT, Level.CRISIS]),
)
def test_whatever_a_model_answers_only_what_was_on_offer_is_named(text: str, answer: list[str], level: Level) -> None:
    """Any ids at all: the result is a part of the offer, lines first; the ranker's own when one of them is unknown."""
    judged = assessment(Disorder.PTSD, risk=Risk.IDEATION if level is Level.CRISIS else Risk.NONE)
    offer = counsel(Document("", text), judged, level, CATALOGUE, TODAY, OFFERED)
    found = reordered(offer, answer, dict.fromkeys(answer, "because"), "fake")
    assert set(found.recommendations) <= set(offer.recommendations)
    assert 0 < len(found.recommendations) <= MOST
    assert (found.recommendations[0].kind is Kind.LINE) == (offer.recommendations[0].kind is Kind.LINE)
    allowed = {each.id for each in offer.recommendations if each.kind is not Kind.LINE}
    if answer and len(set(answer)) == len(answer) and set(answer) <= allowed:
        assert found.chosen_by == "fake"
        assert [each for each in ids(found) if each in allowed] == answer[: MOST - (len(ids(offer)) - len(allowed))]
    else:
        assert found == advise(text, judged, level)


def test_a_model_orders_and_drops() -> None:
    """What it puts first comes first, what it leaves out is gone, and its reasons go with it."""
    judged = assessment(Disorder.PTSD)
    offer = counsel(Document("", "nightmares"), judged, Level.URGENT, CATALOGUE, TODAY, OFFERED)
    wanted = [ids(offer)[3], ids(offer)[0]]
    found = reordered(offer, wanted, {wanted[0]: "it fits"}, "fake")
    assert ids(found) == wanted
    assert found.model_reasons == {wanted[0]: "it fits"}
    assert (found.card, found.doubts) == (offer.card, offer.doubts)
