"""The labels of several annotators merged into one file of labels, with soft labels to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bot.agree import DISORDERS, RELEVANCE, RISK, SCALES, SEVERITY, Panel, Scale
from bot.errors import UsageError
from bot.files import write_whole
from bot.label_lines import Labelled
from models.agreement import MISSING, Floats
from models.annotation import Annotation, Status
from models.consensus import Method, decide, merge
from models.labels import Relevance, Risk, Severity
from models.soft import SoftLabels

if TYPE_CHECKING:
    from rich.console import Console

# Of a post that nobody labelled, the status that needs a person most.
_SILENT = (Status.REFUSED, Status.INVALID, Status.FAILED)


def merged(panel: Panel, method: Method) -> list[Labelled]:
    """A line for every post that any annotator met, called by the name of the method.

    A vote is a label of status `ok`: whatever else became of a post is a missing vote. A label without a vote is None,
    and a post without any has the status that needs a person most. What is decided is as `decide` says. Tokens, seconds
    and cost are those of all annotators together. Raises UsageError when no two of them labelled one post.
    """
    votes = {scale: panel.votes(scale) for scale in SCALES}
    if not any(((given != MISSING).sum(axis=1) >= 2).any() for given in votes.values()):
        raise UsageError("no post has a label by two of these annotators: there is nothing to merge")
    likely = {scale: merge(given, len(scale.values), method) for scale, given in votes.items()}
    versions = {"consensus": method.value, **{column.name: column.versions for column in panel.columns}}
    return [
        _line(panel, post, {scale: likely[scale][row] for scale in SCALES}, method, versions)
        for row, post in enumerate(panel.posts)
    ]


def _line(
    panel: Panel, post: str, likely: Mapping[Scale, Floats], method: Method, versions: Mapping[str, str]
) -> Labelled:
    lines = [column.lines[post] for column in panel.columns if post in column.lines]
    votes = Counter(line.annotation.status for line in lines)
    decided = {scale: int(decide(p[None])[0]) for scale, p in likely.items() if not np.isnan(p).any()}
    soft = SoftLabels(
        relevance=float(likely[RELEVANCE][1]) if RELEVANCE in decided else None,
        disorders={label: float(likely[scale][1]) for label, scale in DISORDERS.items()}
        if decided.keys() >= set(DISORDERS.values())
        else None,
        severity=dict(zip(Severity, likely[SEVERITY].tolist(), strict=True)) if SEVERITY in decided else None,
        risk=dict(zip(Risk, likely[RISK].tolist(), strict=True)) if RISK in decided else None,
    )
    annotation = Annotation(
        Status.OK if votes[Status.OK] else next(status for status in _SILENT if votes[status]),
        relevance=Relevance(RELEVANCE.values[decided[RELEVANCE]]) if RELEVANCE in decided else None,
        disorders=frozenset(label for label, scale in DISORDERS.items() if decided[scale])
        if soft.disorders is not None
        else None,
        severity=Severity(SEVERITY.values[decided[SEVERITY]]) if SEVERITY in decided else None,
        risk=Risk(RISK.values[decided[RISK]]) if RISK in decided else None,
        versions=versions,
        prompt_tokens=sum(line.annotation.prompt_tokens for line in lines),
        completion_tokens=sum(line.annotation.completion_tokens for line in lines),
        seconds=sum(line.annotation.seconds for line in lines),
    )
    return Labelled(post, method.value, annotation, sum(line.cost for line in lines), soft, votes)


def run_consensus(files: Sequence[Path], method: Method, out: Path) -> None:
    """The command: the merged labels in their file, what they amount to on stdout. Raises UsageError and SetupError."""
    from rich.console import Console

    if len(files) < 2:
        raise UsageError("a consensus takes two files of labels or more")
    if out.resolve() in {file.resolve() for file in files}:
        raise UsageError(f"{out}: is one of the files of labels")
    lines = merged(Panel.read(files), method)
    write_whole(out, b"".join(line.to_line() for line in lines))
    _summarise(Console(highlight=False, soft_wrap=True), lines)


def _summarise(console: Console, lines: Sequence[Labelled]) -> None:
    statuses = Counter(line.annotation.status for line in lines)
    of_one_mind = sum(_is_certain(line.soft_labels) for line in lines)
    rows = {
        "posts": len(lines),
        **{f"  {status}": statuses[status] for status in Status},
        "of one mind on all": of_one_mind,
        "refused by some": sum(bool(line.votes[Status.REFUSED]) for line in lines),
    }
    for name, count in rows.items():
        console.print(f"{name:<24}{count:,}", markup=False)
    if statuses[Status.REFUSED]:
        console.print("What nobody would read is often what matters most: let a person read those first.")


def _is_certain(soft: SoftLabels) -> bool:
    targets = soft.targets()
    known = targets[~np.isnan(targets)]
    return bool(len(known)) and bool(((known < 1e-3) | (known > 1 - 1e-3)).all())
