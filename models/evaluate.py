"""The figures of a model, as pure functions over arrays, and how sure of them we can be.

A truth or a decision is a class number from 0 on, one a row, or a 0/1 matrix of (rows, labels); -1 is a truth that
nobody knows, and does not count. What cannot be measured, such as the recall of a class that is never true, is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Array = NDArray[Any]
Numbers = NDArray[np.int64]
Name = TypeVar("Name", bound=Hashable)

Weighted = Callable[[Array, Array, Floats], Floats]
Bounds = Callable[[Array, Array, Floats, Numbers], tuple[Floats, Floats]]

ROUNDS = 1000
BINS = 10
# Standard deviations either way that hold 95 % of a normal distribution.
_Z = 1.96

# Resamplings worked on together: enough to keep the processor busy, few enough for any number of rows.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured `value` with its 95 % interval `low` to `high`, over `rows` rows; NaN when undefined."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def plain(value: Any) -> Any:
    """Figures, and whatever holds them, as JSON can say it: numbers to six places, null for what is undefined."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


class Metric:
    """A figure of (truth, answer), for the rows as they are or for many resamplings of them at once.

    `weighted(truth, answer, counts)` gives one value for each of the resamplings in `counts` (resamplings, rows), which
    say how often each row was drawn. `bounds(truth, answer, counts, group_of)` gives two: what the 2.5 percentile is
    taken of for the lower end of an interval, and the 97.5 percentile for the upper end; both are `weighted` where not
    stated. `group_of` has the number of each row's group, (rows,).
    """

    def __init__(self, weighted: Weighted, bounds: Bounds | None = None) -> None:
        self.weighted = weighted
        self.bounds = bounds or (lambda truth, answer, counts, group_of: (weighted(truth, answer, counts),) * 2)
        update_wrapper(self, weighted)

    def __call__(self, truth: ArrayLike, answer: ArrayLike) -> float:
        """The figure over the rows as they are."""
        truth, answer = np.asarray(truth), np.asarray(answer)
        return float(self.weighted(truth, answer, np.ones((1, len(truth))))[0])


Asked = tuple[Metric, ArrayLike, ArrayLike]


def figures(
    asked: Mapping[Name, Asked], *, groups: Sequence[str] | None = None, rounds: int = ROUNDS, seed: int = 0
) -> dict[Name, Figure]:
    """Each (metric, truth, answer) with the 2.5 and 97.5 percentiles over `rounds` resamplings of the rows.

    All are of the same rows, which are resampled alike for all. Rows of one of `groups`, which names that of each row,
    are drawn together, as a hundred posts of one author tell less than those of a hundred; of one group alone, its rows
    are. An interval always holds its own value; that of a share of none or all, which every resampling repeats, is
    Wilson's, with as many trials as there are groups. Raises ValueError when there is no row.
    """
    arrays = {name: (metric, np.asarray(truth), np.asarray(answer)) for name, (metric, truth, answer) in asked.items()}
    rows = {len(array) for _, *pair in arrays.values() for array in pair}
    if rows == {0}:
        raise ValueError("no rows to measure")
    (count,) = rows
    group_of = _places(groups, count)
    rng = np.random.default_rng(seed)
    values: dict[Name, list[tuple[Floats, Floats]]] = {name: [] for name in arrays}
    for start in range(0, rounds, _AT_ONCE):
        counts = _resamplings(min(_AT_ONCE, rounds - start), group_of, rng)
        for name, (metric, truth, answer) in arrays.items():
            values[name].append(metric.bounds(truth, answer, counts, group_of))
    return {
        name: _figure(metric(truth, answer), np.concatenate(values[name], axis=1), count)
        for name, (metric, truth, answer) in arrays.items()
    }


def bootstrap(
    metric: Metric,
    truth: ArrayLike,
    answer: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Figure:
    """One metric, as `figures` measures it."""
    return figures({"": (metric, truth, answer)}, groups=groups, rounds=rounds, seed=seed)[""]


def _places(groups: Sequence[str] | None, rows: int) -> Numbers:
    """The number of each row's group, from 0 on as they appear; each row is one by itself where there are not two."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups or ()))}
    if groups is None or len(numbers) < 2:
        return np.arange(rows)
    return np.array([numbers[group] for group in groups])


def _resamplings(rounds: int, group_of: Numbers, rng: np.random.Generator) -> Floats:
    """How often each row is drawn, with its group, (rounds, rows)."""
    groups = int(group_of.max()) + 1
    drawn = rng.integers(0, groups, (rounds, groups)) + groups * np.arange(rounds)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=rounds * groups).reshape(rounds, groups)
    return counts.astype(np.float64)[:, group_of]


def _figure(value: float, bounds: Floats, rows: int) -> Figure:
    """From the lower and the upper bound of every resampling, (2, resamplings)."""
    # A resampling may have drawn no row of a rare class; the others still tell how sure the figure is.
    known = bounds[:, ~np.isnan(bounds[0])]
    if math.isnan(value) or not known.size:
        return Figure(math.nan, math.nan, math.nan, rows)
    low, high = np.percentile(known[0], 2.5), np.percentile(known[1], 97.5)
    return Figure(value, min(value, float(low)), max(value, float(high)), rows)


def _share(counted: Callable[[Array, Array], Array]) -> Callable[[Weighted], Metric]:
    """A metric that is a share of the rows of 1 in `counted(truth, answer)`.

    None or all of them is what every resampling repeats; its interval is Wilson's, with as many trials as groups.
    Source: Wilson 1927, Journal of the American Statistical Association 22, 209-212.
    """

    def metric(weighted: Weighted) -> Metric:
        def bounds(truth: Array, answer: Array, counts: Floats, group_of: Numbers) -> tuple[Floats, Floats]:
            drawn = weighted(truth, answer, counts)
            (value,) = weighted(truth, answer, np.ones((1, len(truth))))
            doubt = _Z**2 / (len(np.unique(group_of[counted(truth, answer)])) + _Z**2)
            return drawn - doubt * (value == 1), drawn + doubt * (value == 0)

        return Metric(weighted, bounds)

    return metric


# What was decided


def levels(reached: ArrayLike) -> Numbers:
    """The level decided on an ordinal scale, 0 the lowest, from P(at least that level) of (rows, levels above it).

    A level is reached at 0.5 if all below it are. Truths of 0 and 1 are read the same way; NaN is not reached.
    """
    above: Numbers = np.logical_and.accumulate(np.asarray(reached) >= 0.5, axis=1).sum(axis=1)
    return above


def confusion(truth: ArrayLike, decided: ArrayLike, classes: int) -> Numbers:
    """How many rows of each true class (down) were decided as each class (across)."""
    truth, decided = np.asarray(truth, dtype=np.int64), np.asarray(decided, dtype=np.int64)
    known = truth >= 0
    return np.bincount(truth[known] * classes + decided[known], minlength=classes**2).reshape(classes, classes)


def _confusions(truth: Array, decided: Array, counts: Floats) -> Floats:
    """One confusion matrix a resampling, (resamplings, classes, classes)."""
    truth, decided = truth.astype(np.int64), decided.astype(np.int64)
    classes = int(max(truth.max(), decided.max())) + 1
    cells = np.zeros((len(truth), classes**2))
    known = np.flatnonzero(truth >= 0)
    cells[known, truth[known] * classes + decided[known]] = 1
    return (counts @ cells).reshape(len(counts), classes, classes)


def _shares(part: Floats, whole: Floats, nothing: float = math.nan) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, nothing), where=whole > 0)


def _mean_over_true(each: Floats, support: Floats, weights: Floats | None = None) -> Floats:
    """The mean over the classes that are true somewhere, (resamplings, classes) -> (resamplings,)."""
    weights = (support > 0).astype(np.float64) if weights is None else weights
    return _shares((np.where(support > 0, each, 0) * weights).sum(axis=1), weights.sum(axis=1))


def _f1s(confusions: Floats) -> tuple[Floats, Floats]:
    """The F1 and the support of every class, (resamplings, classes); a class never decided has 0."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    support = confusions.sum(axis=2)
    return _shares(2 * hits, support + confusions.sum(axis=1), 0), support


@Metric
def macro_f1(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean of the F1 of every class that is true somewhere, in [0, 1]; a class never decided counts as 0."""
    return _mean_over_true(*_f1s(_confusions(truth, decided, counts)))


@Metric
def weighted_f1(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean of the F1 of every class, in [0, 1], each as heavy as it has rows."""
    each, support = _f1s(_confusions(truth, decided, counts))
    return _mean_over_true(each, support, support)


@Metric
def balanced_accuracy(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean of the recall of every class that is true somewhere, in [0, 1]."""
    confusions = _confusions(truth, decided, counts)
    support = confusions.sum(axis=2)
    return _mean_over_true(_shares(np.diagonal(confusions, axis1=1, axis2=2), support), support)


@Metric
def mean_ordinal_error(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean distance in levels between what is true and what was decided, 0 or more."""
    known = counts * (truth >= 0)
    return _shares(known @ np.abs(truth - decided).astype(np.float64), known.sum(axis=1))


def _any(truth: Array, answer: Array) -> Array:
    return np.ones(len(truth), dtype=bool)


@_share(_any)
def flagged(truth: Array, decided: Array, counts: Floats) -> Floats:
    """The share of rows decided as 1, in [0, 1], whatever is true."""
    return _shares(counts @ (decided == 1).astype(np.float64), counts.sum(axis=1))


# Before and after


@Metric
def mean_change(before: Array, after: Array, counts: Floats) -> Floats:
    """How far the scores moved on average, with their direction."""
    return _shares(counts @ (after - before).astype(np.float64), counts.sum(axis=1))


@Metric
def mean_absolute_change(before: Array, after: Array, counts: Floats) -> Floats:
    """How far the scores moved on average, up or down, 0 or more."""
    return _shares(counts @ np.abs(after - before).astype(np.float64), counts.sum(axis=1))


@_share(_any)
def share_changed(before: Array, after: Array, counts: Floats) -> Floats:
    """The share of decisions that are others than before, in [0, 1]."""
    return _shares(counts @ (before != after).astype(np.float64), counts.sum(axis=1))


# One class: it is 1 or it is not


def _pairs(truth: Array, decided: Array, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """How often 1 was decided and true, decided, and true, (resamplings, labels); the unknown is left out."""
    true, said, known = (np.atleast_2d(each.T).T for each in (truth == 1, decided == 1, truth >= 0))
    # One product in place of three: reading the counts is what takes the time.
    columns = np.hstack([true & said, said & known, true]).astype(np.float64)
    hits, decisions, support = np.split(counts @ columns, 3, axis=1)
    return hits, decisions, support


@_share(lambda truth, decided: (truth >= 0) & (decided == 1))
def precision(truth: Array, decided: Array, counts: Floats) -> Floats:
    """The share of what was decided as 1 that is 1, in [0, 1]; 0 when nothing was."""
    hits, decisions, _ = _pairs(truth, decided, counts)
    return _shares(hits, decisions, 0)[:, 0]


@_share(lambda truth, decided: truth == 1)
def recall(truth: Array, decided: Array, counts: Floats) -> Floats:
    """The share of what is 1 that was decided as 1, in [0, 1]."""
    hits, _, support = _pairs(truth, decided, counts)
    return _shares(hits, support)[:, 0]


@Metric
def binary_f1(truth: Array, decided: Array, counts: Floats) -> Floats:
    """F1 of class 1, in [0, 1]; 0 when there is no such row and none is decided."""
    hits, decisions, support = _pairs(truth, decided, counts)
    return _shares(2 * hits, decisions + support, 0)[:, 0]


# Several labels a row


def _label_f1s(truth: Array, decided: Array, counts: Floats) -> tuple[Floats, Floats]:
    hits, decisions, support = _pairs(truth, decided, counts)
    return _shares(2 * hits, decisions + support, 0), support


@Metric
def macro_binary_f1(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean of the F1 of 1 of every column that is 1 somewhere, in [0, 1]: multi-label macro-F1."""
    return _mean_over_true(*_label_f1s(truth, decided, counts))


@Metric
def weighted_binary_f1(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean of the F1 of 1 of every column, in [0, 1], each as heavy as it has rows of 1."""
    each, support = _label_f1s(truth, decided, counts)
    return _mean_over_true(each, support, support)


@Metric
def balanced_binary_accuracy(truth: Array, decided: Array, counts: Floats) -> Floats:
    """Mean over the columns that are 1 somewhere of the mean recall of 1 and of 0, in [0, 1]."""
    hits, _, support = _pairs(truth, decided, counts)
    misses, _, rest = _pairs(np.where(truth < 0, -1, 1 - truth), 1 - decided.astype(np.int64), counts)
    sides = np.stack([_shares(hits, support), _shares(misses, rest)])
    return _mean_over_true(_mean_of_known(sides), support)


def _mean_of_known(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return _shares(np.where(known, values, 0).sum(axis=0), known.sum(axis=0).astype(np.float64))


# Probabilities


@Metric
def auroc(truth: Array, scores: Array, counts: Floats) -> Floats:
    """The chance that a row of 1 scores above a row of 0, ties counting half, in [0, 1].

    Over several columns, their mean, as `macro_binary_f1` takes it.
    """
    return _over_columns(_auroc, truth, scores, counts)


@Metric
def average_precision(truth: Array, scores: Array, counts: Floats) -> Floats:
    """Mean of the precision at every step of recall, in [0, 1]; over several columns, their mean.

    Source: scikit-learn's `average_precision_score`, without interpolation.
    """
    return _over_columns(_average_precision, truth, scores, counts)


def _over_columns(one: Callable[[_Ranks], Floats], truth: Array, scores: Array, counts: Floats) -> Floats:
    truth, scores = (np.atleast_2d(each.T) for each in (truth, scores))
    found = []
    for column, score in zip(truth, scores, strict=True):
        known = np.flatnonzero(column >= 0)
        order = known[np.argsort(-score[known], kind="stable")]
        found.append(one(_ranks(column[order] == 1, score[order], counts[:, order])))
    return _mean_of_known(np.stack(found))


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Rows at each score that some row of 1 has, from the highest down, each (resamplings, such scores).

    `hits` are the rows of 1 and `ties` all the rows at that score, `above` all the rows at higher ones; `total` is all
    rows, (resamplings,).
    """

    hits: Floats
    ties: Floats
    above: Floats
    total: Floats


def _ranks(positive: Array, scores: Array, counts: Floats) -> _Ranks:
    """From rows in descending order of their scores. Only where rows of 1 stand does anything need to be looked at."""
    met = np.zeros((len(counts), len(scores) + 1))
    np.cumsum(counts, axis=1, out=met[:, 1:])
    where = np.flatnonzero(positive)
    values, first = np.unique(-scores[where], return_index=True)
    starts, ends = (np.searchsorted(-scores, values, side) for side in ("left", "right"))
    hits = np.add.reduceat(counts[:, where], first, axis=1) if len(where) else np.zeros((len(counts), 0))
    return _Ranks(hits, met[:, ends] - met[:, starts], met[:, starts], met[:, -1])


def _auroc(ranks: _Ranks) -> Floats:
    positives = ranks.hits.sum(axis=1)
    negatives = ranks.total - positives
    found_above = np.cumsum(ranks.hits, axis=1) - ranks.hits
    beaten = negatives[:, np.newaxis] - (ranks.above - found_above) - (ranks.ties - ranks.hits) / 2
    return _shares((ranks.hits * beaten).sum(axis=1), positives * negatives)


def _average_precision(ranks: _Ranks) -> Floats:
    precisions = _shares(np.cumsum(ranks.hits, axis=1), ranks.above + ranks.ties, 0)
    return _shares((ranks.hits * precisions).sum(axis=1), ranks.hits.sum(axis=1))


def _calibration_bounds(truth: Array, probabilities: Array, counts: Floats, group_of: Numbers) -> tuple[Floats, Floats]:
    """Bounds that chance moves up and down alike, unlike the error, to which a resampling adds a chance of its own.

    With g a true gap and g + e the one found, |g + e| is at most |g| + |e|, and at least |g| + e * sign(g). So the true
    error is no lower than the one found less the sum of |e|, and no higher than that less the sum of e * sign(g).
    """
    gaps = _gaps(truth, probabilities, np.ones((1, len(truth))))
    moved = _gaps(truth, probabilities, counts) - gaps
    found = _mean_of_known(np.abs(gaps).sum(axis=2))
    lowest = found - _mean_of_known(np.abs(moved).sum(axis=2))
    # A gap whose sign was found wrong is about nothing, and its e as likely to be above nothing as below.
    highest = found - _mean_of_known((moved * np.where(gaps < 0, -1, 1)).sum(axis=2))
    return lowest.clip(min=0), highest.clip(max=1)


@partial(Metric, bounds=_calibration_bounds)
def expected_calibration_error(truth: Array, probabilities: Array, counts: Floats) -> Floats:
    """Mean distance between what was forecast and what happened, weighted by the rows of each of ten equal-width bins.

    `truth` is 0/1 and `probabilities` the forecasts of 1, of equal shapes; over several columns, the mean of theirs, so
    that one forecast too high makes up for none too low. In [0, 1]; too high over few rows, where chance makes gaps.
    Source: Guo et al. 2017, arXiv 1706.04599, with the binary forecast itself as the confidence; over columns Kull et
    al. 2019, arXiv 1910.12656, class-wise.
    """
    return _mean_of_known(np.abs(_gaps(truth, probabilities, counts)).sum(axis=2))


def _gaps(truth: Array, probabilities: Array, counts: Floats) -> Floats:
    """What was forecast less what happened in each bin, per row of the column, (columns, resamplings, bins)."""
    happened, forecast = (np.atleast_2d(each.T) for each in (truth, probabilities))
    bins, known = _bins(forecast), happened >= 0
    found = np.full((len(happened), len(counts), BINS), math.nan)
    for column, rows in enumerate(map(np.flatnonzero, known)):
        cells = np.zeros((len(rows), BINS))
        cells[np.arange(len(rows)), bins[column, rows]] = forecast[column, rows] - happened[column, rows]
        drawn = counts[:, rows]
        found[column] = _shares(drawn @ cells, np.broadcast_to(drawn.sum(axis=1, keepdims=True), (len(counts), BINS)))
    return found


def _bins(forecast: Array) -> Numbers:
    return np.minimum((forecast * BINS).astype(np.int64), BINS - 1)


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts of one tenth of [0, 1]: how many, their mean, and the share that came true."""

    rows: int
    forecast: float
    happened: float


def reliability(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Bin, ...]:
    """The bins of `expected_calibration_error` of one column that hold a forecast, from low to high."""
    happened, forecast = (np.asarray(each, dtype=np.float64) for each in (truth, probabilities))
    happened, forecast = happened[happened >= 0], forecast[happened >= 0]
    at = _bins(forecast)
    return tuple(
        Bin(int(inside.sum()), float(forecast[inside].mean()), float(happened[inside].mean()))
        for inside in (at == number for number in range(BINS))
        if inside.any()
    )


# A stream of posts, of which some share is high-risk


def alerts_per_1000(share: float) -> Metric:
    """Alerts per 1,000 posts of a stream of which `share` is 1, from what is true and what alerts (1) of labelled rows.

    The rows of 1 stand for the high-risk posts, those of 0 for all others, however many there are of each. That none of
    few others alerts leaves room for many alerts of a stream that is made of them, as the interval says.
    """

    def of_stream(found: Floats, false: Floats) -> Floats:
        return 1000 * (share * found + (1 - share) * false)

    def bounds(truth: Array, alerted: Array, counts: Floats, group_of: Numbers) -> tuple[Floats, Floats]:
        sides = [recall.bounds(truth == side, alerted, counts, group_of) for side in (1, 0)]
        lowest, highest = zip(*sides, strict=True)
        return of_stream(*lowest), of_stream(*highest)

    @partial(Metric, bounds=bounds)
    def expected(truth: Array, alerted: Array, counts: Floats) -> Floats:
        """Alerts per 1,000 posts, 0 to 1,000."""
        return of_stream(*(recall.weighted(truth == side, alerted, counts) for side in (1, 0)))

    return expected


def net_benefit(share: float, threshold: float) -> Metric:
    """Net benefit of acting on what is decided, per post of a stream of which `share` is 1.

    True alarms less false ones, a false one weighing threshold / (1 - threshold) of a true one: whoever acts from this
    probability on finds that many false alarms as bad. At most `share`; an empty inbox has 0.
    Source: Vickers and Elkin 2006, Medical Decision Making 26(6), 565-574.
    """

    @Metric
    def benefit(truth: Array, decided: Array, counts: Floats) -> Floats:
        """Net benefit per post, at most the share."""
        found, false = (recall.weighted(truth == side, decided, counts) for side in (1, 0))
        return share * found - (1 - share) * false * threshold / (1 - threshold)

    return benefit
