"""From calibrated probabilities to decisions that can be read off them again.

A best threshold is seldom 0.5, and the best level of a scale seldom its likeliest. Whoever reads a published
probability decides at 0.5, though, and whoever reads a scale takes its likeliest level or its median. So what is
published is moved as little as it takes for these readings to agree with the decision.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", np.float32, np.float64)
Floats = NDArray[np.float32]

# The width of what is moved around a threshold: below it just enough to keep the order, above it up to where
# probabilities are left as they are.
_BELOW, _ABOVE = 0.02, 0.15
# By how much a decided level stands out, so that rounding cannot undo it.
_MARGIN = 1e-3


def bend(probabilities: Floats, threshold: float) -> Floats:
    """Probabilities in which 0.5 stands where `threshold`, in (0.03, 0.97), stood: their order stays, and so does
    whatever is far from it."""
    if threshold < 0.5:
        old = [0.0, threshold - _BELOW, threshold, 0.5 + _ABOVE, 1.0]
        new = [0.0, threshold - _BELOW, 0.5, 0.5 + _ABOVE, 1.0]
    else:
        old = [0.0, 0.5 - _ABOVE, threshold, threshold + _BELOW, 1.0]
        new = [0.0, 0.5 - _ABOVE, 0.5, threshold + _BELOW, 1.0]
    bent: Floats = np.interp(probabilities, old, new).astype(np.float32)
    return bent


def distribution(reached: NDArray[F]) -> NDArray[F]:
    """(rows, levels) probabilities of each level, from (rows, levels - 1) of reaching each above the lowest."""
    ones, zeros = np.ones((len(reached), 1), reached.dtype), np.zeros((len(reached), 1), reached.dtype)
    probabilities: NDArray[F] = -np.diff(np.hstack([ones, reached, zeros]), axis=1)
    return probabilities


def reaching(probabilities: Floats) -> Floats:
    """The inverse of `distribution`."""
    reached: Floats = np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return np.clip(reached, 0, 1)


def decide(probabilities: Floats, weights: Floats) -> NDArray[np.int64]:
    """The level of each row: the one whose probability times its weight is highest."""
    chosen: NDArray[np.int64] = np.argmax(probabilities * weights, axis=1)
    return chosen


def settle(probabilities: Floats, decided: NDArray[np.int64]) -> Floats:
    """(rows, levels) in which the decided level is both the likeliest and the median, moved no further than that takes.

    Each row is mixed with certainty of the decided level, by the smallest share that does it.
    """
    rows = np.arange(len(probabilities))
    own = probabilities[rows, decided]
    up_to = np.cumsum(probabilities, axis=1)[rows, decided]
    others = probabilities.copy()
    others[rows, decided] = 0
    below, above, rival = up_to - own, 1 - up_to, others.max(axis=1)

    def at_most_half(share: Floats) -> Floats:
        return (1 - (0.5 - _MARGIN) / np.maximum(share, 1e-9)).astype(np.float32)

    likeliest = (rival + _MARGIN - own) / np.maximum(1 + rival - own, 1e-9)
    mix = np.clip(np.max([at_most_half(below), at_most_half(above), likeliest], axis=0), 0, 1)[:, np.newaxis]
    certain = np.zeros_like(probabilities)
    certain[rows, decided] = 1
    settled: Floats = ((1 - mix) * probabilities + mix * certain).astype(np.float32)
    return settled
