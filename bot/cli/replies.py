"""Commands for the words under a post: what would be said, and whether it keeps the rules."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.base import settings_of

app = typer.Typer(no_args_is_help=True, help="What the bot would say under a post, and the rules it keeps.")
OwnConfig = Annotated[
    Path | None, typer.Option("--config", help="Your config.toml. Without it: the box's words.", show_default=False)
]


@app.command()
def preview(
    level: Annotated[str, typer.Option(help="crisis, urgent or watch.")] = "crisis",
    language: Annotated[str, typer.Option(help="The post's language: en, es, de, fr or pt.")] = "en",
    country: Annotated[
        str | None,
        typer.Option(help="The country whose lines are named, such as IE.", show_default="what the config says"),
    ] = None,
    subreddit: Annotated[
        str | None, typer.Option(help="Where the post is.", show_default="the first that the config watches")
    ] = None,
    text: Annotated[
        str,
        typer.Option(help="Words of a post: a country and whom it is from, such as “17F, Canada”, choose the lines."),
    ] = "",
    config: OwnConfig = None,
) -> None:
    """Shows, letter for letter, what would be posted under a post: Markdown, as Reddit gets it.

    Example: nightlight replies preview --level urgent --language es --country US
    """
    from bot.errors import UsageError
    from bot.replies import compose_reply
    from bot.resources import Catalogue
    from bot.types import Decision, Post
    from bot.wording import LANGUAGES, REPLIED_LEVELS
    from models.labels import Level

    settings = settings_of(config)
    today = datetime.now(UTC).date()
    catalogue = Catalogue.load()
    if level not in REPLIED_LEVELS:
        raise UsageError(f"no reply is made at the level {level!r}; the levels are {', '.join(REPLIED_LEVELS)}")
    if language not in LANGUAGES:
        raise UsageError(f"there are no words in {language!r} yet; there are in {', '.join(LANGUAGES)}")
    name = (subreddit or next(iter(settings.reddit.subreddits), "yourcommunity")).removeprefix("r/")
    team = settings.team(name)
    if country is not None:
        if country.upper() not in catalogue.countries(today):
            known = ", ".join(catalogue.countries(today))
            raise UsageError(f"the catalogue has no line for {country!r}; it has for {known}")
        team = team.model_copy(update={"replies": team.replies.model_copy(update={"country": country.upper()})})
    post = Post("preview", name, None, "", text, None, "")
    typer.echo(compose_reply(post, Decision(Level(level), (), ()), team, catalogue, today, language))


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of templates to look at before you use it.", show_default=False)
    ] = None,
    config: OwnConfig = None,
) -> None:
    """Says which rule of safe messaging a team's own templates break, file by file; exit code 1 if any does.

    Looks at the folder that is given, at those the config names, or at the box's own words. Every level and
    language is put together, with and without crisis lines, and the files are read for what stands in hidden branches.
    """
    from bot.replies import check_teams, check_templates
    from bot.resources import Catalogue

    settings = settings_of(config)
    today = datetime.now(UTC).date()
    catalogue = Catalogue.load()
    own = check_templates(folder, catalogue, today, settings.replies.opt_out_url)
    refusals = dict.fromkeys((*own, *check_teams(settings, catalogue, today)))
    for refusal in refusals:
        typer.echo(refusal)
    if not refusals:
        typer.echo("Every reply keeps every rule.")
    raise typer.Exit(1 if refusals else 0)
