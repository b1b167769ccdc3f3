"""The vocabulary is ordered as it is written."""

from __future__ import annotations

import pytest

from models.assessment import Ordinal
from models.labels import Level, Risk, Severity


def test_scales_are_ordered() -> None:
    """Not by alphabet: crisis is above urgent, attempt above ideation."""
    assert sorted(Level, reverse=True)[0] is Level.CRISIS
    assert max(Risk) is Risk.ATTEMPT
    assert Severity.MILD < Severity.MODERATE
    assert Level.NONE <= Level.NONE
    assert not Level.NONE > Level.NONE


def test_two_scales_cannot_be_compared() -> None:
    """A level is not a risk, even where both say `none`."""
    with pytest.raises(TypeError):
        assert Level.NONE < Risk.NONE


def test_the_decided_level_is_the_highest_more_likely_reached_than_not() -> None:
    """The median of the distribution, not its mode: three levels at 0.3 above a mode of 0.4 are not ignored."""
    probs = {Severity.MINIMAL: 0.4, Severity.MILD: 0.05, Severity.MODERATE: 0.3, Severity.SEVERE: 0.25}
    assert Ordinal(probs).level is Severity.MODERATE
    assert Ordinal(probs).at_least(Severity.MILD) == pytest.approx(0.6)
