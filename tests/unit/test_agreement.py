"""Agreement: the published examples, the library where there is one, and what intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from models.agreement import (
    MISSING,
    Floats,
    Ratings,
    Statistic,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    measure,
)


def value(statistic: Statistic, ratings: Ratings) -> float:
    """The statistic of the posts as they are."""
    weights: Floats = ratings.counts.astype(np.float64)
    return float(statistic(ratings, weights[None])[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("ordinal", [False, True])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
@settings(max_examples=60)
def test_cohen_is_what_scikit_learn_says(ordinal: bool, given_: list[tuple[int, int]]) -> None:
    """For any two annotators the figure is that of a library which others have checked."""
    first, second = np.array(given_).T
    expected = cohen_kappa_score(
        first, second, labels=range(4), weights="quadratic" if ordinal else None, replace_undefined_by=np.nan
    )
    assert value(cohen_kappa, Ratings.of(given_, 4, ordinal)) == pytest.approx(expected, nan_ok=True)


def test_fleiss_is_that_of_the_textbook() -> None:
    """The worked example of fourteen raters, ten subjects and five categories gives 0.210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    given_ = [np.repeat(np.arange(5), row) for row in table]
    assert value(fleiss_kappa, Ratings.of(given_, 5)) == pytest.approx(0.210, abs=5e-4)


# The reliability data of Krippendorff 2011: four observers, twelve units, five values.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]


@pytest.mark.parametrize(("ordinal", "published"), [(False, 0.743), (True, 0.815)])
def test_alpha_is_that_of_its_inventor(ordinal: bool, published: float) -> None:
    """The worked example with missing values, as a nominal and as an ordinal scale."""
    given_ = np.array(OBSERVERS).T - 1  # what is missing is 0 there and -1 here
    assert value(krippendorff_alpha, Ratings.of(given_, 5, ordinal).shared()) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("statistic", [cohen_kappa, fleiss_kappa, krippendorff_alpha])
@pytest.mark.parametrize("ordinal", [False, True])
def test_perfect_agreement_is_one(statistic: Statistic, ordinal: bool) -> None:
    """Two annotators who always say the same agree perfectly, and the interval is that point."""
    figure = measure(statistic, Ratings.of([[0, 0], [1, 1], [2, 2]] * 20, 3, ordinal))
    assert figure is not None
    assert (figure.value, figure.low, figure.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("statistic", [cohen_kappa, fleiss_kappa, krippendorff_alpha])
def test_what_cannot_be_measured_is_no_number(statistic: Statistic) -> None:
    """No post, or one value for everything: nothing is claimed."""
    assert measure(statistic, Ratings.of([[0, 0]] * 9, 2)) is None
    assert measure(statistic, Ratings.of(np.zeros((0, 2)), 2)) is None


@pytest.mark.parametrize("statistic", [cohen_kappa, fleiss_kappa, krippendorff_alpha])
def test_chance_is_nothing_and_more_posts_are_surer(statistic: Statistic) -> None:
    """Annotators who toss coins agree no more than chance; ten times the posts make the interval narrower."""
    coins = np.random.default_rng(1).integers(0, 2, (4000, 2))
    few, many = measure(statistic, Ratings.of(coins[:400], 2)), measure(statistic, Ratings.of(coins, 2))
    assert few and many
    assert many.low < 0 < many.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert (few.rows, many.rows) == (400, 4000)


def test_intervals_cover_what_is_true_as_often_as_they_promise() -> None:
    """Of 200 samples of a known kappa of 0.6, about 95 in 100 intervals hold it."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        first = rng.integers(0, 2, 300)
        second = np.where(rng.random(300) < 0.8, first, 1 - first)
        figure = measure(cohen_kappa, Ratings.of(np.stack([first, second], axis=1), 2), rounds=300)
        assert figure is not None
        held += figure.low <= 0.6 <= figure.high
    assert held >= 180


def test_who_is_missing_is_left_out_of_each_figure_in_its_own_way() -> None:
    """A pair needs both, Fleiss all, alpha any two."""
    ratings = Ratings.of([[0, 0, 0], [1, 1, MISSING], [1, MISSING, MISSING], [MISSING, 0, 1]], 2)
    assert (ratings.pair(0, 1).posts, ratings.complete().posts, ratings.shared().posts) == (2, 1, 3)
