"""The real process against the sandbox, with faults and kill -9 drawn from a seed; and what must hold afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bot.clock import SystemClock
from bot.config import Config, load
from bot.errors import UsageError
from bot.manners import Manners, key_path, load_key
from bot.review.desk import Desk
from bot.sandbox.faults import KINDS, RandomFaults
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import Fault, SandboxReddit
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, ReviewAction
from tests.conftest import CAKE, CREDENTIALS, DESPERATE, NEVER_LOGGED

CONFIG = """\
[reddit]
base_url = "{base_url}"
subreddits = ["testsub"]
poll_seconds = 0.5
timeout_seconds = 2
requests_per_minute = 6000
[deliver]
dry_run = false
[replies]
auto = {auto}
daily_cap = 1000
[health]
port = 0
"""

_LONGEST_CALM_SECONDS = 90.0


@dataclass
class Run:
    """One seeded run: what was done to the process, and what was found wrong afterwards."""

    seed: int
    folder: Path
    crises: set[str] = field(default_factory=set)
    cakes: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    approved: set[str] = field(default_factory=set)
    dismissed: set[str] = field(default_factory=set)
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def auto(self) -> bool:
        """Whether crisis replies go out without a person."""
        return self.seed % 2 == 0


async def perform(seed: int, folder: Path) -> Run:
    """One whole run. Everything random in it comes from the seed; only time does not."""
    run, chance = Run(seed, folder), random.Random(seed)  # noqa: S311
    reddit = SandboxReddit(SystemClock())
    reddit.add_subreddit("testsub")
    weather = _Weather(seed, chance)
    reddit.faults = weather
    async with SandboxServer(reddit) as server:
        text = CONFIG.format(base_url=server.base_url, auto='["crisis"]' if run.auto else "[]")
        (folder / "config.toml").write_text(text, encoding="utf-8")
        async with Bot(folder) as bot:
            posting = asyncio.create_task(_post(run, reddit, chance))
            for _ in range(chance.randint(3, 5)):
                if chance.random() < 0.8:
                    await bot.at_work()  # else it may die while it starts
                await weather.ambush(chance.uniform(0.3, 3.5))
                await bot.kill()
                run.kills += 1
                await bot.start()
            await posting
            config = load(folder / "config.toml")
            await _review(run, config, chance)
            await bot.at_work()
            await weather.ambush(chance.uniform(0.0, 3.0))
            await bot.kill()
            run.kills += 1
            await bot.start()
            await bot.at_work()
            await asyncio.sleep(chance.uniform(0.0, 3.0))
            reddit.faults = None
            await _calm(run, config, bot)
            await bot.stop(run)
        run.faults = weather.struck
        await _judge(run, config, reddit)
    return run


class _Weather:
    """Faults on reads now and then, on every other write; and now and then a write at which to kill the process."""

    def __init__(self, seed: int, chance: random.Random) -> None:
        self._reads = RandomFaults(seed, rate=chance.uniform(0.1, 0.4), kinds=KINDS)
        self._writes = RandomFaults(seed + 1, rate=0.5, kinds=KINDS)
        self._chance = random.Random(seed + 2)  # noqa: S311
        self._writing = asyncio.Event()

    def __call__(self, method: str, path: str) -> Fault | None:
        """The hook that the sandbox asks about every request."""
        if method != "POST" or path.endswith("/access_token"):
            return self._reads(method, path)
        if self._chance.random() < 0.3:
            self._writing.set()
        return self._writes(method, path)

    @property
    def struck(self) -> Counter[str]:
        """How often each kind of fault struck; those of writes by a name of their own."""
        return self._reads.struck + Counter({f"write {kind}": n for kind, n in self._writes.struck.items()})

    async def ambush(self, seconds: float) -> None:
        """Waits so long, or until just before, in or after some write."""
        self._writing.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._writing.wait(), seconds)
            await asyncio.sleep(self._chance.uniform(0.0, 0.02))


class Bot:
    """`nightlight run` in a folder; its log is kept over all its lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Process | None = None
        self._log = folder / "log.jsonl"
        self._begun = 0  # lives before this one that came as far as watching

    async def __aenter__(self) -> Bot:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._begun = self._log.read_text(encoding="utf-8").count('"run.started"')
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run"), cwd=self._folder, env={**os.environ, **CREDENTIALS}, stderr=log
            )

    @property
    def pid(self) -> int:
        """The process as it runs now."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def judged(self, post_id: str) -> None:
        """Waits until a post is judged."""
        await self._logged(f'"post_id": "{post_id}"', 1)

    async def at_work(self) -> None:
        """Waits until this life of it watches."""
        await self._logged('"run.started"', self._begun + 1)

    async def _logged(self, words: str, times: int) -> None:
        for _ in range(600):
            if self._log.read_text(encoding="utf-8").count(words) >= times or not self.alive:
                return
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def stop(self, run: Run) -> None:
        """Ends it as a person would."""
        assert self._process is not None
        if not self.alive:
            run.wrong.append(f"the process ended by itself with {self._process.returncode}")
            return
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self._process.wait(), 30)
        if code != 0:
            run.wrong.append(f"stopped with exit code {code}")


async def _post(run: Run, reddit: SandboxReddit, chance: random.Random) -> None:
    """Strangers write, and some take back what they wrote."""
    for number in range(chance.randint(15, 30)):
        crisis = chance.random() < 0.5
        text = f"{DESPERATE if crisis else CAKE} {NEVER_LOGGED}"
        id = reddit.submit("testsub", f"{NEVER_LOGGED} {number}", text, f"{NEVER_LOGGED}_{number}")
        (run.crises if crisis else run.cakes).add(id)
        if chance.random() < 0.1:
            reddit.delete_by_author(id)
            run.deleted.add(id)
        await asyncio.sleep(chance.uniform(0.0, 0.5))


async def _review(run: Run, config: Config, chance: random.Random) -> None:
    """Moderators approve half of what waits and dismiss a quarter, while the bot runs."""
    async with Store(config.store.path) as store:
        manners = Manners(store, load_key(key_path(config.store.path)), config, SystemClock())
        desk = Desk(store, manners, config, SystemClock())
        for case in await desk.waiting():
            word = chance.choice([ReviewAction.APPROVED, ReviewAction.APPROVED, ReviewAction.DISMISSED, None])
            if word is None:
                continue
            try:
                act = desk.approve if word is ReviewAction.APPROVED else desk.dismiss
                await act(case.post.id, "mod_anna")
            except UsageError:
                continue  # its author took the post back in the meantime
            (run.approved if word is ReviewAction.APPROVED else run.dismissed).add(case.post.id)


async def _calm(run: Run, config: Config, bot: Bot) -> None:
    """Waits until every post is judged and nothing waits to be sent."""
    visible = (run.crises | run.cakes) - run.deleted
    async with Store(config.store.path) as store:
        for _ in range(int(_LONGEST_CALM_SECONDS * 5)):
            judged = {row["id"] for row in await store.fetch("known_posts", {"ids": json.dumps(sorted(visible))})}
            waiting = await store.fetch("count_inbox")
            busy = [
                row
                for row in await store.fetch("find_deliveries", {"state": None})
                if row["state"] in ("pending", "sending") and row["kind"] != DeliveryKind.DIGEST
            ]
            if judged == visible and waiting[0]["n"] == 0 and not busy:
                return
            if not bot.alive:
                return
            await asyncio.sleep(0.2)
    run.wrong.append(
        f"not calm after {_LONGEST_CALM_SECONDS:.0f} s: {len(visible - judged)} unjudged, {len(busy)} unsent"
    )


async def _judge(run: Run, config: Config, reddit: SandboxReddit) -> None:
    """Everything promised, held against what stands on the sandbox and in the store."""
    alerts = Counter(
        id for c in reddit.conversations for id in run.crises | run.cakes if c.subject.endswith(f"(t3_{id})")
    )
    replies = Counter(comment.submission.id for comment in reddit.comments.values())
    async with Store(config.store.path) as store:
        posts = {row["id"]: row["level"] for row in await store.fetch("every_post")}
        rows = await store.fetch("find_deliveries", {"state": None})
    states = {(row["post_id"], row["kind"]): row["state"] for row in rows}
    for id in run.crises - run.deleted:
        _expect(run, posts.get(id) == "crisis", f"{id}: judged {posts.get(id)}")
        _expect(run, alerts[id] == 1, f"{id}: {alerts[id]} alerts")
        held = not run.auto and id not in run.approved
        _expect(run, replies[id] == (0 if held else 1), f"{id}: {replies[id]} replies, held {held}")
    for id in run.deleted:
        _expect(run, alerts[id] <= 1 and replies[id] <= 1, f"{id}: {alerts[id]} alerts, {replies[id]} replies, deleted")
    for id in run.cakes - run.deleted:
        _expect(run, posts.get(id) == "none", f"{id}: judged {posts.get(id)}")
        _expect(run, alerts[id] == 0 and replies[id] == 0, f"{id}: a cake was answered")
    for id in run.dismissed:
        _expect(run, replies[id] == 0, f"{id}: a dismissed reply was posted")
        _expect(run, states[id, DeliveryKind.REPLY] == DeliveryState.DISMISSED, f"{id}: {states[id, 'reply']}")
    strays = len(reddit.conversations) - alerts.total()
    _expect(run, strays == 0, f"{strays} conversations about no post")
    log = (run.folder / "log.jsonl").read_text(encoding="utf-8")
    judged = Counter(json.loads(line)["post_id"] for line in log.splitlines() if '"post.judged"' in line)
    _expect(run, all(count == 1 for count in judged.values()), "a post was judged twice")
    _expect(run, NEVER_LOGGED not in log, "the log speaks of a post or an author")
    _expect(run, "Traceback" not in log, "a traceback in the log")


def _expect(run: Run, holds: bool, otherwise: str) -> None:
    if not holds:
        run.wrong.append(otherwise)
