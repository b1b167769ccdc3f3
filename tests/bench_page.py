"""`python -m tests.bench_page`: how fast the queue answers with 10,000 open cases. Needs idle cores to say anything."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import httpx2
import numpy as np
from starlette.applications import Starlette

from bot.clock import SystemClock
from bot.config import Config
from bot.manners import Manners
from bot.review.desk import LEVELS, Desk
from bot.review.pages import Rooms, routes
from bot.store import Store
from bot.web import listener, serving
from tests.cases import ANNA, CATALOGUE, SignedIn, file_case
from tests.conftest import KeywordClassifier

MOST_SECONDS = 0.1
ADDRESSES = ("/", "/?level=watch&page=40", "/?mine=1", "/case/p1")


async def measure(cases: int, requests: int, readers: int) -> bool:
    """Prints how long each page takes over HTTP, while readers listen for changes; whether all are fast enough."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder) / "bench.db") as store:
            await fill(store, clock, cases)
            desk = Desk(store, Manners(store, b"k" * 32, Config(), clock), Config(), clock)
            rooms = Rooms(store, desk, Config(), CATALOGUE, clock)
            app = SignedIn(Starlette(routes=routes(rooms)), ANNA)
            listening = listener("127.0.0.1", 0)
            base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            limits = httpx2.Limits(max_connections=readers + 4)
            async with (
                serving(app, listening),
                httpx2.AsyncClient(base_url=base_url, trust_env=False, limits=limits, timeout=60) as client,
            ):
                watching = [asyncio.create_task(client.get("/events")) for _ in range(readers)]
                slowest = [await timed(client, address, requests, cases) for address in ADDRESSES]
                for each in watching:
                    each.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
    return max(slowest) < MOST_SECONDS


async def fill(store: Store, clock: SystemClock, cases: int) -> None:
    """So many open cases at every level, and one with a reply."""
    await file_case(store, clock, KeywordClassifier(), "p1")
    (row,) = await store.fetch("get_post", {"id": "p1"})
    facts = {key: row[key] for key in row.keys() if key != "id"}  # noqa: SIM118 - a row is no mapping
    facts |= {"now": clock.now(), "reasons": json.dumps([{"code": "c", "words": "a reason"}])}
    rows = [{**facts, "id": f"b{number}", "level": LEVELS[number % len(LEVELS)]} for number in range(cases)]
    async with store.transaction():
        await store.execute_each("add_post", rows)


async def timed(client: httpx2.AsyncClient, address: str, requests: int, cases: int) -> float:
    """The 99th percentile of seconds from request to answer, printed with the median."""
    taken = []
    for _ in range(requests):
        start = time.perf_counter()
        answer = await client.get(address)
        taken.append(time.perf_counter() - start)
        assert answer.status_code == 200
    half, most = (1000 * float(each) for each in np.quantile(taken, (0.5, 0.99)))
    print(f"{address:24} {cases:,} open cases: median {half:.1f} ms, p99 {most:.1f} ms")
    return most / 1000


def main() -> None:
    """Exit code 1 when a page is slower than promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--readers", type=int, default=200, help="browsers that listen for changes meanwhile")
    arguments = parser.parse_args()
    raise SystemExit(not asyncio.run(measure(arguments.cases, arguments.requests, arguments.readers)))


if __name__ == "__main__":
    main()
