"""What learns from labels and then judges posts as their annotator would; one interface for every kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from models.assessment import Assessment, Classifier
from models.document import Document
from models.encoder import Reader, base_folder
from models.errors import ModelError
from models.heads import OUTPUTS, Encoded, Floats, Heads, log_odds, never_rising, sigmoid, to_assessment
from models.onnx_export import Blueprint, onnx_file, sha256_of
from models.train.fit import FEATURES, WINDOW_TOKENS, WINDOWS, fit_heads
from models.train.lessons import Lesson
from models.train.network import Batch, Network
from models.train.tuning import Plan, Shape, computes_in_half, device_of_choice, tune
from models.windows import Windows

# Two posts with a word are few enough to keep rare words and many enough to leave out most names and slips.
_POSTS_PER_TERM = 2
_MOST_TERMS = 50_000
_MOST_WEIGHT = 10.0
_READ_TOGETHER = 32  # bounds memory
# How often a post is read in fine-tuning.
_READINGS = 4.0
# Of scikit-learn's penalty: its default of 1 leaves rare labels at nothing on a thousand posts.
_LOOSENESS = 10.0


class Learner(Protocol):
    """A kind of model with its settings."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def fit(self, documents: Sequence[Document], targets: Floats, weights: Floats, seed: int) -> Classifier:
        """A judge that learnt from at least one document.

        `targets` and `weights` are (documents, OUTPUTS) in the order of `TASKS`: a target lies in [0, 1], an ordinal
        scale is one output a level above its lowest, NaN is unknown. The same arguments give the same judge on one
        machine. Of a task that nothing teaches, the judge may say anything. Raises ModelError.
        """
        ...


def balanced(targets: Floats) -> Floats:
    """Weights of the shape of `targets` with which, for every output, the yeses weigh as much as the noes.

    So a judge decides at one half, however rare a label is. No row counts more than ten times.
    """
    known = ~np.isnan(targets)
    yes = np.where(known, targets, 0)
    no = np.where(known, 1 - targets, 0)
    rows = known.sum(axis=0)
    of_yes, of_no = (np.minimum(rows / np.maximum(2 * side.sum(axis=0), 1e-6), _MOST_WEIGHT) for side in (yes, no))
    weights: Floats = (yes * of_yes + no * of_no).astype(np.float32)
    return weights


class HeadsLearner:
    """Linear heads over a frozen encoder, as `nightlight train` makes them, without its calibration."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        """`base` is the folder of a Hugging Face encoder, None the one in the box. Raises ModelError."""
        self.name = name
        windows = Windows((base or base_folder()) / "tokenizer.json", WINDOW_TOKENS, WINDOWS)
        self._reader = Reader(windows, onnx_file(_blueprint(base, FEATURES)))
        self._encoded: dict[str, Encoded] = {}

    def fit(self, documents: Sequence[Document], targets: Floats, weights: Floats, seed: int) -> Classifier:
        """See `Learner`. A text is encoded once, however often it is learnt from."""
        texts = [document.text for document in documents]
        unknown = list(dict.fromkeys(text for text in texts if text not in self._encoded))
        self._encoded.update(zip(unknown, self._reader.read(unknown), strict=True))
        heads = fit_heads([self._encoded[text] for text in texts], targets, weights)
        return _Headed(self.name, self._reader, heads)


@dataclass(frozen=True, slots=True)
class _Headed:
    name: str
    reader: Reader
    heads: Heads

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order, without evidence. Raises ModelError when a score is no number."""
        assessments: list[Assessment] = []
        for start in range(0, len(documents), _READ_TOGETHER):
            posts = list(self.reader.read([document.text for document in documents[start : start + _READ_TOGETHER]]))
            # Not `judge`: what it takes from short posts makes up for the sets that the box was trained on.
            probabilities = self.heads.probabilities(self.heads.scores(posts))
            assessments += [to_assessment(row, {"model": self.name}) for row in probabilities]
        return assessments


class WordsLearner:
    """A line through weighed words and pairs of words for every output: the plain baseline that others must beat."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        """Raises ModelError when a base is named, as this learner has none."""
        if base is not None:
            raise ModelError("words are learnt without a base")
        self.name = name

    def fit(self, documents: Sequence[Document], targets: Floats, weights: Floats, seed: int) -> Classifier:
        """See `Learner`."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2),
            min_df=min(_POSTS_PER_TERM, len(documents)),
            max_features=_MOST_TERMS,
            sublinear_tf=True,
            dtype=np.float32,
        )
        try:
            terms = vectorizer.fit_transform([document.text for document in documents])
        except ValueError as error:  # not a word in all of them
            raise ModelError(f"{self.name}: there is nothing to learn from: {error}") from error
        lines = [_line(terms, targets[:, column], weights[:, column], seed) for column in range(OUTPUTS)]
        return _Words(
            self.name,
            vectorizer,
            np.stack([slopes for slopes, _ in lines], axis=1).astype(np.float32),
            np.array([offset for _, offset in lines], dtype=np.float32),
        )


def _line(terms: Any, targets: Floats, weights: Floats, seed: int) -> tuple[Floats, float]:
    """Slopes and offset of one output; what is known to be all the same is a mere offset."""
    from sklearn.linear_model import LogisticRegression

    # A target in between is a yes and a no, each by its part.
    yes, no = np.flatnonzero(targets > 0), np.flatnonzero(targets < 1)
    if not len(yes) or not len(no):
        return np.zeros(terms.shape[1], dtype=np.float32), 6.0 * (bool(len(yes)) - bool(len(no)))
    line = LogisticRegression(C=_LOOSENESS, max_iter=1000, random_state=seed).fit(
        terms[np.concatenate([yes, no])],
        np.repeat([1, 0], [len(yes), len(no)]),
        sample_weight=np.concatenate([weights[yes] * targets[yes], weights[no] * (1 - targets[no])]),
    )
    return line.coef_[0], float(line.intercept_[0])


@dataclass(frozen=True, slots=True)
class _Words:
    name: str
    vectorizer: Any
    slopes: Floats  # (terms, OUTPUTS)
    offsets: Floats  # (OUTPUTS,)

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order, without evidence."""
        if not documents:
            return []
        terms = self.vectorizer.transform([document.text for document in documents])
        probabilities = never_rising(sigmoid(terms @ self.slopes + self.offsets))
        return [to_assessment(row, {"model": self.name}) for row in probabilities]


class FineTuner:
    """All layers of an encoder fine-tuned with the heads, as `nightlight train` does it, without its calibration."""

    def __init__(self, name: str, base: Path | None = None) -> None:
        """`base` is the folder of a Hugging Face encoder, None the one in the box. Raises ModelError."""
        self.name = name
        folder = base or base_folder()
        self._shape = Shape.of(folder)
        self._blueprint = _blueprint(base, (f"mean {self._shape.depth}",))
        self._windows = Windows(folder / "tokenizer.json", WINDOW_TOKENS, WINDOWS)

    def fit(self, documents: Sequence[Document], targets: Floats, weights: Floats, seed: int) -> Classifier:
        """See `Learner`."""
        unknown = np.full(OUTPUTS, np.nan, dtype=np.float32)
        lessons = [
            Lesson(parts, None, target, weight, unknown, _READINGS, of_user=False)
            for parts, target, weight in zip(
                self._windows.cut([document.text for document in documents]), targets, weights, strict=True
            )
        ]
        base, shape = self._blueprint.base_sha256, self._shape
        plan = Plan(base, "", seed, depth=shape.depth, encoder_rate=shape.rate, most_rise=1.0)
        with TemporaryDirectory() as run:
            tuned = tune(plan, lessons, self._blueprint, self._windows, Path(run), lambda *_: None)
        return _Tuned(self.name, self._windows, tuned.network)


@dataclass(frozen=True, slots=True)
class _Tuned:
    name: str
    windows: Windows
    network: Network

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order, without evidence."""
        import torch

        device = device_of_choice()
        network = self.network.to(device)
        assessments: list[Assessment] = []
        for start in range(0, len(documents), _READ_TOGETHER):
            posts = self.windows.cut([document.text for document in documents[start : start + _READ_TOGETHER]])
            batch = Batch.of(posts, [range(len(post)) for post in posts], self.windows)
            with torch.no_grad():
                scores = network(batch.to(device), computes_in_half(device)).float().cpu().numpy()
            assessments += [to_assessment(row, {"model": self.name}) for row in never_rising(sigmoid(log_odds(scores)))]
        return assessments


def _blueprint(base: Path | None, features: tuple[str, ...]) -> Blueprint:
    folder = base or base_folder()
    return Blueprint(folder, sha256_of(folder / "model.safetensors"), features)


# By the word that a configuration has for it: a name and the folder of a base make a learner.
LEARNERS: Mapping[str, Callable[[str, Path | None], Learner]] = {
    "fine-tuned": FineTuner,
    "heads": HeadsLearner,
    "words": WordsLearner,
}
