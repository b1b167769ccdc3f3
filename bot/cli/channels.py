"""Commands for the chat channels that alerts go to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.base import ConfigFile, settings_of

app = typer.Typer(no_args_is_help=True, help="The chat channels that alerts go to.")


@app.command()
def test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in alerts.channels.", show_default=False)],
    config: ConfigFile = Path("config.toml"),
) -> None:
    """Sends a test message through one channel, also while deliver.dry_run is on.

    The channel's URL, in the form that Apprise gives it, comes from NIGHTLIGHT_CHANNEL_ and the name.
    """
    import asyncio

    from bot.config import Secrets
    from bot.deliver.chat import Channel
    from bot.errors import UsageError

    known = settings_of(config).channels
    if name not in known:
        raise UsageError(f"[alerts] channels names no {name}; it has {', '.join(known) or 'none'}")
    channel = Channel.open(name, Secrets.from_environment().channels.get(name))
    words = "A test: alerts of Nightlight would arrive here. There is nothing to do."
    asyncio.run(channel.send("[Nightlight] a test", words))
    typer.echo(f"Sent: the channel {name} took the message. Please see whether it is where you expect it.")
