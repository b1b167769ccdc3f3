"""What people who think of dying say in languages that the model was not trained on: few words, each of them plain.

The terms (`lexicon/crisis_terms.toml`) are matched as those of the dictionary are: whole words in one clause, accents
and disguises folded, and set aside when quoted, negated or a figure of speech.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

from models.assessment import Evidence, Source
from models.document import Document
from models.rules import Rules

SOURCE: Source = "terms"  # of the evidence


@dataclass(frozen=True, slots=True)
class CrisisTerms:
    """The compiled terms; `languages` has the language (ISO 639-1) of each term, by its note."""

    rules: Rules
    languages: Mapping[str, str]

    @classmethod
    def load(cls) -> CrisisTerms:
        """The terms that come with the package."""
        text = (resources.files("models") / "lexicon" / "crisis_terms.toml").read_text(encoding="utf-8")
        empty = dict.fromkeys(("disorders", "severity", "relevance"), "term = []")
        return cls(
            rules=Rules({"words": "", "context": text, "risk": text, **empty}),
            languages={term["note"]: term["language"] for term in tomllib.loads(text)["term"]},
        )

    def find(self, document: Document) -> tuple[Evidence, ...]:
        """The terms in the document that stand, at most eight of one label, in time linear in its length."""
        return tuple(replace(each, source=SOURCE) for each in self.rules.annotate(document).evidence)

    def language_of(self, evidence: Evidence) -> str:
        """The language of the term that was found."""
        return self.languages[evidence.note]
