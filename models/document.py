"""The text a model reads."""

from __future__ import annotations

from dataclasses import dataclass

# In characters. Reddit takes titles of 300 and bodies of 40,000; whoever sends a longer text of an archive anywhere, or
# looks for every cue in it, stops here.
LONGEST_TEXT = 41_000


@dataclass(frozen=True, slots=True)
class Document:
    """A title and a body, either of which may be empty.

    Every character offset in the project (evidence spans, highlights) counts Unicode code points of `text`.
    """

    title: str
    body: str

    @property
    def text(self) -> str:
        """Title and body joined by one blank line; the one that is there when the other is empty."""
        return "\n\n".join(part for part in (self.title, self.body) if part)
