"""What the trained heads make of an encoded post. NumPy only: training and serving run these same lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.assessment import Assessment, Ordinal
from models.decision import bend, decide, distribution, reaching, settle
from models.errors import ModelError
from models.labels import Disorder, Risk, Severity

L = TypeVar("L", Severity, Risk)
Floats = NDArray[np.float32]

# An ordinal scale is one output a level above its lowest: does the post stand at that level or above.
# Severity is learned twice, since people labelled it by two schemes: excerpts by all four levels, and whole posts, as
# `whole_severity`, by three, without mild. `scheme` says how likely the second would have been used, and from its
# threshold on that one is published as severity.
TASKS: Mapping[str, slice] = {
    "relevance": slice(0, 1),
    "disorders": slice(1, 1 + len(Disorder)),
    "severity": slice(10, 10 + len(Severity) - 1),
    "risk": slice(13, 13 + len(Risk) - 1),
    "stress": slice(17, 18),
    "whole_severity": slice(18, 20),
    "scheme": slice(20, 21),
}
OUTPUTS = 21
# By task with levels: which of them it knows.
ORDINAL: Mapping[str, Sequence[int]] = {"severity": range(4), "risk": range(5), "whole_severity": (0, 2, 3)}
# Of these scales the network and its heads give the log-odds of each level beside the one below it, so that a rare
# level in the middle can be told by itself; of risk, which is pooled over windows, those of reaching each level.
ADJACENT = ("severity", "whole_severity")

_LOWEST_THRESHOLD = 0.03
_ENOUGH_TOKENS = np.float32(16)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A post as the encoder reads it: stretches of text, each one row of `vectors` and one array of token ids.

    `vectors` is float32 (windows, dimensions); there is at least one window.
    """

    vectors: Floats
    tokens: Sequence[NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Bag:
    """The words that count by themselves, or other terms: which (ids, ascending), and how rare each is."""

    ids: NDArray[np.int64]
    idf: Floats

    def weigh(self, tokens: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """Positions in `ids` of the known tokens and their tf-idf, of length 1 as a vector (tf is 1 + log count)."""
        found, counts = np.unique(tokens, return_counts=True)
        positions = np.searchsorted(self.ids, found)
        known = positions < len(self.ids)
        known[known] = self.ids[positions[known]] == found[known]
        positions = positions[known]
        values = (1 + np.log(counts[known])) * self.idf[positions]
        return positions, (values / max(float(np.linalg.norm(values)), 1e-9)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Heads:
    """Linear heads over window vectors and a bag of words, with their calibration.

    An output whose `sharpness` is 0 judges the post as a whole: the mean of its windows and all its words. The others
    judge window by window and pool by log-mean-exp of that sharpness, which nears the maximum: one stretch about
    suicide in a long post must count. Scores become probabilities as sigmoid(slope * score + offset), on which
    decisions are made: at `threshold` where the answer is yes or no, by the weight of each level on a scale.
    """

    dense: Floats  # (dimensions, OUTPUTS)
    words: Floats  # (len(bag.ids), OUTPUTS)
    bias: Floats  # (OUTPUTS,)
    bag: Bag
    sharpness: Floats  # (OUTPUTS,)
    slope: Floats  # (OUTPUTS,), above 0
    offset: Floats  # (OUTPUTS,)
    threshold: Floats  # (OUTPUTS,), in (0.03, 0.97); those of a scale are not used
    weights: Mapping[str, Floats]  # by ordinal task, one above 0 for each level; a scale without is published as it is

    def judge(self, posts: Sequence[Encoded]) -> Floats:
        """Probabilities to publish, float32 (posts, OUTPUTS): what they say at 0.5 is what is decided.

        Raises ModelError when a score is no number.
        """
        return self.decided(self.calibrated(posts))

    def calibrated(self, posts: Sequence[Encoded]) -> Floats:
        """Calibrated probabilities, float32 (posts, OUTPUTS). Raises ModelError when a score is no number."""
        # The sets to learn from hold hardly any short post that is ordinary, so the heads overrate what is short; an
        # empty one they would judge by the encoder's idea of an empty page. Explicit words are the dictionary's part.
        lengths = np.array([sum(map(len, post.tokens)) for post in posts], dtype=np.float32)
        enough: Floats = np.minimum(np.float32(1), lengths / _ENOUGH_TOKENS)
        judged: Floats = self.probabilities(self.scores(posts)) * enough[:, np.newaxis]
        return judged

    def scores(self, posts: Sequence[Encoded]) -> Floats:
        """Log-odds before calibration, float32 (posts, OUTPUTS). Raises ModelError when one is no number."""
        scores = np.empty((len(posts), OUTPUTS), dtype=np.float32)
        for row, post in enumerate(posts):
            whole = self._score(post.vectors.mean(axis=0), np.concatenate(post.tokens))
            if len(post.tokens) == 1:  # most posts: the only window is the whole
                scores[row] = whole
                continue
            windows = [self._score(vector, tokens) for vector, tokens in zip(post.vectors, post.tokens, strict=True)]
            scores[row] = np.where(self.sharpness > 0, log_mean_exp(np.stack(windows), self.sharpness), whole)
        if not np.isfinite(scores).all():
            raise ModelError("the encoder gave something that is no number")
        return log_odds(scores)

    def _score(self, vector: Floats, tokens: NDArray[np.int64]) -> Floats:
        positions, values = self.bag.weigh(tokens)
        score: Floats = vector @ self.dense + values @ self.words[positions] + self.bias
        return score

    def probabilities(self, scores: Floats) -> Floats:
        """Calibrated probabilities, (posts, OUTPUTS); along an ordinal scale they never rise."""
        return never_rising(sigmoid(self.slope * scores + self.offset))

    def decided(self, probabilities: Floats) -> Floats:
        """Calibrated probabilities, moved as little as it takes for each decision to be read off them at 0.5.

        Severity comes out by the scheme that suits the post.
        """
        columns = [bend(column, float(at)) for column, at in zip(probabilities.T, self.threshold, strict=True)]
        published = np.stack(columns, axis=1)
        risk, severity = distribution(probabilities[:, TASKS["risk"]]), self.severity(probabilities)
        if "risk" in self.weights:
            risk = settle(risk, decide(risk, self.weights["risk"]))
        if "severity" in self.weights:
            severity = settle(severity, decide(severity, self._severity_weights(probabilities)))
        published[:, TASKS["risk"]], published[:, TASKS["severity"]] = reaching(risk), reaching(severity)
        return published

    def judges(self, task: str) -> bool:
        """Whether it ever learned the task."""
        return bool(self.dense[:, TASKS[task]].any())

    def severity(self, probabilities: Floats) -> Floats:
        """Of calibrated probabilities, (posts, levels) by the scheme that suits each post."""
        excerpt = distribution(probabilities[:, TASKS["severity"]])
        whole = np.zeros_like(excerpt)
        whole[:, list(ORDINAL["whole_severity"])] = distribution(probabilities[:, TASKS["whole_severity"]])
        return np.where(self._is_whole(probabilities), whole, excerpt)

    def _severity_weights(self, probabilities: Floats) -> Floats:
        whole = np.ones_like(self.weights["severity"])
        whole[list(ORDINAL["whole_severity"])] = self.weights["whole_severity"]
        return np.where(self._is_whole(probabilities), whole, self.weights["severity"])

    def _is_whole(self, probabilities: Floats) -> NDArray[np.bool_]:
        scheme = TASKS["scheme"]
        return probabilities[:, scheme] >= self.threshold[scheme]

    def save(self, file: Path) -> None:
        """Write the heads as safetensors, weights in half precision."""
        tensors = {
            "dense": self.dense.astype(np.float16),
            "words": self.words.astype(np.float16),
            "bias": self.bias,
            "bag.ids": self.bag.ids.astype(np.int32),
            "bag.idf": self.bag.idf,
            "sharpness": self.sharpness,
            "slope": self.slope,
            "offset": self.offset,
            "threshold": self.threshold,
            **{f"weights.{task}": weights for task, weights in self.weights.items()},
        }
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, file)

    @classmethod
    def read(cls, file: Path) -> Heads:
        """The heads that `save` wrote.

        Raises ModelError when the file is missing or damaged, or holds another shape or numbers out of range.
        """
        try:
            tensors = load_file(file)
            heads = cls(
                dense=tensors["dense"].astype(np.float32),
                words=tensors["words"].astype(np.float32),
                bias=tensors["bias"],
                bag=Bag(tensors["bag.ids"].astype(np.int64), tensors["bag.idf"]),
                sharpness=tensors["sharpness"],
                slope=tensors["slope"],
                offset=tensors["offset"],
                threshold=tensors["threshold"],
                weights={task: tensors[f"weights.{task}"] for task in ORDINAL if f"weights.{task}" in tensors},
            )
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(f"cannot read the model's heads in {file}: {error}") from error
        if not heads._fit_together():
            raise ModelError(f"the heads in {file} are not of this version's shape")
        if not heads._are_sound():
            raise ModelError(f"the heads in {file} hold numbers that no training gives")
        return heads

    def _arrays(self) -> list[NDArray[np.generic]]:
        own = (self.dense, self.words, self.bias, self.sharpness, self.slope, self.offset, self.threshold)
        return [self.bag.ids, self.bag.idf, *own, *self.weights.values()]

    def _fit_together(self) -> bool:
        words, dimensions = self.bag.ids.size, self.dense.size // OUTPUTS
        shapes = [(words,), (words,), (dimensions, OUTPUTS), (words, OUTPUTS), *[(OUTPUTS,)] * 5]
        shapes += [(len(ORDINAL[task]),) for task in self.weights]
        return bool(words and dimensions) and [array.shape for array in self._arrays()] == shapes

    def _are_sound(self) -> bool:
        """Else they would judge in silence what nobody taught them."""
        return bool(
            all(np.isfinite(array).all() for array in self._arrays())
            and (np.diff(self.bag.ids) > 0).all()
            and (self.sharpness >= 0).all()
            and (self.slope > 0).all()
            and ((self.threshold > _LOWEST_THRESHOLD) & (self.threshold < 1 - _LOWEST_THRESHOLD)).all()
            and all((weights > 0).all() for weights in self.weights.values())
        )


def log_odds(outputs: Floats) -> Floats:
    """The log-odds of every yes, (posts, OUTPUTS), from what the linear heads give: see `ADJACENT`."""
    odds = outputs.copy()
    for task in ADJACENT:
        odds[:, TASKS[task]] = odds_of(outputs[:, TASKS[task]])
    return odds


def odds_of(steps: Floats) -> Floats:
    """The log-odds of reaching each level of one scale of `ADJACENT`, from those of each level beside the one below it;
    both (posts, levels - 1)."""
    levels = np.cumsum(np.hstack([np.zeros_like(steps[:, :1]), steps]), axis=1)
    up_to = np.logaddexp.accumulate(levels, axis=1)
    from_on = np.logaddexp.accumulate(levels[:, ::-1], axis=1)[:, ::-1]
    odds: Floats = from_on[:, 1:] - up_to[:, :-1]
    return odds


def steps_of(odds: Floats) -> Floats:
    """The inverse of `odds_of`."""
    reached = np.minimum.accumulate(1 / (1 + np.exp(-np.clip(odds.astype(np.float64), -30, 30))), axis=1)
    steps: Floats = np.diff(np.log(np.maximum(distribution(reached), 1e-13)), axis=1).astype(np.float32)
    return steps


def sigmoid(odds: NDArray[np.floating]) -> Floats:
    """Probabilities from log-odds, never quite 0 or 1."""
    probabilities: Floats = (1 / (1 + np.exp(-np.clip(odds, -30, 30)))).astype(np.float32)
    return probabilities


def never_rising(probabilities: Floats) -> Floats:
    """(posts, OUTPUTS) in which no level of a scale is likelier reached than the one below it."""
    falling = probabilities.copy()
    for task in ORDINAL:
        falling[:, TASKS[task]] = np.minimum.accumulate(falling[:, TASKS[task]], axis=1)
    return falling


def log_mean_exp(scores: Floats, sharpness: Floats) -> Floats:
    """One score a column from (windows, OUTPUTS): between the mean (sharpness 0) and the maximum (infinite)."""
    sharpness = np.where(sharpness > 0, sharpness, 1)
    top = scores.max(axis=0)
    pooled: Floats = top + np.log(np.mean(np.exp(sharpness * (scores - top)), axis=0)) / sharpness
    return pooled


def to_assessment(probabilities: Floats, versions: Mapping[str, str]) -> Assessment:
    """One row of `Heads.probabilities` in the project's words, without evidence."""
    values = [float(p) for p in probabilities]
    return Assessment(
        relevance=values[TASKS["relevance"].start],
        disorders=dict(zip(Disorder, values[TASKS["disorders"]], strict=True)),
        severity=ordinal(Severity, values[TASKS["severity"]]),
        risk=ordinal(Risk, values[TASKS["risk"]]),
        evidence=(),
        versions=versions,
    )


def ordinal(scale: type[L], reached: Sequence[float]) -> Ordinal[L]:
    """A distribution over `scale` from the probability of reaching each level above its lowest, which never rises."""
    steps = [1.0, *reached, 0.0]
    return Ordinal(dict(zip(scale, (high - low for high, low in pairwise(steps)), strict=True)))
