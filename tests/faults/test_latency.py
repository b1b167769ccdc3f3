"""How long after a post is visible its alert is stored for sending."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest

from bot.clock import SystemClock
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import SandboxReddit
from bot.store import Store
from tests.conftest import CAKE, DESPERATE
from tests.fake_llm import FakeLlm, answers, slowly
from tests.faults.harness import CONFIG, Bot

POLL_SECONDS = 0.5
BOUND_SECONDS = POLL_SECONDS + 0.25
CRISES = 120

# Everything that is no crisis is in doubt, and is asked about.
ASKING = """\
[llm]
base_url = "{base_url}"
model = "fake"
subreddits = ["testsub"]
timeout_seconds = 8
unsure_from = 0
unsure_to = 1
"""


async def seconds_to_stored(folder: Path, more: str) -> tuple[float, float]:
    """Median and 99th percentile over crises that come at random moments among other posts. `more` is configuration."""
    chance = random.Random(7)  # noqa: S311
    reddit = SandboxReddit(SystemClock())
    reddit.add_subreddit("testsub")
    async with SandboxServer(reddit) as server:
        text = CONFIG.format(base_url=server.base_url, auto="[]") + more
        (folder / "config.toml").write_text(text, encoding="utf-8")
        async with Bot(folder) as bot:
            await bot.judged(reddit.submit("testsub", "the first", CAKE, "a_baker"))
            for number in range(CRISES):
                await asyncio.sleep(chance.expovariate(5.0))
                reddit.submit("testsub", f"crisis {number}", DESPERATE, f"somebody_{number}")
                for other in range(chance.randint(0, 2)):
                    reddit.submit("testsub", f"cake {number} {other}", CAKE, "a_baker")
            await asyncio.sleep(2)
    async with Store(folder / "nightlight.db") as store:
        rows = await store.fetch("find_deliveries", {"state": None})
    stored = {row["post_id"]: row["created_utc"] for row in rows if row["kind"] == "alert"}
    visible = {id: post.created_utc for id, post in reddit.submissions.items() if post.selftext == DESPERATE}
    assert stored.keys() == visible.keys()
    middle, late = np.percentile([stored[id] - visible[id] for id in visible], [50, 99])
    return float(middle), float(late)


@pytest.mark.timeout(180)
async def test_a_crisis_alert_is_stored_within_the_poll_interval_and_a_quarter_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No post that waits for the models, or for another post, holds it up."""
    middle, late = await seconds_to_stored(tmp_path, "")
    with capsys.disabled():
        print(f"\nvisible to stored for sending, poll {POLL_SECONDS} s: median {middle:.3f} s, p99 {late:.3f} s")
    assert late < BOUND_SECONDS


@pytest.mark.timeout(180)
@pytest.mark.slow
async def test_a_language_model_that_does_not_answer_delays_no_crisis_alert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same promise while every other post waits for a server that takes calls and says nothing."""
    async with FakeLlm(slowly(3600, answers())) as llm:
        middle, late = await seconds_to_stored(tmp_path, ASKING.format(base_url=llm.base_url))
        assert llm.calls
    with capsys.disabled():
        print(f"\nthe same beside a language model that hangs: median {middle:.3f} s, p99 {late:.3f} s")
    assert late < BOUND_SECONDS
