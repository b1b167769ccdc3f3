"""`make bench`, second part: the moderators' page with 10,000 open cases, while the live loop judges posts.

The real process with the real door; readers, whoever clicks and the sandbox share this machine's cores with it. Exit
code 1 when a page is slower than promised, or an alert with readers there. Needs otherwise idle cores to say anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx2
import numpy as np

from bot.clock import SystemClock
from bot.review.app import new_link
from bot.review.desk import LEVELS
from bot.review.sessions import Links
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import SandboxReddit
from bot.store import Store
from tests.cases import file_case
from tests.conftest import CAKE, DESPERATE, KeywordClassifier
from tests.faults.harness import CONFIG, Bot
from tests.faults.test_latency import BOUND_SECONDS, POLL_SECONDS

MOST_SECONDS = 0.1
# Ten pages a second are more than a team of volunteers asks for, and leave time to the rest of the machine.
_PAUSE_SECONDS = 0.1
ADDRESSES = ("/", "/?level=watch&page=40", "/?mine=1", "/case/p1")
PAGE = """\
[review]
enabled = true
port = {port}
sign_in = "link"
"""


async def measure(cases: int, requests: int, readers: int, crises: int) -> bool:
    """Prints how long a page takes, and how long after a crisis is visible its alert is stored; whether both hold."""
    clock = SystemClock()
    reddit = SandboxReddit(clock, requests_kept=1_000)
    reddit.add_subreddit("testsub")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
        home, port = Path(folder), free_port()
        async with SandboxServer(reddit) as server, Store(home / "nightlight.db") as store:
            await fill(store, clock, cases)
            text = CONFIG.format(base_url=server.base_url, auto="[]") + PAGE.format(port=port)
            (home / "config.toml").write_text(text, encoding="utf-8")
            async with Bot(home) as bot:
                await bot.judged(reddit.submit("testsub", "the first", CAKE, "a_baker"))
                alone = await stored_after(store, await post(reddit, crises))
                print(f"an alert is stored, nobody reading: {told(alone)}")
                base_url = f"http://127.0.0.1:{port}"
                cookie = await sign_in(await new_link(Links(store, clock), base_url))
                visits = asyncio.get_running_loop().run_in_executor(
                    elsewhere, visit, base_url, cookie, requests, readers
                )
                beside = await stored_after(store, await post(reddit, crises))
                taken = await visits
    print(f"an alert is stored, {readers} reading:    {told(beside)}, of which {POLL_SECONDS} s between two looks")
    for address, seconds in taken.items():
        print(f"{address:24} {cases:,} open cases: {told(seconds)}")
    return late(beside) < BOUND_SECONDS and all(late(seconds) < MOST_SECONDS for seconds in taken.values())


async def fill(store: Store, clock: SystemClock, cases: int) -> None:
    """So many open cases at every level, and one with a reply."""
    await file_case(store, clock, KeywordClassifier(), "p1")
    (row,) = await store.fetch("get_post", {"id": "p1"})
    facts = {key: row[key] for key in row.keys() if key != "id"}  # noqa: SIM118 - a row is no mapping
    facts |= {"now": clock.now(), "reasons": json.dumps([{"code": "c", "words": "a reason"}])}
    rows = [{**facts, "id": f"b{number}", "level": LEVELS[number % len(LEVELS)]} for number in range(cases)]
    async with store.transaction():
        await store.execute_each("add_post", rows)


async def post(reddit: SandboxReddit, crises: int) -> dict[str, float]:
    """When each of so many crises became visible: at random moments, five a second, among other posts."""
    chance = random.Random(7)  # noqa: S311
    visible = {}
    for number in range(crises):
        await asyncio.sleep(chance.expovariate(5.0))
        id = reddit.submit("testsub", f"crisis {number}", DESPERATE, f"somebody_{number}")
        visible[id] = reddit.submissions[id].created_utc
        for other in range(chance.randint(0, 2)):
            reddit.submit("testsub", f"cake {number} {other}", CAKE, "a_baker")
    await asyncio.sleep(2)
    return visible


async def stored_after(store: Store, visible: dict[str, float]) -> list[float]:
    """Seconds from then until each alert was stored."""
    rows = await store.fetch("find_deliveries", {"state": None})
    stored = {row["post_id"]: row["created_utc"] for row in rows if row["kind"] == "alert"}
    return [stored[id] - at for id, at in visible.items()]


async def sign_in(link: str) -> str:
    """The cookie of whoever follows the link."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        await client.get(link)
        return f"nightlight={client.cookies['nightlight']}"


def visit(base_url: str, cookie: str, requests: int, readers: int) -> dict[str, list[float]]:
    """Seconds of so many requests for each page, ten a second, while readers listen; in a process of its own."""
    return asyncio.run(_visit(base_url, cookie, requests, readers))


async def _visit(base_url: str, cookie: str, requests: int, readers: int) -> dict[str, list[float]]:
    async with httpx2.AsyncClient(
        base_url=base_url,
        headers={"cookie": cookie},
        trust_env=False,
        limits=httpx2.Limits(max_connections=readers + 4),
        timeout=120,
    ) as client:
        reading = [asyncio.create_task(_read(client)) for _ in range(readers)]
        await asyncio.sleep(3)
        taken: dict[str, list[float]] = {address: [] for address in ADDRESSES}
        for _ in range(requests):
            for address, seconds in taken.items():
                start = time.perf_counter()
                answer = await client.get(address)
                seconds.append(time.perf_counter() - start)
                assert answer.status_code == 200
                await asyncio.sleep(_PAUSE_SECONDS)
        assert not any(each.done() for each in reading)
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    return taken


async def _read(client: httpx2.AsyncClient) -> None:
    """Listens for changes as a browser does: when a stream ends, it begins the next."""
    while True:
        answer = await client.get("/events", headers={"accept": "text/event-stream"})
        assert "event: waiting" in answer.text
        await asyncio.sleep(3)


def late(seconds: list[float]) -> float:
    """The 99th percentile."""
    return float(np.quantile(seconds, 0.99))


def told(seconds: list[float]) -> str:
    """The median and the 99th percentile in words."""
    return f"median {1000 * float(np.median(seconds)):.1f} ms, p99 {1000 * late(seconds):.1f} ms"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def main() -> None:
    """One measurement as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=100, help="for each page")
    parser.add_argument("--readers", type=int, default=200, help="browsers that listen for changes meanwhile")
    parser.add_argument("--crises", type=int, default=120, help="without readers, and again with them")
    options = parser.parse_args()
    raise SystemExit(not asyncio.run(measure(options.cases, options.requests, options.readers, options.crises)))


if __name__ == "__main__":
    main()
