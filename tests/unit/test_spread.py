"""How widely recommendations spread."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli
from bot.config import Config, Team
from bot.demo import samples
from bot.judge import document_of
from bot.policy import decide
from bot.recommendations import Counsel, Kind, Recommendation, counsel
from bot.resources import Catalogue
from bot.spread import WIDEST, Spread, measure
from bot.statements import Span
from bot.types import Post
from models.assessment import Assessment, Ordinal
from models.labels import Disorder, Level, Risk, Severity
from models.rules import Rules

CATALOGUE = Catalogue.load()
TODAY = date(2026, 12, 1)
SAMPLES = samples()
POSTS = [Post(each.id, each.subreddit, each.author, each.title, each.selftext, 0.0, "") for each in SAMPLES]


def named(*names: str) -> Counsel:
    kinds = {"line": Kind.LINE}
    return Counsel(tuple(Recommendation(name, kinds.get(name, Kind.STEP), "why", Span(0, 1)) for name in names))


def test_over_the_samples_as_the_dictionary_judges_them() -> None:
    """No intervention is named in more than 40 % of the posts that get any, and every crisis has its line first."""
    spread = measure(POSTS, Rules.load(), Config().team, CATALOGUE, TODAY)
    assert spread.posts == len(SAMPLES)
    assert spread.advised >= 80
    assert spread.crises == spread.crises_with_line_first >= 30
    assert spread.widest <= WIDEST == 0.4
    assert len(spread.interventions) >= 60


def test_over_the_samples_as_a_careful_reader_judges_them() -> None:
    """The same when every label is right."""
    spread = Spread()
    for sample, post in zip(SAMPLES, POSTS, strict=True):
        expect = sample.expect
        read = Assessment(
            float(expect.relevance),
            {disorder: 0.9 if disorder in expect.disorders else 0.1 for disorder in Disorder},
            Ordinal({level: float(level is expect.severity) for level in Severity}),
            Ordinal({level: float(level is expect.risk) for level in Risk}),
            (),
            {},
        )
        level = decide(post, read, Team()).level
        spread.add(level, counsel(document_of(post), read, level, CATALOGUE, TODAY))
    assert spread.is_fine
    assert spread.advised >= 130
    assert spread.crises >= 50


def test_what_everybody_gets_is_not_fine() -> None:
    """One intervention for half of the posts, or a crisis without a line, is told."""
    wide = Spread()
    for others in ("a", "b", "c", "d"):
        wide.add(Level.WATCH, named("cbt", others))
    assert wide.widest == 1.0
    assert not wide.is_fine
    late = Spread()
    for number in range(5):
        late.add(Level.CRISIS, named("line", f"step {number}"))
    assert late.is_fine
    late.add(Level.CRISIS, named("x", "line"))
    assert not late.is_fine


def test_a_line_is_no_intervention() -> None:
    """A line in every crisis is as it should be, and is counted apart."""
    spread = Spread()
    spread.add(Level.CRISIS, named("line", "a"))
    spread.add(Level.CRISIS, named("line", "b"))
    spread.add(Level.WATCH, named("c"))
    assert spread.is_fine
    assert spread.lines == {"line": 2}


def test_posts_that_get_nothing_are_not_counted_as_advised() -> None:
    """The share is of those that get any."""
    spread = Spread()
    spread.add(Level.NONE, Counsel())
    assert (spread.posts, spread.advised, spread.widest) == (1, 0, 0.0)
    assert spread.is_fine


@pytest.mark.parametrize("bound", [None, 40])
def test_the_command_counts_and_quotes_nothing(tmp_path: Path, bound: int | None) -> None:
    """Counts over an archive, no text of it; exit code 0 as long as it is fine."""
    archive = tmp_path / "posts.jsonl"
    rows = [{"id": each.id, "title": each.title, "selftext": f"{each.text} xylophonist"} for each in POSTS]
    archive.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    limit = ["--limit", str(bound)] if bound else []
    command = ["resources", "spread", str(archive), "--annotator", "rules", *limit]
    result = CliRunner().invoke(cli.app, command, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{bound or len(POSTS)} posts, ")
    assert "of the posts that get any (at most 40%)" in result.output
    assert "xylophonist" not in result.output
    assert not any(each.title and each.title in result.output for each in POSTS)
