"""Fitting the skim: a linear model of what is not ordinary, and a threshold that loses next to nothing of high risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

from models.errors import ModelError
from models.heads import TASKS, Bag, Floats
from models.labels import Risk, Severity
from models.rules import Rules
from models.skim import Shares, Skim, Tokens
from models.train.data import Example

Flags = NDArray[np.bool_]

# One post of high risk in so many may be skimmed.
ONE_IN = 1000
POSTS_PER_WORD = 20

_HIGH_RISK_WEIGHT = 10.0
_STRENGTH = 0.2  # of the fit: the inverse of the L2 penalty
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Lesson:
    """The rows a skim learns from, (rows,) each; what is not `ordinary` is about mental health.

    `spared` are never skimmed whatever they score, as the rules find a word about risk. `found` are those in which a
    reader finds something without the skim. `folds` are small numbers; rows that belong together share one.
    """

    posts: Sequence[Tokens]
    ordinary: Flags
    high_risk: Flags
    spared: Flags
    found: Flags
    folds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Loss:
    """Of `rows` of one kind, how many were skimmed; `plain` of them are such that nobody finds anything in them."""

    rows: int
    skimmed: int
    plain: int

    @property
    def share(self) -> float:
        """The share that was skimmed."""
        return self.skimmed / max(1, self.rows)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a skim takes away, of rows it was not fitted on."""

    ordinary: Loss
    relevant: Loss
    high_risk: Loss

    def __str__(self) -> str:
        parts = {"ordinary": self.ordinary, "about mental health": self.relevant, "of high risk": self.high_risk}
        return "; ".join(
            f"{name}: {loss.skimmed:,} of {loss.rows:,} ({loss.share:.2%}), "
            f"without those in which no reader finds anything {loss.skimmed - loss.plain:,}"
            for name, loss in parts.items()
        )


def fit_skim(lesson: Lesson, tokenizer: Tokenizer) -> tuple[Skim, Measured]:
    """A skim fitted on all rows, and what it would take away, measured fold by fold on rows not fitted on.

    The threshold is the highest at which no more than one in `ONE_IN` of the high-risk rows that a reader finds is
    skimmed, in scores of rows not fitted on. Labels that a subreddit's name gave include plainly ordinary posts, which
    no reader could find: they have no say in it, and are counted apart. The same rows give the same skim.

    Raises ModelError when there is nothing to learn from.
    """
    if not (lesson.ordinary.any() and lesson.high_risk.any() and (~lesson.ordinary).any()):
        raise ModelError("a skim needs ordinary posts, and others of high risk, to learn from")
    scores = np.empty(len(lesson.posts), dtype=np.float32)
    skippable = np.empty(len(lesson.posts), dtype=np.bool_)
    for fold in np.unique(lesson.folds):
        skim = _fitted(lesson, np.flatnonzero(lesson.folds != fold), tokenizer)
        for index in np.flatnonzero(lesson.folds == fold).tolist():
            scores[index] = skim.score(lesson.posts[index])
            skippable[index] = not lesson.spared[index] and replace(skim, threshold=np.inf).skims(lesson.posts[index])
    counted = lesson.high_risk & lesson.found
    at_stake = np.sort(scores[counted & skippable])
    allowed = int(counted.sum()) // ONE_IN
    threshold = float(at_stake[allowed]) if allowed < len(at_stake) else float(scores.max())
    measured = _measured(lesson, skippable & (scores < threshold))
    skim = _fitted(lesson, np.arange(len(lesson.posts)), tokenizer)
    return replace(skim, threshold=threshold, shares=_shares(measured)), measured


def measure(skim: Skim, lesson: Lesson) -> Measured:
    """What the skim takes away of rows that were kept apart."""
    return _measured(lesson, np.array([skim.skims(post) for post in lesson.posts], dtype=np.bool_) & ~lesson.spared)


def lesson_of(rows: Sequence[Example], posts: Sequence[Tokens], probabilities: Floats, rules: Rules) -> Lesson:
    """The lesson of those rows that say whether they are ordinary; see `teaches`, which all of them must pass.

    `posts` are the rows' tokens and `probabilities`, (rows, outputs), what the heads say of them. Somebody finds
    something in a row when the rules or the heads take it for relevant, or for any risk or severity above the lowest.
    """
    readings = [rules.annotate(row.document) for row in rows]
    lowest = [TASKS["relevance"].start, TASKS["severity"].start, TASKS["risk"].start]
    found = (probabilities[:, lowest] >= 0.5).any(axis=1)
    return Lesson(
        posts=posts,
        ordinary=np.array([_is_ordinary(row) for row in rows]),
        high_risk=np.array([_is_high_risk(row) for row in rows]),
        spared=np.array([reading.speaks_of_risk for reading in readings]),
        found=found | np.array([reading.relevant for reading in readings]),
        folds=np.array([-1 if row.fold is None else row.fold for row in rows]),
    )


def teaches(row: Example) -> bool:
    """Whether a row says that it is ordinary, or that it is about mental health."""
    return _is_ordinary(row) or (
        row.set_name in ("severity4", "risk_cssrs", "risk_binary")
        or (row.set_name == "relevance" and row.label == "mh")
        or (row.set_name == "disorder" and row.label != "none")
    )


def _is_ordinary(row: Example) -> bool:
    return row.set_name == "relevance" and row.label == "not_mh"


def _is_high_risk(row: Example) -> bool:
    return (
        (row.set_name == "risk_binary" and row.label == "suicide")
        or (row.set_name == "severity4" and row.label == Severity.SEVERE)
        or (row.set_name == "risk_cssrs" and row.label in (Risk.IDEATION, Risk.BEHAVIOR, Risk.ATTEMPT))
    )


def _fitted(lesson: Lesson, chosen: NDArray[np.int64], tokenizer: Tokenizer) -> Skim:
    """The model of the chosen rows, each kind of row counting as much as the other; without a threshold."""
    wholes = [np.concatenate(lesson.posts[index]) for index in chosen.tolist()]
    bag = _words(wholes, tokenizer)
    weighed = [bag.weigh(tokens) for tokens in wholes]
    starts = np.cumsum([0, *(len(positions) for positions, _ in weighed)])
    inputs = csr_matrix(
        (
            np.concatenate([values for _, values in weighed]),
            np.concatenate([positions for positions, _ in weighed]),
            starts,
        ),
        shape=(len(wholes), len(bag.ids)),
    )
    others = ~lesson.ordinary[chosen]
    weights = np.where(lesson.high_risk[chosen], _HIGH_RISK_WEIGHT, 1.0)
    weights[~others] *= weights[others].sum() / weights[~others].sum()
    model = LogisticRegression(C=_STRENGTH, max_iter=_STEPS, tol=1e-3).fit(inputs, others, sample_weight=weights)
    return Skim(
        bag=bag,
        weights=model.coef_[0].astype(np.float32),
        bias=float(model.intercept_[0]),
        threshold=-np.inf,
        shares=Shares(0.0, 0.0, 0.0),
    )


def _words(wholes: Sequence[NDArray[np.int64]], tokenizer: Tokenizer) -> Bag:
    """The whole words that stand in enough posts: pieces of words are what other languages are made of."""
    frequency = np.bincount(np.concatenate([np.unique(tokens) for tokens in wholes]))
    common = [int(id_) for id_ in np.flatnonzero(frequency >= POSTS_PER_WORD)]
    ids = np.array([id_ for id_ in common if _is_word(tokenizer.id_to_token(id_))], dtype=np.int64)
    if not len(ids):
        raise ModelError("a skim needs more posts to learn words from")
    return Bag(ids, (np.log((1 + len(wholes)) / (1 + frequency[ids])) + 1).astype(np.float32))


def _is_word(token: str | None) -> bool:
    # The marks of a word's beginning in byte-level and SentencePiece vocabularies; WordPiece marks what is none, ##.
    return token is not None and token.lstrip("Ġ▁").isalpha()


def _measured(lesson: Lesson, skimmed: Flags) -> Measured:
    def loss(rows: Flags) -> Loss:
        return Loss(int(rows.sum()), int((rows & skimmed).sum()), int((rows & skimmed & ~lesson.found).sum()))

    return Measured(loss(lesson.ordinary), loss(~lesson.ordinary), loss(lesson.high_risk))


def _shares(measured: Measured) -> Shares:
    """What a skimmed post still is, by Laplace's rule of succession."""
    skimmed = measured.ordinary.skimmed + measured.relevant.skimmed + 2
    of_high_risk = (measured.high_risk.skimmed + 1) / skimmed
    return Shares((measured.relevant.skimmed + 1) / skimmed, severity=of_high_risk, risk=of_high_risk)
