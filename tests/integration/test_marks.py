"""What moderators say of the bot's decisions goes back into its bounds, as labels and numbers alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli, config
from bot.config import Policy
from bot.deployment import view
from bot.errors import UsageError
from bot.manners import Manners, key_path, load_key
from bot.review.desk import Desk, Why
from bot.review.marks import judged, read_judged
from bot.store import Store
from models.assessment import Assessment, Ordinal
from models.document import Document
from models.labels import Level, Risk
from tests.cases import file_case
from tests.conftest import HandClock, KeywordClassifier

KINDS = ("at_risk", "ordinary", "unknown")
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


async def test_a_case_without_a_word_is_neither_found_nor_a_false_alarm(store: Store, desk: Desk) -> None:
    """Whatever was done about it: it alerts all the same. A post that was no case is an ordinary one."""
    clock = HandClock()
    for id, text in (("risk", "0.9"), ("calm", "0.8"), ("open", "0.7"), ("approved", "0.6")):
        await file_case(store, clock, Unsure(), id, text)
        clock.advance(1)
    await file_case(store, clock, KeywordClassifier(), "none", "a cake")
    await desk.mark("risk", "mod_anna", Level.CRISIS)
    await desk.dismiss("calm", "mod_anna", Why.FALSE_ALARM)
    await desk.approve("approved", "mod_anna")
    await desk.mark("open", "mod_anna", Level.NONE)
    await desk.mark("open", "mod_anna", None)
    found = judged(await read_judged(store))
    assert found is not None
    stream = found.stream()
    kinds = {name: [id for id, yes in zip(found.ids, getattr(stream, name), strict=True) if yes] for name in KINDS}
    assert kinds == {"at_risk": ["risk"], "ordinary": ["none", "calm"], "unknown": ["approved", "open"]}
    now = view(Policy(), stream, found.share)
    assert now.now.alerts_per_1000.value == pytest.approx(1000 * 4 / 5)
    assert {name: figure.value for name, figure in now.false_alarms.items()} == {
        "decided as none": 0.0,
        "decided as crisis": 1.0,
    }


@pytest.mark.parametrize("command", [("tune", "--min-recall", "1"), ("evaluate",)])
@pytest.mark.parametrize("option", [("--share", "0.02"), ("--limit", "5")])
def test_what_would_be_left_out_of_account_is_refused(
    folder: Path, command: tuple[str, ...], option: tuple[str, ...]
) -> None:
    """Reviews bring their own share and their own rows: nobody believes otherwise."""
    with pytest.raises(UsageError, match="says nothing about --from-reviews"):
        nightlight(*command, "--from-reviews", "--config", str(folder / "config.toml"), *option)


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
    with pytest.raises(UsageError, match="DATA"):
        nightlight(*arguments)
