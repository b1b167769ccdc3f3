"""`nightlight experiment`: from a TOML file to a report, going on where a stopped run was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bot import agree
from bot.agree import SCALES
from bot.errors import SetupError
from bot.experiment.page import HEAD, Found, cells, render, to_json, to_markdown
from bot.experiment.sample import draw
from bot.experiment.settings import load
from bot.experiment.study import Study
from bot.experiment.table import MEASURED
from bot.files import write_whole
from bot.sources.archive import check_archive

if TYPE_CHECKING:
    from rich.console import Console

_WIDE_CONSOLE = 160  # characters, where nobody says how many there are
_GOES_ON = "the same command goes on from here"


def run_experiment(path: Path) -> int:
    """The command; see its help for the exit code. Raises UsageError, SetupError and ModelError."""
    from rich.console import Console

    experiment = load(path)
    check_archive(experiment.posts)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("drawing the posts"):
        study = Study(experiment, draw(experiment))
    study.begin()
    lock = FileLock(study.folder / "lock", timeout=0)
    try:
        with lock:
            return _run(study, console)
    except Timeout as error:
        raise SetupError(f"{study.folder}: another run is at work in it") from error


def _run(study: Study, console: Console) -> int:
    code = study.annotate(console)
    if code > 128:
        return code
    for settings in study.experiment.annotators:
        if left := study.unlabelled(settings.name):
            console.print(f"nightlight: {settings.name} has no answer for {left:,} posts; {_GOES_ON}", markup=False)
            return 1
    study.merge()
    try:
        study.train(console)
        with console.status("measuring"):
            found = Found.of(study)
            _write(study, found)
    except KeyboardInterrupt:
        console.print(_GOES_ON)
        return 130
    _show(found, study.folder)
    return code


def _write(study: Study, found: Found) -> None:
    panel = study.panel()
    if len(panel.columns) > 1:
        page = agree.render(panel, [panel.agreed(scale) for scale in SCALES])
        write_whole(study.folder / "agreement.html", page.encode())
    write_whole(study.folder / "report.json", to_json(found, study.experiment).encode())
    write_whole(study.folder / "report.md", to_markdown(found).encode())
    write_whole(study.folder / "report.html", render(found).encode())


def _show(found: Found, folder: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE_CONSOLE
    for task in MEASURED:
        if lines := found.of_task(task):
            table = Table(*HEAD, title=str(task))
            for line in lines:
                table.add_row(*map(escape, cells(line)))
            console.print(table)
    console.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)
