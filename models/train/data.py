"""Labelled posts, what each row teaches, and the split that keeps authors and texts apart."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.document import Document
from models.errors import ModelError
from models.heads import OUTPUTS, TASKS
from models.labels import Disorder, Risk, Severity
from models.soft import SoftLabels

FILES = ("severity4", "risk_cssrs", "risk_binary", "relevance", "relevance_ambiguous", "disorder", "stress")

# The only risk labels given by psychiatrists, and few.
EXPERT_WEIGHT = 4.0
# Rows that only say "an ordinary post" teach many tasks a little; they must not drown the rows made for one task.
ORDINARY_WEIGHT = 0.3
# An ordinary community's post with mental-health words may well be about mental health.
AMBIGUOUS_WEIGHT = 0.5

FOLDS = 5
TEST_SHARE = 0.15

Targets = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data file.

    `targets` and `weights` have `OUTPUTS` entries in the order of `TASKS`; a target is 0, 1 (of a lesson also between
    the two) or NaN where the row says nothing. An ordinal scale is written as one target a level above its lowest: does
    the post reach that level.
    `label` is the row's own label and `set_name` its file. `fold` is 0 to `FOLDS` - 1 for rows to train with, None for
    those kept apart to measure.
    """

    set_name: str
    source: str
    label: str
    label_mentioned: bool
    document: Document
    targets: Targets
    weights: Targets
    fold: int | None


@dataclass(frozen=True, slots=True)
class Lesson:
    """A post beside the data files, with what annotators say of it; `source` names them."""

    source: str
    document: Document
    labels: SoftLabels


def load(folder: Path, seed: int, lessons: Sequence[Lesson] = ()) -> list[Example]:
    """Every row of the data files in `folder`, and every lesson as a row of the set `lessons`, each with its fold.

    Rows that share an author or a text (in any file, also as the beginning or the end of a longer copy) share a fold.
    It depends on the seed and on the rows' own content, not on their order. Half of `relevance_ambiguous` and 15 % of
    everything else are kept apart.

    Raises ModelError when a file is missing or is not gzipped JSON lines.
    """
    rows = [(name, row) for name in FILES for row in _read(folder / f"{name}.jsonl.gz")]
    rows += [("lessons", _row(lesson)) for lesson in lessons]
    groups = _groups([row for _, row in rows])
    ambiguous = {group for (name, _), group in zip(rows, groups, strict=True) if name == "relevance_ambiguous"}
    examples = []
    for (name, row), group in zip(rows, groups, strict=True):
        targets, weights = _lesson(name, row)
        examples.append(
            Example(
                set_name=name,
                source=str(row["source"]),
                label=str(row.get("label") or "+".join(row.get("labels", ()))),
                label_mentioned=bool(row.get("label_mentioned")),
                document=Document(title=row.get("title") or "", body=row.get("text") or ""),
                targets=targets,
                weights=weights,
                fold=_fold(group, seed, test_share=0.5 if group in ambiguous else TEST_SHARE),
            )
        )
    return examples


def folds(documents: Sequence[Document], authors: Sequence[str], seed: int) -> list[int]:
    """The fold of every post, 0 to `FOLDS` - 1; which one depends on the seed and on the posts' own content.

    Drawn independently of `load`: the posts that it keeps apart, with the same seed, are spread over all folds. Posts
    of one author ("" is nobody), or with one text, are in one fold.
    """
    rows = [
        {"title": document.title, "text": document.body, "author_hash": author}
        for document, author in zip(documents, authors, strict=True)
    ]
    return [fold for group in _groups(rows) if (fold := _fold(f"fold {group}", seed, test_share=0)) is not None]


def _row(lesson: Lesson) -> dict[str, Any]:
    document = lesson.document
    return {"source": lesson.source, "title": document.title, "text": document.body, "soft": lesson.labels}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise ModelError(f"cannot read the labelled posts in {path}: {error}") from error


def _fold(group: str, seed: int, test_share: float) -> int | None:
    at = int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8]) / 2**64
    return None if at < test_share else int((at - test_share) / (1 - test_share) * FOLDS)


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each row's connected component, rows being joined by a shared author or piece of text."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    keys = [_keys(row) for row in rows]
    for first, *others in keys:
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return [root(first) for first, *_ in keys]


def _keys(row: Mapping[str, Any]) -> list[str]:
    plain = re.sub(r"\W+", "", (row.get("text") or row.get("title") or "").lower())
    pieces = [plain]
    if len(plain) >= 160:
        pieces += [plain[:80], plain[-80:]]
    keys = [hashlib.sha256(piece.encode()).hexdigest() for piece in pieces]
    if row.get("author_hash"):
        keys.append(f"author {row['author_hash']}")
    return keys


def _lesson(name: str, row: Mapping[str, Any]) -> tuple[Targets, Targets]:
    """What a row says about each output, and how much it counts."""
    targets = np.full(OUTPUTS, np.nan, dtype=np.float32)
    weights = np.ones(OUTPUTS, dtype=np.float32)
    relevance, disorders, severity, risk = (TASKS[task] for task in ("relevance", "disorders", "severity", "risk"))
    label = row.get("label")
    if name == "lessons":
        targets = row["soft"].targets()
    elif name == "severity4":
        targets[severity] = _at_least(Severity(str(label)))
        if label in (Severity.MODERATE, Severity.SEVERE):
            targets[relevance] = 1
    elif name == "risk_cssrs":
        targets[risk] = _at_least(Risk.NONE if label == "supportive" else Risk(str(label)))
        weights[risk] = EXPERT_WEIGHT
    elif name == "risk_binary" and label == "suicide":
        targets[relevance] = 1
        targets[risk] = [1, 1, np.nan, np.nan]
    elif name == "risk_binary" and row.get("subreddit") == "depression":
        targets[relevance] = 1
        targets[risk] = [np.nan, 0, 0, 0]
    elif name == "disorder":
        labels = row["labels"]
        targets[disorders] = [float(disorder in labels) for disorder in Disorder]
        for index, disorder in enumerate(Disorder):
            if disorder in (row.get("dx_regex") or ()) and disorder not in labels:
                targets[disorders][index] = np.nan
    elif name == "relevance" and label == "mh":
        targets[relevance] = 1
    elif name in ("relevance", "risk_binary"):
        targets[:] = 0
        weights[:] = ORDINARY_WEIGHT
        weights[relevance if name == "relevance" else risk] = 1
    elif name == "relevance_ambiguous":
        targets[relevance] = 0
        weights[relevance] = AMBIGUOUS_WEIGHT
    return targets, weights


def _at_least(level: Severity | Risk) -> list[float]:
    """The level as one 0 or 1 for each level above the lowest of its scale."""
    return [float(level >= other) for other in list(type(level))[1:]]
