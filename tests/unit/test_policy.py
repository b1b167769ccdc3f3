"""From assessment to decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Alerts, Policy, Replies, Rule, Team
from bot.policy import decide, decide_again
from bot.types import Decision, DeliveryKind, DeliveryState, Planned, Post
from models.annotation import Annotation, Status
from models.assessment import Assessment, Evidence, Ordinal
from models.labels import Disorder, Level, Relevance, Risk, Severity

POST = Post("abc", "testsub", "someone", "a title", "a body", 0.0, "/r/testsub/comments/abc/a_title/")
SECRET = "xylophone"

ALERT = Planned(DeliveryKind.ALERT, DeliveryState.PENDING)
HELD_REPLY = Planned(DeliveryKind.REPLY, DeliveryState.HELD)
DIGEST = Planned(DeliveryKind.DIGEST, DeliveryState.PENDING)


def assessment(
    risk: Mapping[Risk, float] | None = None,
    severity: Mapping[Severity, float] | None = None,
    relevance: float = 0.9,
    evidence: tuple[Evidence, ...] = (),
) -> Assessment:
    return Assessment(
        relevance=relevance,
        disorders=dict.fromkeys(Disorder, 0.1),
        severity=Ordinal(severity or {Severity.MINIMAL: 1.0}),
        risk=Ordinal(risk or {Risk.NONE: 1.0}),
        evidence=evidence,
        versions={},
    )


# Sixteenths add up without rounding, so that a property is about the policy and not about floats.
def sixteenths(labels: list[Any]) -> st.SearchStrategy[dict[Any, float]]:
    cuts = st.lists(st.integers(0, 16), min_size=len(labels) - 1, max_size=len(labels) - 1).map(sorted)
    return cuts.map(lambda c: {label: (b - a) / 16 for label, a, b in zip(labels, [0, *c], [*c, 16], strict=True)})


ASSESSMENTS = st.builds(
    assessment,
    risk=sixteenths(list(Risk)),
    severity=sixteenths(list(Severity)),
    relevance=st.integers(0, 16).map(lambda n: n / 16),
)
BOUNDS = st.integers(0, 16).map(lambda n: n / 16)
RULES = st.builds(Rule, risk=st.sampled_from(Risk), min_probability=BOUNDS, min_relevance=BOUNDS) | st.builds(
    Rule, severity=st.sampled_from(Severity), min_probability=BOUNDS, min_relevance=BOUNDS
)
KINDS = st.lists(st.sampled_from(DeliveryKind), max_size=4).map(tuple)
TEAMS = st.builds(
    Team,
    alerts=st.builds(Alerts, modmail=st.booleans()),
    replies=st.builds(
        Replies, auto=st.lists(st.sampled_from(["crisis", "urgent", "watch"]), max_size=3, unique=True).map(tuple)
    ),
    policy=st.builds(
        Policy,
        crisis=st.lists(RULES, max_size=3).map(tuple),
        urgent=st.lists(RULES, max_size=3).map(tuple),
        watch=st.lists(RULES, max_size=3).map(tuple),
        crisis_does=KINDS,
        urgent_does=KINDS,
        watch_does=KINDS,
    ),
)


@pytest.mark.parametrize(
    ("given_", "level", "deliveries"),
    [
        (assessment({Risk.NONE: 0.5, Risk.BEHAVIOR: 0.5}), Level.CRISIS, (ALERT, HELD_REPLY)),
        (assessment({Risk.NONE: 0.4, Risk.IDEATION: 0.6}), Level.CRISIS, (ALERT, HELD_REPLY)),
        (assessment({Risk.NONE: 0.6, Risk.IDEATION: 0.4}), Level.URGENT, (ALERT, HELD_REPLY)),
        (assessment(severity={Severity.MILD: 0.4, Severity.SEVERE: 0.6}), Level.URGENT, (ALERT, HELD_REPLY)),
        (assessment({Risk.NONE: 0.88, Risk.IDEATION: 0.12}), Level.WATCH, (DIGEST,)),
        (assessment(severity={Severity.MODERATE: 1.0}), Level.WATCH, (DIGEST,)),
        (assessment(severity={Severity.SEVERE: 1.0}, relevance=0.2), Level.NONE, ()),
        (assessment(), Level.NONE, ()),
        (None, Level.UNASSESSED, (ALERT,)),
    ],
)
def test_the_default_table(given_: Assessment | None, level: Level, deliveries: tuple[Planned, ...]) -> None:
    """The defaults: crisis and urgent alert with a held reply, watch goes into the digest, none does nothing."""
    decision = decide(POST, given_, Team())
    assert (decision.level, decision.deliveries) == (level, deliveries)
    assert decision.reasons


@given(ASSESSMENTS, TEAMS, st.data())
def test_more_risk_never_lowers_the_level(given_: Assessment, team: Team, data: st.DataObject) -> None:
    """Moving probability from a lower risk to a higher one keeps the level or raises it."""
    low, high = sorted(data.draw(st.lists(st.sampled_from(Risk), min_size=2, max_size=2, unique=True)))
    moved = data.draw(st.integers(0, int(given_.risk.probs[low] * 16))) / 16
    raised = {**given_.risk.probs, low: given_.risk.probs[low] - moved, high: given_.risk.probs[high] + moved}
    more = assessment(raised, given_.severity.probs, given_.relevance)
    assert decide(POST, more, team).level >= decide(POST, given_, team).level


@given(
    st.none() | ASSESSMENTS,
    TEAMS,
    st.builds(
        Post, st.text(), st.text(), st.none() | st.text(), st.text(), st.text(), st.none() | st.floats(), st.text()
    ),
)
def test_it_decides_whatever_comes(given_: Assessment | None, team: Team, post: Post) -> None:
    """Any post and any policy give a decision with a reason, and no kind of delivery twice."""
    decision = decide(post, given_, team)
    kinds = [planned.kind for planned in decision.deliveries]
    assert decision.reasons
    assert len(kinds) == len(set(kinds))


@given(TEAMS)
def test_a_failure_is_never_silence(team: Team) -> None:
    """A post that nobody could read is an alert, unless the team wants no modmail at all."""
    decision = decide(POST, None, team)
    assert decision.level is Level.UNASSESSED
    assert decision.deliveries == ((ALERT,) if team.alerts.modmail else ())


def test_a_probability_that_is_no_number_is_a_failure() -> None:
    """NaN from a broken model must not pass for a calm post."""
    assert decide(POST, assessment({Risk.NONE: float("nan")}), Team()).level is Level.UNASSESSED
    assert decide(POST, assessment(relevance=float("nan")), Team()).level is Level.UNASSESSED


@given(ASSESSMENTS, TEAMS)
def test_no_reply_goes_out_unless_the_team_said_so(given_: Assessment, team: Team) -> None:
    """A reply is pending exactly when its level is named in `auto`; otherwise it waits for a moderator."""
    decision = decide(POST, given_, team)
    for planned in decision.deliveries:
        if planned.kind is DeliveryKind.REPLY:
            assert (planned.state is DeliveryState.PENDING) == (decision.level.value in team.replies.auto)
        else:
            assert planned.state is DeliveryState.PENDING


@given(ASSESSMENTS, TEAMS)
def test_without_modmail_no_modmail(given_: Assessment, team: Team) -> None:
    """`modmail = false` leaves out alerts and digests, which are both modmail."""
    quiet = team.model_copy(update={"alerts": Alerts(modmail=False)})
    assert {planned.kind for planned in decide(POST, given_, quiet).deliveries} <= {DeliveryKind.REPLY}


@pytest.mark.parametrize("text", ["[deleted]", "[removed]", " [removed]\n"])
def test_nobody_replies_under_what_is_gone(text: str) -> None:
    """A post whose body is deleted or removed still alerts, and gets no reply."""
    gone = Post("abc", "testsub", None, "a title", text, 0.0, "/r/testsub/comments/abc/a_title/")
    assert decide(gone, assessment({Risk.ATTEMPT: 1.0}), Team()).deliveries == (ALERT,)


def test_reasons_are_plain_words_with_a_likelihood() -> None:
    """A moderator reads what the post speaks of and how likely that is, the gravest first, no figures."""
    decision = decide(POST, assessment({Risk.NONE: 0.3, Risk.BEHAVIOR: 0.7}), Team())
    assert [(reason.code, reason.words) for reason in decision.reasons] == [
        ("risk.behavior", "The post speaks of a plan, preparation or harm already begun (likely)"),
        ("risk.ideation", "The post speaks of thoughts of dying or of self-harm (likely)"),
    ]


def test_reasons_tell_what_the_dictionary_found_and_never_quote() -> None:
    """The dictionary's notes on grave words are reasons; a note by a model, which may quote, is not."""
    evidence = (
        Evidence(0, 4, Risk.IDEATION, "rules", "says they want to die"),
        Evidence(0, 4, Risk.ATTEMPT, "llm", f"the post says {SECRET}"),
        Evidence(0, 4, Risk.NONE, "rules", "offers support"),
        Evidence(0, 4, Disorder.OCD, "rules", "names a condition"),
    )
    decision = decide(POST, assessment({Risk.IDEATION: 1.0}, evidence=evidence), Team())
    words = [reason.words for reason in decision.reasons]
    assert words[-1] == "Explicit words: says they want to die"
    assert not any(SECRET in line or "support" in line or "condition" in line for line in words)


def test_a_team_may_change_the_table() -> None:
    """A rule of the team's own, on relevance alone, decides and says so."""
    team = Team(policy=Policy(watch=(Rule(min_relevance=0.8),), watch_does=()))
    decision = decide(POST, assessment(), team)
    assert decision.level is Level.WATCH
    assert decision.deliveries == ()
    assert decision.reasons[0].code == "relevance"


READINGS = st.builds(
    Annotation,
    status=st.just(Status.OK),
    relevance=st.sampled_from(Relevance),
    severity=st.sampled_from(Severity),
    risk=st.sampled_from(Risk),
) | st.builds(Annotation, status=st.sampled_from([Status.REFUSED, Status.INVALID, Status.FAILED]))


def planned_replies(decision: Decision) -> list[Planned]:
    """What a decision would have the bot say to the author."""
    return [each for each in decision.deliveries if each.kind is DeliveryKind.REPLY]


@given(ASSESSMENTS, READINGS, TEAMS)
def test_a_second_reading_never_lowers_a_level(judged: Assessment, reading: Annotation, team: Team) -> None:
    """Whatever a model says or does not say; replies stay as they were, and no local reason is lost."""
    local = decide(POST, judged, team)
    after = decide_again(POST, local, reading, team)
    assert after.level >= local.level
    assert planned_replies(after) == planned_replies(local)
    assert {each for each in local.reasons if each.code != "none"} <= set(after.reasons)
    if reading.status is not Status.OK:
        assert after.level >= Level.WATCH


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        ({"risk": Risk.ATTEMPT}, Level.CRISIS),
        ({"risk": Risk.IDEATION}, Level.CRISIS),
        ({"risk": Risk.INDICATOR}, Level.URGENT),
        ({"severity": Severity.SEVERE, "relevance": Relevance.MENTAL_HEALTH}, Level.URGENT),
        ({"severity": Severity.MODERATE, "relevance": Relevance.MENTAL_HEALTH}, Level.WATCH),
        ({"relevance": Relevance.MENTAL_HEALTH}, Level.NONE),
    ],
)
def test_a_models_labels_go_through_the_teams_table(labels: dict[str, Any], level: Level) -> None:
    """An answer counts as certain; whatever risk it names is about mental health, even if it says otherwise."""
    answer = {"relevance": Relevance.OTHER, "severity": Severity.MINIMAL, "risk": Risk.NONE, **labels}
    local = decide(POST, assessment(relevance=0.1), Team())
    assert decide_again(POST, local, Annotation(Status.OK, **answer), Team()).level is level


def test_a_reading_that_failed_comes_first_only_where_one_reason_is_shown() -> None:
    """In the daily summary the mark is what a moderator reads; in an alert the bot's own reasons go before."""
    refused = Annotation(Status.REFUSED)
    quiet = decide_again(POST, decide(POST, assessment(), Team()), refused, Team())
    loud = decide_again(POST, decide(POST, assessment({Risk.INDICATOR: 1.0}), Team()), refused, Team())
    assert [each.code for each in quiet.reasons] == ["llm.refused"]
    assert (quiet.level, quiet.deliveries) == (Level.WATCH, (DIGEST,))
    assert (loud.level, loud.reasons[-1].code, loud.reasons[0].code) == (Level.URGENT, "llm.refused", "risk.indicator")
