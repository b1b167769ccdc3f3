"""Commands for replies that wait for a moderator's word."""

from __future__ import annotations

from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.base import ConfigFile, at_the_desk

if TYPE_CHECKING:
    from bot.review.case import Case
    from bot.review.desk import Desk

app = typer.Typer(no_args_is_help=True, help="Replies that wait for a moderator's word.")
Actor = Annotated[
    str | None, typer.Option("--as", help="Who says so; kept with the decision.", show_default="your user name")
]
Note = Annotated[str, typer.Option(help="Why, for the others to read.")]
Identity = Annotated[
    str,
    typer.Argument(metavar="ID", help="The number `reviews list` shows, or the id of the post.", show_default=False),
]


@app.command("list")
def list_reviews(config: ConfigFile = Path("config.toml")) -> None:
    """Lists the replies that wait, the most pressing first."""
    from rich.console import Console
    from rich.table import Table

    cases = at_the_desk(config, lambda desk: desk.waiting())
    console = Console()
    if not cases:
        console.print("No reply is waiting.")
        return
    table = Table("ID", "level", "in", "post", "why")
    for case in cases:
        why = case.reasons[0].words if case.reasons else ""
        number = str(case.reply.id) if case.reply else ""
        table.add_row(number, case.level, f"r/{case.post.subreddit}", case.post.id, why)
    console.print(table)
    console.print("nightlight reviews show ID, then approve ID or dismiss ID")


@app.command("show")
def show_review(id: Identity, config: ConfigFile = Path("config.toml")) -> None:
    """Shows one reply as it would be posted, the post it answers, why, and what may help."""
    from bot.alerts import compose_help
    from bot.clock import SystemClock, date_of
    from bot.inert import visible
    from bot.manners import Verdict
    from bot.resources import Catalogue
    from bot.review.desk import say

    catalogue = Catalogue.load()

    async def look(desk: Desk) -> tuple[Case, str]:
        case = await desk.case(id)
        ruling = await desk.ruling(case)
        why = desk.why_it_waits(case, ruling, catalogue)
        return case, why and say("reply.never" if ruling.verdict is Verdict.NEVER else "reply.waits", why=why)

    case, waits = at_the_desk(config, look)
    post, reply = case.post, case.reply
    why = "".join(f"\n  - {reason.words}" for reason in case.reasons)
    said = "".join(f"\n  {each.action} by {each.actor} {each.note}".rstrip() for each in case.reviews)
    # A stranger wrote the post: without this it could send the terminal any command it knows.
    text = "\n".join(visible(line) for line in f"{post.title}\n\n{post.text}".splitlines()).strip()
    which = f"reply {reply.id} to " if reply else ""
    state = f", {reply.state}" if reply else ""
    typer.echo(f"{which}post {post.id} in r/{post.subreddit}: {case.level}{state}{why}{said}")
    typer.echo(f"\n--- the post{post.permalink and f', {post.permalink}'}\n{text or '(its words are forgotten)'}")
    if reply:
        typer.echo(f"\n--- the reply\n{reply.body or '(its words are forgotten)'}")
    if waits:
        typer.echo(f"\n{waits}")
    if words := compose_help(post, case.counsel(catalogue, date_of(SystemClock().now())), catalogue):
        typer.echo(f"\n--- for you\n{words}")


@app.command()
def approve(id: Identity, actor: Actor = None, note: Note = "", config: ConfigFile = Path("config.toml")) -> None:
    """Lets a reply go out: the running bot posts it within a second or two."""
    reply = at_the_desk(config, lambda desk: desk.approve(id, actor or getuser(), note=note))
    typer.echo(f"Approved: reply {reply.id} to post {reply.post_id} goes out.")


@app.command()
def dismiss(id: Identity, actor: Actor = None, note: Note = "", config: ConfigFile = Path("config.toml")) -> None:
    """Says no to a reply, for good."""
    case = at_the_desk(config, lambda desk: desk.dismiss(id, actor or getuser(), note=note))
    if case.reply and case.reply_can_be_stopped:
        typer.echo(f"Dismissed: reply {case.reply.id} to post {case.post.id} will not be sent.")
    else:
        typer.echo(f"Dismissed: post {case.post.id} is settled.")


@app.command()
def retry(
    id: Annotated[int, typer.Argument(metavar="ID", help="The number that `status` shows.", show_default=False)],
    actor: Actor = None,
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Tries a dead letter again: something that Reddit refused, or that could not be sent for a day."""
    delivery = at_the_desk(config, lambda desk: desk.retry(id, actor or getuser()))
    typer.echo(f"Trying again: {delivery.kind} {delivery.id} about post {delivery.post_id}.")
