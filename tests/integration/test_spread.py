"""How widely recommendations spread, as the model in the box judges."""

from __future__ import annotations

from datetime import date

from bot.config import Config
from bot.demo import samples
from bot.resources import Catalogue
from bot.spread import WIDEST, measure
from bot.types import Post
from models.hybrid import Hybrid


def test_over_the_samples_as_a_live_run_judges_them() -> None:
    """No intervention is named in more than 40 % of the posts that get any, and every crisis has its line first."""
    posts = [Post(each.id, each.subreddit, each.author, each.title, each.selftext, 0.0, "") for each in samples()]
    spread = measure(posts, Hybrid.load(), Config().team, Catalogue.load(), date(2026, 12, 1))
    assert spread.advised >= 100
    assert spread.crises == spread.crises_with_line_first >= 30
    assert spread.widest <= WIDEST
