"""How far annotators agree, beyond chance, and how sure of that we can be.

Everything is computed from patterns: how often the annotators gave the same post this and that value. So an interval
over a thousand resamplings costs a thousand draws of pattern counts, however many posts there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.evaluate import Figure

MISSING = -1

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratings:
    """What annotators gave the posts, as patterns: `values` of (patterns, annotators), `counts` of (patterns).

    A value is 0 to `levels` - 1, in order where the scale is `ordinal`, or `MISSING`.
    """

    values: Ints
    counts: Ints
    levels: int
    ordinal: bool

    @classmethod
    def of(cls, given: ArrayLike, levels: int, ordinal: bool = False) -> Ratings:
        """From an array of (posts, annotators)."""
        values, counts = np.unique(np.asarray(given, dtype=np.int64), axis=0, return_counts=True)
        return cls(values, counts.astype(np.int64), levels, ordinal)

    def pair(self, first: int, second: int) -> Ratings:
        """The posts that both of two annotators gave a value."""
        return self._complete([first, second])

    def complete(self) -> Ratings:
        """The posts that every annotator gave a value."""
        return self._complete(list(range(self.values.shape[1])))

    def shared(self) -> Ratings:
        """The posts that at least two annotators gave a value."""
        return self._kept((self.values != MISSING).sum(axis=1) >= 2)

    @property
    def posts(self) -> int:
        return int(self.counts.sum())

    def value_counts(self) -> Floats:
        """How many annotators gave each value, of (patterns, levels)."""
        counts: Floats = (self.values[:, :, None] == np.arange(self.levels)).sum(axis=1).astype(np.float64)
        return counts

    def _complete(self, columns: list[int]) -> Ratings:
        kept = self._kept((self.values[:, columns] != MISSING).all(axis=1))
        return Ratings(kept.values[:, columns], kept.counts, self.levels, self.ordinal)

    def _kept(self, rows: NDArray[np.bool_]) -> Ratings:
        return Ratings(self.values[rows], self.counts[rows], self.levels, self.ordinal)


# A statistic takes ratings and weights of (rounds, patterns), and gives a number a round: 1 is perfect agreement,
# 0 what chance would give, NaN when everybody gave everything the same value, as then chance alone explains it all.
Statistic = Callable[[Ratings, Floats], Floats]


def cohen_kappa(ratings: Ratings, weights: Floats) -> Floats:
    """Cohen's kappa of two annotators; on an ordinal scale with quadratic weights. Cohen 1960 and 1968."""
    size = ratings.levels
    cells = np.zeros((len(ratings.values), size * size))
    cells[np.arange(len(cells)), ratings.values[:, 0] * size + ratings.values[:, 1]] = 1
    table = (weights @ cells).reshape(-1, size, size)
    table = table / table.sum(axis=(1, 2), keepdims=True)
    chance = table.sum(axis=2)[:, :, None] * table.sum(axis=1)[:, None, :]
    distance = np.subtract.outer(np.arange(size), np.arange(size)) ** 2
    cost = distance if ratings.ordinal else distance != 0
    return _beyond_chance((table * cost).sum(axis=(1, 2)), (chance * cost).sum(axis=(1, 2)))


def fleiss_kappa(ratings: Ratings, weights: Floats) -> Floats:
    """Fleiss' kappa of annotators who gave every post a value, on any scale a nominal one. Fleiss 1971."""
    counts = ratings.value_counts()
    raters = ratings.values.shape[1]
    apart = 1 - ((counts**2).sum(axis=1) - raters) / (raters * (raters - 1))
    posts = weights.sum(axis=1)
    shares = (weights @ counts) / (posts[:, None] * raters)
    return _beyond_chance((weights @ apart) / posts, 1 - (shares**2).sum(axis=1))


def krippendorff_alpha(ratings: Ratings, weights: Floats) -> Floats:
    """Krippendorff's alpha of posts that at least two annotators gave a value, nominal or ordinal.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
    """
    counts = ratings.value_counts()
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(ratings.levels)
    coincidences = np.tensordot(weights, pairs / (counts.sum(axis=1) - 1)[:, None, None], axes=1)
    totals = coincidences.sum(axis=2)
    chance = totals[:, :, None] * totals[:, None, :] - totals[:, :, None] * np.eye(ratings.levels)
    chance = chance / (totals.sum(axis=1) - 1)[:, None, None]
    if ratings.ordinal:
        # The distance of two values is the number of values given between them, each of the two by half.
        place = totals.cumsum(axis=1) - totals / 2
        cost = (place[:, :, None] - place[:, None, :]) ** 2
    else:
        cost = np.broadcast_to(1 - np.eye(ratings.levels), coincidences.shape)
    return _beyond_chance((coincidences * cost).sum(axis=(1, 2)), (chance * cost).sum(axis=(1, 2)))


def measure(statistic: Statistic, ratings: Ratings, rounds: int = 1000, seed: int = 0) -> Figure | None:
    """The statistic with the 2.5 and 97.5 percentiles over resamplings of the posts.

    None when it is undefined: no post, or one value for everything. A resampling where it is undefined is left out.
    """
    if not ratings.posts:
        return None
    weights = ratings.counts.astype(np.float64)
    value = float(statistic(ratings, weights[None])[0])
    if np.isnan(value):
        return None
    drawn = np.random.default_rng(seed).multinomial(ratings.posts, weights / weights.sum(), size=rounds)
    low, high = np.nanpercentile(statistic(ratings, drawn.astype(np.float64)), [2.5, 97.5])
    return Figure(value, float(low), float(high), ratings.posts)


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    """1 - observed / expected disagreement; NaN where none is expected."""
    none = expected <= 1e-12
    ratio: Floats = np.where(none, np.nan, 1 - observed / np.where(none, 1.0, expected))
    return ratio
