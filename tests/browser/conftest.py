"""A real browser: Debian's chromium, driven by Playwright; and the moderators' page as it is served."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.house import House, Visitor, fill

Visit = Callable[..., Awaitable[Visitor]]

NEEDED = ("CI", "NIGHTLIGHT_NEEDS_BROWSER")
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing but the page under test is asked for anything.
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser, started once. Without one the tests are skipped, but never where `NEEDED` says there must be one."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        words = f"there is no {', '.join(_NAMES)} on this machine; on Debian: apt-get install chromium"
        (pytest.fail if any(map(os.environ.get, NEEDED)) else pytest.skip)(words)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A page on which everything that can be shown is shown. Tests only look at it."""
    async with House.open(tmp_path_factory.mktemp("town") / "town.db") as town:
        await fill(town)
        yield town


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def window(chromium: Browser, town: House) -> AsyncIterator[Visitor]:
    """A window on the town, in which somebody is signed in."""
    async with Visitor.into(chromium, town.base_url) as window:
        await window.page.goto(await town.link("mod_anna"))
        yield window


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def outside(chromium: Browser, town: House) -> AsyncIterator[Visitor]:
    """A window on the town, in which nobody is."""
    async with Visitor.into(chromium, town.base_url) as outside:
        yield outside


@pytest_asyncio.fixture(loop_scope="session")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A page of the test's own, with nothing on it yet."""
    async with House.open(tmp_path / "house.db") as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: Browser) -> AsyncIterator[Visit]:
    """Signs in by a link, in a browser window of its own.

    When the test is over, no page may have complained, run anything of a stranger's, or asked another host.
    """
    async with AsyncExitStack() as windows:
        visitors = []

        async def visit(house: House, name: str = "mod_anna", **options: object) -> Visitor:
            visitor = await windows.enter_async_context(Visitor.into(chromium, house.base_url, **options))
            await visitor.page.goto(await house.link(name))
            visitors.append(visitor)
            return visitor

        yield visit
        assert [each for visitor in visitors for each in visitor.complaints] == []
