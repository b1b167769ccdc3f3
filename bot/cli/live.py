"""Commands around the running bot and its database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.base import ConfigFile, at_the_desk, classifier_of, settings_of, with_store
from bot.errors import NightlightError

if TYPE_CHECKING:
    from bot.config import Config
    from bot.manners import Manners
    from bot.review.desk import Standing
    from bot.store import Store
    from models.assessment import Classifier

_LONGEST_SILENCE_SECONDS = 180

app = typer.Typer()


@app.command()
def run(config: ConfigFile = Path("config.toml")) -> None:
    """Watches your subreddits until it is stopped, and alerts their moderators.

    Credentials come from the environment: NIGHTLIGHT_REDDIT_CLIENT_ID, _CLIENT_SECRET, _USERNAME and _PASSWORD, or
    _REFRESH_TOKEN. Ctrl-C or SIGTERM stops it after the post in hand; started again, it goes on where it stopped.
    Try `nightlight check` first.
    """
    settings = settings_of(config)
    run_live(settings, lambda: classifier_of(settings))


def run_live(settings: Config, load_model: Callable[[], Classifier]) -> None:
    """The live loop until a signal stops it. Raises the first NightlightError that ended it, and SystemExit for others.

    The process is ended from outside when its event loop stands still.
    """
    import asyncio
    import faulthandler

    from bot import app as live
    from bot.config import Secrets

    def on_beat() -> None:
        # Should the event loop ever stand still, this ends the process from outside it, with a non-zero exit code.
        faulthandler.dump_traceback_later(_LONGEST_SILENCE_SECONDS, exit=True)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        live.stop_on_signals(stop)
        await live.run(settings, Secrets.from_environment(), load_model, stop, on_beat=on_beat, on_page=_announce)

    try:
        asyncio.run(until_stopped())
    except* NightlightError as group:
        raise _first(group) from None
    except* Exception as group:
        raise SystemExit(_died(group)) from None
    finally:
        faulthandler.cancel_dump_traceback_later()


@app.command()
def review(
    link: Annotated[
        bool, typer.Option("--link", help="Print a new link to the page that is served already, and serve none.")
    ] = False,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Serves the moderators' page alone, beside a running bot or without one, until it is stopped.

    `nightlight run` serves it too where review.enabled is true. Moderators sign in with Reddit, or, with sign_in =
    "link", whoever sits at this machine by a link that works once.
    """
    import asyncio

    from bot import app as live
    from bot.config import Secrets

    settings = settings_of(config)
    if link:
        typer.echo(asyncio.run(_new_link(config)))
        return

    async def until_stopped() -> None:
        stop = asyncio.Event()
        live.stop_on_signals(stop)
        await live.review(settings, Secrets.from_environment(), stop, _announce)

    asyncio.run(until_stopped())


async def _new_link(path: Path) -> str:
    from bot.clock import SystemClock
    from bot.errors import UsageError
    from bot.review.app import new_link, origin
    from bot.review.sessions import Links

    async def make(store: Store, manners: Manners, settings: Config) -> str:
        if settings.review.sign_in != "link":
            raise UsageError('there are links only with [review] sign_in = "link"')
        if not settings.review.port and settings.review.public_url is None:
            raise UsageError("with [review] port = 0 only the page itself knows where it is; set a port")
        return await new_link(Links(store, SystemClock()), origin(settings.review, settings.review.port))

    return await with_store(path, make)


def _announce(address: str) -> None:
    typer.echo(f"The moderators' page: {address}")


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

    settings = settings_of(config)
    console = Console(soft_wrap=True)

    async def all_fine() -> bool:
        fine = True
        today = datetime.now(UTC).date()
        async for finding in findings(settings, Secrets.from_environment(), lambda: classifier_of(settings), today):
            mark = "[green]ok[/green]  " if finding.fine else "[bold red]FAIL[/bold red]"
            console.print(f"{mark}  [bold]{finding.name}[/bold]  {escape(finding.words)}", highlight=False)
            fine = fine and finding.fine
        return fine

    raise typer.Exit(0 if asyncio.run(all_fine()) else 1)


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
            id = post.removeprefix("t3_")
            if not (known := await keeper.purge([id], "purged by a moderator")):
                raise UsageError(f"there is no post {id} here; its id is in the address of the post, after /comments/")
            return known
        return await keeper.purge_all()

    if [author is not None, post is not None, everything].count(True) != 1:
        raise UsageError("say what to forget: one of --author NAME, --post ID and --all")
    count = asyncio.run(with_store(config, forget))
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

    asyncio.run(with_store(config, remember))
    typer.echo("They may be answered again." if undo else "They will get no more replies.")


@app.command()
def status(config: ConfigFile = Path("config.toml")) -> None:
    """Shows where everything stands: what is watched, posts by level, what was sent, waits or could not be sent."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    standing = at_the_desk(config, lambda desk: desk.standing())
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
    if standing.messages:
        messages = Table("of which through", "state", "count")
        for (channel, state), count in sorted(standing.messages.items()):
            messages.add_row(channel, state, str(count))
        console.print(messages)
    if standing.dead:
        dead = Table("ID", "dead letter", "about", "why", title="could not be sent; `nightlight reviews retry ID`")
        for each in standing.dead:
            what = f"{each.kind} through {each.channel}" if each.channel else str(each.kind)
            dead.add_row(str(each.id), what, each.post_id, escape(each.error or ""))
        console.print(dead)
    for gap in standing.gaps:
        between = f"between {_when(gap.from_utc)} and {_when(gap.until_utc)}"
        looked = "" if gap.is_open else f" {gap.looked_by} has looked through them."
        console.print(f"Posts in r/{gap.subreddit} from {between} may never have been read.{looked}", soft_wrap=True)
    console.print(_vitals(standing), highlight=False, soft_wrap=True)
    llm = settings_of(config).llm
    if llm.reads_live or standing.llm_calls:
        calls = f"{standing.llm_calls:,} of {llm.budget_per_day:,} calls to the language model made today (UTC)"
        over = standing.llm_calls >= llm.budget_per_day
        rest = "; none are left, and posts in doubt keep the level they have." if over else "."
        console.print(calls + rest, highlight=False, soft_wrap=True)


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
