"""How widely recommendations spread, as the model in the box judges."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from itertools import chain, islice
from pathlib import Path

import pytest

from bot.config import Config
from bot.demo import samples
from bot.resources import Catalogue
from bot.sources.archive import read_archive
from bot.spread import WIDEST, Spread, measure
from bot.types import Post
from models.hybrid import Hybrid

DATA = os.environ.get("NIGHTLIGHT_LABELLED_POSTS")

# All of the labelled posts would take a quarter of an hour.
_EVERY = 20


def spread_of(posts: Iterable[Post]) -> Spread:
    """What a live run would recommend for the posts, counted."""
    return measure(posts, Hybrid.load(), Config().team, Catalogue.load(), date(2026, 12, 1))


def test_over_the_samples_as_a_live_run_judges_them() -> None:
    """No intervention is named in more than 40 % of the posts that get any, and every crisis has its line first."""
    spread = spread_of(
        Post(each.id, each.subreddit, each.author, each.title, each.selftext, 0.0, "") for each in samples()
    )
    assert spread.advised >= 100
    assert spread.crises == spread.crises_with_line_first >= 30
    assert spread.widest <= WIDEST


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DATA, reason="needs NIGHTLIGHT_LABELLED_POSTS, a folder of labelled posts")
def test_over_labelled_posts_as_a_live_run_judges_them() -> None:
    """The same of real posts: one in twenty of each file."""
    files = sorted(Path(str(DATA)).glob("*.jsonl.gz"))
    spread = spread_of(
        chain.from_iterable(islice(read_archive(each, lambda bad: None), 0, None, _EVERY) for each in files)
    )
    assert spread.advised >= 100
    assert spread.crises == spread.crises_with_line_first > 0
    assert spread.widest <= WIDEST
