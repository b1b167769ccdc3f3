"""Rules and encoder as one judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from models.assessment import Assessment, Band, Ordinal
from models.document import Document
from models.encoder import Backend, Encoder, shipped_folder
from models.heads import ordinal
from models.labels import Risk, Severity
from models.onnx_export import Progress
from models.rules import Reading, Rules
from models.skim import SKIM_FILE, Skim

L = TypeVar("L", Severity, Risk)


class Hybrid:
    """The encoder's probabilities and the rules' evidence; explicit words about risk raise, and nothing lowers.

    What the skim takes for plainly ordinary is not read by the encoder, unless the rules find it relevant, or find a
    word about risk in it.
    """

    def __init__(self, rules: Rules, encoder: Encoder, skim: Skim | None = None) -> None:
        self._rules = rules
        self._encoder = encoder
        self._skim = skim
        self._looked = {"rules": rules.version, **({} if skim is None else {"skim": skim.version})}
        self.versions: Mapping[str, str] = {**self._looked, "encoder": encoder.version}

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        threads: int = 0,
        batch_size: int = 32,
        progress: Progress | None = None,
        backend: Backend = "onnx",
    ) -> Hybrid:
        """The shipped lexicon with the model in `folder`, and its skim if it has one.

        See `Encoder.load` for the arguments and errors.
        """
        skim = Skim.read((folder or shipped_folder()) / SKIM_FILE)
        return cls(Rules.load(), Encoder.load(folder, threads, batch_size, progress, backend), skim)

    def stress(self, documents: Sequence[Document]) -> Sequence[float]:
        """As the encoder judges it; the dictionary has no say."""
        return self._encoder.stress(documents)

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order. Raises ModelError when an output is no number."""
        skimmed = self._skimmed(documents)
        with ThreadPoolExecutor(1) as beside:  # the encoder computes outside the interpreter's lock, the skim does not
            annotating = beside.submit(lambda: [self._rules.annotate(document) for document in documents])
            read = self._read(documents, [index for index in range(len(documents)) if index not in skimmed])
            readings = annotating.result()
        read |= self._read(documents, [index for index in skimmed if readings[index].calls_for_more])
        manifest = self._encoder.manifest
        return [
            join(reading, read[index] if index in read else skimmed[index], manifest.rule_precision, manifest.unsure)
            for index, reading in enumerate(readings)
        ]

    def _skimmed(self, documents: Sequence[Document]) -> dict[int, Assessment]:
        """What need not be read, by its place."""
        if self._skim is None:
            return {}
        calm = self._skim.assessment(self._looked)
        posts = self._encoder.tokens(documents)
        return {index: calm for index, post in enumerate(posts) if self._skim.skims(post)}

    def _read(self, documents: Sequence[Document], places: Sequence[int]) -> dict[int, Assessment]:
        """What the encoder says of the documents at these places."""
        assessments = self._encoder.assess([documents[index] for index in places])
        return {
            index: replace(assessment, versions=self.versions)
            for index, assessment in zip(places, assessments, strict=True)
        }


def join(
    reading: Reading, assessment: Assessment, rule_precision: Mapping[str, Mapping[str, float]], unsure: Band
) -> Assessment:
    """`assessment` with the evidence of `reading`, its risk and severity raised to what an explicit statement is worth.

    P(at least k) becomes at least `rule_precision[explicit_risk][k]`, the measured share of texts with such a statement
    that people placed at k or above. A post that states a risk is about mental health at least as surely. It is
    `disputed` when one of the two finds some risk, somebody else's included, and the other finds none. It is `unsure`
    when the probability of ideation, once raised, lies in the band `unsure`.
    """
    floors = rule_precision.get(reading.explicit_risk, {})
    risk = _raised(Risk, assessment.risk, floors)
    return replace(
        assessment,
        relevance=max(assessment.relevance, floors.get(Risk.INDICATOR, 0.0)),
        severity=_raised(Severity, assessment.severity, floors),
        risk=risk,
        evidence=reading.evidence,
        disputed=(reading.risk > Risk.NONE) != (assessment.risk.level > Risk.NONE),
        unsure=risk.at_least(Risk.IDEATION) in unsure,
    )


def _raised(scale: type[L], judged: Ordinal[L], floors: Mapping[str, float]) -> Ordinal[L]:
    reached = [max(judged.at_least(level), floors.get(level, 0.0)) for level in list(scale)[1:]]
    # A floor may stand above the probability of a lower level, but whoever reaches a level has reached those below it.
    return ordinal(scale, list(accumulate(reversed(reached), max))[::-1])
