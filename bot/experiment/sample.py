"""Which posts an experiment is made on, and what people say of them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.errors import UsageError
from bot.experiment.settings import PEOPLE, Experiment, People
from bot.judge import document_of
from bot.label_lines import Labelled, read_labels
from bot.replay import IdSet
from bot.sources.archive import read_archive
from bot.types import Post
from models.annotation import Annotation, Status
from models.document import Document
from models.labelled import Row
from models.labels import Disorder, Relevance, Severity, Task
from models.scorecard import NO_DISORDER, NOT_RELEVANT, RELEVANT
from models.scorecard import read as read_rows
from models.train.data import FOLDS, folds


@dataclass(frozen=True, slots=True)
class Sample:
    """The posts in the order of their archive, each with its fold; posts of one author or text are in one fold."""

    ids: tuple[str, ...]
    documents: tuple[Document, ...]
    folds: tuple[int, ...]
    people: Mapping[str, Labelled]

    @property
    def digest(self) -> str:
        """Changes with any text, fold, or the order."""
        found = hashlib.sha256()
        for id_, document, fold in zip(self.ids, self.documents, self.folds, strict=True):
            for part in (id_, document.title, document.body, str(fold)):
                found.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
        return found.hexdigest()


def draw(experiment: Experiment) -> Sample:
    """The posts that the seed draws. Which ones depends on their ids, not on their order.

    Raises UsageError when there are too few or a file cannot be read, DataError when the labelled rows cannot.
    """
    people = {line.id: line for line in _people(experiment.people)} if experiment.people else {}
    chosen = _chosen(experiment, people)
    posts = [post for post in _posts(experiment.posts) if chosen is None or post.id in chosen]
    if len(posts) < 2 * FOLDS:
        raise UsageError(f"{experiment.posts}: has {len(posts)} posts; five folds take {2 * FOLDS} or more")
    documents = [document_of(post) for post in posts]
    ids = tuple(post.id for post in posts)
    known = {id_: people[id_] for id_ in ids if id_ in people}
    if experiment.people and not known:
        raise UsageError(f"{experiment.people.file}: has no labels for any post of {experiment.posts}")
    of_authors = [post.author or "" for post in posts]
    return Sample(ids, tuple(documents), tuple(folds(documents, of_authors, experiment.seed)), known)


def _posts(archive: Path) -> Iterator[Post]:
    met = IdSet()
    return (post for post in read_archive(archive, lambda line: None) if met.add(post.id))


def _chosen(experiment: Experiment, people: Mapping[str, Labelled]) -> frozenset[str] | None:
    if experiment.limit is None:
        return None

    def place(id_: str) -> tuple[bool, bytes, str]:
        drawn = hashlib.sha256(f"{experiment.seed}:{id_}".encode("utf-8", "surrogatepass")).digest()
        return id_ not in people, drawn, id_

    ids = (place(post.id) for post in _posts(experiment.posts))
    return frozenset(id_ for _, _, id_ in heapq.nsmallest(experiment.limit, ids))


def _people(people: People) -> Iterator[Labelled]:
    if people.task is None:
        for line in read_labels(people.file):
            if line.annotation.status is Status.OK:
                yield Labelled(line.id, PEOPLE, line.annotation, 0.0)
        return
    for row in read_rows(people.task, people.file):
        annotation = _said(people.task, row)
        if annotation and people.source in ("", row.source):
            yield Labelled(row.id, PEOPLE, annotation, 0.0)


def _said(task: Task, row: Row) -> Annotation | None:
    label = row.labels[0]
    if task is Task.SEVERITY:
        return Annotation(Status.OK, severity=Severity(label))
    if task is Task.DISORDERS:
        held = frozenset(Disorder(each) for each in row.labels if each != NO_DISORDER)
        return Annotation(Status.OK, disorders=held)
    relevance = {RELEVANT: Relevance.MENTAL_HEALTH, NOT_RELEVANT: Relevance.OTHER}.get(label)
    return Annotation(Status.OK, relevance=relevance) if relevance else None
