"""`make soak`, second part: 100,000 submissions at 167 a second of sandbox time, the most one client id may fetch.

The sandbox shares this machine's cores with the bot, so its clock may run slower than the wall (`--speed`). Exit code
1 when a post is lost, when the backlog is not zero at the end, or when memory grows by more than 50 MB after warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import Progress

from bot.clock import SystemClock
from bot.demo import samples
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import SandboxReddit
from bot.store import Store
from models.labels import Level
from tests.conftest import DESPERATE
from tests.faults.harness import Bot

A_SECOND = 167.0
ONE_CRISIS_IN = 500
WARM_UP = 0.2
GROWTH_MB = 50
PATIENCE_SECONDS = 30.0
CONFIG = """\
[reddit]
base_url = "{base_url}"
subreddits = ["testsub"]
poll_seconds = 1
requests_per_minute = 3000
[deliver]
dry_run = false
[log]
level = "warning"
[health]
port = 0
"""


class SlowClock(SystemClock):
    """A clock that runs at a fraction of the wall's speed from now on."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start, self._started = time.time(), time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, on a slow clock."""
        return self._start + (time.monotonic() - self._started) * self._speed


async def soak(count: int, speed: float, console: Console) -> bool:
    """One soak; whether every bound holds."""
    chance = random.Random(11)  # noqa: S311
    texts = [(post.title, post.selftext) for post in samples() if post.expect.level is Level.NONE]
    texts = [each for each in texts if len(each[1]) < 2_000]
    clock = SlowClock(speed)
    reddit = SandboxReddit(clock, requests_kept=1_000)
    reddit.add_subreddit("testsub")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with SandboxServer(reddit) as server:
            (home / "config.toml").write_text(CONFIG.format(base_url=server.base_url), encoding="utf-8")
            async with Bot(home) as bot:
                process = psutil.Process(bot.pid)
                memory: list[float] = []
                started = clock.now()
                with Progress(console=console) as progress:
                    task = progress.add_task("posting", total=count)
                    posted = 0
                    while posted < count:
                        due = min(count, int((clock.now() - started) * A_SECOND))
                        for number in range(posted, due):
                            crisis = number % ONE_CRISIS_IN == 0
                            title, text = ("goodbye", DESPERATE) if crisis else chance.choice(texts)
                            reddit.submit("testsub", title, text, f"author_{number}", id=f"s{number}")
                        posted = due
                        progress.update(task, completed=posted)
                        if posted >= count * WARM_UP and len(memory) < (time.monotonic() - clock._started) / 2:
                            memory.append(process.memory_info().rss / 2**20)
                        await asyncio.sleep(0.05)
                ended = time.monotonic()
                seconds = ended - clock._started
                judged = 0
                async with Store(home / "nightlight.db") as store:
                    while time.monotonic() - ended < PATIENCE_SECONDS:
                        judged = sum(row["n"] for row in await store.fetch("count_posts_by_level"))
                        alerts = {
                            row["state"]: row["n"]
                            for row in await store.fetch("count_deliveries")
                            if row["kind"] == "alert"
                        }
                        if judged == count and set(alerts) <= {"sent"}:
                            break
                        await asyncio.sleep(0.2)
                    after = time.monotonic() - ended
                    gaps = await store.fetch("gaps")
                memory.append(process.memory_info().rss / 2**20)
        growth = max(memory) - memory[0]
        size = (home / "nightlight.db").stat().st_size / 2**20
    console.print(
        f"{count:,} posts in {seconds:.0f} s on {os.cpu_count()} cores shared with the sandbox: {count / seconds:.0f} "
        f"a second of wall time, {A_SECOND:.0f} of sandbox time (speed {speed:g}).\n"
        f"Judged {judged:,}; backlog zero {after:.1f} s after the last post; {len(gaps)} gaps; alerts {alerts}, "
        f"on the sandbox {len(reddit.conversations)}.\n"
        f"Memory {memory[0]:.0f} MB after warm-up, {max(memory):.0f} MB at most: {growth:+.0f} MB; "
        f"database {size:.0f} MB."
    )
    due = len(range(0, count, ONE_CRISIS_IN))
    exact = judged == count and not gaps and len(reddit.conversations) >= due
    return exact and after < PATIENCE_SECONDS and growth <= GROWTH_MB


def main() -> None:
    """Runs one soak as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of sandbox time in one second")
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(soak(options.count, options.speed, Console())) else 1)


if __name__ == "__main__":
    main()
