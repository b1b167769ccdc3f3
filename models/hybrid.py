"""Rules and encoder as one judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from models.assessment import Assessment
from models.document import Document
from models.encoder import Encoder
from models.heads import ordinal
from models.labels import Risk
from models.onnx_export import Progress
from models.rules import Reading, Rules

_RAISED = list(Risk)[1:]


class Hybrid:
    """The encoder's probabilities and the rules' evidence; explicit words about risk raise, and nothing lowers."""

    def __init__(self, rules: Rules, encoder: Encoder) -> None:
        self._rules = rules
        self._encoder = encoder

    @classmethod
    def load(
        cls, folder: Path | None = None, threads: int = 0, batch_size: int = 32, progress: Progress | None = None
    ) -> Hybrid:
        """The shipped lexicon with the model in `folder`; see `Encoder.load` for the arguments and errors."""
        return cls(Rules.load(), Encoder.load(folder, threads, batch_size, progress))

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order. Raises ModelError when an output is no number."""
        precision = self._encoder.manifest.rule_precision
        versions = {"rules": self._rules.version, "encoder": self._encoder.version}
        return [
            replace(join(self._rules.annotate(document), assessment, precision), versions=versions)
            for document, assessment in zip(documents, self._encoder.assess(documents), strict=True)
        ]


def join(reading: Reading, assessment: Assessment, rule_precision: Mapping[str, Mapping[str, float]]) -> Assessment:
    """`assessment` with the evidence of `reading`, its risk raised to what an explicit statement is worth.

    P(risk >= k) becomes at least `rule_precision[explicit_risk][k]`, the measured share of posts with such a statement
    that really stood at k or above. A post that states a risk is about mental health at least as surely.
    """
    floors = rule_precision.get(reading.explicit_risk, {})
    reached = [max(assessment.risk.at_least(level), floors.get(level, 0.0)) for level in _RAISED]
    # A floor may stand above a lower level's probability; reaching a level means reaching those below it.
    for index in range(len(reached) - 2, -1, -1):
        reached[index] = max(reached[index], reached[index + 1])
    explicit = reached[0] if floors else 0.0
    return replace(
        assessment,
        relevance=max(assessment.relevance, explicit),
        risk=ordinal(Risk, reached),
        evidence=reading.evidence,
    )
