"""`nightlight evaluate`: a classifier held against labelled posts, as JSON, as tables and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bot.config import Policy
from bot.deployment import Burden, Deployment, Stream, view
from bot.errors import SetupError, UsageError
from bot.record import nightlight_version
from bot.review.marks import Judged
from models.assessment import Classifier
from models.document import Document
from models.encoder import Manifest, shipped_folder
from models.evaluate import ROUNDS, Figure, plain
from models.judged import judge_stress
from models.labelled import Row, posts
from models.labels import Level, Risk, Task
from models.scorecard import Part, Scorecard, Slice, is_user, judge_rows, read, score, score_marked, score_stress
from models.sensitivity import Sensitivity, Shift, measure
from models.train.data import load as load_examples

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# What a figure is called where a person reads it.
WORDS: Mapping[str, str] = {
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "mean_ordinal_error": "mean ordinal error, levels",
    "expected_calibration_error": "calibration error",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one run found out. `rounds` is the number of resamplings behind every interval.

    `unknown_labels` is how many rows were left out because no task knows their label. `apart` says that only rows were
    used that a training keeps apart; None where no labelled files were read.
    """

    task: Task
    annotator: str
    versions: Mapping[str, str]
    data: str
    rows: int
    unknown_labels: int
    limit: int | None
    apart: bool | None
    seed: int
    rounds: int
    scorecard: Scorecard
    deployment: Deployment | None
    robustness: Sensitivity | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate: `limit` rows of each file at most; `share` of the stream is at risk (task `risk`).

    With `apart` only the rows that a training with the same seed keeps apart.
    """

    data: Path
    task: Task
    annotator: str
    limit: int | None
    seed: int
    share: float
    robustness: bool
    apart: bool = False


def evaluate(plan: Plan, load: Callable[[], Classifier], policy: Policy, console: Console) -> Evaluation:
    """Judges the rows and measures.

    Raises DataError when no row is of use, UsageError as `read_labelled` does, and ModelError as the classifier does.
    """
    rows, unknown = read_labelled(plan.task, plan.data, plan.limit, plan.seed, plan.apart)
    classifier = load()
    deployment = None
    with progress(console, "judging", len(rows)) as (_, on_done):
        if plan.task is Task.STRESS:
            stress = judge_stress(classifier, [row.document for row in rows], on_done)
        else:
            scores = judge_rows(classifier, rows, on_done)
    with console.status("measuring"):
        if plan.task is Task.STRESS:
            card = score_stress(rows, stress, plan.seed)
        else:
            card = score(plan.task, rows, scores, plan.seed)
        if plan.task is Task.RISK and (stream := Stream.of(rows, scores)).is_whole:
            deployment = view(policy, stream, plan.share, plan.seed)
    robustness = _robustness(classifier, rows, plan.seed, console) if plan.robustness else None
    versions = classifier.assess([Document("", "")])[0].versions
    return Evaluation(
        plan.task,
        plan.annotator,
        versions,
        str(plan.data),
        len(rows),
        unknown,
        plan.limit,
        plan.apart,
        plan.seed,
        ROUNDS,
        card,
        deployment,
        robustness,
    )


def evaluate_marks(judged: Judged, data: str, policy: Policy, seed: int) -> Evaluation:
    """What the bot decided, held against what moderators said of it. Raises UsageError when they said nothing yet."""
    marked = judged.marked
    if not marked.any():
        raise UsageError(
            "no moderator has said yet whether the bot was right; the page has a place for it on each case"
        )
    # What the bot could not read has no scores, and nobody says so of a post.
    scale = [level for level in Level if level is not Level.UNASSESSED]
    said, decided = (
        np.searchsorted([level.rank for level in scale], ranks[marked]) for ranks in (judged.said, judged.decided)
    )
    likely = judged.scores[marked].risk[:, Risk.IDEATION.rank]
    card = score_marked([level.value for level in scale], Level.URGENT, said, decided, likely, seed)
    stream = judged.stream()
    return Evaluation(
        task=Task.RISK,
        annotator="whatever judged each post",
        versions={"nightlight": nightlight_version()},
        data=data,
        rows=int(marked.sum()),
        unknown_labels=0,
        limit=None,
        apart=None,
        seed=seed,
        rounds=ROUNDS,
        scorecard=card,
        deployment=view(policy, stream, judged.share, seed) if stream.is_whole else None,
        robustness=None,
    )


def read_labelled(task: Task, data: Path, limit: int | None, seed: int, apart: bool) -> tuple[list[Row], int]:
    """The rows labelled for the task, at most `limit` of each file, and how many have a label that no task knows.

    With `apart` only those that `nightlight train` on this folder with this seed neither learns nor calibrates from; a
    training that also had posts of an archive may have split their copies otherwise. Raises DataError when there is
    none or a file is unsound, and UsageError when the rows kept apart are asked for of one file, which does not tell.
    """
    kept = None
    if apart:
        if not data.is_dir():
            raise UsageError(f"--apart needs the whole folder that the model was trained on, and {data} is one file")
        kept = frozenset(example.row for example in load_examples(data, seed) if example.fold is None)
    unknown: list[int] = []
    return read(task, data, limit, seed, kept, unknown.append), sum(unknown)


def check_unseen(model: Path | None) -> None:
    """Raises UsageError when the model in this folder (None: the one in the box) learned from the rows kept apart, and
    ModelError when there is none."""
    if Manifest.read(model or shipped_folder()).whole:
        raise UsageError("--apart is of no use: the model learned from those rows too; its card has figures of a twin")


def said_of_rows(apart: bool, seed: int, unknown: int) -> str:
    """A sentence on whether the model may have learned from the rows, and one on those left out, where there are."""
    left_out = f" Left out: {unknown:,} rows whose label is not known." if unknown else ""
    if apart:
        return f"Only posts that `nightlight train --seed {seed}` on this folder keeps apart.{left_out}"
    return f"Posts that the model was trained on flatter it; --apart takes only those kept apart from it.{left_out}"


def _robustness(classifier: Classifier, rows: Sequence[Row], seed: int, console: Console) -> Sensitivity:
    written = {document: row.key for row in rows for document in (posts(row) if is_user(row) else [row.document])}
    with progress(console, "trying changes", None) as (on_total, on_done):
        return measure(classifier, written, seed, on_total, on_done)


@contextmanager
def progress(
    console: Console, words: str, total: int | None
) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Callbacks for how much there is and how much more is done, shown as a bar where the console is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(words, total=total)
        yield lambda count: bar.update(task, total=count), lambda count: bar.advance(task, count)


def check_folder(out: Path | None) -> None:
    """Makes the folder for the results, before anything long begins. Raises UsageError when that cannot be."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or error}") from error


def write(evaluation: Evaluation, out: Path, page: str) -> None:
    """Writes evaluate.json and report.html. Raises SetupError."""
    try:
        (out / "evaluate.json").write_text(to_json(evaluation), encoding="utf-8")
        (out / "report.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{error.filename or out}: {error.strerror or error}") from error


def to_json(evaluation: Evaluation) -> str:
    """The evaluation as JSON, its fields in their order; what is undefined is null."""
    return json.dumps(plain(asdict(evaluation)), indent=2, allow_nan=False) + "\n"


# Tables


def show(evaluation: Evaluation, console: Console) -> None:
    """Prints the evaluation as tables."""
    for part in evaluation.scorecard.parts:
        for table in _part_tables(part):
            console.print(table)
    for name, figure in evaluation.scorecard.others.items():
        console.print(f"{name}: {brief(figure)} of {figure.rows:,}", highlight=False)
    if evaluation.deployment:
        for table in _deployment_tables(evaluation.deployment):
            console.print(table)
    if evaluation.robustness:
        for table in _robustness_tables(evaluation.robustness):
            console.print(table)
    if evaluation.apart is not None:
        said = said_of_rows(evaluation.apart, evaluation.seed, evaluation.unknown_labels)
        console.print(said, highlight=False, markup=False)


def brief(figure: Figure | None, digits: int = 2) -> str:
    """A figure with its interval in few characters; empty when it is undefined."""
    if figure is None or math.isnan(figure.value):
        return ""
    if figure.low == figure.high:
        return f"{figure.value:z.{digits}f}"
    return f"{figure.value:z.{digits}f} ({figure.low:z.{digits}f}–{figure.high:z.{digits}f})"


def by_closeness(part: Part) -> tuple[list[Slice], list[Slice]]:
    """The slices that are looked at label by label, and the others."""
    return [each for each in part.slices if each.labels], [each for each in part.slices if not each.labels]


# What a terminal has room for.
_IN_BRIEF = ("macro_f1", "balanced_accuracy", "auroc", "expected_calibration_error")


def _part_tables(part: Part) -> Iterator[Table]:
    closely, others = by_closeness(part)
    metrics = list(part.slices[0].overall)
    yield _table(
        part.name,
        ["", *(f"{each.name}\n{each.rows:,}" for each in closely)],
        ([WORDS[metric], *(brief(each.overall[metric]) for each in closely)] for metric in metrics),
    )
    labels = part.slices[0].labels
    yield _table(
        f"{part.name}: by label",
        ["", *(WORDS[metric] for metric in next(iter(labels.values())))],
        ([label, *map(brief, of_label.values())] for label, of_label in labels.items()),
    )
    if others:
        yield _table(
            f"{part.name}: in parts",
            ["", "rows", *(WORDS[metric] for metric in _IN_BRIEF)],
            (
                [
                    each.name.removeprefix("source "),
                    f"{each.rows:,}",
                    *(_value(each.overall[metric]) for metric in _IN_BRIEF),
                ]
                for each in others
            ),
        )


def _value(figure: Figure) -> str:
    return "" if math.isnan(figure.value) else f"{figure.value:.2f}"


def burden_row(name: str, each: Burden) -> list[str]:
    """A policy as a line of a table."""
    return [name, brief(each.recall), brief(each.severe_recall), brief(each.alerts_per_1000, 0)]


BURDEN_HEAD = ("alert from this likelihood on", "posts at risk found", "severe posts found", "alerts per 1,000 posts")


def _deployment_tables(deployment: Deployment) -> Iterator[Table]:
    yield _table(
        f"What alerts would cost, if {deployment.share:.1%} of the posts were at risk",
        BURDEN_HEAD,
        (
            burden_row("your policy" if each is deployment.now else f"{each.bound:.2f}", each)
            for each in (deployment.now, *deployment.bounds)
        ),
    )
    yield _table(
        "False alarms: the share of other posts that your policy alerts to",
        ("", "posts", "alerted"),
        ([kind, f"{each.rows:,}", brief(each, 3)] for kind, each in deployment.false_alarms.items()),
    )
    yield _table(
        "Net benefit per 1,000 posts",
        ("threshold", "the model", "alert to all", "your policy"),
        (
            [f"{each.threshold:.2f}", *(brief(figure, 1) for figure in (each.model, each.everything, each.policy))]
            for each in deployment.benefits
        ),
    )


def _robustness_tables(robustness: Sensitivity) -> Iterator[Table]:
    for title, shifts, signed in (
        ("How far scores move", robustness.noise, False),
        ("Fairness: from the first words to the second", robustness.fairness, True),
    ):
        if shifts:
            yield _table(title, SHIFT_HEAD, (row for each in shifts for row in shift_rows(each, signed)))


SHIFT_HEAD = ("", "posts", "relevance", "risk", "severity")


def shift_rows(shift: Shift, signed: bool) -> tuple[list[str], list[str]]:
    """A shift as two lines of a table: the mean change of each probability, and the share decided otherwise."""
    name = f"{shift.name}: {shift.first} to {shift.second}" if signed else shift.name
    moved = shift.change if signed else shift.absolute
    scores = SHIFT_HEAD[2:]
    return (
        [name, f"{shift.posts:,}", *(brief(moved[score], 3) for score in scores)],
        ["    decided otherwise", "", *(brief(shift.flips[score], 3) for score in scores)],
    )


def _table(title: str, head: Sequence[str], rows: Iterator[Sequence[str]]) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"\n{escape(title)}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for column, name in enumerate(head):
        table.add_column(escape(name), justify="right" if column else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
