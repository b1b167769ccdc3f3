"""The labels and the cells of an experiment. Each is a file of its own, so that a stopped run goes on where it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bot.agree import Column, Panel
from bot.consensus import merged
from bot.errors import UsageError
from bot.experiment.readers import open_reader
from bot.experiment.sample import Sample
from bot.experiment.settings import PEOPLE, AnnotatorSettings, Experiment, ModelSettings
from bot.files import write_whole
from bot.label import Labelling, duration, run_label
from bot.label_lines import Labelled, read_labels, spelled
from models.annotation import Annotator, Status
from models.assessment import Assessment
from models.heads import OUTPUTS, Floats
from models.soft import SoftLabels
from models.train.data import FOLDS

if TYPE_CHECKING:
    from rich.console import Console

    from models.train.learners import Learner

# Raise it with every change to what a cell holds or how it is made.
FORMAT = 1

# An annotator with fewer labelled posts teaches nobody.
FEWEST = 20

_DIGITS = 5
_SAID_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model, taught by one annotator without one fold, says of the posts of that fold."""

    learnt: int  # posts
    fit_seconds: float
    judge_seconds: float
    judged: Mapping[str, Sequence[float]]  # P of every output, in the order of `TASKS`, by post


@dataclass(frozen=True, slots=True)
class Trained:
    """All five cells of one model and one annotator: what it says of every post, by a model that had not seen it."""

    probabilities: Floats  # (posts, OUTPUTS)
    learnt: float  # posts a fold, on average
    fit_seconds: float  # a fold, on average
    judge_seconds: float  # for 1,000 posts


class Study:
    """An experiment on its posts, in its folder."""

    def __init__(self, experiment: Experiment, sample: Sample) -> None:
        self.experiment = experiment
        self.sample = sample
        self.folder = experiment.out

    def begin(self) -> None:
        """Makes the folder, or goes on with it. Raises UsageError when it is another experiment's, or no folder."""
        note = self.folder / "experiment.json"
        try:
            for folder in (self.folder, self._labels_folder, self._cells_folder):
                folder.mkdir(parents=True, exist_ok=True)
            known = json.loads(note.read_text(encoding="utf-8")) if note.exists() else None
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.folder}: {getattr(error, 'strerror', None) or error}") from error
        ours = {"format": FORMAT, "posts": len(self.sample.ids), "sample": self.sample.digest}
        if known not in (None, ours):
            raise UsageError(f"{self.folder}: holds an experiment on other posts; give this one another folder")
        write_whole(note, json.dumps(ours, indent=2).encode() + b"\n")

    # The labels

    def annotate(self, console: Console) -> int:
        """Lets every annotator label what it has not labelled yet. The exit code, as `run_label` has it.

        1 when some posts have no answer; more than 128 when a signal stopped it, and then the rest is left undone.
        Raises UsageError as `set_aside` does.
        """
        code, cache = 0, self.folder / "answers.db"

        @asynccontextmanager
        async def opened(settings: AnnotatorSettings) -> AsyncIterator[Annotator]:
            async with open_reader(self.experiment, settings, cache) as annotator:
                if await asyncio.to_thread(self.set_aside, settings.name, annotator.versions):
                    console.print(f"{settings.name} is not what it was: it labels anew", markup=False)
                yield annotator

        for settings in self.experiment.annotators:
            console.print(f"{settings.name} labels:", markup=False)
            labelling = Labelling(
                self.experiment.posts,
                self.labels_file(settings.name),
                settings.name,
                self.experiment.config(settings, cache),
                frozenset(self.sample.ids),
            )
            own = run_label(labelling, partial(opened, settings))
            if own > 128:
                return own
            code = max(code, own)
        return code

    def set_aside(self, name: str, versions: Mapping[str, str]) -> bool:
        """Whether there were labels by another version of the dictionary or the encoder, which are renamed to
        `NAME.jsonl.before`, or `.before-2` and so on beside an earlier one: labelling anew costs time alone.

        Raises UsageError when they are by another language model or prompt, whose labels may have cost money.
        """
        file = self.labels_file(name)
        lines = read_labels(file) if file.exists() else ()
        answers = (line.annotation for line in lines if line.annotation.status is not Status.FAILED)
        made_by = next((each.versions for each in answers if each.versions != versions), None)
        if made_by is None:
            return False
        if any(made_by.get(part) != versions.get(part) for part in ("llm", "prompt")):
            raise UsageError(
                f"{file} was labelled with {spelled(made_by)}, and {name} is now {spelled(versions)}. Move that file "
                f"away to label anew; what {self.folder / 'answers.db'} knows is not asked again. Or keep it, and give "
                "the annotator another name"
            )
        names = chain([""], (f"-{number}" for number in count(2)))
        asides = (file.with_name(f"{file.name}.before{name}") for name in names)
        file.replace(next(aside for aside in asides if not aside.exists()))
        return True

    def merge(self) -> None:
        """Writes what people say, and the consensus. Raises UsageError as `merged` does."""
        people = [self.sample.people[id_] for id_ in self.sample.ids if id_ in self.sample.people]
        if people:
            write_whole(self.labels_file(PEOPLE), b"".join(line.to_line() for line in people))
        if self.experiment.consensus:
            panel = Panel.read([self.labels_file(name) for name in self.experiment.voters])
            for method in self.experiment.consensus:
                write_whole(self.labels_file(method), b"".join(line.to_line() for line in merged(panel, method)))

    def unlabelled(self, name: str) -> int:
        """How many posts an annotator has no line for: it was stopped, or nobody answered any more."""
        lines = {line.id for line in read_labels(self.labels_file(name))} if self.labels_file(name).exists() else set()
        return len(set(self.sample.ids) - lines)

    def panel(self) -> Panel:
        """The annotators side by side, people among them, without the consensus that is made of them."""
        names = [each.name for each in self.experiment.annotators] + ([PEOPLE] if self.sample.people else [])
        return Panel.read([self.labels_file(name) for name in names])

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Everybody with labels, by name: the annotators, the consensus, people."""
        names = [
            *(each.name for each in self.experiment.annotators),
            *map(str, self.experiment.consensus),
            *([PEOPLE] if self.sample.people else []),
        ]
        return {name: Column(name, {line.id: line for line in read_labels(self.labels_file(name))}) for name in names}

    def labels_file(self, name: str) -> Path:
        """Where the labels of an annotator lie."""
        return self._labels_folder / f"{name}.jsonl"

    def decided(self, name: str) -> Floats:
        """What somebody decided of every post, 0 or 1 of (posts, OUTPUTS); NaN where nothing was said."""
        return self._rows(name, lambda line: SoftLabels.of(line.annotation))

    # The cells

    @cached_property
    def teachers(self) -> tuple[str, ...]:
        """Those who labelled enough posts to be learnt from."""
        counts = {name: int((~np.isnan(self._targets(name))).any(axis=1).sum()) for name in self.columns}
        return tuple(name for name, count in counts.items() if count >= FEWEST)

    def train(self, console: Console) -> None:
        """Makes every cell that is not there or was made of something else. Raises ModelError as the learners do."""
        missing = [
            (model, teacher, fold)
            for model in self.experiment.models
            for teacher in self.teachers
            for fold in range(FOLDS)
            if self._read_cell(model, teacher, fold) is None
        ]
        if not missing:
            return
        from models.train.learners import LEARNERS

        learners: dict[str, Learner] = {}
        with _progress(console, len(missing)) as on_done:
            for model, teacher, fold in missing:
                if model.name not in learners:
                    learners[model.name] = LEARNERS[model.learner](model.name, model.base)
                cell = self._make_cell(learners[model.name], teacher, fold)
                self._write_cell(model, teacher, fold, cell)
                on_done(f"{model.name}, taught by {teacher}, fold {fold + 1}")

    def trained(self, model: ModelSettings, teacher: str) -> Trained:
        """The cells of a model and a teacher, put together. Raises UsageError when one is not there."""
        cells = [self._read_cell(model, teacher, fold) for fold in range(FOLDS)]
        if any(cell is None for cell in cells):
            raise UsageError(f"{self._cells_folder}: a cell of {model.name} and {teacher} is missing; run it again")
        whole = [cell for cell in cells if cell]
        judged = {id_: row for cell in whole for id_, row in cell.judged.items()}
        return Trained(
            np.array([judged[id_] for id_ in self.sample.ids], dtype=np.float32),
            float(np.mean([cell.learnt for cell in whole])),
            float(np.mean([cell.fit_seconds for cell in whole])),
            1000 * sum(cell.judge_seconds for cell in whole) / len(self.sample.ids),
        )

    def _make_cell(self, learner: Learner, teacher: str, fold: int) -> Cell:
        from models.train.learners import balanced

        targets = self._targets(teacher)
        folds = np.array(self.sample.folds)
        learnt = np.flatnonzero((folds != fold) & ~np.isnan(targets).all(axis=1))
        hidden = np.flatnonzero(folds == fold)
        if not len(learnt) or not len(hidden):
            return Cell(len(learnt), 0.0, 0.0, {self.sample.ids[at]: [float("nan")] * OUTPUTS for at in hidden})
        documents = self.sample.documents
        started = time.perf_counter()
        judge = learner.fit(
            [documents[at] for at in learnt], targets[learnt], balanced(targets[learnt]), self.experiment.seed
        )
        fitted = time.perf_counter()
        assessments = judge.assess([documents[at] for at in hidden])
        ended = time.perf_counter()
        judged = {
            self.sample.ids[at]: [round(float(p), _DIGITS) for p in _row(assessment)]
            for at, assessment in zip(hidden, assessments, strict=True)
        }
        return Cell(len(learnt), fitted - started, ended - fitted, judged)

    def _read_cell(self, model: ModelSettings, teacher: str, fold: int) -> Cell | None:
        """The cell if it is there, and was made of the same posts and labels in the same way."""
        try:
            fields = json.loads(self._cell_file(model, teacher, fold).read_text(encoding="utf-8"))
            if fields.pop("key") == self._key(model, teacher, fold):
                return Cell(**fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return None

    def _write_cell(self, model: ModelSettings, teacher: str, fold: int, cell: Cell) -> None:
        fields = {
            "key": self._key(model, teacher, fold),
            "learnt": cell.learnt,
            "fit_seconds": round(cell.fit_seconds, 3),
            "judge_seconds": round(cell.judge_seconds, 3),
            "judged": cell.judged,
        }
        write_whole(self._cell_file(model, teacher, fold), json.dumps(fields).encode() + b"\n")

    def _key(self, model: ModelSettings, teacher: str, fold: int) -> str:
        made_of = [FORMAT, self.experiment.seed, fold, model.model_dump(mode="json"), self._digests[teacher]]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _digests(self) -> dict[str, str]:
        """Change with the posts or with what somebody says of them."""
        return {
            name: hashlib.sha256(self.sample.digest.encode() + self._targets(name).tobytes()).hexdigest()
            for name in self.columns
        }

    def _cell_file(self, model: ModelSettings, teacher: str, fold: int) -> Path:
        # No name holds two dashes in a row.
        return self._cells_folder / f"{teacher}--{model.name}--{fold + 1}.json"

    def _targets(self, name: str) -> Floats:
        """What is to be learnt from somebody, (posts, OUTPUTS); the doubts of a consensus are learnt too."""
        return self._rows(name, lambda line: line.soft_labels)

    def _rows(self, name: str, labels: Callable[[Labelled], SoftLabels]) -> Floats:
        lines = self.columns[name].lines
        nothing = np.full(OUTPUTS, np.nan, dtype=np.float32)
        return np.stack(
            [
                labels(line).targets() if (line := lines.get(id_)) and line.annotation.status is Status.OK else nothing
                for id_ in self.sample.ids
            ]
        )

    @property
    def _labels_folder(self) -> Path:
        return self.folder / "labels"

    @property
    def _cells_folder(self) -> Path:
        return self.folder / "cells"


def _row(assessment: Assessment) -> Floats:
    return SoftLabels(
        assessment.relevance, assessment.disorders, assessment.severity.probs, assessment.risk.probs
    ).targets()


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """A callback for cells made: a bar on a terminal, a line now and then elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("training", total=total)
        started = said = time.monotonic()
        done = 0

        def on_done(what: str) -> None:
            nonlocal done, said
            done += 1
            left = duration((time.monotonic() - started) / done * (total - done))
            progress.update(bar, completed=done, description=f"{what}; about {left} left")
            if not console.is_terminal and time.monotonic() - said >= _SAID_EVERY_SECONDS:
                said = time.monotonic()
                console.print(f"{done:,} of {total:,} cells, about {left} left", markup=False)

        yield on_done
