"""Figures of a model."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluate import (
    balanced_accuracy,
    bootstrap,
    expected_calibration_error,
    flagged,
    levels,
    macro_binary_f1,
    macro_f1,
)


def test_a_level_needs_every_level_below_it() -> None:
    """A probability above 0.5 does not count over one below 0.5, and an unknown level is not reached."""
    reached = [[0.9, 0.4, 0.8], [0.5, 0.5, 0.5], [0.1, 0.0, 0.0], [1.0, np.nan, np.nan]]
    assert levels(reached).tolist() == [1, 3, 0, 1]


def test_macro_f1_is_the_mean_over_true_classes() -> None:
    """A class never decided counts as 0, and one that is never true is no class."""
    # F1 of 0: 2 of 2 found among 3 decided, 0.8; F1 of 1: never found, 0.
    assert macro_f1([0, 0, 1, 1], [0, 0, 0, 3]) == pytest.approx(0.4)


def test_balanced_accuracy_is_mean_recall() -> None:
    """A large class does not hide a small one."""
    assert balanced_accuracy([0] * 9 + [1], [0] * 10) == pytest.approx(0.5)


def test_macro_binary_f1_averages_labels() -> None:
    """Each column of a multi-label answer has the same weight."""
    truth = np.array([[1, 1], [1, 0], [0, 0]])
    assert macro_binary_f1(truth, np.array([[1, 0], [1, 0], [0, 0]])) == pytest.approx(0.5)


def test_flagged_is_the_share_of_ones() -> None:
    """What is true does not matter to how many were flagged."""
    assert flagged([0, 0, 0, 0], [1, 0, 0, 1]) == 0.5


def test_a_forecast_that_comes_true_has_no_calibration_error() -> None:
    """Of ten posts called 0.8, eight are; of ten called 0.1, one is."""
    truth = [1] * 8 + [0] * 2 + [1] + [0] * 9
    forecast = [0.8] * 10 + [0.1] * 10
    assert expected_calibration_error(truth, forecast) == pytest.approx(0.0)
    assert expected_calibration_error([0] * 10, [0.8] * 10) == pytest.approx(0.8)
    assert expected_calibration_error([1], [1.0]) == pytest.approx(0.0)


def test_the_interval_holds_the_figure_and_narrows_with_rows() -> None:
    """More rows, surer figure; the same seed, the same interval."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 2000)
    decided = np.where(rng.random(2000) < 0.8, truth, 1 - truth)
    many = bootstrap(balanced_accuracy, truth, decided, rounds=200)
    few = bootstrap(balanced_accuracy, truth[:100], decided[:100], rounds=200)
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low
    assert many == bootstrap(balanced_accuracy, truth, decided, rounds=200)
    assert many.rows == 2000


def test_no_rows_no_figure() -> None:
    """A figure over nothing is refused, not invented."""
    with pytest.raises(ValueError, match="no rows"):
        bootstrap(macro_f1, [], [])
