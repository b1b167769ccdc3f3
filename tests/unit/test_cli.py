"""How `nightlight run` ends when something goes wrong that nobody foresaw."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bot import cli
from bot.calls import DailyCalls
from bot.clock import SystemClock
from bot.store import Store

WORDS = "xylophonist"
LLM = '[llm]\nbase_url = "http://127.0.0.1:1/v1"\nmodel = "fake"\nsubreddits = ["testsub"]\n'


def test_an_unforeseen_error_ends_it_loudly_without_quoting_a_post(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, the kind of error and where it came from; its message, which may hold anybody's words, stays out."""
    config = tmp_path / "config.toml"
    config.write_text('[reddit]\nsubreddits = ["testsub"]\n', encoding="utf-8")

    async def task() -> None:
        raise KeyError(WORDS)

    async def dying(*_: Any, **__: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(task())

    monkeypatch.setattr("bot.app.run", dying)
    result = CliRunner().invoke(cli.app, ["run", "--config", str(config)])
    assert result.exit_code == 1
    assert "KeyError" in result.output
    assert "test_cli.py" in result.output
    assert WORDS not in result.output


def commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command of a group and of the groups in it, as it is typed."""
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name)
        yield from commands(command, *path, name)


@pytest.mark.parametrize("command", [*commands(typer.main.get_command(cli.app))], ids=" ".join)
def test_every_command_teaches(command: tuple[str, ...]) -> None:
    """`--help` says in a sentence what a command does."""
    result = CliRunner().invoke(cli.app, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.split("Usage:")[1].splitlines()[2].split()) >= 4


@pytest.mark.parametrize("command", [*commands(typer.main.get_command(cli.app))], ids=" ".join)
def test_no_word_of_the_help_is_taken_for_markup(command: tuple[str, ...]) -> None:
    """What stands in square brackets would vanish from the help, as a colour or a style does."""
    found: Any = typer.main.get_command(cli.app)
    for name in command:
        found = found.commands[name]
    texts = [found.help or "", *(getattr(each, "help", None) or "" for each in found.params)]
    assert [word for text in texts for word in re.findall(r"\[[a-z/][^\]]*\]", text)] == []


def test_a_reply_can_be_looked_at_and_its_template_checked(tmp_path: Path) -> None:
    """`replies preview` prints the reply and nothing else; `replies check` names file and rule, and fails."""
    from bot.wording import wording

    preview = CliRunner().invoke(cli.app, ["replies", "preview", "--language", "de", "--country", "at"])
    assert preview.exit_code == 0
    assert preview.output.startswith(wording("de").crisis.opening)
    assert "**Telefonseelsorge**: Anruf unter 142." in preview.output
    assert preview.output.rstrip().endswith(").*")
    stated = CliRunner().invoke(cli.app, ["replies", "preview", "--country", "us", "--text", "15F, UK"])
    assert stated.output.index("**Samaritans**") < stated.output.index("**Childline**")
    assert CliRunner().invoke(cli.app, ["replies", "check"]).exit_code == 0
    (tmp_path / "crisis.en.md.j2").write_text("It gets better.", encoding="utf-8")
    check = CliRunner().invoke(cli.app, ["replies", "check", str(tmp_path)])
    assert check.exit_code == 1
    assert "crisis.en.md.j2 breaks the rule “no promise”: “gets better”" in check.output


@pytest.mark.parametrize(
    ("llm", "made", "words"),
    [
        ("", 0, None),
        (LLM + "budget_per_day = 1200\n", 3, "3 of 1,200 calls to the language model made today (UTC)."),
        (LLM + "budget_per_day = 3\n", 3, "3 of 3 calls to the language model made today (UTC); none are left"),
    ],
)
def test_the_status_tells_what_is_left_of_the_days_calls(
    tmp_path: Path, llm: str, made: int, words: str | None
) -> None:
    """How many were made, of how many, and that the limit is reached; nothing where no model is asked."""
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\npath = "n.db"\n{llm}', encoding="utf-8")

    async def spend() -> None:
        async with Store(tmp_path / "n.db") as store:
            for _ in range(made):
                await DailyCalls(store, SystemClock(), made).spend()

    asyncio.run(spend())
    result = CliRunner().invoke(cli.app, ["status", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert words is None or words in result.output
    assert words is not None or "language model" not in result.output
