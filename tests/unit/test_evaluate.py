"""Figures of a model."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from models.evaluate import (
    Asked,
    Metric,
    alerts_per_1000,
    auroc,
    average_precision,
    balanced_accuracy,
    balanced_binary_accuracy,
    binary_f1,
    bootstrap,
    confusion,
    expected_calibration_error,
    figures,
    flagged,
    levels,
    macro_binary_f1,
    macro_f1,
    mean_absolute_change,
    mean_change,
    mean_ordinal_error,
    net_benefit,
    precision,
    recall,
    reliability,
    share_changed,
    weighted_binary_f1,
    weighted_f1,
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


def test_one_label_forecast_too_high_makes_up_for_none_too_low() -> None:
    """The calibration error of several columns is the mean of theirs, each over the rows whose truth is known."""
    truth, forecast = np.array([[1, 0], [1, 0], [1, -1]]), np.array([[0.5, 0.5], [0.5, 0.5], [0.8, 0.5]])
    assert expected_calibration_error(truth[:2], forecast[:2]) == pytest.approx(0.5)
    assert expected_calibration_error(truth, forecast) == pytest.approx((1.2 / 3 + 0.5) / 2)
    assert expected_calibration_error(truth[2:], forecast[2:]) == pytest.approx(0.2)


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


def test_an_unknown_truth_does_not_count() -> None:
    """A row marked -1 changes no figure, whatever was answered."""
    truth, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.4, 0.6])
    more = np.append(truth, -1), np.append(scores, 0.95)
    for metric in (precision, recall, binary_f1, macro_f1, weighted_f1, balanced_accuracy):
        assert metric(more[0], more[1] >= 0.5) == metric(truth, scores >= 0.5)
    for metric in (auroc, average_precision, expected_calibration_error):
        assert metric(*more) == pytest.approx(metric(truth, scores))
    unknown = np.array([[1, -1], [0, 1]])
    assert macro_binary_f1(unknown, np.array([[1, 1], [0, 1]])) == 1.0


def test_what_cannot_be_measured_is_no_figure() -> None:
    """Without a row of 1 there is no recall and no AUROC, and the interval says so too."""
    assert math.isnan(recall([0, 0], [0, 1]))
    assert math.isnan(auroc([0, 0], [0.1, 0.2]))
    assert math.isnan(bootstrap(auroc, [1, 1], [0.1, 0.2]).low)


def test_one_class_in_a_draw_is_left_out_of_the_interval() -> None:
    """A resampling without the rare class does not make the interval undefined."""
    figure = bootstrap(auroc, [1, *[0] * 9], [0.9, *[0.1] * 9], rounds=50)
    assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.0)


truths = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=30)


@given(truths)
def test_metrics_agree_with_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    """Every figure that both know is the same, ties and missing classes included, and lies in [0, 1]."""
    truth, decided, ranks = (np.array(column) for column in zip(*rows, strict=True))
    scores = ranks / 20
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classes = {"labels": np.unique(truth), "zero_division": 0}
        expected = [
            (macro_f1(truth, decided), metrics.f1_score(truth, decided, average="macro", **classes)),
            (weighted_f1(truth, decided), metrics.f1_score(truth, decided, average="weighted", **classes)),
            (balanced_accuracy(truth, decided), metrics.balanced_accuracy_score(truth, decided)),
            (precision(truth == 1, decided == 1), metrics.precision_score(truth == 1, decided == 1, zero_division=0)),
            (binary_f1(truth == 1, decided == 1), metrics.f1_score(truth == 1, decided == 1, zero_division=0)),
            (mean_ordinal_error(truth, decided) / 3, metrics.mean_absolute_error(truth, decided) / 3),
        ]
        if (truth == 1).any():
            expected.append((recall(truth == 1, decided == 1), metrics.recall_score(truth == 1, decided == 1)))
            expected.append(
                (average_precision(truth == 1, scores), metrics.average_precision_score(truth == 1, scores))
            )
        if 0 < (truth == 1).sum() < len(truth):
            expected.append((auroc(truth == 1, scores), metrics.roc_auc_score(truth == 1, scores)))
    for ours, theirs in expected:
        assert ours == pytest.approx(theirs)
        assert -1e-9 <= ours <= 1 + 1e-9


columns = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), min_size=3, max_size=3), st.lists(st.integers(0, 20), min_size=3, max_size=3)
    ),
    min_size=1,
    max_size=20,
)


@given(columns)
def test_metrics_of_several_labels_agree_with_scikit_learn(rows: list[tuple[list[int], list[int]]]) -> None:
    """Figures of several labels are the means of its figures of each that is true somewhere."""
    truth, scores = np.array([y for y, _ in rows]), np.array([p for _, p in rows]) / 20
    decided = (scores >= 0.5).astype(int)
    there = np.flatnonzero(truth.any(axis=0))
    if not len(there):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1s = [metrics.f1_score(truth[:, at], decided[:, at], zero_division=0) for at in there]
        accuracies = [metrics.balanced_accuracy_score(truth[:, at], decided[:, at]) for at in there]
    precisions = [metrics.average_precision_score(truth[:, at], scores[:, at]) for at in there]
    assert macro_binary_f1(truth, decided) == pytest.approx(np.mean(f1s))
    assert weighted_binary_f1(truth, decided) == pytest.approx(np.average(f1s, weights=truth[:, there].sum(axis=0)))
    assert balanced_binary_accuracy(truth, decided) == pytest.approx(np.mean(accuracies))
    assert average_precision(truth, scores) == pytest.approx(np.mean(precisions))


ALL = (macro_f1, weighted_f1, balanced_accuracy, mean_ordinal_error, precision, recall, binary_f1, flagged)
OF_LABELS = (macro_binary_f1, weighted_binary_f1, balanced_binary_accuracy)
OF_SCORES = (auroc, average_precision, expected_calibration_error, mean_change, mean_absolute_change, share_changed)


@given(truths, st.data())
def test_a_row_drawn_twice_is_a_row_that_stands_there_twice(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """The figure of many resamplings at once is that of each one written out."""
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any))
    truth, decided, ranks = (np.array(column) for column in zip(*rows, strict=True))
    both = np.stack([np.ones(len(rows)), counts])
    labels, of_labels = (truth[:, np.newaxis] == range(4)).astype(int), ranks[:, np.newaxis] / (20, 30, 40, 50)
    for metric, first, second in [
        *((metric, truth, decided) for metric in ALL),
        *((metric, (truth == 1).astype(int), ranks / 20) for metric in OF_SCORES),
        *((metric, labels, of_labels >= 0.5) for metric in OF_LABELS),
        *((metric, labels, of_labels) for metric in OF_SCORES[:3]),
    ]:
        whole, drawn = metric.weighted(first, second, both)
        assert whole == pytest.approx(metric(first, second), nan_ok=True)
        assert drawn == pytest.approx(
            metric(np.repeat(first, counts, axis=0), np.repeat(second, counts, axis=0)), nan_ok=True
        )


@given(truths)
def test_an_interval_holds_its_value(rows: list[tuple[int, int, int]]) -> None:
    """Whatever the rows: of a figure that chance makes too large as well, and of several columns as of one."""
    truth, decided, ranks = (np.array(column) for column in zip(*rows, strict=True))
    several = (truth[:, np.newaxis] == range(3)).astype(int), ranks[:, np.newaxis] / (20, 30, 40)
    asked: dict[Metric, Asked] = {metric: (metric, truth, decided) for metric in ALL}
    asked |= {metric: (metric, *several) for metric in (auroc, average_precision, expected_calibration_error)}
    for figure in figures(asked, rounds=20).values():
        assert math.isnan(figure.value) or figure.low <= figure.value <= figure.high


@pytest.mark.parametrize(("rows", "error"), [(60, 0.0), (60, 0.04), (400, 0.0), (400, 0.04)])
def test_the_interval_of_a_calibration_error_holds_the_truth(rows: int, error: float) -> None:
    """Of forecasts that are off by so much, nine in ten intervals say so, also where chance makes them look worse."""
    rng = np.random.default_rng(3)
    held = []
    for _ in range(30):
        forecast = rng.beta(0.5, 1.5, rows) * 0.9
        truth = (rng.random(rows) < forecast + error).astype(int)
        found = bootstrap(expected_calibration_error, truth, forecast, rounds=200)
        held.append(found.low <= error <= found.high < 0.6)
    assert sum(held) >= 27
    right = bootstrap(expected_calibration_error, [1, 0] * 10, [0.5] * 20)
    assert (right.value, right.low) == (0, 0)
    assert 0.1 < right.high < 0.4


def test_figures_share_their_resamplings() -> None:
    """A figure is the same alone and among others."""
    truth, decided = np.array([0, 1, 1, 0, 1] * 9), np.array([0, 1, 0, 0, 1] * 9)
    asked: dict[str, Asked] = {"f1": (binary_f1, truth, decided), "recall": (recall, truth, decided)}
    assert figures(asked, rounds=70)["recall"] == bootstrap(recall, truth, decided, rounds=70)


def test_rows_of_one_author_are_drawn_together() -> None:
    """Five rows alike tell as much as one; rows of as many authors are drawn one by one, and so are those of one."""
    truth, decided = np.array([0, 1, 1, 0, 1] * 9), np.array([0, 1, 0, 0, 1] * 9)
    once = bootstrap(binary_f1, truth, decided, rounds=70)
    authors = [f"author {number}" for number in range(45)]
    assert bootstrap(binary_f1, truth, decided, groups=authors, rounds=70) == once
    assert bootstrap(binary_f1, truth, decided, groups=["the only one"] * 45, rounds=70) == once
    rows = np.repeat(truth, 5), np.repeat(decided, 5)
    five = bootstrap(binary_f1, *rows, groups=[author for author in authors for _ in range(5)], rounds=70)
    assert (five.value, five.low, five.high, five.rows) == (once.value, once.low, once.high, 225)
    assert bootstrap(binary_f1, *rows, rounds=70).low > once.low


@pytest.mark.parametrize(
    ("metric", "truth", "answer", "low", "high"),
    [
        (recall, [1] * 5 + [0] * 9, [1] * 14, 0.566, 1),
        (recall, [1] * 5 + [0] * 9, [0] * 14, 0, 0.434),
        (precision, [1] * 5 + [0] * 9, [1] * 5 + [0] * 9, 0.566, 1),
        (precision, [1] * 5 + [0] * 9, [0] * 14, 0, 1),
        (precision, [1] * 5 + [-1] * 9, [1] * 14, 0.566, 1),
        (flagged, [0] * 5, [0] * 5, 0, 0.434),
        (share_changed, [1] * 5, [1] * 5, 0, 0.434),
    ],
)
def test_none_or_all_of_few_is_not_sure(
    metric: Metric, truth: list[int], answer: list[int], low: float, high: float
) -> None:
    """Five of five found leaves room for four in ten missed: by Wilson, over those that count, or their authors."""
    found = bootstrap(metric, truth, answer, rounds=20)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)
    authors = [str(number) for number in range(len(truth)) for _ in range(3)]
    assert bootstrap(metric, np.repeat(truth, 3), np.repeat(answer, 3), groups=authors, rounds=20).low == found.low


def test_confusion_counts_rows() -> None:
    """Truth goes down and decisions across; the unknown is in no cell."""
    assert confusion([0, 0, 1, -1], [0, 1, 1, 1], 2).tolist() == [[1, 1], [0, 1]]


def test_reliability_holds_every_known_forecast() -> None:
    """Each bin says how many forecasts it has, their mean, and the share that came true."""
    bins = reliability([0, 1, 1, -1], [0.12, 0.18, 1.0, 0.5])
    assert [each.rows for each in bins] == [2, 1]
    assert bins[0].forecast == pytest.approx(0.15)
    assert (bins[0].happened, bins[1].happened) == (0.5, 1.0)


def test_rows_are_weighed_as_a_stream() -> None:
    """A third of the labelled rows is at risk but a hundredth of the stream: false alarms cost what they would cost."""
    truth, alerted = [1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]
    assert alerts_per_1000(0.01)(truth, alerted) == pytest.approx(1000 * (0.01 * 0.5 + 0.99 * 0.25))
    assert net_benefit(0.01, 0.2)(truth, alerted) == pytest.approx(0.01 * 0.5 - 0.99 * 0.25 / 4)


def test_no_false_alarm_among_few_leaves_room_for_many() -> None:
    """None of twenty may be one in six, which of a stream of such posts is 158 of 1,000; of many rows it is not."""
    few, many = (
        bootstrap(alerts_per_1000(0.02), [1, 1, 0] * 2 + [0] * others, [1, 0, 0] * 2 + [0] * others, rounds=100)
        for others in (18, 4998)
    )
    assert few.value == many.value == pytest.approx(10)
    assert few.high == pytest.approx(1000 * 0.98 * 0.161 + 20, abs=1)
    assert many.high < 21


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.9))
def test_nothing_beats_knowing(share: float, threshold: float) -> None:
    """Net benefit is the share when everything is found and nothing else, and 0 when nobody is alerted."""
    truth = np.array([1, 0, 0, 1])
    benefit = net_benefit(share, threshold)
    assert benefit(truth, truth) == pytest.approx(share)
    assert benefit(truth, np.zeros(4)) == 0.0
    assert benefit(truth, np.ones(4)) <= share
