"""Rules and encoder as one judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from models.assessment import Assessment, Ordinal
from models.document import Document
from models.encoder import Encoder
from models.heads import ordinal
from models.labels import Risk, Severity
from models.onnx_export import Progress
from models.rules import Reading, Rules

L = TypeVar("L", Severity, Risk)


class Hybrid:
    """The encoder's probabilities and the rules' evidence; explicit words about risk raise, and nothing lowers."""

    def __init__(self, rules: Rules, encoder: Encoder) -> None:
        self._rules = rules
        self._encoder = encoder
        self.versions: Mapping[str, str] = {"rules": rules.version, "encoder": encoder.version}

    @classmethod
    def load(
        cls, folder: Path | None = None, threads: int = 0, batch_size: int = 32, progress: Progress | None = None
    ) -> Hybrid:
        """The shipped lexicon with the model in `folder`; see `Encoder.load` for the arguments and errors."""
        return cls(Rules.load(), Encoder.load(folder, threads, batch_size, progress))

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order. Raises ModelError when an output is no number."""
        precision = self._encoder.manifest.rule_precision
        with ThreadPoolExecutor(1) as beside:  # the encoder computes outside the interpreter's lock
            assessing = beside.submit(self._encoder.assess, documents)
            readings = [self._rules.annotate(document) for document in documents]
            assessments = assessing.result()
        return [
            replace(join(reading, assessment, precision), versions=self.versions)
            for reading, assessment in zip(readings, assessments, strict=True)
        ]


def join(reading: Reading, assessment: Assessment, rule_precision: Mapping[str, Mapping[str, float]]) -> Assessment:
    """`assessment` with the evidence of `reading`, its risk and severity raised to what an explicit statement is worth.

    P(at least k) becomes at least `rule_precision[explicit_risk][k]`, the measured share of texts with such a statement
    that people placed at k or above. A post that states a risk is about mental health at least as surely. It is
    `disputed` when one of the two finds some risk, somebody else's included, and the other finds none.
    """
    floors = rule_precision.get(reading.explicit_risk, {})
    return replace(
        assessment,
        relevance=max(assessment.relevance, floors.get(Risk.INDICATOR, 0.0)),
        severity=_raised(Severity, assessment.severity, floors),
        risk=_raised(Risk, assessment.risk, floors),
        evidence=reading.evidence,
        disputed=(reading.risk > Risk.NONE) != (assessment.risk.level > Risk.NONE),
    )


def _raised(scale: type[L], judged: Ordinal[L], floors: Mapping[str, float]) -> Ordinal[L]:
    reached = [max(judged.at_least(level), floors.get(level, 0.0)) for level in list(scale)[1:]]
    # A floor may stand above the probability of a lower level, but whoever reaches a level has reached those below it.
    return ordinal(scale, list(accumulate(reversed(reached), max))[::-1])
