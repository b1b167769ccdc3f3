"""What moderators say of the bot's decisions goes back into its bounds, as labels and numbers alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli, config
from bot.manners import Manners, key_path, load_key
from bot.review.desk import Desk
from bot.store import Store
from models.assessment import Assessment, Ordinal
from models.document import Document
from models.labels import Level, Risk
from tests.cases import file_case
from tests.conftest import HandClock, KeywordClassifier

CONFIG = '[reddit]\nsubreddits = ["testsub"]\n[store]\npath = "nightlight.db"\n'


class Unsure:
    """Finds thoughts of dying as likely as the number that a post begins with."""

    def assess(self, documents: list[Document]) -> list[Assessment]:
        """One assessment a document."""
        return [self._assess(document) for document in documents]

    def _assess(self, document: Document) -> Assessment:
        likely = float(document.body)
        risk = dict.fromkeys(Risk, 0.0) | {Risk.NONE: 1 - likely, Risk.IDEATION: likely}
        (calm,) = KeywordClassifier().assess([Document("", "struggle")])
        return replace(calm, risk=Ordinal(risk))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set-up whose moderators found every post at 0.55 or more grave, and no other."""
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    settings = config.load(tmp_path / "config.toml")

    async def fill() -> None:
        clock = HandClock()
        async with Store(settings.store.path) as store:
            manners = Manners(store, load_key(key_path(store.path)), settings, clock)
            desk = Desk(store, manners, settings, clock)
            for number in range(120):
                likely = (number % 20) / 20
                await file_case(store, clock, Unsure(), f"p{number}", f"{likely}")
                if number < 100:
                    level = Level.CRISIS if likely >= 0.55 else Level.NONE
                    await desk.mark(f"p{number}", "mod_anna", level)
                clock.advance(3600)
            async with store.transaction():
                await store.execute("forget_posts", {"now": clock.now(), "before_utc": clock.now() + 1})

    asyncio.run(fill())
    return tmp_path


def nightlight(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    result = CliRunner().invoke(cli.app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_tune_chooses_the_bound_that_moderators_words_ask_for(folder: Path) -> None:
    """From numbers and labels alone: the texts are forgotten by then. The config file gets the bound."""
    path = folder / "config.toml"
    code, _ = nightlight("tune", "--from-reviews", "--min-recall", "1", "--config", str(path))
    assert code == 0
    (bound,) = [rule.min_probability for rule in config.load(path).policy.urgent if rule.risk is Risk.IDEATION]
    assert 0.5 < bound <= 0.55


def test_tune_counts_the_posts_that_really_came(folder: Path) -> None:
    """For a budget nobody has to say how many posts there are a day."""
    arguments = ("tune", "--from-reviews", "--max-alerts-per-day", "5", "--config", str(folder / "config.toml"))
    code, output = nightlight(*arguments)
    assert (code, "alerts a day" in output) == (0, True)


def test_evaluate_holds_decisions_against_moderators_words(folder: Path) -> None:
    """A hundred marked posts: the network's order is perfect, and the policy alerts to more than moderators wish."""
    arguments = ("evaluate", "--from-reviews", "--json", "--out", str(folder / "out"))
    code, output = nightlight(*arguments, "--config", str(folder / "config.toml"))
    assert code == 0
    found = json.loads(output)
    parts = {part["name"]: part["slices"][0] for part in found["scorecard"]["parts"]}
    assert found["rows"] == 100
    assert parts["needs somebody today, as moderators say"]["overall"]["auroc"]["value"] == 1.0
    assert found["deployment"]["at_risk"] == 45
    assert found["deployment"]["now"]["recall"]["value"] == 1.0
    assert (folder / "out" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tune", "--from-reviews", "--min-recall", "1"),
        ("tune", "--min-recall", "1"),
        ("evaluate",),
        ("evaluate", "--from-reviews"),
    ],
)
def test_what_is_missing_is_said(arguments: tuple[str, ...]) -> None:
    """No data, or no database to find the reviews in: one line, before anything is loaded."""
    from bot.errors import UsageError

    with pytest.raises(UsageError, match="DATA"):
        nightlight(*arguments)
