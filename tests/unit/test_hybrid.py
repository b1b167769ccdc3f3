"""Rules and encoder joined."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from models.assessment import Assessment, Band, Evidence
from models.heads import ordinal
from models.hybrid import join
from models.labels import Disorder, Risk, Severity
from models.rules import Reading

PRECISION = {
    "indicator": {"indicator": 0.7, "mild": 0.5, "moderate": 0.5, "severe": 0.1},
    "ideation": {"indicator": 0.8, "ideation": 0.67, "mild": 0.8, "moderate": 0.8, "severe": 0.1},
    "behavior": {"indicator": 0.95, "ideation": 0.9, "behavior": 0.6, "mild": 0.8, "moderate": 0.9, "severe": 0.2},
    "attempt": {"indicator": 0.9, "ideation": 0.95, "behavior": 0.85, "attempt": 0.7},
}
UNSURE = Band(0.2, 0.6)
FOUND = Evidence(0, 4, Risk.IDEATION, "rules", "a wish to die")

falling = st.lists(st.floats(0, 1), min_size=4, max_size=4).map(lambda values: sorted(values, reverse=True))


def reading(explicit: Risk, risk: Risk | None = None) -> Reading:
    """What the dictionary found, with `explicit` stated in so many words."""
    return Reading(False, frozenset(), Severity.MINIMAL, risk or explicit, explicit, (FOUND,), ())


def assessment(risk: list[float], severity: list[float], relevance: float = 0.1) -> Assessment:
    """What the encoder said, from the probabilities of reaching each level."""
    disorders = dict.fromkeys(Disorder, 0.2)
    return Assessment(relevance, disorders, ordinal(Severity, severity), ordinal(Risk, risk), (), {"encoder": "test 0"})


@given(falling, falling, st.floats(0, 1), st.sampled_from(list(Risk)))
def test_a_join_only_raises(risk: list[float], severity: list[float], relevance: float, explicit: Risk) -> None:
    """No probability of reaching a level falls, and every scale stays a distribution."""
    before = assessment(risk, severity[:3], relevance)
    after = join(reading(explicit), before, PRECISION, UNSURE)
    assert after.relevance >= before.relevance
    for level in Risk:
        assert after.risk.at_least(level) >= before.risk.at_least(level) - 1e-9
    for step in Severity:
        assert after.severity.at_least(step) >= before.severity.at_least(step) - 1e-9
    for probs in (after.risk.probs, after.severity.probs):
        assert math.isclose(sum(probs.values()), 1.0, abs_tol=1e-9)
        assert all(-1e-12 <= p <= 1 for p in probs.values())


def test_an_explicit_statement_is_worth_its_measured_precision() -> None:
    """An encoder that sees nothing does not silence plain words, nor do they claim more than they were worth."""
    joined = join(reading(Risk.IDEATION), assessment([0.01] * 4, [0.01] * 3), PRECISION, UNSURE)
    assert math.isclose(joined.risk.at_least(Risk.IDEATION), 0.67)
    assert math.isclose(joined.risk.at_least(Risk.INDICATOR), 0.8)
    assert math.isclose(joined.risk.at_least(Risk.BEHAVIOR), 0.01)
    assert math.isclose(joined.severity.at_least(Severity.MODERATE), 0.8)
    assert joined.risk.level == Risk.IDEATION
    assert joined.severity.level == Severity.MODERATE
    assert joined.relevance >= 0.8


def test_a_floor_holds_for_the_levels_below() -> None:
    """Measured shares may cross by chance; a level is still never likelier than one below it."""
    joined = join(reading(Risk.ATTEMPT), assessment([0.0] * 4, [0.0] * 3), PRECISION, UNSURE)
    assert math.isclose(joined.risk.at_least(Risk.INDICATOR), 0.95)


def test_words_set_aside_raise_nothing() -> None:
    """A risk that is somebody else's, or not stated outright, leaves the encoder's word but shows its evidence."""
    before = assessment([0.3, 0.2, 0.1, 0.0], [0.1] * 3)
    after = join(reading(Risk.NONE, risk=Risk.INDICATOR), before, PRECISION, UNSURE)
    assert all(math.isclose(after.risk.probs[level], before.risk.probs[level], abs_tol=1e-9) for level in Risk)
    assert after.relevance == before.relevance
    assert after.evidence == (FOUND,)


def test_a_dispute_is_about_whether_there_is_any_risk() -> None:
    """One finds some, the other none; how much of it is no dispute."""
    calm, alarmed = assessment([0.1] * 4, [0.1] * 3), assessment([0.9, 0.2, 0.1, 0.0], [0.1] * 3)
    assert join(reading(Risk.NONE, risk=Risk.INDICATOR), calm, PRECISION, UNSURE).disputed
    assert join(reading(Risk.IDEATION), calm, PRECISION, UNSURE).disputed
    assert join(reading(Risk.NONE), alarmed, PRECISION, UNSURE).disputed
    assert not join(reading(Risk.NONE), calm, PRECISION, UNSURE).disputed
    assert not join(reading(Risk.ATTEMPT), alarmed, PRECISION, UNSURE).disputed


def test_it_is_unsure_where_the_joined_probability_lies_in_the_band() -> None:
    """From its beginning up to its end, and by what the dictionary raised it to."""
    for likely, unsure in ((0.19, False), (0.2, True), (0.59, True), (0.6, False)):
        before = assessment([likely] * 2 + [0.0] * 2, [0.1] * 3)
        assert join(reading(Risk.NONE), before, PRECISION, UNSURE).unsure is unsure
    assert not join(reading(Risk.IDEATION), assessment([0.3] * 4, [0.1] * 3), PRECISION, UNSURE).unsure
