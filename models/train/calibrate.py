"""From scores to probabilities on which 0.5 is the place to decide.

First a logistic fit makes the probabilities true on the rows they are fitted on; then each is shifted, in log-odds, so
that its best threshold lies at 0.5. Both are fitted on scores of rows that the scoring heads had not seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.heads import Floats, sigmoid

# Tenths of a log-odds: nothing finer is known from these rows.
_SHIFTS = np.linspace(-3, 3, 61)
_ROUNDS = 3


def fit_line(scores: Floats, targets: Floats, weights: Floats) -> tuple[float, float]:
    """Slope and offset of the logistic line through one output's scores (Platt).

    Targets lie in [0, 1]; NaN is left out.
    """
    known = ~np.isnan(targets)
    scores, targets, weights = scores[known], targets[known], weights[known]
    # Of a target in between, the row counts as a 1 and as a 0, by its parts.
    line = LogisticRegression(C=1e3).fit(
        np.tile(scores, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([weights * targets, weights * (1 - targets)]),
    )
    # A slope of 0 or below would turn the ranking round: few rows, no signal.
    return max(float(line.coef_[0, 0]), 0.05), float(line.intercept_[0])


def find_shifts(probabilities: Floats, worth: Callable[[Floats], float]) -> NDArray[np.float64]:
    """Log-odds to add to each column of `probabilities` so that `worth` of the shifted ones is highest.

    One column after the other, three times round. Of equally good shifts the smallest is taken.
    """
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    odds = np.log(clipped / (1 - clipped))
    shifts = np.zeros(odds.shape[1])
    by_size = _SHIFTS[np.argsort(np.abs(_SHIFTS), kind="stable")]
    best = worth(sigmoid(odds + shifts))
    for _ in range(_ROUNDS):
        before = best
        for column in range(len(shifts)):
            for shift in by_size:
                tried = shifts.copy()
                tried[column] = shift
                value = worth(sigmoid(odds + tried))
                if value > best + 1e-4:
                    best, shifts = value, tried
        if best == before:
            break
    return shifts
