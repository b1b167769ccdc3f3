"""The sample posts that come with the package, each with what a careful reader would say of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from models.labels import Disorder, Level, Risk, Severity


@dataclass(frozen=True, slots=True)
class Expectation:
    """The judgement of a careful reader; a post that is not relevant has no disorder and the mildest of every scale.

    `level` is what the default policy should make of such a judgement:

    - `crisis`: the author is thinking of suicide, preparing for it or has just attempted it, or harms themself now;
    - `urgent`: severe distress, hopelessness or a wish not to be here, or a question about somebody else in danger;
    - `watch`: a clear struggle without any of that, or one that is over but still felt;
    - `none`: everything else, support offered to others included.
    """

    relevance: bool
    disorders: frozenset[Disorder]
    severity: Severity
    risk: Risk
    level: Level


@dataclass(frozen=True, slots=True)
class Sample:
    """One invented submission, within Reddit's own limits (title 300 characters, selftext 40,000).

    `author` is `[deleted]`, and `selftext` `[deleted]` or `[removed]`, where Reddit would say so; `selftext` is empty
    for a post that is a title alone. `kind` is a short word for what makes the post worth having: `lyrics`, `friend`.
    """

    id: str
    subreddit: str
    author: str
    title: str
    selftext: str
    expect: Expectation
    kind: str


def samples() -> list[Sample]:
    """Every sample, in the order in which it should arrive: ordinary posts and posts of need mixed."""
    lines = files(__name__).joinpath("samples.jsonl").read_text(encoding="utf-8").split("\n")
    return [_sample(json.loads(line)) for line in lines if line]


def _sample(row: dict[str, Any]) -> Sample:
    expect = row["expect"]
    return Sample(
        id=row["id"],
        subreddit=row["subreddit"],
        author=row["author"],
        title=row["title"],
        selftext=_selftext(row),
        expect=Expectation(
            relevance=expect["relevance"],
            disorders=frozenset(map(Disorder, expect["disorders"])),
            severity=Severity(expect["severity"]),
            risk=Risk(expect["risk"]),
            level=Level(expect["level"]),
        ),
        kind=row["kind"],
    )


def _selftext(row: dict[str, Any]) -> str:
    """The whole text. The longest posts are stored short: `repeat` the text, or repeat a `prefix_repeat` before it."""
    prefix = row.get("prefix_repeat", {"text": "", "times": 0})
    text: str = prefix["text"] * prefix["times"] + row["selftext"] * row.get("repeat", 1)
    return text
