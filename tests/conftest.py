"""What every test may use: a clock that only tests move, a Reddit on loopback, and a store in a file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from bot.config import Config, Secrets
from bot.demo.show import demo_secrets
from bot.keeper import Keeper
from bot.manners import Manners
from bot.outbox import Outbox
from bot.reddit import Gateway
from bot.review.desk import Desk
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import CLIENT_ID, CLIENT_SECRET, PASSWORD, USERNAME, SandboxReddit
from bot.store import Store
from models.assessment import Assessment, Evidence, Ordinal
from models.document import Document
from models.labels import Disorder, Risk, Severity

# Nothing is timed by accident: the machine may have other work.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC

# Invented, like every post in this project.
DESPERATE = "I have decided. I am going to kill myself tonight, I wrote the notes already. I wanted to say goodbye."
CAKE = "My first carrot cake came out a little dry, would more oil help or should I bake it shorter?"
NEVER_LOGGED = "xylophonist"

# What the sandbox accepts, as the command takes it from its environment.
CREDENTIALS = {
    "NIGHTLIGHT_REDDIT_CLIENT_ID": CLIENT_ID,
    "NIGHTLIGHT_REDDIT_CLIENT_SECRET": CLIENT_SECRET,
    "NIGHTLIGHT_REDDIT_USERNAME": USERNAME,
    "NIGHTLIGHT_REDDIT_PASSWORD": PASSWORD,
}


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A command that a test ran inside this process leaves its log on a stream that is closed by then."""
    yield
    structlog.reset_defaults()
    logging.basicConfig(force=True)


class HandClock:
    """A clock that moves only when it is told to, or when somebody waits."""

    def __init__(self, now: float = NOON) -> None:
        self._now = now
        self._passed = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that passed; setting the clock leaves them alone."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += seconds
        self._passed += seconds

    def set(self, now: float) -> None:
        """Sets the hands, as somebody does whose clock was wrong."""
        self._now = now

    async def sleep(self, seconds: float) -> None:
        """Moves the hands at once, and lets other tasks run."""
        self.advance(seconds)
        await asyncio.sleep(0)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Moves the hands at once, and lets other tasks run; a wait of more than a minute is for others to end."""
        if seconds <= 60:
            if not event.is_set():
                await self.sleep(seconds)
            return event.is_set()
        over = self._passed + seconds
        while not event.is_set() and self._passed < over:  # noqa: ASYNC110 - time itself is what is waited for
            await asyncio.sleep(0.002)
        return event.is_set()


class KeywordClassifier:
    """Judges by one word, so that a test can say what a post is worth: `attempt`, `ideation`, `indicator`, `severe`."""

    def __init__(self) -> None:
        self.seen: list[str] = []  # titles, as they were judged
        self.stored: list[str] = []  # titles, for a test to note what came after

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """One assessment a document; `poison` in a text raises."""
        return [self._assess(document) for document in documents]

    def _assess(self, document: Document) -> Assessment:
        if "poison" in document.text:
            raise RuntimeError("this post cannot be read")
        self.seen.append(document.title)
        risk = next((level for level in sorted(Risk, reverse=True) if level in document.text), Risk.NONE)
        severity = Severity.SEVERE if "severe" in document.text else Severity.MINIMAL
        moderate = Severity.MODERATE if "struggle" in document.text else severity
        return Assessment(
            relevance=0.0 if risk is Risk.NONE and moderate is Severity.MINIMAL else 1.0,
            disorders=dict.fromkeys(Disorder, 0.0),
            severity=Ordinal({level: float(level is moderate) for level in Severity}),
            risk=Ordinal({level: float(level is risk) for level in Risk}),
            evidence=(Evidence(0, len(document.text), risk, "rules", "a test word"),) if risk is not Risk.NONE else (),
            versions={"keyword": "1"},
        )


@pytest.fixture
def clock() -> HandClock:
    """A clock at noon of the first day of 2026."""
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A new database file."""
    async with Store(tmp_path / "test.db") as store:
        yield store


@pytest.fixture
def secrets() -> Secrets:
    """What the sandbox accepts."""
    return demo_secrets()


@pytest.fixture
def reddit(clock: HandClock) -> SandboxReddit:
    """A pretend Reddit with one subreddit that the bot moderates."""
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("testsub")
    return reddit


@pytest.fixture
async def server(reddit: SandboxReddit) -> AsyncIterator[SandboxServer]:
    """The pretend Reddit on loopback."""
    async with SandboxServer(reddit) as server:
        yield server


@pytest.fixture
def config(server: SandboxServer, tmp_path: Path) -> Config:
    """A live set-up against the sandbox: sends for real, everything else at its default."""
    return Config.model_validate(
        {
            "reddit": {"base_url": server.base_url, "subreddits": ["testsub"], "poll_seconds": 1},
            "store": {"path": tmp_path / "nightlight.db"},
            "deliver": {"dry_run": False},
            "health": {"port": 0},
        }
    )


@pytest.fixture
async def gateway(config: Config, secrets: Secrets, clock: HandClock) -> AsyncIterator[Gateway]:
    """The real client, signed in to the sandbox."""
    async with Gateway.open(config, secrets, clock) as gateway:
        yield gateway


@pytest.fixture
def outbox(store: Store, clock: HandClock) -> Outbox:
    """An empty outbox."""
    return Outbox(store, clock)


@pytest.fixture
def manners(store: Store, clock: HandClock) -> Manners:
    """Courtesy with every setting at its default."""
    return Manners(store, b"k" * 32, Config.model_validate({"deliver": {"dry_run": False}}), clock)


@pytest.fixture
def desk(store: Store, manners: Manners, clock: HandClock) -> Desk:
    """The desk over that store, with every setting at its default."""
    return Desk(store, manners, Config(), clock)


@pytest.fixture
def keeper(store: Store, manners: Manners, clock: HandClock) -> Keeper:
    """The keeper of that store."""
    return Keeper(store, manners, Config(), clock)
