"""The command `nightlight`. Heavy imports wait inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from bot.errors import NightlightError
from models.labels import Task

if TYPE_CHECKING:
    from bot.config import Config
    from bot.manners import Manners
    from bot.review.desk import Desk, Standing
    from bot.store import Store
    from models.assessment import Classifier

T = TypeVar("T")

_LONGEST_SILENCE_SECONDS = 180
# Two posts of a hundred: an assumption, for a team that has not counted its own.
_ASSUMED_SHARE = 0.02

app = typer.Typer(
    name="nightlight",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Helps a subreddit's moderators notice, in time, the post of somebody who is not well.",
)


ConfigFile = Annotated[Path, typer.Option("--config", help="Your config.toml.")]
OptionalConfig = Annotated[
    Path | None,
    typer.Option(help="Your config.toml. Without it: the default policy, the model in the box.", show_default=False),
]


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 date, such as 2024-01-31 or 2024-01-31T18:00") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _settings(path: Path | None) -> Config:
    """The configuration, with the log set up as it says."""
    from bot import config, log

    settings = config.load(path) if path else config.Config()
    log.set_up(settings.log)
    return settings


@contextmanager
def _model_errors_as_ours() -> Iterator[None]:
    from bot.errors import SetupError, UsageError
    from models.errors import DataError, ModelError

    try:
        yield
    except DataError as error:
        raise UsageError(str(error)) from error
    except ModelError as error:
        raise SetupError(str(error)) from error


class Annotator(StrEnum):
    """Who judges: the dictionary, the network, or both, as in a live run."""

    RULES = "rules"
    ENCODER = "encoder"
    HYBRID = "hybrid"


def _classifier(config: Config, annotator: Annotator = Annotator.HYBRID) -> Classifier:
    from models.encoder import Encoder
    from models.hybrid import Hybrid
    from models.rules import Rules

    if annotator is Annotator.RULES:
        return Rules.load()
    with _model_errors_as_ours():
        load = Hybrid.load if annotator is Annotator.HYBRID else Encoder.load
        return load(config.model.path, config.model.threads, config.model.batch_size)


@app.command()
def replay(
    archives: Annotated[
        list[Path],
        typer.Argument(
            help="Files of posts: .jsonl, .ndjson, .csv or .parquet; all but .parquet may be packed as .gz or .zst. "
            "Reddit's dumps can be read as they are.",
            metavar="ARCHIVE...",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write one JSON line a post here instead of to stdout.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page here that shows what the bot would have done.", show_default=False),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(
            help="Write here which lines hold no post, and why, as JSON lines of file, line and reason.",
            show_default=False,
        ),
    ] = None,
    config: OptionalConfig = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Stop after this many posts are judged.", show_default=False)
    ] = None,
    since: Annotated[
        float | None,
        typer.Option(
            parser=_moment,
            metavar="DATE",
            help="Leave out what was posted before this day or time (ISO 8601, UTC).",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            parser=_moment,
            metavar="DATE",
            help="Leave out what was posted at this time or later: --since 2024-01-01 --until 2024-02-01 is January.",
            show_default=False,
        ),
    ] = None,
    subreddit: Annotated[
        str | None, typer.Option(help="Judge the posts of this subreddit alone.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an --out file that an earlier run left unfinished.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Throw an existing --out file away and start again.")
    ] = False,
) -> None:
    """Shows what the bot would have done with the posts of an archive. Nothing is sent to anybody.

    Every post goes through the same judgement as in a live run, and comes out as one JSON line (`nightlight schema`
    describes it). A line that holds no post is counted and never ends the run. Ctrl-C stops after the posts at hand.

    Exit code: 0 when everything was read, 1 when an archive breaks off in the middle, 2 when the command is wrong.

    Example: nightlight replay RS_2024-01.zst --subreddit depression --out decisions.jsonl --report report.html
    """
    from bot.replay import Outputs, Selection, run_replay

    settings = _settings(config)
    selection = Selection(limit, since, until, subreddit.removeprefix("r/") if subreddit else None)
    outputs = Outputs(out, report, errors, resume, overwrite)
    raise typer.Exit(run_replay(archives, outputs, selection, settings, lambda: _classifier(settings)))


@app.command()
def classify(
    file: Annotated[
        str, typer.Argument(help="A file, or - for what comes in on stdin.", metavar="[FILE|-]", show_default=False)
    ] = "-",
    config: OptionalConfig = None,
) -> None:
    """Judges posts from a file or a pipe, and keeps nothing.

    Either JSON lines come in, each with id, title and selftext (or text), or plain text, which is taken as one post
    whole; a first character { tells them apart. One JSON line a post comes out (`nightlight schema` describes it).

    Exit code: 0, or 1 when some line held no post; stderr then names the line.

    Example: echo "I have not slept for a week" | nightlight classify
    """
    from contextlib import nullcontext

    from bot.classify import classify as classify_posts
    from bot.errors import UsageError
    from bot.sources.archive import BadLine

    settings = _settings(config)
    try:
        source = nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    bad_lines = 0

    def write(lines: bytes) -> None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()

    def on_error(bad: BadLine) -> None:
        nonlocal bad_lines
        bad_lines += 1
        typer.echo(f"nightlight: {bad.file}, line {bad.line}: {bad.reason}", err=True)

    name = "stdin" if file == "-" else Path(file).name
    with source as stream:
        classify_posts(stream, name, _classifier(settings), settings, write, on_error)
    raise typer.Exit(1 if bad_lines else 0)


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

    settings = _settings(config)
    labelling = Labelling(archive, out, name or annotator, settings)
    with _model_errors_as_ours():
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
def schema() -> None:
    """Prints the JSON Schema of the lines that replay and classify write."""
    import json

    from bot.record import schema as record_schema

    typer.echo(json.dumps(record_schema(), indent=2))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for the report, the database and the log.")] = Path(
        "nightlight-demo"
    ),
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep the pretend Reddit and the bot running at the end.")
    ] = False,
    port: Annotated[int, typer.Option(help="The pretend Reddit's port on this machine; 0 takes a free one.")] = 0,
) -> None:
    """Shows the bot at work on a pretend Reddit: no account, no key, nothing leaves this machine.

    Invented posts arrive, the real bot reads, judges and alerts. It approves nothing by itself. Takes about a minute.
    """
    import asyncio

    from rich.console import Console

    from bot.config import Config
    from bot.demo.show import show

    console = Console()
    console.print("[bold]Nightlight[/bold] on a pretend Reddit. Every post you see is invented.")
    with console.status("loading the model"):
        classifier = _classifier(Config())
    finished = asyncio.run(show(classifier, out, console, port=port, serve=serve))
    raise typer.Exit(0 if finished else 1)


@app.command()
def run(config: ConfigFile = Path("config.toml")) -> None:
    """Watches your subreddits until it is stopped, and alerts their moderators.

    Credentials come from the environment: NIGHTLIGHT_REDDIT_CLIENT_ID, _CLIENT_SECRET, _USERNAME and _PASSWORD, or
    _REFRESH_TOKEN. Ctrl-C or SIGTERM stops it after the post in hand; started again, it goes on where it stopped.
    Try `nightlight check` first.
    """
    import asyncio
    import faulthandler

    from bot import app as live
    from bot.config import Secrets

    settings = _settings(config)

    def on_beat() -> None:
        # Should the event loop ever stand still, this ends the process from outside it, with a non-zero exit code.
        faulthandler.dump_traceback_later(_LONGEST_SILENCE_SECONDS, exit=True)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        live.stop_on_signals(stop)
        secrets = Secrets.from_environment()
        await live.run(settings, secrets, lambda: _classifier(settings), stop, on_beat=on_beat)

    try:
        asyncio.run(until_stopped())
    except* NightlightError as group:
        raise _first(group) from None
    except* Exception as group:
        raise SystemExit(_died(group)) from None
    finally:
        faulthandler.cancel_dump_traceback_later()


def _died(group: BaseExceptionGroup[Exception]) -> str:
    """Where an error that nobody foresaw came from, without its message, which could quote a post."""
    import traceback

    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    where = "".join(traceback.format_tb(error.__traceback__))
    return f"nightlight: ended by an error in its own code: {type(error).__name__}\n{where}"


def _first(group: BaseExceptionGroup[NightlightError]) -> NightlightError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


@app.command()
def check(config: ConfigFile = Path("config.toml")) -> None:
    """Says what is wrong with a set-up before it runs: a line for each thing it looks at, exit code 1 if any is wrong.

    Signs in to Reddit and asks which subreddits the account moderates; writes nothing there.
    """
    import asyncio

    from rich.console import Console
    from rich.markup import escape

    from bot.check import check as findings
    from bot.config import Secrets

    settings = _settings(config)
    console = Console(soft_wrap=True)

    async def all_fine() -> bool:
        fine = True
        today = datetime.now(UTC).date()
        async for finding in findings(settings, Secrets.from_environment(), lambda: _classifier(settings), today):
            mark = "[green]ok[/green]  " if finding.fine else "[bold red]FAIL[/bold red]"
            console.print(f"{mark}  [bold]{finding.name}[/bold]  {escape(finding.words)}", highlight=False)
            fine = fine and finding.fine
        return fine

    raise typer.Exit(0 if asyncio.run(all_fine()) else 1)


reviews = typer.Typer(no_args_is_help=True, help="Replies that wait for a moderator's word.")
app.add_typer(reviews, name="reviews")

Actor = Annotated[
    str | None, typer.Option("--as", help="Who says so; kept with the decision.", show_default="your user name")
]
Note = Annotated[str, typer.Option(help="Why, for the others to read.")]
Identity = Annotated[
    str,
    typer.Argument(metavar="ID", help="The number `reviews list` shows, or the id of the post.", show_default=False),
]


def _at_the_desk(path: Path, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Opens the database of a configuration for one piece of work."""
    import asyncio

    from bot.clock import SystemClock
    from bot.review.desk import Desk

    async def at_the_desk(store: Store, manners: Manners, settings: Config) -> T:
        return await work(Desk(store, manners, SystemClock()))

    return asyncio.run(_with_store(path, at_the_desk))


async def _with_store(path: Path, work: Callable[[Store, Manners, Config], Awaitable[T]]) -> T:
    """The database of a configuration, which `nightlight run` made, with its courtesy, for one piece of work."""
    from bot.clock import SystemClock
    from bot.errors import SetupError
    from bot.manners import Manners, key_path, load_key
    from bot.store import Store

    settings = _settings(path)
    if not settings.store.path.exists():
        raise SetupError(f"there is no database {settings.store.path} yet; `nightlight run` makes it")
    async with Store(settings.store.path) as store:
        manners = Manners(store, load_key(key_path(settings.store.path)), settings, SystemClock())
        return await work(store, manners, settings)


@reviews.command("list")
def list_reviews(config: ConfigFile = Path("config.toml")) -> None:
    """Lists the replies that wait, the most pressing first."""
    from rich.console import Console
    from rich.table import Table

    cases = _at_the_desk(config, lambda desk: desk.waiting())
    console = Console()
    if not cases:
        console.print("No reply is waiting.")
        return
    table = Table("ID", "level", "in", "post", "why")
    for case in cases:
        why = case.reasons[0] if case.reasons else ""
        table.add_row(str(case.delivery.id), case.level, f"r/{case.post.subreddit}", case.post.id, why)
    console.print(table)
    console.print("nightlight reviews show ID, then approve ID or dismiss ID")


@reviews.command("show")
def show_review(id: Identity, config: ConfigFile = Path("config.toml")) -> None:
    """Shows one reply as it would be posted, the post it answers, and why."""
    from bot.alerts import visible

    case = _at_the_desk(config, lambda desk: desk.case(id))
    post, delivery = case.post, case.delivery
    why = "".join(f"\n  - {reason}" for reason in case.reasons)
    said = "".join(f"\n  {each.action} by {each.actor} {each.note}".rstrip() for each in case.reviews)
    # A stranger wrote the post: without this it could send the terminal any command it knows.
    text = "\n".join(visible(line) for line in f"{post.title}\n\n{post.text}".splitlines()).strip()
    typer.echo(
        f"reply {delivery.id} to post {post.id} in r/{post.subreddit}: {case.level}, {delivery.state}{why}{said}"
    )
    typer.echo(f"\n--- the post{post.permalink and f', {post.permalink}'}\n{text or '(its words are forgotten)'}")
    typer.echo(f"\n--- the reply\n{delivery.body or '(its words are forgotten)'}")


@reviews.command()
def approve(id: Identity, actor: Actor = None, note: Note = "", config: ConfigFile = Path("config.toml")) -> None:
    """Lets a reply go out: the running bot posts it within a second or two."""
    from bot.types import ReviewAction

    delivery = _at_the_desk(config, lambda desk: desk.decide(id, ReviewAction.APPROVED, actor or getuser(), note))
    typer.echo(f"Approved: reply {delivery.id} to post {delivery.post_id} goes out.")


@reviews.command()
def dismiss(id: Identity, actor: Actor = None, note: Note = "", config: ConfigFile = Path("config.toml")) -> None:
    """Says no to a reply, for good."""
    from bot.types import ReviewAction

    delivery = _at_the_desk(config, lambda desk: desk.decide(id, ReviewAction.DISMISSED, actor or getuser(), note))
    typer.echo(f"Dismissed: reply {delivery.id} to post {delivery.post_id} will not be sent.")


@reviews.command()
def retry(
    id: Annotated[int, typer.Argument(metavar="ID", help="The number that `status` shows.", show_default=False)],
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Tries a dead letter again: something that Reddit refused, or that could not be sent for a day."""
    delivery = _at_the_desk(config, lambda desk: desk.retry(id))
    typer.echo(f"Trying again: {delivery.kind} {delivery.id} about post {delivery.post_id}.")


@app.command()
def purge(
    author: Annotated[str | None, typer.Option(help="Forget what this author wrote.", show_default=False)] = None,
    post: Annotated[str | None, typer.Option(help="Forget this post, by its id.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget every post.")] = False,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Forgets posts now: their text, author and evidence, and whatever of theirs still waits to be sent.

    What stays is that a post was seen, so that it is not read again, and its level. Give one of the three options.
    """
    import asyncio

    from bot.clock import SystemClock
    from bot.errors import UsageError
    from bot.keeper import Keeper

    async def forget(store: Store, manners: Manners, settings: Config) -> int:
        keeper = Keeper(store, manners, settings, SystemClock())
        if author is not None:
            return await keeper.purge_author(author)
        if post is not None:
            return await keeper.purge([post.removeprefix("t3_")], "purged by a moderator")
        return await keeper.purge_all()

    if [author is not None, post is not None, everything].count(True) != 1:
        raise UsageError("say what to forget: one of --author NAME, --post ID and --all")
    count = asyncio.run(_with_store(config, forget))
    typer.echo(f"Forgotten: {count} post{'' if count == 1 else 's'}.")


@app.command()
def optout(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A Reddit user, with or without u/.", show_default=False)],
    undo: Annotated[bool, typer.Option("--undo", help="They may be answered again.")] = False,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Remembers that an author wants no more replies from the bot. The name itself is not kept, only a keyed hash."""
    import asyncio

    async def remember(store: Store, manners: Manners, settings: Config) -> None:
        await manners.opt_out(name, undo=undo)

    asyncio.run(_with_store(config, remember))
    typer.echo("They may be answered again." if undo else "They will get no more replies.")


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="The folder of labelled posts, as *.jsonl.gz.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder for the model and its card.", show_default=False)],
    base: Annotated[
        Path | None,
        typer.Option(help="The folder of a Hugging Face encoder. Without it: the one in the box.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes the splits and the fit.")] = 20,
) -> None:
    """Trains, calibrates and measures the heads on labelled posts; makes a model folder to name in your config.toml."""
    from models.train.training import train as train_heads

    with _model_errors_as_ours():
        train_heads(data, out, base, seed, lambda line: typer.echo(line, err=True))


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

    settings = _settings(config)
    if model is not None:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"path": model})})
    check_folder(out)
    plan = Plan(data, task, annotator, limit, seed, share, robustness)
    with _model_errors_as_ours():
        found = measure(plan, lambda: _classifier(settings, annotator), settings.policy, Console(stderr=True))
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
    settings = _settings(config)
    console = Console(stderr=True)
    with _model_errors_as_ours():
        rows = read_stream(data, limit, seed)
        classifier = _classifier(settings)
        with progress(console, "judging", len(rows)) as (_, on_done):
            stream = Stream.of(rows, judge_rows(classifier, rows, on_done))
    tuning = choose(settings.policy, stream, halve(rows, seed), goal, share, seed)
    show(tuning, share, posts_per_day, Console())
    if config is not None:
        save(config, tuning.policy)
        typer.echo(f"written to {config}")
    else:
        typer.echo(f"\nPut this into your config.toml:\n\n{lines_of(tuning.policy)}")


@app.command()
def status(config: ConfigFile = Path("config.toml")) -> None:
    """Shows where everything stands: what is watched, posts by level, what was sent, waits or could not be sent."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    standing = _at_the_desk(config, lambda desk: desk.standing())
    console = Console()
    watches = Table("watched", "last good look", "refused because")
    for watch in standing.watches:
        watches.add_row(f"r/{watch.subreddit}", _when(watch.looked_utc), escape(watch.refusal or ""))
    posts = Table("level", "posts")
    for level in sorted(standing.posts, reverse=True):
        posts.add_row(level, str(standing.posts[level]))
    deliveries = Table("delivery", "state", "count")
    for (kind, state), count in sorted(standing.deliveries.items()):
        deliveries.add_row(kind, state, str(count))
    for table in (watches, posts, deliveries):
        console.print(table)
    if standing.dead:
        dead = Table("ID", "dead letter", "about", "why", title="could not be sent; `nightlight reviews retry ID`")
        for each in standing.dead:
            dead.add_row(str(each.id), each.kind, each.post_id, escape(each.error or ""))
        console.print(dead)
    for gap in standing.gaps:
        between = f"between {_when(gap.from_utc)} and {_when(gap.until_utc)}"
        console.print(f"Posts in r/{gap.subreddit} from {between} may never have been read.", soft_wrap=True)
    console.print(_vitals(standing), highlight=False, soft_wrap=True)
    if standing.llm_calls:
        console.print(f"{standing.llm_calls:,} calls to the language model today (UTC).", highlight=False)


def _when(utc: float | None) -> str:
    from bot.clock import timestamp

    return "never" if utc is None else timestamp(utc)


def _vitals(standing: Standing) -> str:
    """The budget of calls and the queue, as the running process last knew them."""
    vitals = standing.vitals
    if not vitals:
        return "No figures of a running process yet."
    used, most = vitals["budget_used"], vitals["budget_per_minute"]
    remaining = vitals.get("budget_remaining")
    reddit = "" if remaining is None else f"; Reddit says {remaining:.0f} are left in its ten minutes"
    waiting = f"{vitals['queue_depth']:.0f} posts wait to be judged"
    budget = f"{used:.0f} of {most:.0f} calls to Reddit in the last minute{reddit}"
    return f"At {_when(standing.vitals_utc)}: {waiting}; {budget}."


def main() -> None:
    """Runs the command line; an error of ours is one line on stderr and its exit code, never a traceback."""
    try:
        app()
    except NightlightError as error:
        print(f"nightlight: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
