"""Posts of an archive joined with a file of labels: what a model can learn from annotators."""

from __future__ import annotations

from pathlib import Path

from bot.errors import UsageError
from bot.judge import document_of
from bot.label_lines import read_labels
from bot.sources.archive import read_archive
from models.annotation import Status
from models.train.data import Opinion


def read_opinions(archive: Path, labels: Path) -> list[Opinion]:
    """An opinion of every post of the archive with labels of status `ok`, in the order of the archive.

    The probabilities of a consensus are taken as they are, the labels of one annotator as certainties. Raises
    UsageError when a file cannot be read, or nothing of the one stands in the other.
    """
    lines = {line.id: line for line in read_labels(labels) if line.annotation.status is Status.OK}
    # A post that the archive holds twice teaches once.
    opinions = {
        post.id: Opinion(lines[post.id].annotator or labels.stem, document_of(post), lines[post.id].soft_labels)
        for post in read_archive(archive, lambda line: None)
        if post.id in lines
    }
    if not opinions:
        raise UsageError(f"{labels}: has no labels for any post of {archive}")
    return list(opinions.values())
