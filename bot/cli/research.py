"""Commands for labels: give them, compare them, train on them, hold the model against them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bot.cli.base import (
    Annotator,
    Backend,
    OptionalConfig,
    classifier_of,
    model_errors_as_ours,
    settings_of,
    with_store,
)
from models.labels import Task

if TYPE_CHECKING:
    from bot.config import Config
    from bot.manners import Manners
    from bot.review.marks import Judged
    from bot.store import Store

# Two posts of a hundred: an assumption, for a team that has not counted its own.
_ASSUMED_SHARE = 0.02
# Every step of a training run has a seed made from it, of 64 bits at most.
_HIGHEST_SEED = 2**32 - 1

app = typer.Typer()


@app.command()
def label(
    archive: Annotated[
        Path, typer.Argument(help="A file of posts, as for replay.", metavar="ARCHIVE", show_default=False)
    ],
    annotator: Annotated[
        Literal["rules", "encoder", "hybrid", "llm"],
        typer.Option(help="Who labels: the dictionary, the encoder, both as in a live run, or a language model."),
    ],
    out: Annotated[Path, typer.Option(help="The file for the labels, one JSON line a post.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="What to call this annotator.", show_default="what it is")] = None,
    config: OptionalConfig = None,
) -> None:
    """Labels the posts of an archive: relevance, the nine disorders, severity, risk, and the words they rest on.

    Each line of the output has the post's id, a status (ok, refused, invalid or failed), the labels, what produced
    them, and what it took. With --annotator llm the posts are sent to the server that your config.toml names under llm,
    user names and places taken out; its key comes from NIGHTLIGHT_LLM_API_KEY. What was answered once is never asked
    again: a run that was stopped, or whose server went away, goes on when the same command is given again.

    Exit code: 0 when every post has an answer, 1 when some have none or the archive breaks off, 2 when the command is
    wrong, more than 128 when a signal stopped it.

    Example: nightlight label posts.jsonl --annotator llm --name qwen --out qwen.jsonl --config config.toml
    """
    from bot.annotators import open_annotator
    from bot.label import Labelling, run_label

    settings = settings_of(config)
    labelling = Labelling(archive, out, name or annotator, settings)
    with model_errors_as_ours():
        code = run_label(labelling, lambda: open_annotator(annotator, settings))
    raise typer.Exit(code)


@app.command()
def agree(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of labels, one annotator each.", metavar="LABELS...", show_default=False),
    ],
    report: Annotated[Path, typer.Option(help="The page with the pictures.")] = Path("agreement.html"),
) -> None:
    """Shows how far annotators agree, where they part, and what each of them takes.

    The files are those of `nightlight label`, or your own with the same keys: id, status, relevance, disorders,
    severity and risk. Prints Cohen's kappa of every two annotators, Fleiss' kappa and Krippendorff's alpha of all, for
    every label with a 95 % interval, and writes a page that shows them.

    Example: nightlight agree rules.jsonl encoder.jsonl qwen.jsonl --report agreement.html
    """
    from bot.agree import run_agree

    run_agree(files, report)


@app.command()
def consensus(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of labels, one annotator each.", metavar="LABELS...", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The file for the merged labels.", show_default=False)],
    method: Annotated[
        Literal["majority", "dawid-skene"],
        typer.Option(help="Count every vote alike, or by how each annotator seems to err."),
    ] = "majority",
) -> None:
    """Merges the labels of several annotators into one file, with the probability of every label and level.

    By majority each vote counts alike; Dawid and Skene's method estimates from the votes alone how each annotator errs,
    and weighs them by that, which takes hundreds of posts and is no better than the annotators if they err together.
    What somebody refused, or answered in no readable way, is a missing vote and never a no. Of two equal halves the one
    that needs a person more holds. The output is a file of labels like the others, for agree and for train.

    Exit code: 2 when the command is wrong, or no two of the annotators labelled one post.

    Example: nightlight consensus rules.jsonl encoder.jsonl qwen.jsonl --method dawid-skene --out consensus.jsonl
    """
    from bot.consensus import run_consensus
    from models.consensus import Method

    run_consensus(files, Method(method), out)


@app.command()
def experiment(
    config: Annotated[
        Path, typer.Argument(help="The experiment, as TOML; docs/experiment.md has every key.", show_default=False)
    ],
) -> None:
    """Who labels best, and what does a model learn from it? Annotates, compares, trains and reports, all in one.

    Every annotator of the file (dictionary, encoder, hybrid, language models on servers of your choice) labels the same
    posts. Each model is trained on the labels of each annotator, and of their consensus, with five folds, and all are
    held against people's labels where you have some. The folder that the file names gets report.html, report.json and
    report.md: annotator by model by task with F1, time and cost. No text of a post is in them.

    It can be stopped at any time: the same command goes on, and neither asks nor trains anything twice. Posts go to the
    servers that the file names, user names and places taken out, and nowhere else.

    Exit code: 0 when the report is written, 1 when some posts have no answer (with a report if every annotator came to
    the end), 2 when the command or the file is wrong, more than 128 when a signal stopped it.

    Example: nightlight experiment experiment.toml
    """
    from bot.experiment.run import run_experiment

    with model_errors_as_ours():
        code = run_experiment(config)
    raise typer.Exit(code)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="The folder of labelled posts, as *.jsonl.gz.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(help="The folder for the model and its card; --folds writes none.", show_default=False),
    ],
    run: Annotated[
        Path | None,
        typer.Option(help="The folder for checkpoints and the record of the run.", show_default="OUT-run"),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="The folder of a Hugging Face encoder. Without it: the one in the box.", show_default=False),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="A model folder; what it says is learned beside the labels.", show_default=False),
    ] = None,
    layers: Annotated[
        Path | None,
        typer.Option(
            help="A model folder, made of the same --data, whose fine-tuned layers to take as they are: only the heads "
            "are made anew, in minutes.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="How many of the encoder's layers to take and to fine-tune.", show_default="all"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1e-7, max=1e-2, help="The learning rate of the layers.", show_default="by width; 1e-4 up to 384"
        ),
    ] = None,
    passes: Annotated[float, typer.Option(min=0.01, help="Read every post so many times as often as usual.")] = 1.0,
    folds: Annotated[
        int, typer.Option(min=0, max=5, help="Cross-validate with so many folds (2 to 5) instead of making a model.")
    ] = 0,
    seed: Annotated[
        int, typer.Option(min=0, max=_HIGHEST_SEED, help="Fixes the splits, the order and the start.")
    ] = 20,
    frozen: Annotated[
        bool,
        typer.Option("--frozen", help="Leave the encoder as it is, fit heads alone: minutes, not half an hour."),
    ] = False,
    skim: Annotated[
        bool, typer.Option("--skim", help="Add a first look that passes over what is plainly ordinary.")
    ] = False,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="When the figures are taken, learn once more, from the rows kept apart too: twice as long, and the "
            "card says so.",
        ),
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(help="More posts to learn from, whose labels are in --labels.", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="The labels of --archive: a file of consensus, with its doubts, or of label.", show_default=False
        ),
    ] = None,
) -> None:
    """Fine-tunes, calibrates and measures a model on labelled posts; makes a model folder to name in your config.toml.

    Takes about half an hour on two cores that compute in bfloat16, and a GPU where there is one. A run that was stopped
    goes on when the same command is given again. The run's folder gets its settings, the loss curve and every figure.

    With --archive and --labels it also learns what annotators said of your own posts; it is measured on the posts of
    --data alone.

    Example: nightlight train --data labelled/ --out my-model
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bot.errors import UsageError
    from bot.lessons import read_opinions
    from models.train.training import Course, cross_validate
    from models.train.training import train as train_model

    if folds == 1:
        raise typer.BadParameter("one fold leaves nothing to learn from: 2 to 5, or none", param_hint="--folds")
    if (archive is None) != (labels is None):
        raise UsageError("--archive and --labels belong together: the posts, and what was said of them")
    of_layers = teacher is not None or depth is not None or rate is not None or passes != 1.0
    if frozen and (of_layers or layers is not None):
        raise UsageError(
            "--frozen learns no layers: --teacher, --layers, --depth, --rate and --passes have no part in it"
        )
    if layers is not None and of_layers:
        raise UsageError("--layers learns no others: --teacher, --depth, --rate and --passes have no part in it")
    if folds and layers is not None:
        raise UsageError("--folds with --layers would measure on rows that the layers learned from")
    if folds and skim:
        raise UsageError("--folds makes no model that --skim could be added to")
    if folds and whole:
        raise UsageError("--folds makes no model, so nothing could learn from the whole")
    if folds and teacher is not None:
        raise UsageError("--folds with --teacher would measure on rows that the teacher may have learned from")
    opinions = read_opinions(archive, labels) if archive and labels else []
    course = Course(
        data,
        out,
        run or out.with_name(f"{out.name}-run"),
        base,
        teacher,
        layers,
        depth,
        rate,
        passes,
        seed,
        frozen,
        skim,
        whole,
        archive,
        labels,
    )
    console = Console(stderr=True)
    columns = (TextColumn("learning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))
    with model_errors_as_ours(), Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        steps = bar.add_task("learning", total=None, loss="")

        def say(line: str) -> None:
            bar.console.print(line, highlight=False)

        def on_step(done: int, total: int, loss: float) -> None:
            bar.update(steps, completed=done, total=total, loss=f"loss {loss:.3f}")

        if folds:
            cross_validate(course, folds, say, on_step, opinions)
        else:
            train_model(course, say, on_step, opinions)
    typer.echo(f"figures: {course.run / ('folds.json' if folds else 'metrics.json')}", err=True)


Labelled = Annotated[
    Path | None,
    typer.Argument(
        help="A folder of labelled posts, or one file of them, as .jsonl or .jsonl.gz.",
        metavar="DATA",
        exists=True,
        show_default=False,
    ),
]
FromReviews = Annotated[
    bool,
    typer.Option(
        "--from-reviews",
        help="In place of DATA: what your moderators said of the posts that the bot judged. Needs --config.",
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Use so many rows of each file at most, drawn at random.", show_default=False)
]
Apart = Annotated[
    bool,
    typer.Option(
        "--apart",
        help="Of the folder DATA only the rows that `nightlight train` with this --seed keeps apart, for a model that "
        "was trained on it.",
    ),
]
Share = Annotated[
    float,
    typer.Option(
        min=0.0001,
        max=0.9999,
        help="How much of your stream speaks of wanting to die, or of worse. Count it if you can: this is assumed.",
    ),
]


@app.command()
def evaluate(
    context: typer.Context,
    data: Labelled = None,
    task: Annotated[Task | None, typer.Option(help="What the rows are labelled for.", show_default=False)] = None,
    from_reviews: FromReviews = False,
    annotator: Annotated[Annotator, typer.Option(help="Who judges.")] = Annotator.HYBRID,
    model: Annotated[
        Path | None,
        typer.Option(help="A model folder made by `nightlight train`, in place of the configured.", show_default=False),
    ] = None,
    config: OptionalConfig = None,
    backend: Backend = None,
    out: Annotated[
        Path | None, typer.Option(help="Write evaluate.json and report.html into this folder.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also try how scores move under slips, capitals, emoji, lyrics and swapped identities."
        ),
    ] = False,
    share: Share = _ASSUMED_SHARE,
    limit: Limit = None,
    apart: Apart = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=_HIGHEST_SEED, help="Fixes the rows drawn and the intervals; with --apart that of the training."
        ),
    ] = 20,
) -> None:
    """Holds the model against labelled posts: what it gets right, how sure that is, and what its alerts would cost.

    Every figure has a 95 % interval. With --task risk it also shows how many of the posts at risk your policy finds and
    how many alerts that takes. Rows that the model was trained on flatter it: after `nightlight train`, give --apart.
    With --from-reviews the decisions of the running bot are held against what moderators said of them on their page; no
    text is read for that.

    Example: nightlight evaluate labelled/ --task risk --out evaluation
    """
    from rich.console import Console

    from bot.errors import UsageError
    from bot.evaluation import Plan, check_folder, check_unseen, evaluate_marks, show, to_json, write
    from bot.evaluation import evaluate as measure
    from bot.evaluation_page import render

    settings = settings_of(config, backend)
    if model is not None:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"path": model})})
    check_folder(out)
    if from_reviews:
        _refuse_beside_reviews(context)
        database = str(settings.store.path.name)
        found = evaluate_marks(_what_moderators_said(data, config), database, settings.policy, seed)
    elif data is None or task is None:
        raise UsageError("say what to evaluate on: DATA and --task, or --from-reviews")
    else:
        plan = Plan(data, task, annotator, limit, seed, share, robustness, apart)
        with model_errors_as_ours():
            if apart and annotator is not Annotator.RULES:
                check_unseen(settings.model.path)
            found = measure(plan, lambda: classifier_of(settings, annotator), settings.policy, Console(stderr=True))
    if out is not None:
        write(found, out, render(found))
    if as_json:
        typer.echo(to_json(found), nl=False)
    else:
        show(found, Console())
        typer.echo(f"report: {out / 'report.html'}" if out else "--out FOLDER writes a report with pictures")


@app.command()
def tune(
    context: typer.Context,
    data: Labelled = None,
    from_reviews: FromReviews = False,
    max_alerts_per_day: Annotated[
        float | None, typer.Option(min=0, help="No more alerts than this.", show_default=False)
    ] = None,
    posts_per_day: Annotated[
        float | None, typer.Option(min=1, help="How many posts your community writes.", show_default=False)
    ] = None,
    min_recall: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Find at least this share of the posts at risk.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Your config.toml, which is changed. Without it: the lines to put in.", show_default=False),
    ] = None,
    share: Share = _ASSUMED_SHARE,
    limit: Limit = None,
    apart: Apart = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=_HIGHEST_SEED,
            help="Fixes the rows drawn, the halves and the intervals; with --apart that of the training.",
        ),
    ] = 20,
) -> None:
    """Chooses how likely danger must be for an alert, for so many alerts a day or for so much found.

    One bound of the policy moves: min_probability of the urgent rule on ideation. Other crisis and urgent rules are
    raised to it where they stand lower. It is chosen on one half of the labelled posts and reported on the other. Posts
    that the model was trained on flatter it, and the bound comes out too high: after `nightlight train`, give --apart.
    What single subreddits have for themselves under overrides stays as it is. With --from-reviews the posts are those
    that the bot judged, as many a day as there were; a case of which no moderator said what it is counts as an
    alert where the bound would make it one, and as nothing else.

    Exit code: 2 when no bound does what you ask; nothing is written then.

    Example: nightlight tune labelled/ --max-alerts-per-day 10 --posts-per-day 400 --config config.toml
    """
    from rich.console import Console

    from bot.deployment import Stream
    from bot.errors import UsageError
    from bot.evaluation import check_unseen, progress, said_of_rows
    from bot.tune import halve, lines_of, read_stream, save, show, stated_goal
    from bot.tune import tune as choose
    from models.scorecard import judge_rows

    settings = settings_of(config)
    if from_reviews:
        _refuse_beside_reviews(context)
        judged = _what_moderators_said(data, config)
        posts_per_day = posts_per_day or judged.a_day
        stream, share = judged.stream(), judged.share
    goal = stated_goal(max_alerts_per_day, posts_per_day, min_recall)
    if not from_reviews:
        if data is None:
            raise UsageError("say what to tune on: DATA, or --from-reviews")
        console = Console(stderr=True)
        with model_errors_as_ours():
            if apart:
                check_unseen(settings.model.path)
            rows, unknown_labels = read_stream(data, limit, seed, apart)
            classifier = classifier_of(settings)
            with progress(console, "judging", len(rows)) as (_, on_done):
                stream = Stream.of(rows, judge_rows(classifier, rows, on_done))
    tuning = choose(settings.policy, stream, halve(stream.keys, seed), goal, share, seed)
    show(tuning, None if from_reviews else share, posts_per_day, Console())
    if not from_reviews:
        typer.echo(said_of_rows(apart, seed, unknown_labels))
    if from_reviews and (unknown := int(judged.unknown.sum())):
        typer.echo(
            f"Of {unknown:,} cases no moderator said what they are: each counts as an alert where the bound would make "
            "it one, and as nothing else."
        )
    if config is not None:
        save(config, tuning.policy)
        typer.echo(f"written to {config}")
    else:
        typer.echo(f"\nPut this into your config.toml:\n\n{lines_of(tuning.policy)}")


# What says how labelled posts are read: what the running bot judged is there already, and brings a share of its own.
_OF_DATA = ("task", "annotator", "model", "backend", "robustness", "share", "limit", "apart")


def _refuse_beside_reviews(context: typer.Context) -> None:
    """Raises UsageError for an option that would be left out of account."""
    from bot.errors import UsageError

    for name in _OF_DATA:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name} is about DATA, and says nothing about --from-reviews")


def _what_moderators_said(data: Path | None, config: Path | None) -> Judged:
    """Every post that the bot judged and its models read, with the moderators' words on them. Raises UsageError."""
    import asyncio

    from bot.errors import UsageError
    from bot.review.marks import judged, read_judged

    if data is not None or config is None:
        raise UsageError("--from-reviews stands in place of DATA and needs --config, whose database holds the reviews")

    async def read(store: Store, manners: Manners, settings: Config) -> Judged | None:
        return judged(await read_judged(store))

    found = asyncio.run(with_store(config, read))
    if found is None:
        raise UsageError("the bot has judged no post yet")
    return found
