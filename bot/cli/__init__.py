"""The command `nightlight`. Heavy imports wait inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys

import typer

from bot.cli import live, offline, replies, research, reviews, vetted
from bot.errors import NightlightError

app = typer.Typer(
    name="nightlight",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Helps a subreddit's moderators notice, in time, the post of somebody who is not well.",
)
for part in (offline, live, research):
    app.add_typer(part.app)
app.add_typer(replies.app, name="replies")
app.add_typer(reviews.app, name="reviews")
app.add_typer(vetted.resources, name="resources")


def main() -> None:
    """Runs the command line; an error of ours is one line on stderr and its exit code, never a traceback."""
    try:
        app()
    except NightlightError as error:
        print(f"nightlight: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
