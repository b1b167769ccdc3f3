"""From scores to probabilities and decisions, on rows that the network did not learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.assessment import Band
from models.decision import Floats, decide, distribution
from models.evaluate import balanced_accuracy, binary_f1, levels
from models.heads import ADJACENT, OUTPUTS, TASKS, Heads, odds_of, steps_of
from models.labels import Risk
from models.train.data import Example

N = TypeVar("N", np.float32, np.int64)
Ints = NDArray[np.int64]
Floats64 = NDArray[np.float64]
Worth = Callable[[Ints], float]

# Nothing finer is known from so few rows.
_THRESHOLDS = np.round(np.arange(0.06, 0.95, 0.02), 2)
_WEIGHTS = np.exp(np.linspace(-1, 1.5, 11))
_ROUNDS = 3
# How far the steps of a scale may be turned: the inverse of the L2 penalty.
_STRENGTH = 0.1
# What is nearly as good is as good: of all of those the middle is taken, which is the least chance's.
_SLACK = 0.004
# At most so much of the ordinary posts with mental-health words may be called relevant.
_FALSE_ALARMS = 0.11
# Below the band of doubt lies at most so much of what is grave; from its end on at least so much is grave.
_MISSED, _CERTAIN = 0.05, 0.8


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows with the scores of their posts: (posts, OUTPUTS), those of row r from `starts[r]` on."""

    examples: Sequence[Example]
    scores: Floats
    starts: Ints

    def highest(self, values: NDArray[N]) -> NDArray[N]:
        """One row of values a row: the highest of any of its posts."""
        found: NDArray[N] = np.maximum.reduceat(values, self.starts, axis=0)
        return found

    def where(self, *sets: str) -> NDArray[np.bool_]:
        """The rows of some files."""
        return np.array([example.set_name in sets for example in self.examples])

    @property
    def targets(self) -> Floats:
        """What is true of every row, (rows, OUTPUTS); NaN where nobody knows."""
        return np.stack([example.targets for example in self.examples])


def calibrate(heads: Heads, sheet: Sheet) -> Heads:
    """The heads with the calibration and the decisions that suit the rows of the sheet best."""
    targets = sheet.targets
    # Ordinary posts are told from others so easily that they would pull a scale's line to what suits them alone.
    known = targets.copy()
    for task in ADJACENT:
        known[~sheet.where("severity4"), TASKS[task]] = np.nan
    turns = {
        task: turn
        for task in ADJACENT
        if (turn := fit_turn(steps_of(sheet.scores[sheet.starts, TASKS[task]]), known[:, TASKS[task]]))
    }
    heads, sheet = _turned(heads, sheet, turns)
    honest_already = {column for task in turns for column in range(OUTPUTS)[TASKS[task]]}
    highest = sheet.highest(sheet.scores)
    lines = [
        (1.0, 0.0) if column in honest_already else fit_line(highest[:, column], known[:, column])
        for column in range(OUTPUTS)
    ]
    slope, offset = (np.array(values, dtype=np.float32) for values in zip(*lines, strict=True))
    honest = replace(heads, slope=slope, offset=offset)
    probabilities = honest.probabilities(sheet.scores)
    weights = {
        # What is best where probabilities are right: for balanced accuracy a level counts as much as it is rare, for F1
        # about the root of that. Weights searched for on so few rows did worse on others.
        "severity": level_weights(known[:, TASKS["severity"]], 1.0),
        "whole_severity": level_weights(known[:, TASKS["whole_severity"]], 0.5),
        "risk": best_weights(distribution(probabilities[:, TASKS["risk"]]), worth_of_risk(sheet)),
    }
    return replace(honest, threshold=_thresholds(probabilities[sheet.starts], sheet), weights=weights)


@dataclass(frozen=True, slots=True)
class Turn:
    """A linear map of a scale's steps."""

    matrix: Floats  # (levels - 1, levels - 1)
    shift: Floats  # (levels - 1,)

    def of(self, steps: Floats) -> Floats:
        """Steps, (levels - 1,) or (rows, levels - 1), as they are mapped."""
        turned: Floats = steps @ self.matrix + self.shift
        return turned


def fit_turn(steps: Floats, reached: Floats) -> Turn | None:
    """What makes the steps of a scale the true log-odds of each level beside the one below it, by multinomial logistic
    regression; None when a level is missing.

    Both are (rows, levels - 1); `reached` is NaN in rows that tell nothing. A scale that is learned as classes is
    calibrated as classes: a line through each level's log-odds knows nothing of the other levels'.
    """
    known = ~np.isnan(reached).any(axis=1)
    true = levels(reached[known])
    if len(np.unique(true)) <= reached.shape[1]:
        return None
    fitted = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(steps[known], true)
    return Turn(np.diff(fitted.coef_, axis=0).T.astype(np.float32), np.diff(fitted.intercept_).astype(np.float32))


def _turned(heads: Heads, sheet: Sheet, turns: Mapping[str, Turn]) -> tuple[Heads, Sheet]:
    """Heads that give the turned steps, and the sheet as they would have filled it."""
    dense, words, bias, scores = heads.dense.copy(), heads.words.copy(), heads.bias.copy(), sheet.scores.copy()
    for task, turn in turns.items():
        columns = TASKS[task]
        dense[:, columns] = dense[:, columns] @ turn.matrix
        words[:, columns] = words[:, columns] @ turn.matrix
        bias[columns] = turn.of(bias[columns])
        scores[:, columns] = odds_of(turn.of(steps_of(scores[:, columns])))
    return replace(heads, dense=dense, words=words, bias=bias), replace(sheet, scores=scores)


def level_weights(reached: Floats, power: float) -> Floats:
    """A weight for each level, (levels,): how much rarer than the lowest it is, to a power; all 1 when one is missing.

    `reached` is (rows, levels - 1), NaN in rows that tell nothing.
    """
    known = reached[~np.isnan(reached).any(axis=1)]
    counts = np.bincount(levels(known), minlength=reached.shape[1] + 1)
    if not counts.all():
        return np.ones(len(counts), dtype=np.float32)
    weights: Floats = ((counts[0] / counts) ** power).astype(np.float32)
    return weights


def fit_line(scores: Floats, targets: Floats) -> tuple[float, float]:
    """Slope and offset of the logistic line through one output's scores (Platt).

    Targets lie in [0, 1]; NaN is left out. Scores stay as they are when all that is known of them is the same.
    """
    known = ~np.isnan(targets)
    if not (targets[known] > 0).any() or not (targets[known] < 1).any():
        return 1.0, 0.0
    scores, targets = scores[known], targets[known]
    # Of a target in between, the row counts as a 1 and as a 0, by its parts.
    line = LogisticRegression(C=1e3).fit(
        np.tile(scores, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    # A slope of 0 or below would turn the ranking round: few rows, no signal.
    return max(float(line.coef_[0, 0]), 0.05), float(line.intercept_[0])


def band_of_doubt(probabilities: Floats64, grave: NDArray[np.bool_], single: Floats64) -> Band | None:
    """Where a probability neither rules out what it is of nor makes it certain; None unless some rows are grave and
    some are not. The first two arrays are (rows,); `single` are the probabilities of single posts that are held for
    grave, (posts,).

    It begins at the highest probability that all but 5 % of the grave rows, and of the single posts, reach. It ends at
    the lowest one from which on 80 % of the rows are grave; at 1 when there is none.
    """
    if not grave.any() or grave.all():
        return None
    start = min(np.sort(each)[int(_MISSED * len(each))] for each in (probabilities[grave], single) if len(each))
    certain = (at for at in np.unique(probabilities) if grave[probabilities >= at].mean() >= _CERTAIN)
    end = max(start, next(certain, 1.0))
    # Rounded down, so that the band still begins at the row it was found by.
    return Band(math.floor(start * 1000) / 1000, math.floor(end * 1000) / 1000)


def best_threshold(worth: Callable[[float], float]) -> float:
    """The threshold whose decisions are worth most; of all that are nearly so, the one in the middle."""
    worths = np.array([worth(float(at)) for at in _THRESHOLDS])
    good = np.flatnonzero(worths >= worths.max() - _SLACK)
    return float(_THRESHOLDS[good[len(good) // 2]])


def best_weights(probabilities: Floats, worth: Worth) -> Floats:
    """A weight for each level, (levels,), so that the decided levels (see `decide`) are worth most.

    One weight after the other, three times round; the lowest level keeps the weight 1, which fixes the scale.
    """
    weights = np.ones(probabilities.shape[1], dtype=np.float32)
    for _, level in product(range(_ROUNDS), range(1, len(weights))):
        worths = []
        for weight in _WEIGHTS:
            weights[level] = weight
            worths.append(worth(decide(probabilities, weights)))
        good = np.flatnonzero(np.array(worths) >= max(worths) - _SLACK / 2)
        weights[level] = _WEIGHTS[good[len(good) // 2]]
    return weights


def _thresholds(probabilities: Floats, sheet: Sheet) -> Floats:
    """For every output that is a yes or no of its own, (OUTPUTS,); 0.5 for the others."""
    targets = sheet.targets
    thresholds = np.full(OUTPUTS, 0.5, dtype=np.float32)
    relevance = TASKS["relevance"].start
    own, ambiguous = sheet.where("relevance"), sheet.where("relevance_ambiguous")

    def of_relevance(at: float) -> float:
        decided = probabilities[:, relevance] >= at
        if ambiguous.any() and decided[ambiguous].mean() > _FALSE_ALARMS:
            return -float(decided[ambiguous].mean())
        return binary_f1(targets[own, relevance].astype(np.int64), decided[own].astype(np.int64))

    thresholds[relevance] = best_threshold(of_relevance)
    for column, name in ((TASKS["stress"].start, "stress"), (TASKS["scheme"].start, "severity4")):
        own_rows = sheet.where(name) & ~np.isnan(targets[:, column])

        def of_column(at: float, column: int = column, own_rows: NDArray[np.bool_] = own_rows) -> float:
            decided = (probabilities[own_rows, column] >= at).astype(np.int64)
            return balanced_accuracy(targets[own_rows, column].astype(np.int64), decided) if own_rows.any() else 0.0

        thresholds[column] = best_threshold(of_column)
    unnamed = np.array([not example.row.names_label for example in sheet.examples])
    for column in range(TASKS["disorders"].start, TASKS["disorders"].stop):
        known = sheet.where("disorder") & ~np.isnan(targets[:, column])

        def of_disorder(at: float, column: int = column, known: NDArray[np.bool_] = known) -> float:
            return sum(
                binary_f1(targets[rows, column].astype(np.int64), (probabilities[rows, column] >= at).astype(np.int64))
                for rows in (known, known & unnamed)
            )

        thresholds[column] = best_threshold(of_disorder)
    return thresholds


def worth_of_risk(sheet: Sheet) -> Worth:
    """What decided levels, (posts,), are worth, at most 3: 1 for the levels of users, by the gravest of their posts, 1
    for telling the suicidal posts of `sdcnl`, and 1 for ordinary posts that show no risk at all."""
    targets = sheet.targets[:, TASKS["risk"]]
    expert, weak = sheet.where("risk_cssrs"), sheet.where("risk_binary") & ~np.isnan(targets[:, 1])
    weak &= np.array([example.row.source == "sdcnl" for example in sheet.examples])
    ordinary = sheet.where("relevance", "relevance_ambiguous") & ~(sheet.targets[:, 0] == 1)
    truth = levels(np.nan_to_num(targets))

    def worth(decided: Ints) -> float:
        of_row = sheet.highest(decided)
        found = (of_row >= Risk.IDEATION.rank).astype(np.int64)
        parts = []
        if expert.any():
            parts.append(balanced_accuracy(truth[expert], of_row[expert]))
        if weak.any():
            parts.append(balanced_accuracy(targets[weak, 1].astype(np.int64), found[weak]))
        if ordinary.any():
            parts.append(float(np.mean(of_row[ordinary] == 0)))
        return sum(parts)

    return worth
