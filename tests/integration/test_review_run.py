"""The moderators' page inside the live loop: sandbox Reddit, real client, real store; only the model is a stand-in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import structlog

from bot import app
from bot.clock import SystemClock
from bot.config import Config, Secrets
from bot.review.desk import UNDO_SECONDS
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import SandboxReddit
from bot.web import listener
from tests.conftest import KeywordClassifier
from tests.review import browser, csrf, seen_in


class Ahead(SystemClock):
    """The machine's clock, set ahead when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return super().now() + self.seconds


@asynccontextmanager
async def running(config: Config, secrets: Secrets, clock: Ahead) -> AsyncIterator[list[str]]:
    """The live loop in the background; the addresses of the page that it told."""
    stop, told = asyncio.Event(), []
    task = asyncio.create_task(
        app.run(config, secrets, KeywordClassifier, stop, clock=clock, on_page=lambda address: told.append(address))
    )
    try:
        yield told
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


def configured(base_url: str, folder: Path, port: int = 0) -> Config:
    """The loop with a page that opens by a link."""
    return Config.model_validate(
        {
            "reddit": {"base_url": base_url, "subreddits": ["testsub"], "poll_seconds": 0.2},
            "store": {"path": folder / "nightlight.db"},
            "deliver": {"dry_run": False},
            "health": {"port": 0},
            "review": {"enabled": True, "port": port, "sign_in": "link"},
        }
    )


async def seen(client: httpx2.AsyncClient, path: str, words: str) -> str:
    """The page once it shows this."""
    for _ in range(600):
        text = (await client.get(path)).text
        if re.search(words, text):
            return text
        await asyncio.sleep(0.1)
    pytest.fail(f"{path} never showed {words}")


async def test_a_reply_approved_on_the_page_appears_on_reddits_own(secrets: Secrets, tmp_path: Path) -> None:
    """The whole way: a post arrives, the link opens the page, the case is taken, the reply approved and posted."""
    clock = Ahead()
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("testsub")
    async with SandboxServer(reddit) as server, browser(server.base_url) as visitor:
        post_id = reddit.submit("testsub", "a title", "ideation", "somebody")
        async with running(configured(server.base_url, tmp_path), secrets, clock) as told:
            while not told:  # noqa: ASYNC110 - told by the running loop
                await asyncio.sleep(0.02)
            (link,) = told
            async with browser(link) as moderator:
                assert (await moderator.get(link)).headers["location"] == "/"
                await seen(moderator, "/", f"/case/{post_id}")
                token = await csrf(moderator)
                given = await moderator.post("/next", data={"csrf": token})
                assert given.headers["location"] == f"/case/{post_id}"
                await seen(moderator, f"/case/{post_id}", f"/case/{post_id}/approve")
                form = {"csrf": token, "seen": seen_in((await moderator.get(f"/case/{post_id}")).text)}
                approved = await moderator.post(f"/case/{post_id}/approve", data=form)
                assert approved.status_code == 303
                assert reddit.comments_on(post_id) == []  # it can still be undone
                clock.seconds += UNDO_SECONDS + 1
                address = reddit.submission(post_id).permalink
                await seen(visitor, address.rstrip("/"), "nightlight_bot")
    assert len(reddit.comments_on(post_id)) == 1


async def test_a_port_that_is_taken_is_told_and_no_reason_not_to_watch(secrets: Secrets, tmp_path: Path) -> None:
    """Without the page the loop still alerts."""
    clock = Ahead()
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("testsub")
    taken = listener("127.0.0.1", 0)
    with structlog.testing.capture_logs() as lines:
        async with SandboxServer(reddit) as server:
            reddit.submit("testsub", "a title", "ideation", "somebody")
            config = configured(server.base_url, tmp_path, taken.getsockname()[1])
            async with running(config, secrets, clock) as told:
                async with asyncio.timeout(60):
                    while not reddit.conversations:  # noqa: ASYNC110 - the sandbox has no event
                        await asyncio.sleep(0.05)
    taken.close()
    assert told == []
    assert "review.off" in [line["event"] for line in lines]
