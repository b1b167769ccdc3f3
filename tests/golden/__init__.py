"""Golden replies: what the bot says in each situation, kept as files for people to read.

`python -m tests.golden` writes them anew; a test compares. docs/safe-messaging.md holds the judgement of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bot.clock import date_of
from bot.config import Config
from bot.inbox import Inbox
from bot.judge import Judgement
from bot.manners import Manners
from bot.outbox import Draft, Outbox
from bot.pipeline import Pipeline
from bot.replies import reason_to_wait
from bot.resources import Catalogue
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Planned, Post
from models.labels import Level
from models.multilingual import Multilingual
from models.rules import Rules
from tests.conftest import HandClock
from tests.golden.situations import Situation, situations

FOLDER = Path(__file__).parent / "replies"
# The default table for the fixed figures of the dictionary, which gives every level of risk 0.075 at least.
_URGENT = [{"risk": "indicator", "min_probability": 0.6}, {"severity": "severe", "min_probability": 0.5}]
_WATCH = [{"severity": "moderate", "min_probability": 0.5, "min_relevance": 0.5}]
_NOW = 1_796_126_400.0  # 2026-12-01 12:00 UTC


def replies() -> dict[str, str]:
    """Each situation's file, by name. The real pipeline makes them, with the dictionary as its model and a store."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_replies(list(situations()), Path(folder)))


async def _replies(all_: Sequence[Situation], folder: Path) -> dict[str, str]:
    clock, config = HandClock(_NOW), _config(all_)
    levels: dict[str, Level] = {}
    reasons: dict[str, Sequence[str]] = {}
    stop = asyncio.Event()

    def judged(judgement: Judgement, fetched_utc: float) -> None:
        levels[judgement.post.id] = judgement.decision.level
        reasons[judgement.post.id] = [reason.words for reason in judgement.decision.reasons]
        if len(levels) == len(all_):
            stop.set()

    async with Store(folder / "golden.db") as store:
        manners = Manners(store, b"0" * 32, config, clock)
        inbox, outbox = Inbox(store, clock), Outbox(store, clock)
        await _remember(all_, store, outbox, manners)
        async with store.transaction():
            await inbox.put([_post(each) for each in all_])
        judge, catalogue = Multilingual.around(Rules.load()), Catalogue.load()
        await Pipeline(config, store, inbox, outbox, manners, judge, catalogue, clock, judged).run(stop)
        files: dict[str, str] = {}
        for each in all_:
            post = _post(each)
            said = [d for d in await outbox.of_post(post.id) if d.kind is DeliveryKind.REPLY]
            ruling = await manners.ruling(post.subreddit, post.author, post.created_utc)
            today = date_of(_NOW)
            words = ruling.words or reason_to_wait(post, config.team(post.subreddit), catalogue, today)
            why = f" ({words})" if words else ""
            state = f"{said[0].state}{why}" if said else f"none{why}"
            lines = ["post: " + " / ".join(filter(None, (each.title, each.post))), f"level: {levels[post.id]}"]
            lines += [*(f"reason: {reason}" for reason in reasons[post.id]), f"reply: {state}"]
            files[each.name] = "\n".join([*lines, "", *(delivery.body for delivery in said)]).rstrip() + "\n"
    return files


def _subreddit(situation: Situation) -> str:
    """One of its own for each, so that each has its own settings."""
    return situation.subreddit or situation.name.replace("-", "_")[:21]


def _post(situation: Situation) -> Post:
    created = _NOW - situation.hours_old * 3600
    return Post(situation.name, _subreddit(situation), situation.author, situation.title, situation.post, created, "")


def _config(all_: Sequence[Situation]) -> Config:
    """One community a situation, each with its own settings; the levels all answer."""
    overrides = {_subreddit(each): {"replies": each.replies} for each in all_}
    return Config.model_validate(
        {
            "reddit": {"subreddits": [_subreddit(each) for each in all_]},
            "deliver": {"dry_run": False},
            "policy": {"urgent": _URGENT, "watch": _WATCH, "watch_does": ["digest", "reply"]},
            "overrides": overrides,
        }
    )


async def _remember(all_: Sequence[Situation], store: Store, outbox: Outbox, manners: Manners) -> None:
    """What the bot knows of authors from before."""
    earlier = Planned(DeliveryKind.REPLY, DeliveryState.SENT)
    for each in all_:
        if each.opted_out and each.author:
            await manners.opt_out(each.author)
        if each.answered:
            async with store.transaction():
                await outbox.enqueue([Draft("earlier", "elsewhere", Level.CRISIS, earlier, "", "", _NOW - 86_400)])
                (delivery,) = await outbox.of_post("earlier")
                await manners.begin_reply(delivery.id, "elsewhere", each.author)
