"""Rules and encoder behind the annotators' one interface."""

from __future__ import annotations

from collections.abc import Sequence

from models.annotation import Annotation, ClassifierAnnotator, Status
from models.assessment import Assessment, Evidence, Ordinal
from models.document import Document
from models.labels import Disorder, Relevance, Risk, Severity

VERSIONS = {"fixed": "1", "deep": "2"}


class Fixed:
    """Says the same of every document after a first look alone, and breaks on one word."""

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document."""
        if any("poison" in document.text for document in documents):
            raise RuntimeError(documents[0].text)
        return [
            Assessment(
                relevance=0.5,
                disorders={disorder: 0.6 if disorder is Disorder.OCD else 0.4 for disorder in Disorder},
                severity=Ordinal(dict(zip(Severity, (0.3, 0.3, 0.3, 0.1), strict=True))),
                risk=Ordinal(dict(zip(Risk, (0.4, 0.2, 0.1, 0.1, 0.2), strict=True))),
                evidence=(Evidence(0, 1, Risk.INDICATOR, "rules"),),
                versions={"fixed": "1"},
            )
            for _ in documents
        ]


async def annotate(*texts: str) -> list[Annotation]:
    """The annotations of these texts."""
    annotator = ClassifierAnnotator(Fixed(), VERSIONS)
    return await annotator.annotate([Document("", text) for text in texts])


async def test_what_is_likelier_than_not_holds() -> None:
    """Probabilities become labels at one half, a scale becomes its median; evidence comes along."""
    (annotation,) = await annotate("a")
    assert annotation.status is Status.OK
    assert annotation.relevance is Relevance.MENTAL_HEALTH
    assert annotation.disorders == frozenset({Disorder.OCD})
    assert (annotation.severity, annotation.risk) == (Severity.MILD, Risk.INDICATOR)
    assert [span.label for span in annotation.evidence] == [Risk.INDICATOR]
    assert annotation.seconds > 0


async def test_every_annotation_names_the_whole_annotator() -> None:
    """Whichever part of a classifier judged a document, and whether it broke: one file of labels has one maker."""
    assert [annotation.versions for annotation in await annotate("a", "poison")] == [VERSIONS] * 2


async def test_one_bad_document_takes_no_other_with_it() -> None:
    """The document that breaks the classifier is `failed`, with the kind of error and none of its words."""
    annotations = await annotate("a", "poison", "b")
    assert [annotation.status for annotation in annotations] == [Status.OK, Status.FAILED, Status.OK]
    assert annotations[1].error == "RuntimeError"
    assert "poison" not in repr(annotations)
    assert await annotate() == []
