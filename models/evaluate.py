"""The figures of a model, as pure functions over arrays, and how sure of them we can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import f1_score

Metric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured `value` with its 95 % bootstrap interval `low` to `high`, over `rows` rows."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def levels(reached: ArrayLike) -> NDArray[np.int64]:
    """The level decided on an ordinal scale, 0 the lowest, from P(at least that level) of (rows, levels above it).

    A level is reached at 0.5 if all below it are. Truths of 0 and 1 are read the same way; NaN is not reached.
    """
    above: NDArray[np.int64] = np.logical_and.accumulate(np.asarray(reached) >= 0.5, axis=1).sum(axis=1)
    return above


def macro_f1(truth: ArrayLike, decided: ArrayLike) -> float:
    """Mean of the F1 of every class that is true somewhere, in [0, 1]; a class never decided counts as 0."""
    truth, decided = np.asarray(truth), np.asarray(decided)
    return float(f1_score(truth, decided, labels=np.unique(truth), average="macro", zero_division=0))


def balanced_accuracy(truth: ArrayLike, decided: ArrayLike) -> float:
    """Mean of the recall of every class that is true somewhere, in [0, 1]."""
    truth, decided = np.asarray(truth), np.asarray(decided)
    recalls = [float(np.mean(decided[truth == label] == label)) for label in np.unique(truth)]
    return float(np.mean(recalls))


def binary_f1(truth: ArrayLike, decided: ArrayLike) -> float:
    """F1 of class 1, in [0, 1]; 0 when there is no such row and none is decided."""
    return float(f1_score(np.asarray(truth), np.asarray(decided), zero_division=0))


def macro_binary_f1(truth: ArrayLike, decided: ArrayLike) -> float:
    """Mean over the columns of a 0/1 matrix (rows, labels) of the F1 of 1: multi-label macro-F1."""
    truth, decided = np.asarray(truth), np.asarray(decided)
    return float(np.mean([binary_f1(truth[:, column], decided[:, column]) for column in range(truth.shape[1])]))


def flagged(truth: ArrayLike, decided: ArrayLike) -> float:
    """The share of rows decided as 1, in [0, 1], whatever is true."""
    del truth
    return float(np.mean(np.asarray(decided) == 1))


def expected_calibration_error(truth: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Mean distance between what was forecast and what happened, weighted by the rows of each equal-width bin.

    `truth` is 0/1 and `probabilities` the forecasts of 1, any equal shapes; the answer is in [0, 1].
    Source: Guo et al. 2017, arXiv 1706.04599, with the binary forecast itself as the confidence.
    """
    happened = np.asarray(truth, dtype=np.float64).ravel()
    forecast = np.asarray(probabilities, dtype=np.float64).ravel()
    at = np.minimum((forecast * bins).astype(np.int64), bins - 1)
    gaps = [abs(float(np.sum(forecast[at == b] - happened[at == b]))) for b in range(bins)]
    return sum(gaps) / len(happened)


def bootstrap(
    metric: Callable[[ArrayLike, ArrayLike], float],
    truth: ArrayLike,
    decided: ArrayLike,
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> Figure:
    """`metric(truth, decided)` with the 2.5 and 97.5 percentiles over `rounds` resamplings of the rows.

    Raises ValueError when there is no row.
    """
    truth, decided = np.asarray(truth), np.asarray(decided)
    rows = len(truth)
    if rows == 0:
        raise ValueError("no rows to measure")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        drawn = rng.integers(0, rows, rows)
        values.append(metric(truth[drawn], decided[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Figure(metric(truth, decided), float(low), float(high), rows)
