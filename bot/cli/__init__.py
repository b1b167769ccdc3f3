"""The command `nightlight`. Heavy imports wait inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable

import typer

from bot.cli import channels, live, offline, replies, research, reviews, vetted
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
app.add_typer(channels.app, name="channels")
app.add_typer(vetted.resources, name="resources")


def main(command: Callable[[], object] = app, ending_seconds: float = 30.0) -> None:
    """Runs the command line; an error of ours is one line on stderr and its exit code, never a traceback.

    Once the command is over, its process lives for `ending_seconds` at most.
    """
    try:
        command()
    except NightlightError as error:
        print(f"nightlight: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    finally:
        if sys.stderr is not None:
            # The interpreter waits for the threads of every pool, also for one in which a model hangs.
            faulthandler.dump_traceback_later(ending_seconds, exit=True)
