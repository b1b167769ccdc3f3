"""How `nightlight run` ends when something goes wrong that nobody foresaw."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot import cli

WORDS = "xylophonist"


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


COMMANDS = ["run", "purge", "optout", "status", "check", "reviews", "channels", "demo"]
OFFLINE = ["replay", "evaluate", "tune", "label", "agree"]


@pytest.mark.parametrize("command", COMMANDS + OFFLINE)
def test_every_command_teaches(command: str) -> None:
    """`--help` says in a sentence what a command does."""
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.split("Usage:")[1].splitlines()[2].split()) >= 4
