"""Commands that judge archives and pipes, and the demo: nothing reaches Reddit."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.base import Backend, OptionalConfig, classifier_of, settings_of

app = typer.Typer()


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 date, such as 2024-01-31 or 2024-01-31T18:00") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


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
    backend: Backend = None,
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

    Exit code: 0 when everything was read, 1 when an archive breaks off in the middle, 2 when the command is wrong, more
    than 128 when a signal stopped it.

    Example: nightlight replay RS_2024-01.zst --subreddit depression --out decisions.jsonl --report report.html
    """
    from bot.replay import Outputs, Selection, run_replay

    settings = settings_of(config, backend)
    selection = Selection(limit, since, until, subreddit.removeprefix("r/") if subreddit else None)
    outputs = Outputs(out, report, errors, resume, overwrite)
    raise typer.Exit(run_replay(archives, outputs, selection, settings, lambda: classifier_of(settings)))


@app.command()
def classify(
    file: Annotated[
        str, typer.Argument(help="A file, or - for what comes in on stdin.", metavar="[FILE|-]", show_default=False)
    ] = "-",
    config: OptionalConfig = None,
    backend: Backend = None,
) -> None:
    """Judges posts from a file or a pipe, and keeps nothing.

    Either JSON lines come in, each with id, title and selftext (or text), or plain text, which is taken as one post
    whole; a first character { tells them apart, and a JSON array is refused. One JSON line a post comes out
    (`nightlight schema` describes it).

    Exit code: 0, or 1 when some line held no post; stderr then names the line.

    Example: echo "I have not slept for a week" | nightlight classify
    """
    from contextlib import nullcontext

    from bot.classify import classify as classify_posts
    from bot.errors import UsageError
    from bot.sources.archive import BadLine

    settings = settings_of(config, backend)
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
        classify_posts(stream, name, classifier_of(settings), settings, write, on_error)
    raise typer.Exit(1 if bad_lines else 0)


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
        classifier = classifier_of(Config())
    finished = asyncio.run(show(classifier, out, console, port=port, serve=serve))
    raise typer.Exit(0 if finished else 1)
