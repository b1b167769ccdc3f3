"""The moderators' page on loopback as it is really served, and somebody who looks at it with a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request

from bot.config import Config
from bot.demo import samples
from bot.demo.show import demo_secrets
from bot.manners import Manners
from bot.outbox import Outbox
from bot.review.desk import Desk, Why
from bot.review.frame import Frame
from bot.review.pages import Rooms, routes
from bot.review.sessions import Links
from bot.store import Store
from models.labels import Level
from models.rules import Rules
from tests.cases import CATALOGUE, Earlier, file_case
from tests.conftest import KeywordClassifier
from tests.review import serving

TEAM = "testsub"
_DAY, _SAMPLES = 86_400.0, 24


@dataclass(frozen=True, slots=True)
class House:
    """The page at `base_url`, with the real door, and what stands behind it."""

    base_url: str
    store: Store
    desk: Desk
    manners: Manners
    clock: Earlier
    config: Config

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[House]:
        """Serves it until the context ends. Whoever comes in by a link owns both communities."""
        config = Config.model_validate(
            {
                "reddit": {"subreddits": [TEAM, "quietcorner"]},
                "replies": {"country": "US"},
                "review": {"port": 0, "sign_in": "link"},
            }
        )
        clock, secrets = Earlier(), demo_secrets()
        async with Store(path) as store:
            manners = Manners(store, b"k" * 32, config, clock)
            desk = Desk(store, manners, config, clock)
            rooms = Rooms(store, desk, config, CATALOGUE, clock)
            async with serving(config, secrets, store, routes(rooms), clock, Frame(rooms).page) as link:
                parts = urlsplit(link)
                yield cls(f"{parts.scheme}://{parts.netloc}", store, desk, manners, clock, config)

    async def link(self, name: str) -> str:
        """A link that signs this person in, once."""
        return f"{self.base_url}/sign-in/link/{await Links(self.store, self.clock).make(name)}"

    async def file(self, id: str, text: str = "ideation", **more: Any) -> None:
        """A case at the level that the word in its text says."""
        more = {"config": self.config, **more}
        await file_case(self.store, self.clock, more.pop("classifier", None) or KeywordClassifier(), id, text, **more)


async def fill(house: House) -> None:
    """Cases of every level and age, in hand, passed on, closed and marked, and everything that can go wrong once."""
    rules, desk = Rules.load(), house.desk
    for number, post in enumerate(samples()[:_SAMPLES]):
        house.clock.ago = (_SAMPLES - number) * _DAY / 2
        await house.file(f"s{number}", post.selftext, title=post.title, subreddit=TEAM, classifier=rules)
    house.clock.ago = 7200
    for id, text in (("c1", "attempt"), ("u1", "severe"), ("w1", "struggle"), ("x1", "poison"), ("n1", "a cake")):
        await house.file(id, text)
    for id in ("c2", "c3", "c4", "c5"):
        await house.file(id, "attempt", subreddit="quietcorner")
    outbox = Outbox(house.store, house.clock)
    await outbox.bury(await outbox.claim(house.manners), "403 Forbidden")
    now = house.clock.now()
    await house.store.execute("add_gap", {"subreddit": TEAM, "from_utc": now - 900, "until_utc": now, "now": now})
    house.clock.ago = 0
    await desk.claim("c2", "mod_ben")
    await desk.escalate("c3", "mod_ben", "I know this person")
    await desk.dismiss("u1", "mod_ben", Why.FALSE_ALARM, "a song")
    await desk.mark("u1", "mod_ben", Level.NONE)
    await desk.mark("c4", "mod_ben", Level.CRISIS)
    await desk.claim("c1", "mod_anna")
    await desk.dismiss("c5", "mod_anna", Why.ANSWERED)


@dataclass
class Visitor:
    """A browser window; `complaints` is what it said, ran or asked for that it should not have."""

    page: Page
    base_url: str
    complaints: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def into(cls, browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Visitor]:
        """A new window that knows nobody."""
        async with await browser.new_context(base_url=base_url, **options) as context:
            context.set_default_timeout(20_000)
            visitor = cls(await context.new_page(), base_url)
            context.on("request", visitor._hear_of_request)
            context.on("console", visitor._hear_of_message)
            context.on("weberror", lambda error: visitor.complaints.append(f"a script failed: {error.error}"))
            context.on("dialog", visitor._hear_of_dialog)
            visitor.page.on("popup", lambda page: visitor.complaints.append(f"a window opened: {page.url}"))
            visitor.page.on("download", lambda download: visitor.complaints.append(f"a download: {download.url}"))
            yield visitor

    def _hear_of_request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.base_url}/"):
            self.complaints.append(f"asked for {request.url[:100]}")

    def _hear_of_message(self, message: ConsoleMessage) -> None:
        # That a page itself is a 404 is for a test to say.
        about_itself = "Failed to load resource" in message.text and message.location["url"] == self.page.url
        if message.type in ("error", "warning", "assert") and not about_itself:
            self.complaints.append(f"{message.type} on {self.page.url}: {message.text[:300]}")

    async def _hear_of_dialog(self, dialog: Any) -> None:
        self.complaints.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()
