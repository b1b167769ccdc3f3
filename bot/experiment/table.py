"""The table of an experiment: annotator by model by task, with F1, time and cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bot.agree import Column
from bot.experiment.settings import PEOPLE
from bot.experiment.study import Study
from models.annotation import Status
from models.evaluate import Figure, bootstrap, levels, macro_binary_f1, macro_f1
from models.heads import TASKS, Floats
from models.labels import Task

# In the order of the pipeline; stress is nobody's label.
MEASURED = (Task.RELEVANCE, Task.DISORDERS, Task.SEVERITY, Task.RISK)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `model` is empty where an annotator's own labels are held against people's.

    `own` is the F1 against the labels of the annotator that taught the model, `people` that against people; None where
    there is nothing to hold it against. `seconds` and `cost` are those of 1,000 posts: labelled by the annotator, or
    judged by the model. `fit_seconds` is the training of one fold, on `learnt` posts.
    """

    annotator: str
    model: str
    task: Task
    own: Figure | None
    people: Figure | None
    seconds: float
    cost: float
    learnt: float = 0.0
    fit_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Labeller:
    """What became of the posts with one annotator, and what 1,000 of them take."""

    name: str
    versions: str
    posts: int
    statuses: Mapping[str, int]
    seconds: float
    tokens: float
    cost: float

    @classmethod
    def of(cls, column: Column) -> Labeller:
        """From its labels."""
        counts = column.statuses
        statuses = {status.value: counts[status] for status in Status}
        return cls(
            column.name, column.versions, len(column.lines), statuses, column.seconds, column.tokens, column.cost
        )


def labellers(study: Study) -> list[Labeller]:
    """Everybody who labelled, people among them."""
    return [Labeller.of(column) for column in study.columns.values()]


def table(study: Study) -> list[Line]:
    """Every line there is something to say in: by task, then annotator, the annotator itself before its models."""
    return [line for task in MEASURED for line in _of_task(study, task)]


def _of_task(study: Study, task: Task) -> Iterator[Line]:
    seed = study.experiment.seed
    people = study.decided(PEOPLE) if PEOPLE in study.columns else None
    for name, column in study.columns.items():
        own = study.decided(name)
        if name != PEOPLE and (of_people := f1(task, people, own, seed)):
            yield Line(name, "", task, None, of_people, column.seconds, column.cost)
        for model in study.experiment.models if name in study.teachers else ():
            trained = study.trained(model, name)
            if not (against_own := f1(task, own, trained.probabilities, seed)):
                continue  # this teacher says nothing about the task
            yield Line(
                name,
                model.name,
                task,
                against_own if name != PEOPLE else None,
                f1(task, people, trained.probabilities, seed),
                trained.judge_seconds,
                0.0,
                trained.learnt,
                trained.fit_seconds,
            )


def f1(task: Task, truth: Floats | None, answers: Floats, seed: int) -> Figure | None:
    """Macro-F1 with its interval over the posts whose truth is known; None when there is none to measure.

    `truth` and `answers` are (posts, OUTPUTS), a yes from one half on, NaN unknown. The mean is over the classes, or
    disorders, that are true somewhere. A post without an answer is a miss of whatever is true of it.
    """
    if truth is None:
        return None
    columns = TASKS[task]
    known = ~np.isnan(truth[:, columns]).any(axis=1)
    if not known.any():
        return None
    y, p = truth[known, columns], answers[known, columns]
    silent = np.asarray(np.isnan(p).any(axis=1))
    p = np.where(silent[:, None], 0, p)
    if task is Task.DISORDERS:
        figure = bootstrap(macro_binary_f1, (y >= 0.5).astype(np.int64), (p >= 0.5).astype(np.int64), seed=seed)
    else:
        # An answer that nothing is true of, so that it is always wrong.
        none = y.shape[1] + 1
        figure = bootstrap(macro_f1, levels(y), np.where(silent, none, levels(p)), seed=seed)
    return None if math.isnan(figure.value) else figure
