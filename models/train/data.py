"""Labelled posts, what each row teaches, and the split that keeps authors and texts apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.document import Document
from models.errors import DataError
from models.heads import OUTPUTS, TASKS
from models.labelled import Row, posts, read_folder
from models.labels import Disorder, Risk, Severity
from models.scorecard import (
    AMBIGUOUS,
    CSSRS,
    NO_DISORDER,
    NOT_RELEVANT,
    NOT_STRESSED,
    NOT_SUICIDE,
    RELEVANT,
    STRESSED,
    SUICIDE,
    is_user,
)
from models.soft import SoftLabels

# By file: the labels that its rows may have.
LABELS: Mapping[str, frozenset[str]] = {
    "severity4": frozenset(Severity),
    "risk_cssrs": frozenset(CSSRS),
    "risk_binary": frozenset({SUICIDE, NOT_SUICIDE}),
    "relevance": frozenset({RELEVANT, NOT_RELEVANT}),
    "relevance_ambiguous": frozenset({AMBIGUOUS}),
    "disorder": frozenset({*Disorder, NO_DISORDER}),
    "stress": frozenset({STRESSED, NOT_STRESSED}),
}
FILES = tuple(LABELS)
INVENTED = "invented"
OPINIONS = "opinions"
# The source of `severity4` whose rows are whole posts, labelled without `mild`; the others are excerpts.
WHOLE_POSTS = "depsign_2022"
# The subreddit whose posts are about mental health though not about suicide.
_DEPRESSION = "depression"

# The only risk labels given by psychiatrists, and few.
EXPERT_WEIGHT = 10.0
# Rows that only say "an ordinary post" teach many tasks a little; they must not drown the rows made for one task.
ORDINARY_WEIGHT = 0.3

FOLDS = 5
TEST_SHARE = 0.15
# The one set of ordinary posts with mental-health words: half of it, so that false alarms can be counted.
AMBIGUOUS_TEST_SHARE = 0.5

# So many letters at the beginning or the end of two texts make them the same; so many in all are a post of its own.
_PIECE, _A_POST = 80, 40

Targets = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data file.

    `documents` is its post, or all the posts of a user who is labelled as a whole. `targets` and `weights` have
    `OUTPUTS` entries in the order of `TASKS`; a target is 0, 1 (of an opinion also between the two) or NaN where the
    row says nothing. An ordinal scale is written as one target a level above its lowest: does the post reach that
    level. `fold` is 0 to `FOLDS` - 1 for rows to learn from, None for those kept apart to measure.
    """

    row: Row
    documents: tuple[Document, ...]
    targets: Targets
    weights: Targets
    fold: int | None

    @property
    def set_name(self) -> str:
        """The file it comes from."""
        return self.row.set_name


@dataclass(frozen=True, slots=True)
class Opinion:
    """A post beside the data files, with what annotators say of it; `source` names them."""

    source: str
    document: Document
    labels: SoftLabels


def load(folder: Path, seed: int, opinions: Sequence[Opinion] = ()) -> list[Example]:
    """Every row of the data files in `folder`, every opinion as a row of the set `opinions`, and the posts that were
    invented for the program, each with its fold.

    Rows that share an author or a text (in any file, also as the beginning or the end of a longer copy, or as one of a
    user's posts) share a fold.
    It depends on the seed and on the rows' own content, not on their order. Half of `relevance_ambiguous` and 15 % of
    everything else are kept apart; invented posts are learned from alone.

    Raises DataError when there is no row, or when one is unsound or has a label that its file does not know.
    """
    labels = [opinion.labels for opinion in opinions]
    rows = read_folder(folder, FILES)
    if not rows:
        raise DataError(f"{folder} has no labelled posts in any of {', '.join(f'{name}.jsonl.gz' for name in FILES)}")
    said = [Row("", OPINIONS, opinion.source, opinion.document, ("",)) for opinion in opinions]
    for row in rows:
        _check(row, folder)
    groups = _groups([*rows, *said])
    ambiguous = {group for row, group in zip(rows, groups, strict=False) if row.set_name == "relevance_ambiguous"}
    examples = []
    for row, group in zip(rows, groups, strict=False):
        documents = _documents(row)
        share = AMBIGUOUS_TEST_SHARE if group in ambiguous else TEST_SHARE
        examples.append(Example(row, documents, *_lesson(row), _fold(group, seed, share)))
    for row, soft, group in zip(said, labels, groups[len(rows) :], strict=True):
        share = AMBIGUOUS_TEST_SHARE if group in ambiguous else TEST_SHARE
        weights = np.ones(OUTPUTS, dtype=np.float32)
        examples.append(Example(row, (row.document,), soft.targets(), weights, _fold(group, seed, share)))
    return examples + _invented(seed)


def files_of(folder: Path) -> list[Path]:
    """The data files that are there."""
    names = [f"{name}{ending}" for name in FILES for ending in (".jsonl.gz", ".jsonl")]
    return [folder / name for name in names if (folder / name).is_file()]


def _check(row: Row, folder: Path) -> None:
    """Else one letter out of place would teach that a cry for help is an ordinary post."""
    known = LABELS[row.set_name]
    single = row.set_name != "disorder" or NO_DISORDER in row.labels
    if not known.issuperset(row.labels) or (single and len(row.labels) > 1):
        wanted = f"some of {', '.join(sorted(known - {NO_DISORDER}))}, or {NO_DISORDER} alone"
        wanted = wanted if row.set_name == "disorder" else f"one of {', '.join(sorted(known))}"
        raise DataError(f"{folder / row.set_name}: the label of row {row.id!r} is not {wanted}")


def folds(documents: Sequence[Document], authors: Sequence[str], seed: int) -> list[int]:
    """The fold of every post, 0 to `FOLDS` - 1; which one depends on the seed and on the posts' own content.

    Drawn independently of `load`: the posts that it keeps apart, with the same seed, are spread over all folds. Posts
    of one author ("" is nobody), or with one text, are in one fold.
    """
    rows = [
        Row("", "", "", document, ("",), author_hash=author)
        for document, author in zip(documents, authors, strict=True)
    ]
    return [fold for group in _groups(rows) if (fold := _fold(f"fold {group}", seed, test_share=0)) is not None]


def _fold(group: str, seed: int, test_share: float) -> int | None:
    at = int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8]) / 2**64
    return None if at < test_share else int((at - test_share) / (1 - test_share) * FOLDS)


def _groups(rows: Sequence[Row]) -> list[str]:
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


def _documents(row: Row) -> tuple[Document, ...]:
    """The post, or all the posts of a user."""
    return tuple(posts(row)) if row.set_name == "risk_cssrs" and is_user(row) else (row.document,)


def _keys(row: Row) -> list[str]:
    """What a row shares with those that belong to it. A user's "thank you" joins nobody: it is anybody's."""
    plain = [_plain(document) for document in _documents(row)]
    own = plain if len(plain) == 1 else [each for each in plain if len(each) >= _A_POST]
    keys = _hashes(_plain(row.document)) + [f"post {key}" for each in own for key in _hashes(each)]
    if row.author_hash:
        keys.append(f"author {row.author_hash}")
    return keys


def _plain(document: Document) -> str:
    return re.sub(r"\W+", "", (document.body or document.title).lower())


def _hashes(plain: str) -> list[str]:
    pieces = [plain] if len(plain) < 2 * _PIECE else [plain, plain[:_PIECE], plain[-_PIECE:]]
    return [hashlib.sha256(piece.encode("utf-8", "replace")).hexdigest() for piece in pieces]


def _unknown() -> tuple[Targets, Targets]:
    return np.full(OUTPUTS, np.nan, dtype=np.float32), np.ones(OUTPUTS, dtype=np.float32)


def _lesson(row: Row) -> tuple[Targets, Targets]:
    """What a row says about each output, and how much it counts."""
    targets, weights = _unknown()
    name, label = row.set_name, row.labels[0]
    relevance, disorders, risk = (TASKS[task] for task in ("relevance", "disorders", "risk"))
    if name == "severity4":
        whole = row.source == WHOLE_POSTS
        targets[TASKS["scheme"]] = whole
        targets[TASKS["whole_severity" if whole else "severity"]] = _severity(Severity(label), whole=whole)
        if label in (Severity.MODERATE, Severity.SEVERE):
            targets[relevance] = 1
    elif name == "stress":
        targets[TASKS["stress"]] = label == STRESSED
    elif name == "risk_cssrs":
        targets[risk] = at_least(CSSRS[label])
        weights[risk] = EXPERT_WEIGHT
    elif name == "risk_binary" and label == SUICIDE:
        targets[relevance] = 1
        targets[risk] = [1, 1, np.nan, np.nan]
    elif name == "risk_binary":
        # Of most other subreddits nobody knows whether they are about mental health: r/Anxiety is no r/Horses.
        if row.subreddit.casefold() == _DEPRESSION:
            targets[relevance] = 1
        targets[risk] = [np.nan, 0, 0, 0]
    elif name == "disorder":
        targets[disorders] = [float(disorder in row.labels) for disorder in Disorder]
        for index, disorder in enumerate(Disorder):
            if disorder in row.claimed and disorder not in row.labels:
                targets[disorders][index] = np.nan
    elif name == "relevance" and label == RELEVANT:
        targets[relevance] = 1
    elif name == "relevance":
        targets[[*range(TASKS["stress"].start), *range(OUTPUTS)[TASKS["whole_severity"]]]] = 0
        weights[:] = ORDINARY_WEIGHT
        weights[relevance] = 1
    elif name == "relevance_ambiguous":
        targets[relevance] = 0
    return targets, weights


def _invented(seed: int) -> list[Example]:
    """Invented posts of kinds that the labelled sets hold too little of: short ones, figures of speech, quotations,
    words meant for somebody else."""
    lines = (resources.files("models.train") / f"{INVENTED}.jsonl").read_text(encoding="utf-8").splitlines()
    return [_invention(number, json.loads(line), seed) for number, line in enumerate(lines, 1)]


def _invention(number: int, raw: Mapping[str, Any], seed: int) -> Example:
    document = Document(raw["title"], raw["text"])
    row = Row(f"{INVENTED}-{number}", INVENTED, raw["kind"], document, (raw["risk"],))
    targets, weights = _unknown()
    targets[TASKS["relevance"]] = raw["relevance"]
    targets[TASKS["risk"]] = at_least(Risk(raw["risk"]))
    for task, whole in (("severity", False), ("whole_severity", True)):
        targets[TASKS[task]] = _severity(Severity(raw["severity"]), whole=whole)
    if not raw["relevance"]:
        targets[TASKS["disorders"]] = 0
    return Example(row, (document,), targets, weights, _fold(row.id, seed, test_share=0))


def _severity(level: Severity, *, whole: bool) -> list[float]:
    """`at_least` over the levels that the scheme knows: the one for whole posts has no mild."""
    reached = at_least(level)
    return reached[1:] if whole else reached


def at_least(level: Severity | Risk) -> list[float]:
    """The level as one 0 or 1 for each level above the lowest of its scale."""
    return [float(level >= other) for other in list(type(level))[1:]]
