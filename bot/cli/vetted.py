"""Commands for what is vetted: the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.base import Annotator, OptionalConfig, classifier_of, settings_of

resources = typer.Typer(no_args_is_help=True, help="The vetted catalogue: lines, help, therapies, guidance cards.")


Folder = Annotated[
    Path | None,
    typer.Argument(help="A folder with the catalogue's files; left out: those in the package.", show_default=False),
]


@resources.command("check")
def check_resources(folder: Folder = None) -> None:
    """Looks for entries that break a rule, and names file, record and rule.

    Exit code: 0 when there is none, otherwise 1.
    """
    from bot.vetting import check

    findings = check(datetime.now(UTC).date(), folder)
    for finding in findings:
        typer.echo(": ".join(part for part in (finding.file, finding.record, finding.rule) if part))
    if findings:
        raise typer.Exit(1)
    typer.echo("Every record keeps the rules.")


@resources.command()
def due(
    folder: Folder = None,
    within: Annotated[int, typer.Option(min=0, max=36_500, metavar="DAYS", help="Look so many days ahead.")] = 30,
) -> None:
    """Lists what must be checked again: records that expire soon, or have, and those nobody reviewed.

    Without a folder the words of replies in each language are listed as well. What is due is shown to nobody from its
    day on. To renew it: look at its sources, then set verified_on, verified_by and expires_on.
    """
    from bot.resources import Catalogue, Record
    from bot.wording import LANGUAGES, Wording, wording

    today = datetime.now(UTC).date()
    until = today + timedelta(days=within)
    words = [each for each in map(wording, LANGUAGES) if not (folder or each.printable(until))]
    records: list[Record | Wording] = [*Catalogue.load(folder).due(until), *words]
    records.sort(key=lambda record: (record.expires_on, record.id))
    if not records:
        typer.echo(f"Nothing is due within {within} days.")
    for record in records:
        day = f"{'expired' if today >= record.expires_on else 'expires'} on {record.expires_on}"
        typer.echo(f"{record.id}: {'nobody reviewed it' if record.review == 'draft' else day}")
        for source in record.source:  # whole, to be opened, however narrow the window is
            typer.echo(f"  {source}")


@resources.command()
def spread(
    archives: Annotated[
        list[Path],
        typer.Argument(help="Files of posts, as `replay` reads them.", metavar="ARCHIVE...", show_default=False),
    ],
    config: OptionalConfig = None,
    annotator: Annotated[Annotator, typer.Option(help="Who judges the posts.")] = Annotator.HYBRID,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after this many posts.", show_default=False)] = None,
) -> None:
    """Measures how widely recommendations spread over an archive: counts alone, never a text.

    Exit code: 0, or 1 when some intervention is named in more than 40 % of the posts that get any, or a crisis does not
    have its line first.

    Example: nightlight resources spread RS_2024-01.zst --limit 5000
    """
    from functools import lru_cache
    from itertools import chain, islice

    from rich.console import Console
    from rich.table import Table

    from bot.resources import Catalogue
    from bot.sources.archive import check_archive, read_archive
    from bot.spread import WIDEST, measure

    settings = settings_of(config)
    for archive in archives:
        check_archive(archive)
    posts = chain.from_iterable(read_archive(archive, lambda bad: None) for archive in archives)
    today = datetime.now(UTC).date()
    classifier = classifier_of(settings, annotator)
    counted = measure(islice(posts, limit), classifier, lru_cache(settings.team), Catalogue.load(), today)
    console = Console()
    console.print(
        f"{counted.posts} posts, {counted.advised} with recommendations; {counted.crises} crises, "
        f"{counted.crises_with_line_first} of them with a line first"
    )
    table = Table("intervention", "posts", "share")
    for name, count in counted.interventions.most_common(15):
        table.add_row(name, str(count), f"{count / counted.advised:.1%}")
    if counted.interventions:
        console.print(table)
    for name, count in counted.lines.most_common(5):
        console.print(f"line {name}: {count} posts")
    console.print(f"{len(counted.interventions)} interventions named; the widest in {counted.widest:.1%}", end="")
    console.print(f" of the posts that get any (at most {WIDEST:.0%})")
    raise typer.Exit(0 if counted.is_fine else 1)
