"""`make screens`: the moderators' page as the README shows it, with the demo's posts. Needs Debian's chromium."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from bot.config import Config
from bot.demo import samples
from bot.manners import Manners
from bot.review.desk import Desk
from bot.review.pages import Rooms, routes
from bot.store import Store
from bot.web import listener, serving
from models.rules import Rules
from tests.cases import BEN, CATALOGUE, Earlier, SignedIn, file_case

ROOT = Path(__file__).parents[1]
DARK = "--blink-settings=preferredColorScheme=0"
_POSTS, _MINUTES_APART = 60, 7


@dataclass(frozen=True, slots=True)
class Screen:
    """A picture in docs/: of which address, how large, and how the browser is set."""

    name: str
    address: str
    size: str
    flags: tuple[str, ...] = ()


async def main() -> None:
    """Files the first posts of the demo, as if they had come in over the last hours, and takes the pictures."""
    clock, config = Earlier(), Config.model_validate({"replies": {"country": "US"}})
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder) / "screens.db") as store:
            desk = Desk(store, Manners(store, b"k" * 32, config, clock), config, clock)
            classifier = Rules.load()
            for number, post in enumerate(samples()[:_POSTS]):
                clock.ago = (_POSTS - number) * _MINUTES_APART * 60
                more = {"title": post.title, "subreddit": post.subreddit, "config": config}
                await file_case(store, clock, classifier, post.id, post.selftext, **more)
            clock.ago = 0
            await desk.next("mod_anna", BEN.subreddits)
            case = await desk.next(BEN.name, BEN.subreddits)
            assert case is not None
            static = Mount("/static", StaticFiles(directory=ROOT / "bot" / "review" / "static"))
            pages = routes(Rooms(store, desk, config, CATALOGUE, clock))
            listening = listener("127.0.0.1", 0)
            async with serving(SignedIn(Starlette(routes=[static, *pages]), BEN), listening):
                base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                for screen in (
                    Screen("page-queue", "/", "900,1000"),
                    Screen("page-case-phone", f"/case/{case.post.id}", "360,1000"),
                    Screen("page-case-dark", f"/case/{case.post.id}", "900,1000", (DARK,)),
                ):
                    await asyncio.to_thread(take, screen, base_url, folder)


def take(screen: Screen, base_url: str, folder: str) -> None:
    """Has the browser draw one picture."""
    browser: Sequence[str] = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    target = ROOT / "docs" / f"{screen.name}.png"
    settings = (f"--window-size={screen.size}", f"--user-data-dir={folder}/profile", f"--screenshot={target}")
    quiet = ("--disable-background-networking",)
    subprocess.run(
        [*browser, *quiet, *screen.flags, *settings, base_url + screen.address], check=True, capture_output=True
    )


if __name__ == "__main__":
    asyncio.run(main())
