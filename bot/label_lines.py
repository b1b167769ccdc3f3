"""Files of labels: a line of JSON a post."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bot.errors import UsageError
from models.annotation import Annotation, Count, Status
from models.soft import SoftLabels

_ANNOTATION = TypeAdapter(Annotation)
_SOFT = TypeAdapter(SoftLabels)
_VOTES = TypeAdapter(dict[Status, Count])
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a file of labels: what the annotator called `annotator` says of the post `id`, and what it cost.

    A consensus also has `soft`, its probabilities, and `votes`, the annotators by what became of the post with them.
    """

    id: str
    annotator: str
    annotation: Annotation
    cost: float
    soft: SoftLabels | None = None
    votes: Mapping[Status, int] = field(default_factory=dict)

    @property
    def soft_labels(self) -> SoftLabels:
        """The probabilities of a consensus, or the labels of one annotator as certainties."""
        return self.soft or SoftLabels.of(self.annotation)

    def to_line(self) -> bytes:
        """One line of UTF-8 JSON with its newline: id, annotator, the fields of the annotation, cost, soft, votes."""
        annotation = _ANNOTATION.dump_python(self.annotation, mode="json")
        line = {"id": self.id, "annotator": self.annotator, **annotation, "cost": round(self.cost, 9)}
        if self.soft is not None:
            line["soft"] = _rounded(_SOFT.dump_python(self.soft, mode="json"))
            line["votes"] = dict(self.votes)
        return (json.dumps(line, ensure_ascii=False) + "\n").encode()

    @classmethod
    def of_line(cls, line: bytes) -> Labelled:
        """What `to_line` made, or a person: `id` and `status` are enough. Raises ValueError."""
        fields = json.loads(line)
        if not isinstance(fields, dict) or not isinstance(fields.get("id"), str):
            raise ValueError("no id")
        annotator, cost = fields.get("annotator", ""), fields.get("cost", 0.0)
        # A name is shown on terminals, which unprintable characters could give orders.
        if not isinstance(annotator, str) or not annotator.isprintable() or not isinstance(cost, int | float):
            raise ValueError("annotator is no name, or cost no number")
        try:
            annotation = _ANNOTATION.validate_python(fields, strict=False)
            soft = _SOFT.validate_python(fields["soft"], strict=False) if fields.get("soft") else None
            votes = _VOTES.validate_python(fields.get("votes") or {}, strict=False)
            return cls(fields["id"], annotator, annotation, float(cost), soft, votes)
        except ValidationError as error:
            raise ValueError(f"{error.errors()[0]['loc']}: {error.errors()[0]['type']}") from error


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return None if value is None else round(value, _DIGITS)


def read_labels(path: Path) -> Iterator[Labelled]:
    """The lines of a file of labels; of a last line that is cut off nothing. Raises UsageError that names the line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    try:
                        yield Labelled.of_line(line)
                    except (ValueError, RecursionError) as error:
                        raise UsageError(f"{path}, line {number}: not a line of labels") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def spelled(versions: Mapping[str, str]) -> str:
    """Versions by name, for people to read."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
