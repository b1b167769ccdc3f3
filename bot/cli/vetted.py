"""Commands for what is vetted: the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

resources = typer.Typer(no_args_is_help=True, help="The vetted catalogue: lines, help, therapies, guidance cards.")


@resources.command("check")
def check_resources(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A folder with the catalogue's files; left out: those in the package.", show_default=False),
    ] = None,
) -> None:
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
    within: Annotated[int, typer.Option(min=0, metavar="DAYS", help="Look so many days ahead.")] = 30,
) -> None:
    """Lists what must be checked again: records that expire soon, or have, and those nobody reviewed.

    Such a record is shown to nobody from its day on. To renew one: look at its sources, then set verified_on,
    verified_by and expires_on.
    """
    from rich.console import Console
    from rich.table import Table

    from bot.resources import Catalogue

    today = datetime.now(UTC).date()
    records = Catalogue.load().due(today + timedelta(days=within))
    console = Console()
    if not records:
        console.print(f"Nothing is due within {within} days.")
        return
    table = Table("record", "due", "why", "sources")
    for record in records:
        why = "nobody reviewed it" if record.review == "draft" else "expired" if today >= record.expires_on else "soon"
        table.add_row(record.id, record.expires_on.isoformat(), why, "\n".join(record.source))
    console.print(table)
