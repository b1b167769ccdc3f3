"""The first, cheap look: is a post so plainly about something else that the network need not read it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.assessment import Assessment
from models.errors import ModelError
from models.heads import Bag, Floats, ordinal
from models.labels import Disorder, Risk, Severity
from models.windows import Tokens

SKIM_FILE = "skim.safetensors"

# About eight words with their punctuation: of less, nothing is plain.
FEWEST_TOKENS = 10
# English posts are whole, common words for about three quarters of their tokens; other languages fall into pieces.
LEAST_KNOWN = 0.5
# Posts of at most so many stretches are scored as a whole: in parts so small, single words weigh too much.
_SHORT = 3


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of what was skimmed is something else all the same, each a probability as it was measured."""

    relevance: float
    severity: float
    risk: float


@dataclass(frozen=True, slots=True)
class Terms:
    """The whole words, and the pairs of neighbouring tokens, that tell one kind of post from another."""

    words: Bag
    pairs: Bag  # of the numbers that `neighbours` gives

    def __len__(self) -> int:
        return len(self.words.ids) + len(self.pairs.ids)

    def weigh(self, tokens: Tokens) -> tuple[NDArray[np.int64], Floats]:
        """As `Bag.weigh`: words and pairs each of length 1, pairs after the words."""
        words, weight_of_words = self.words.weigh(tokens)
        pairs, weight_of_pairs = self.pairs.weigh(neighbours(tokens))
        positions = np.concatenate([words, len(self.words.ids) + pairs])
        return positions, np.concatenate([weight_of_words, weight_of_pairs])


def neighbours(tokens: Tokens) -> NDArray[np.int64]:
    """Each token and the one after it as one number."""
    pairs: NDArray[np.int64] = (tokens[:-1] << 32) | tokens[1:]
    return pairs


@dataclass(frozen=True)
class Skim:
    """A linear model over the words of a post and their pairs; below `threshold` the post is plainly an ordinary one.

    Of a long post every stretch must be, too: a few sentences about wanting to die would be lost in the whole.
    """

    terms: Terms
    weights: Floats  # (len(terms),)
    bias: float
    threshold: float
    shares: Shares

    @cached_property
    def version(self) -> str:
        """Names these weights and this threshold."""
        words, pairs, numbers = self.terms.words, self.terms.pairs, [self.bias, self.threshold]
        parts = (words.ids, words.idf, pairs.ids, pairs.idf, self.weights, np.array(numbers, dtype=np.float32))
        return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:8]

    def skims(self, post: Sequence[Tokens]) -> bool:
        """Whether a post, as `Windows.cut` gives it, is plainly ordinary: never one too short or hardly English."""
        return self.can_judge(post) and self.score(post) < self.threshold

    def can_judge(self, post: Sequence[Tokens]) -> bool:
        """Whether a post is long enough, and enough of it known words."""
        whole = np.concatenate(post)
        return len(whole) >= FEWEST_TOKENS and self._known(whole) >= LEAST_KNOWN

    def _known(self, tokens: Tokens) -> float:
        """The share of tokens that are among the words."""
        ids = self.terms.words.ids
        return float(np.mean(ids[np.minimum(np.searchsorted(ids, tokens), len(ids) - 1)] == tokens))

    def score(self, post: Sequence[Tokens]) -> float:
        """How much the post, or that stretch of it that does most, speaks of mental health; no probability."""
        whole = np.concatenate(post)
        return max(map(self._score, [whole, *post] if len(post) > _SHORT else [whole]))

    def _score(self, tokens: Tokens) -> float:
        positions, values = self.terms.weigh(tokens)
        return float(values @ self.weights[positions]) + self.bias

    def assessment(self, versions: Mapping[str, str]) -> Assessment:
        """What is said of every post that is skimmed: nothing found, with the probabilities that were measured."""
        shares = self.shares
        rest_of_severity, rest_of_risk = len(Severity) - 2, len(Risk) - 2
        return Assessment(
            relevance=shares.relevance,
            disorders=dict.fromkeys(Disorder, shares.relevance / len(Disorder)),
            severity=ordinal(Severity, [shares.severity, *[0.0] * rest_of_severity]),
            risk=ordinal(Risk, [shares.risk, *[0.0] * rest_of_risk]),
            evidence=(),
            versions=versions,
        )

    def save(self, file: Path) -> None:
        """Write what `read` reads."""
        shares = self.shares
        numbers = [self.bias, self.threshold, shares.relevance, shares.severity, shares.risk]
        tensors: dict[str, NDArray[Any]] = {
            "words.ids": self.terms.words.ids,
            "words.idf": self.terms.words.idf,
            "pairs.ids": self.terms.pairs.ids,
            "pairs.idf": self.terms.pairs.idf,
            "weights": self.weights,
            "numbers": np.array(numbers, dtype=np.float32),
        }
        save_file(tensors, file)

    @classmethod
    def read(cls, file: Path) -> Skim | None:
        """The skim in a file, None where there is no file. Raises ModelError when it is damaged."""
        if not file.exists():
            return None
        try:
            tensors = load_file(file)
            bias, threshold, *shares = tensors["numbers"].tolist()
            words, pairs = (Bag(tensors[f"{kind}.ids"], tensors[f"{kind}.idf"]) for kind in ("words", "pairs"))
            skim = cls(Terms(words, pairs), tensors["weights"], bias, threshold, Shares(*shares))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise ModelError(f"cannot read {file}: {error}") from error
        if any(len(bag.ids) != len(bag.idf) for bag in (words, pairs)) or len(skim.terms) != len(skim.weights):
            raise ModelError(f"{file} does not hold one weight a term")
        if not len(words.ids):
            raise ModelError(f"{file} knows no word")
        return skim
