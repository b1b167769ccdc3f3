"""`make screens`: the moderators' page as the README shows it, with the demo's posts. Needs Debian's chromium."""

from __future__ import annotations

import asyncio
import io
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Page, async_playwright
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from bot.config import Config
from bot.demo import Sample, samples
from bot.manners import Manners
from bot.review.desk import Desk, Why
from bot.review.pages import Rooms, routes
from bot.store import Store
from bot.web import listener, serving
from models.labels import Level
from models.rules import Rules
from tests.cases import BEN, CATALOGUE, Earlier, SignedIn, file_case

ROOT = Path(__file__).parents[1]
LOOKS: Mapping[str, dict[str, Any]] = {
    "": {"viewport": {"width": 900, "height": 1000}},
    "-phone": {"viewport": {"width": 360, "height": 1000}},
    "-dark": {"viewport": {"width": 900, "height": 1000}, "color_scheme": "dark"},
}
_POSTS, _MINUTES_APART = 60, 7
_EARLIER, _HOURS_APART = 150, 4.4
_COLOURS = 128


async def main() -> None:
    """Files posts of the demo, as if they had come in over the last hours and weeks, and takes the pictures."""
    clock, config = Earlier(), Config.model_validate({"replies": {"country": "US"}, "deliver": {"dry_run": False}})
    with tempfile.TemporaryDirectory() as folder:
        async with Store(Path(folder) / "screens.db") as store:
            desk = Desk(store, Manners(store, b"k" * 32, config, clock), config, clock)
            classifier = Rules.load()

            async def file(post: Sample) -> None:
                more = {"title": post.title, "subreddit": post.subreddit, "config": config}
                await file_case(store, clock, classifier, post.id, post.selftext, **more)

            lately, earlier = samples()[:_POSTS], samples()[_POSTS : _POSTS + _EARLIER]
            for number, post in enumerate(earlier):
                clock.ago = (_EARLIER - number) * _HOURS_APART * 3600
                await file(post)
                case = await desk.case(post.id)
                if case.level is not Level.NONE:
                    clock.ago -= 600 + 60 * (number % 40)
                    why, level = (Why.FALSE_ALARM, Level.NONE) if number % 5 == 0 else (Why.ANSWERED, case.level)
                    await desk.dismiss(post.id, "mod_anna", why, level=level)
            for number, post in enumerate(lately):
                clock.ago = (_POSTS - number) * _MINUTES_APART * 60
                await file(post)
            clock.ago = 0
            await desk.next("mod_anna", BEN.subreddits)
            case = await desk.next(BEN.name, BEN.subreddits)
            assert case is not None
            static = Mount("/static", StaticFiles(directory=ROOT / "bot" / "review" / "static"))
            pages = routes(Rooms(store, desk, config, CATALOGUE, clock))
            listening = listener("127.0.0.1", 0)
            async with serving(SignedIn(Starlette(routes=[static, *pages]), BEN), listening):
                base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                async with async_playwright() as playwright:
                    path = shutil.which("chromium")
                    browser = await playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
                    for page, address in (("queue", "/"), ("case", f"/case/{case.post.id}"), ("numbers", "/numbers")):
                        for name, options in LOOKS.items():
                            context = await browser.new_context(base_url=base_url, **options)
                            await take(await context.new_page(), address, ROOT / "docs" / f"page-{page}{name}.png")
                            await context.close()
                    await browser.close()


async def take(page: Page, address: str, target: Path) -> None:
    """One picture in docs/, of few colours, so that the repository stays small."""
    await page.goto(address)
    await page.evaluate("for (const each of document.images) each.loading = 'eager'")
    await page.wait_for_function("[...document.images].every((each) => each.complete && each.naturalWidth)")
    taken = await page.screenshot()
    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(target, optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
