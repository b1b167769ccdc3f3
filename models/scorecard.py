"""What a model gets right on labelled rows: by task, by source, and with and without rows that name their label.

The labels are those of the data files that Nightlight is trained on; `TASKS` names the files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.assessment import Classifier
from models.document import Document
from models.errors import DataError
from models.evaluate import (
    Asked,
    Bin,
    Figure,
    auroc,
    average_precision,
    balanced_accuracy,
    balanced_binary_accuracy,
    binary_f1,
    bootstrap,
    confusion,
    expected_calibration_error,
    figures,
    flagged,
    levels,
    macro_binary_f1,
    macro_f1,
    mean_ordinal_error,
    precision,
    recall,
    reliability,
    weighted_binary_f1,
    weighted_f1,
)
from models.judged import Floats, OnDone, Scores, judge
from models.labelled import Row, posts, read_file, read_folder
from models.labels import Disorder, Risk, Severity, Task

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


_BATCH = 256

# An ordinary post that uses the words of mental health: nobody says whether it is about it.
AMBIGUOUS = "ordinary_with_mh_terms"
NOT_RELEVANT, RELEVANT = "not_mh", "mh"
NOT_SUICIDE, SUICIDE = "non_suicide", "suicide"
NOT_STRESSED, STRESSED = "no_stress", "stress"
NO_DISORDER = "none"
# As the psychiatrists of `risk_cssrs` call it.
_SUPPORTIVE = "supportive"
CSSRS: Mapping[str, Risk] = {_SUPPORTIVE: Risk.NONE, **{level.value: level for level in list(Risk)[1:]}}

# By task: the files of a data folder, and which labels of each are of use.
TASKS: Mapping[Task, Mapping[str, frozenset[str]]] = {
    Task.RELEVANCE: {
        "relevance": frozenset({RELEVANT, NOT_RELEVANT}),
        "relevance_ambiguous": frozenset({AMBIGUOUS}),
    },
    Task.DISORDERS: {"disorder": frozenset({*Disorder, NO_DISORDER})},
    Task.SEVERITY: {"severity4": frozenset(Severity)},
    Task.RISK: {
        "risk_binary": frozenset({SUICIDE, NOT_SUICIDE}),
        "risk_cssrs": frozenset(CSSRS),
        "relevance_ambiguous": frozenset({AMBIGUOUS}),
        # For the stream of posts that alerts are counted in.
        "severity4": frozenset({Severity.SEVERE}),
        "relevance": frozenset({NOT_RELEVANT}),
    },
    Task.STRESS: {"stress": frozenset({STRESSED, NOT_STRESSED})},
}
# These say nothing of risk itself.
_STREAM_ALONE = frozenset({Severity.SEVERE, NOT_RELEVANT})


def read(
    task: Task,
    data: Path,
    limit: int | None = None,
    seed: int = 0,
    among: Collection[Row] | None = None,
    on_unknown: OnDone = lambda count: None,
) -> list[Row]:
    """The rows of a data folder, or of one file, that are labelled for the task; at most `limit` of each file.

    Which ones depends on the seed; only those `among` others count, where some are named. `on_unknown` hears how many
    rows have a label that is none of any task, such as a misspelt one. Raises DataError when no row is labelled for the
    task, or when a file cannot be read.
    """
    files = TASKS[task]
    found = read_folder(data, tuple(files)) if data.is_dir() else read_file(data)
    labels = files if data.is_dir() else dict.fromkeys((row.set_name for row in found), _together(files))
    rows = [row for row in found if labels[row.set_name].issuperset(row.labels)]
    on_unknown(sum(not _known(row.set_name).issuperset(row.labels) for row in found))
    if among is not None:
        rows = [row for row in rows if row in among]
    if not rows or (task is Task.RISK and _STREAM_ALONE.issuperset(row.labels[0] for row in rows)):
        wanted = f"expected {', '.join(f'{name}.jsonl.gz' for name in files)} in it" if data.is_dir() else ""
        raise DataError(f"{data}: no row is labelled for {task}" + (f"; {wanted}" if wanted else ""))
    if limit is None:
        return rows
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for name in dict.fromkeys(row.set_name for row in rows):
        own = [at for at, row in enumerate(rows) if row.set_name == name]
        chosen += sorted(rng.permutation(own)[:limit])
    return [rows[at] for at in chosen]


def _together(files: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*files.values())


def _known(name: str) -> frozenset[str]:
    """The labels that any task has in the file of this name; for a file of another name those of all files."""
    of_file = [files[name] for files in TASKS.values() if name in files]
    return frozenset().union(*(of_file or map(_together, TASKS.values())))


def is_user(row: Row) -> bool:
    """Whether the row is a user with all their posts, labelled on the scale of risk, and not one post."""
    return row.labels[0] in CSSRS


def judge_rows(classifier: Classifier, rows: Sequence[Row], on_done: OnDone = lambda count: None) -> Scores:
    """The scores of at least one row; those of a user are the highest of any of their posts.

    `on_done` hears how many more rows are judged. Raises ModelError as the classifier does.
    """
    found = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        documents = [posts(row) if is_user(row) else [row.document] for row in batch]
        scores = judge(classifier, [document for of_row in documents for document in of_row])
        found.append(scores.highest([len(of_row) for of_row in documents]))
        on_done(len(batch))
    return Scores.joined(found)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows by true label (down) and decided label (across); where a row may have several labels it counts in each."""

    truths: tuple[str, ...]
    decisions: tuple[str, ...]
    rows: Ints


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures of some rows. `labels` has those of every label, where there are enough rows to look at it.

    `reliability` has the bins of every forecast: of the second of two sides, of a label, or of at least a level.
    """

    name: str
    rows: int
    overall: Mapping[str, Figure]
    labels: Mapping[str, Mapping[str, Figure]]
    confusion: Confusion
    reliability: Mapping[str, tuple[Bin, ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """One set of rows with one scheme of labels, whole and in slices; the first slice is all of them."""

    name: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Scorecard:
    """All parts of a task, and what has a figure and no scheme, such as the false alarms on ambiguous posts."""

    task: Task
    parts: tuple[Part, ...]
    others: Mapping[str, Figure]


def score(task: Task, rows: Sequence[Row], scores: Scores, seed: int = 0) -> Scorecard:
    """The scorecard of every task but stress, from one row of `scores` a row."""
    labels = np.array([row.labels[0] for row in rows])
    binary = np.isin(labels, [SUICIDE, NOT_SUICIDE])
    at_ideation = scores.risk[:, Risk.IDEATION.rank]
    others: dict[str, Figure] = {}
    parts: list[Part] = []
    ambiguous = labels == AMBIGUOUS
    if task is Task.RELEVANCE:
        own = np.isin(labels, [RELEVANT, NOT_RELEVANT])
        parts += _binary("relevance", rows, own, labels == RELEVANT, scores.relevance, (NOT_RELEVANT, RELEVANT), seed)
        others |= _flagged("ambiguous posts called relevant", rows, ambiguous, scores.relevance, seed)
    elif task is Task.DISORDERS:
        parts += _disorders(rows, scores.disorders, seed)
    elif task is Task.SEVERITY:
        truth = np.array([Severity(label).rank for label in labels])
        sources = np.array([row.source for row in rows])
        for source in sorted(set(sources)):
            own = sources == source
            parts += _ordinal(f"severity, {source}", rows, own, truth, scores.severity, list(Severity), seed)
    elif task is Task.RISK:
        names = (NOT_SUICIDE, SUICIDE)
        parts += _binary("suicide or not", rows, binary, labels == SUICIDE, at_ideation, names, seed)
        truth = np.array([CSSRS[label].rank if label in CSSRS else -1 for label in labels])
        parts += _ordinal("C-SSRS, five levels, by user", rows, truth >= 0, truth, scores.risk, list(CSSRS), seed)
        others |= _flagged("ambiguous posts at ideation or above", rows, ambiguous, at_ideation, seed)
    return Scorecard(task, tuple(parts), others)


def score_stress(rows: Sequence[Row], stress: Floats, seed: int = 0) -> Scorecard:
    """The scorecard of stress, from one probability a row."""
    labels = np.array([row.labels[0] for row in rows])
    everything = np.ones(len(rows), dtype=bool)
    names = (NOT_STRESSED, STRESSED)
    parts = _binary("stress", rows, everything, labels == STRESSED, stress, names, seed)
    return Scorecard(Task.STRESS, tuple(parts), {})


def score_marked(
    names: Sequence[str], today: str, said: Ints, decided: Ints, at_ideation: Floats, seed: int = 0
) -> Scorecard:
    """The scorecard of at least one post that moderators marked with a place on a scale of levels, the mildest first.

    `said` and `decided` are places in `names`, (rows,); who is at `today` or above needs somebody today, which
    `at_ideation`, P(thoughts of dying or more), is held against.
    """
    rows = [
        Row(str(at), "marked", "moderators", Document("", ""), (names[level],), str(at))
        for at, level in enumerate(said)
    ]
    everything = np.ones(len(rows), dtype=bool)
    parts: list[Part] = []
    if len(np.unique(said)) > 1:
        reached = (decided[:, np.newaxis] >= np.arange(len(names))).astype(np.float64)
        parts += _ordinal("the level, as moderators say", rows, everything, said, reached, names, seed)
    needed = np.asarray(said >= names.index(today))
    sides = ("later, or never", "today")
    parts += _binary("needs somebody today, as moderators say", rows, everything, needed, at_ideation, sides, seed)
    return Scorecard(Task.RISK, tuple(parts), {})


def _flagged(name: str, rows: Sequence[Row], own: Mask, probabilities: Floats, seed: int) -> dict[str, Figure]:
    decided = probabilities[own] >= 0.5
    return {name: bootstrap(flagged, decided, decided, groups=_keys(rows, own), seed=seed)} if own.any() else {}


def _keys(rows: Sequence[Row], own: Mask) -> list[str]:
    return [row.key for row, is_own in zip(rows, own, strict=True) if is_own]


def _slices(rows: Sequence[Row], own: Mask) -> Iterator[tuple[str, Mask, bool]]:
    """Names, rows, and whether every label is looked at."""
    yield "all rows", own, True
    for named, words in ((False, "label not named in the text"), (True, "label named in the text")):
        chosen = own & np.array([row.names_label is named for row in rows])
        if chosen.any():
            yield words, chosen, not named
    sources = np.array([row.source for row in rows])
    different = sorted(set(sources[own]))
    if len(different) > 1:
        yield from ((f"source {source}", own & (sources == source), False) for source in different)


def _binary(
    name: str, rows: Sequence[Row], own: Mask, truth: Mask, p: Floats, names: tuple[str, str], seed: int
) -> list[Part]:
    if not own.any():
        return []
    probabilities = np.stack([1 - p, p], axis=1)
    slices = []
    for words, chosen, closely in _slices(rows, own):
        y, forecast = truth[chosen].astype(np.int64), p[chosen]
        decided = (forecast >= 0.5).astype(np.int64)
        asked: dict[str, Asked] = {
            "macro_f1": (macro_f1, y, decided),
            "weighted_f1": (weighted_f1, y, decided),
            "balanced_accuracy": (balanced_accuracy, y, decided),
            **_of_forecast(y, forecast),
        }
        by_label = _by_label(y, decided, probabilities[chosen], names) if closely else {}
        table = Confusion(names, names, confusion(y, decided, 2))
        bins = {names[1]: reliability(y, forecast)}
        slices.append(_slice(words, asked, by_label, table, bins, _keys(rows, chosen), seed))
    return [Part(name, tuple(slices))]


def _ordinal(
    name: str, rows: Sequence[Row], own: Mask, truth: Ints, reached: Floats, names: Sequence[str], seed: int
) -> list[Part]:
    """Over the levels that the rows know; a decision for another one is always wrong."""
    if not own.any():
        return []
    known = np.unique(truth[own])
    at_level = reached - np.hstack([reached[:, 1:], np.zeros((len(reached), 1))])
    slices = []
    for words, chosen, closely in _slices(rows, own):
        y, decided = truth[chosen], levels(reached[chosen, 1:])
        happened = (y[:, np.newaxis] >= known[1:]).astype(np.int64)
        forecast = reached[chosen][:, known[1:]]
        one_hot = (y[:, np.newaxis] == known).astype(np.int64)
        asked: dict[str, Asked] = {
            "macro_f1": (macro_f1, y, decided),
            "weighted_f1": (weighted_f1, y, decided),
            "balanced_accuracy": (balanced_accuracy, y, decided),
            "auroc": (auroc, one_hot, at_level[chosen][:, known]),
            "average_precision": (average_precision, one_hot, at_level[chosen][:, known]),
            "mean_ordinal_error": (mean_ordinal_error, y, decided),
            "expected_calibration_error": (expected_calibration_error, happened, forecast),
        }
        by_label = _by_label(y, decided, at_level[chosen], names, known) if closely else {}
        matrix = confusion(y, decided, len(names))[known]
        table = Confusion(tuple(names[level] for level in known), tuple(names), matrix)
        bins = {names[level]: reliability(happened[:, at], forecast[:, at]) for at, level in enumerate(known[1:])}
        slices.append(_slice(words, asked, by_label, table, bins, _keys(rows, chosen), seed))
    return [Part(name, tuple(slices))]


def _disorders(rows: Sequence[Row], p: Floats, seed: int) -> list[Part]:
    """Present at 0.5. What an author says they have, and the row is not labelled with, is unknown."""
    truth = np.array([[_is_shown(disorder, row) for disorder in Disorder] for row in rows])
    slices = []
    for words, chosen, closely in _slices(rows, np.ones(len(rows), dtype=bool)):
        y, forecast = truth[chosen], p[chosen]
        decided = (forecast >= 0.5).astype(np.int64)
        asked: dict[str, Asked] = {
            "macro_f1": (macro_binary_f1, y, decided),
            "weighted_f1": (weighted_binary_f1, y, decided),
            "balanced_accuracy": (balanced_binary_accuracy, y, decided),
            **_of_forecast(y, forecast),
        }
        by_label = {
            disorder.value: _of_one(y[:, at], decided[:, at], forecast[:, at]) for at, disorder in enumerate(Disorder)
        }
        shown, said = ((np.column_stack([each == 1, (each != 1).all(axis=1)])) for each in (y, decided))
        names = (*(disorder.value for disorder in Disorder), NO_DISORDER)
        table = Confusion(names, names, shown.astype(np.int64).T @ said.astype(np.int64))
        bins = {disorder.value: reliability(y[:, at], forecast[:, at]) for at, disorder in enumerate(Disorder)}
        slices.append(_slice(words, asked, by_label if closely else {}, table, bins, _keys(rows, chosen), seed))
    return [Part("disorders", tuple(slices))]


def _of_forecast(truth: Ints, forecast: Floats) -> dict[str, Asked]:
    return {
        "auroc": (auroc, truth, forecast),
        "average_precision": (average_precision, truth, forecast),
        "expected_calibration_error": (expected_calibration_error, truth, forecast),
    }


def _is_shown(disorder: Disorder, row: Row) -> int:
    if disorder in row.labels:
        return 1
    return -1 if disorder in row.claimed else 0


def _by_label(
    truth: Ints, decided: Ints, probabilities: Floats, names: Sequence[str], known: Ints | None = None
) -> dict[str, dict[str, Asked]]:
    classes = range(len(names)) if known is None else known
    return {
        names[each]: _of_one(
            (truth == each).astype(np.int64), (decided == each).astype(np.int64), probabilities[:, each]
        )
        for each in classes
    }


def _of_one(truth: Ints, decided: Ints, probability: Floats) -> dict[str, Asked]:
    return {
        "precision": (precision, truth, decided),
        "recall": (recall, truth, decided),
        "f1": (binary_f1, truth, decided),
        "auroc": (auroc, truth, probability),
        "average_precision": (average_precision, truth, probability),
    }


def _slice(
    name: str,
    overall: Mapping[str, Asked],
    by_label: Mapping[str, Mapping[str, Asked]],
    table: Confusion,
    bins: Mapping[str, tuple[Bin, ...]],
    keys: Sequence[str],
    seed: int,
) -> Slice:
    asked = {("", figure): each for figure, each in overall.items()}
    asked |= {(label, figure): each for label, of_label in by_label.items() for figure, each in of_label.items()}
    measured = figures(asked, groups=keys, seed=seed)
    found = {label: {figure: measured[label, figure] for figure in of_label} for label, of_label in by_label.items()}
    rows = next(iter(measured.values())).rows
    return Slice(name, rows, {figure: measured["", figure] for figure in overall}, found, table, bins)
