"""Commands for labels: give them, compare them, train on them, hold the model against them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.cli.base import Annotator, Backend, OptionalConfig, classifier_of, model_errors_as_ours, settings_of
from models.labels import Task

# Two posts of a hundred: an assumption, for a team that has not counted its own.
_ASSUMED_SHARE = 0.02

app = typer.Typer()


@app.command()
def label(
    archive: Annotated[
        Path, typer.Argument(help="A file of posts, as for replay.", metavar="ARCHIVE", show_default=False)
    ],
    annotator: Annotated[
        Literal["rules", "encoder", "llm"],
        typer.Option(help="Who labels: the dictionary, the encoder, or a language model."),
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
    wrong.

    Example: nightlight label posts.jsonl --annotator llm --name qwen --out qwen.jsonl --config config.toml
    """
    from bot.label import Labelling, open_annotator, run_label

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
def train(
    data: Annotated[Path, typer.Option(help="The folder of labelled posts, as *.jsonl.gz.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder for the model and its card.", show_default=False)],
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
    depth: Annotated[int, typer.Option(min=1, help="How many of the encoder's layers to take and to fine-tune.")] = 6,
    passes: Annotated[float, typer.Option(min=0.01, help="Read every post so many times as often as usual.")] = 1.0,
    folds: Annotated[
        int, typer.Option(min=0, max=5, help="Cross-validate with so many folds (2 to 5) instead of making a model.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Fixes the splits, the order and the start.")] = 20,
) -> None:
    """Fine-tunes, calibrates and measures a model on labelled posts; makes a model folder to name in your config.toml.

    Takes about half an hour on two cores that compute in bfloat16, and a GPU where there is one. A run that was stopped
    goes on when the same command is given again. The run's folder gets its settings, the loss curve and every figure.

    Example: nightlight train --data labelled/ --out my-model
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from models.train.training import Course, cross_validate
    from models.train.training import train as train_model

    if folds == 1:
        raise typer.BadParameter("one fold leaves nothing to learn from: 2 to 5, or none", param_hint="--folds")
    course = Course(data, out, run or out.with_name(f"{out.name}-run"), base, teacher, depth, passes, seed)
    console = Console(stderr=True)
    columns = (TextColumn("learning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))
    with model_errors_as_ours(), Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        steps = bar.add_task("learning", total=None, loss="")

        def say(line: str) -> None:
            bar.console.print(line, highlight=False)

        def on_step(done: int, total: int, loss: float) -> None:
            bar.update(steps, completed=done, total=total, loss=f"loss {loss:.3f}")

        if folds:
            cross_validate(course, folds, say, on_step)
        else:
            train_model(course, say, on_step)
    typer.echo(f"figures: {course.run / ('folds.json' if folds else 'metrics.json')}", err=True)


Labelled = Annotated[
    Path,
    typer.Argument(
        help="A folder of labelled posts, or one file of them, as .jsonl or .jsonl.gz.",
        metavar="DATA",
        exists=True,
        show_default=False,
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Use so many rows of each file at most, drawn at random.", show_default=False)
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
    data: Labelled,
    task: Annotated[Task, typer.Option(help="What the rows are labelled for.", show_default=False)],
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
    seed: Annotated[int, typer.Option(help="Fixes the rows drawn and the intervals.")] = 20,
) -> None:
    """Holds the model against labelled posts: what it gets right, how sure that is, and what its alerts would cost.

    Every figure has a 95 % interval. With --task risk it also shows how many of the posts at risk your policy finds and
    how many alerts that takes. Rows that the model was trained on flatter it.

    Example: nightlight evaluate labelled/ --task risk --out evaluation
    """
    from rich.console import Console

    from bot.evaluation import Plan, check_folder, show, to_json, write
    from bot.evaluation import evaluate as measure
    from bot.evaluation_page import render

    settings = settings_of(config, backend)
    if model is not None:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"path": model})})
    check_folder(out)
    plan = Plan(data, task, annotator, limit, seed, share, robustness)
    with model_errors_as_ours():
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
    data: Labelled,
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
    seed: Annotated[int, typer.Option(help="Fixes the rows drawn, the halves and the intervals.")] = 20,
) -> None:
    """Chooses how likely danger must be for an alert, for so many alerts a day or for so much found.

    One bound of the policy moves: min_probability of the urgent rule on ideation. Other crisis and urgent rules are
    raised to it where they stand lower. It is chosen on one half of the labelled posts and reported on the other.
    What single subreddits have for themselves under [overrides] stays as it is.

    Exit code: 2 when no bound does what you ask; nothing is written then.

    Example: nightlight tune labelled/ --max-alerts-per-day 10 --posts-per-day 400 --config config.toml
    """
    from rich.console import Console

    from bot.deployment import Stream
    from bot.evaluation import progress
    from bot.tune import halve, lines_of, read_stream, save, show, stated_goal
    from bot.tune import tune as choose
    from models.scorecard import judge_rows

    goal = stated_goal(max_alerts_per_day, posts_per_day, min_recall)
    settings = settings_of(config)
    console = Console(stderr=True)
    with model_errors_as_ours():
        rows = read_stream(data, limit, seed)
        classifier = classifier_of(settings)
        with progress(console, "judging", len(rows)) as (_, on_done):
            stream = Stream.of(rows, judge_rows(classifier, rows, on_done))
    tuning = choose(settings.policy, stream, halve(rows, seed), goal, share, seed)
    show(tuning, share, posts_per_day, Console())
    if config is not None:
        save(config, tuning.policy)
        typer.echo(f"written to {config}")
    else:
        typer.echo(f"\nPut this into your config.toml:\n\n{lines_of(tuning.policy)}")
