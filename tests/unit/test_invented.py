from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

from bot.demo import samples
from models.labels import Risk, Severity

Post = dict[str, Any]


def posts_in(lines: str) -> list[Post]:
    # Not splitlines: hostile posts hold other line separators.
    return [json.loads(line) for line in lines.split("\n") if line]


POSTS = posts_in(files("models").joinpath("train/invented.jsonl").read_text(encoding="utf-8"))

ATTACKS = Path(__file__).parent.parent / "attacks.jsonl"

AT_LEAST = {
    "ordinary": 60,
    "vocabulary": 60,
    "hyperbole": 50,
    "lyrics": 25,
    "support": 40,
    "recovery": 30,
    "distress": 45,
    "severe": 30,
    "ideation": 40,
    "behavior": 20,
    "instruction": 20,
}

RISKS = {
    "severe": {Risk.NONE, Risk.INDICATOR},
    "ideation": {Risk.INDICATOR, Risk.IDEATION},
    "behavior": {Risk.BEHAVIOR, Risk.ATTEMPT},
}

SEVERITIES = {
    "support": {Severity.MINIMAL, Severity.MILD, Severity.MODERATE},
    "distress": {Severity.MILD, Severity.MODERATE},
    "severe": {Severity.SEVERE},
    "ideation": {Severity.MODERATE, Severity.SEVERE},
    "behavior": {Severity.SEVERE},
}

ORDINARY = {"ordinary", "vocabulary", "hyperbole", "lyrics", "instruction"}


def words(title: str, text: str) -> list[str]:
    """The words of a post, so that neither case nor punctuation makes two posts different."""
    return re.findall(r"\w+", re.sub("['’]", "", f"{title}\n{text}".lower()))


def runs(title: str, text: str, length: int = 5) -> set[tuple[str, ...]]:
    found = words(title, text)
    return {tuple(found[at : at + length]) for at in range(len(found) - length + 1)}


def test_there_are_enough_of_every_kind_and_no_other() -> None:
    """A kind that is missing, misspelled or thinned out is noticed."""
    kinds = Counter(post["kind"] for post in POSTS)
    assert set(kinds) == set(AT_LEAST)
    assert all(kinds[kind] >= least for kind, least in AT_LEAST.items()), kinds


def test_labels_are_known_and_fit_the_kind() -> None:
    """A post carries the labels that its kind teaches, in the project's own spelling."""
    for post in POSTS:
        kind, title = post["kind"], post["title"]
        assert set(post) == {"title", "text", "relevance", "risk", "severity", "kind"}, title
        assert post["relevance"] == int(kind not in ORDINARY), title
        assert Risk(post["risk"]) in RISKS.get(kind, {Risk.NONE}), title
        assert Severity(post["severity"]) in SEVERITIES.get(kind, {Severity.MINIMAL}), title


def test_every_risk_and_severity_occurs() -> None:
    """No level of either scale is left untaught."""
    assert {post["risk"] for post in POSTS} == set(Risk)
    assert {post["severity"] for post in POSTS} == set(Severity)


def test_length_alone_tells_nothing() -> None:
    """Titles without a text and posts of more than thirty words come with and without need; none is over 125 words."""
    for relevance in (0, 1):
        lengths = [len(words(p["title"], p["text"])) for p in POSTS if p["relevance"] == relevance]
        bare = [p for p in POSTS if p["relevance"] == relevance and not p["text"]]
        assert len(bare) >= 30
        assert sum(length > 30 for length in lengths) >= 30
        assert max(lengths) <= 125
    assert all(post["title"].strip() for post in POSTS)


def test_no_two_are_alike() -> None:
    """No post repeats another, nor five words in a row of it."""
    seen: dict[tuple[str, ...], str] = {}
    for post in POSTS:
        whole = tuple(words(post["title"], post["text"]))
        for run in runs(post["title"], post["text"]) | {whole}:
            assert seen.setdefault(run, post["title"]) == post["title"], (run, post["title"])
    assert len({tuple(words(post["title"], post["text"])) for post in POSTS}) == len(POSTS)


def test_none_resembles_a_post_that_measures() -> None:
    """What the models learn from shares no five words in a row with the samples or the attacks they are tested on."""
    attacks = posts_in(ATTACKS.read_text(encoding="utf-8"))
    measured = {run for sample in samples() for run in runs(sample.title, sample.selftext)}
    measured |= {run for attack in attacks for run in runs(attack["title"], attack["selftext"])}
    shared = {post["title"]: both for post in POSTS if (both := runs(post["title"], post["text"]) & measured)}
    assert not shared
    titles = {tuple(words(sample.title, "")) for sample in samples()}
    titles |= {tuple(words(attack["title"], "")) for attack in attacks}
    assert not [post["title"] for post in POSTS if tuple(words(post["title"], "")) in titles]


def test_nothing_tells_how_or_where() -> None:
    """No dose, no count of tablets and no address stands anywhere."""
    dose = re.compile(r"(?i)\b\d+\s?(?:mg|milligrams?|pills|tablets|capsules)\b")
    contact = re.compile(r"(?i)https?:|www\.|\w@\w|\+?\d(?:[\s().-]?\d){6,}")
    for post in POSTS:
        both = f"{post['title']}\n{post['text']}"
        assert not dose.search(both), post["title"]
        assert not contact.search(both), post["title"]
