"""A judge that knows where it cannot read: other languages than the one it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from models.assessment import Assessment, Classifier
from models.crisis_terms import CrisisTerms
from models.document import Document
from models.encoder import Backend
from models.hybrid import Hybrid
from models.languages import Languages


class Multilingual:
    """Adds to each assessment of another classifier the text's language and the crisis terms of seven more.

    It changes no probability: those of a text in another language mean little, and what is to be done about that is for
    the policy to say.
    """

    def __init__(
        self,
        classifier: Classifier,
        languages: Languages,
        terms: CrisisTerms,
        versions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`versions` are those of the classifier."""
        self._classifier = classifier
        self._languages = languages
        self._terms = terms
        self.versions: Mapping[str, str] = {**versions, "terms": terms.rules.version}

    @classmethod
    def around(cls, classifier: Classifier) -> Multilingual:
        """`classifier` with the languages and terms that come with the package."""
        return cls(classifier, Languages(), CrisisTerms.load())

    @classmethod
    def load(
        cls, folder: Path | None = None, threads: int = 0, batch_size: int = 32, backend: Backend = "onnx"
    ) -> Multilingual:
        """The judge of a live run: rules and encoder, the same for every language. See `Encoder.load`."""
        # Unpacking the model of languages takes a third of a start, and leaves the other core to the rest.
        with ThreadPoolExecutor(max_workers=1) as beside:
            languages = beside.submit(Languages)
            hybrid = Hybrid.load(folder, threads, batch_size, backend=backend)
            return cls(hybrid, languages.result(), CrisisTerms.load(), hybrid.versions)

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document, in order. Raises what the classifier raises."""
        return [
            self._with_language(document, assessment)
            for document, assessment in zip(documents, self._classifier.assess(documents), strict=True)
        ]

    def _with_language(self, document: Document, assessment: Assessment) -> Assessment:
        found = self._terms.find(document)
        language = self._languages.of(document.text, {self._terms.language_of(each) for each in found})
        return replace(
            assessment,
            language=language,
            evidence=(*assessment.evidence, *found),
            versions={**assessment.versions, "terms": self._terms.rules.version},
        )
