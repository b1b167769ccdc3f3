"""Fitting the skim: a linear model of what is not ordinary, and a threshold that loses next to nothing of high risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from models.encoder import Manifest
from models.errors import ModelError
from models.heads import Bag
from models.labels import Risk, Severity
from models.onnx_export import sha256_of
from models.rules import Rules
from models.scorecard import CSSRS, NOT_RELEVANT, RELEVANT, SUICIDE
from models.skim import SKIM_FILE, Shares, Skim, Terms, neighbours
from models.train.data import Example
from models.train.fit import count_terms
from models.windows import Tokens, Windows

Flags = NDArray[np.bool_]

# One post of high risk in so many may be skimmed.
ONE_IN = 1000
POSTS_PER_TERM = 20
APART = -1

_HIGH_RISK_WEIGHT = 3.0
_STRENGTH = 0.5  # of the fit: the inverse of the L2 penalty
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Pool:
    """The posts a skim learns from, (posts,) each; what is not `ordinary` is about mental health.

    `spared` are never skimmed whatever they score, as the rules find something. `relevant` are those about mental
    health that lie in one set with the ordinary ones. `folds` are small numbers; posts that belong together share one.
    """

    posts: Sequence[Sequence[Tokens]]
    ordinary: Flags
    relevant: Flags
    high_risk: Flags
    spared: Flags
    folds: NDArray[np.int64]

    def __getitem__(self, chosen: Flags) -> Pool:
        return Pool(
            [self.posts[index] for index in np.flatnonzero(chosen).tolist()],
            self.ordinary[chosen],
            self.relevant[chosen],
            self.high_risk[chosen],
            self.spared[chosen],
            self.folds[chosen],
        )


@dataclass(frozen=True, slots=True)
class Loss:
    """How many of so many posts were skimmed."""

    posts: int
    skimmed: int

    def __str__(self) -> str:
        return f"{self.skimmed:,} of {self.posts:,} ({self.skimmed / max(1, self.posts):.2%})"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a skim takes away, of posts it was not fitted on; see `Pool`."""

    ordinary: Loss
    relevant: Loss
    high_risk: Loss

    def __str__(self) -> str:
        return (
            f"skimmed of ordinary posts {self.ordinary}, of those about mental health {self.relevant}, "
            f"of high risk {self.high_risk}"
        )


def check_skim(examples: Sequence[Example]) -> None:
    """Raises ModelError when the rows to learn from can teach no skim, whatever a reader finds in them."""
    told = [example for example in examples if _is_told(example) and example.fold is not None]
    ordinary, high_risk = (
        np.array([kind(example) for example in told], dtype=np.bool_)
        for kind in (lambda example: _is_relevance(example, NOT_RELEVANT), _is_high_risk)
    )
    _check_folds(ordinary, high_risk, np.array([example.fold for example in told], dtype=np.int64))


def _check_folds(ordinary: Flags, high_risk: Flags, folds: NDArray[np.int64]) -> None:
    """It is fitted without each fold in turn, and there is no line through posts of one kind."""
    kinds = (ordinary, high_risk)
    if not all(kind[folds != fold].any() for kind in kinds for fold in (APART, *np.unique(folds))):
        raise ModelError("a skim needs ordinary posts, and others of high risk, to learn from")


def add_skim(folder: Path, examples: Sequence[Example]) -> tuple[Measured, Measured]:
    """Fits a skim on the rows to learn from, and writes it into the model folder, which serves with it from then on.

    What it takes away of those rows, in folds not fitted on, and of the rows kept apart. Raises ModelError.
    """
    manifest = Manifest.read(folder)
    windows = Windows(manifest.blueprint(folder).base / "tokenizer.json", manifest.window_tokens, manifest.windows)
    pool = pool_of(examples, windows, Rules.load())
    apart = pool.folds == APART
    skim, measured = fit_skim(pool[~apart], windows)
    skim.save(folder / SKIM_FILE)
    replace(manifest, skim_sha256=sha256_of(folder / SKIM_FILE)).write(folder)
    return measured, measure(skim, pool[apart])


def fit_skim(pool: Pool, windows: Windows) -> tuple[Skim, Measured]:
    """A skim fitted on all posts, and what it would take away, measured fold by fold on posts not fitted on.

    The threshold is the highest at which no more than one in `ONE_IN` of the high-risk posts is skimmed, in scores of
    posts not fitted on. The same posts give the same skim.

    Raises ModelError when there is nothing to learn from.
    """
    _check_folds(pool.ordinary, pool.high_risk, pool.folds)
    scores = np.empty(len(pool.posts), dtype=np.float32)
    open_to_it = ~pool.spared
    for fold in np.unique(pool.folds):
        skim = _fitted(pool[pool.folds != fold], windows)
        for index in np.flatnonzero(pool.folds == fold).tolist():
            scores[index] = skim.score(pool.posts[index])
            open_to_it[index] &= skim.can_judge(pool.posts[index])
    allowed = int(pool.high_risk.sum()) // ONE_IN
    at_stake = np.sort(scores[pool.high_risk & open_to_it])
    threshold = at_stake[allowed] if allowed < len(at_stake) else scores.max()
    measured = _measured(pool, open_to_it & (scores < threshold))
    skim = _fitted(pool, windows)
    return replace(skim, threshold=float(threshold), shares=_shares(measured)), measured


def measure(skim: Skim, pool: Pool) -> Measured:
    """What the skim takes away of posts that were kept apart."""
    return _measured(pool, np.array([skim.skims(post) for post in pool.posts], dtype=np.bool_) & ~pool.spared)


def pool_of(examples: Sequence[Example], windows: Windows, rules: Rules) -> Pool:
    """The posts of those examples that say whether they are ordinary, as an encoder cuts them.

    Every post of a user who stands at high risk counts as one of it. Rows kept apart have the fold `APART`.
    """
    pairs = [(example, post) for example in examples if _is_told(example) for post in example.documents]
    return Pool(
        posts=windows.cut([post.text for _, post in pairs]),
        ordinary=np.array([_is_relevance(example, NOT_RELEVANT) for example, _ in pairs], dtype=np.bool_),
        relevant=np.array([_is_relevance(example, RELEVANT) for example, _ in pairs], dtype=np.bool_),
        high_risk=np.array([_is_high_risk(example) for example, _ in pairs], dtype=np.bool_),
        spared=np.array([rules.annotate(post).calls_for_more for _, post in pairs], dtype=np.bool_),
        folds=np.array([APART if example.fold is None else example.fold for example, _ in pairs], dtype=np.int64),
    )


def _is_told(example: Example) -> bool:
    """Whether the row says that it is ordinary, or that it is about mental health."""
    labels = example.row.labels
    return (
        example.set_name in ("severity4", "risk_cssrs", "risk_binary")
        or (example.set_name == "relevance" and labels[0] in (RELEVANT, NOT_RELEVANT))
        or (example.set_name == "disorder" and labels != ("none",))
    )


def _is_relevance(example: Example, label: str) -> bool:
    return example.set_name == "relevance" and example.row.labels[0] == label


def _is_high_risk(example: Example) -> bool:
    label = example.row.labels[0]
    return (
        (example.set_name == "risk_binary" and label == SUICIDE)
        or (example.set_name == "severity4" and label == Severity.SEVERE)
        or (example.set_name == "risk_cssrs" and CSSRS[label] >= Risk.IDEATION)
    )


def _fitted(pool: Pool, windows: Windows) -> Skim:
    """The model of these posts, ordinary and other ones counting alike; without a threshold."""
    wholes = [np.concatenate(post) for post in pool.posts]
    terms = _terms(wholes, windows)
    weighed = [terms.weigh(tokens) for tokens in wholes]
    inputs = csr_matrix(
        (
            np.concatenate([values for _, values in weighed]),
            np.concatenate([positions for positions, _ in weighed]),
            np.cumsum([0, *(len(positions) for positions, _ in weighed)]),
        ),
        shape=(len(wholes), len(terms)),
    )
    others = ~pool.ordinary
    weights = np.where(pool.high_risk, _HIGH_RISK_WEIGHT, 1.0)
    weights[~others] *= weights[others].sum() / weights[~others].sum()
    model = LogisticRegression(C=_STRENGTH, max_iter=_STEPS, tol=1e-3).fit(inputs, others, sample_weight=weights)
    return Skim(
        terms=terms,
        weights=model.coef_[0].astype(np.float32),
        bias=float(model.intercept_[0]),
        threshold=-np.inf,
        shares=Shares(0.0, 0.0, 0.0),
    )


def _terms(wholes: Sequence[Tokens], windows: Windows) -> Terms:
    """The whole words that stand in enough posts, as pieces of words are what other languages are made of; and the
    pairs that do."""
    common = count_terms(wholes, POSTS_PER_TERM)
    whole = np.array([_is_word(windows.spelling(id_)) for id_ in common.ids.tolist()], dtype=np.bool_)
    words = Bag(common.ids[whole], common.idf[whole])
    if not len(words.ids):
        raise ModelError("a skim needs more posts to learn words from")
    return Terms(words, count_terms([neighbours(tokens) for tokens in wholes], POSTS_PER_TERM))


def _is_word(spelling: str) -> bool:
    # The marks of a word's beginning in byte-level and SentencePiece vocabularies; WordPiece marks what is none, ##.
    return spelling.lstrip("Ġ▁").isalpha()


def _measured(pool: Pool, skimmed: Flags) -> Measured:
    kinds = (pool.ordinary, pool.relevant, pool.high_risk)
    return Measured(*(Loss(int(kind.sum()), int((kind & skimmed).sum())) for kind in kinds))


def _shares(measured: Measured) -> Shares:
    """What a skimmed post still is, by Laplace's rule of succession."""
    skimmed = measured.ordinary.skimmed + measured.relevant.skimmed + 2
    of_high_risk = (measured.high_risk.skimmed + 1) / skimmed
    return Shares((measured.relevant.skimmed + 1) / skimmed, severity=of_high_risk, risk=of_high_risk)
