"""The moderators' page for everybody: whatever their eyes, their screen, and the light around them."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.browser.house import Visitor

# A browser on a busy machine may take its time.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

# The criteria of WCAG 2.2 at levels A and AA; the size of targets is looked at only when it is asked for. In the dark
# nothing but the colours is another.
RULES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {
        "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
        "rules": {"target-size": {"enabled": True}},
        "resultTypes": ["violations"],
    },
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]},
}

# What a thumb would miss; a box counts with the words beside it.
SMALL = """
() => [...document.querySelectorAll("button, select, summary, input[type=text], input[type=search], input[type=range], "
    + "input:not([type]), .check")]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44)
  .map((each) => each.outerHTML.slice(0, 100))
"""
SIGN_IN = "/sign-in"
every_page = pytest.mark.parametrize(
    "address",
    [
        "/",
        "/?level=crisis&subreddit=testsub",
        "/search?q=nothing",
        "/aside",
        "/case/c1",
        "/case/c2",
        "/case/s1",
        "/case/u1",
        "/case/c1/reply",
        "/history",
        "/numbers?bound=0.2",
        "/settings",
        "/resources",
        "/health",
        "/care",
        "/sessions",
        "/nothing-here",
        SIGN_IN,
    ],
)


@pytest.fixture
def looking(window: Visitor, outside: Visitor, address: str) -> Visitor:
    """Whoever sees this page: somebody inside, or before the door."""
    return outside if address == SIGN_IN else window


async def unfolded(page: Page, address: str) -> None:
    """The page with what is folded up on it opened; of a long list of the same, the first few."""
    await page.goto(address)
    await page.evaluate("for (const each of [...document.querySelectorAll('details')].slice(0, 6)) each.open = true")


@every_page
async def test_axe_finds_nothing_against_wcag(looking: Visitor, address: str) -> None:
    """No violation of WCAG 2.2 AA that a program can find, by day and by night."""
    await looking.page.set_viewport_size({"width": 1280, "height": 800})
    await unfolded(looking.page, address)
    for light, rules in RULES.items():
        await looking.page.emulate_media(color_scheme=light)
        found = await Axe().run(looking.page, options=rules)
        assert found.violations_count == 0, f"{light}: {found.generate_report()}"


@every_page
async def test_nothing_is_scrolled_sideways_on_a_small_telephone(looking: Visitor, address: str) -> None:
    """At 320 pixels no page is wider than the screen."""
    await looking.page.set_viewport_size({"width": 320, "height": 700})
    await unfolded(looking.page, address)
    assert await looking.page.evaluate("document.documentElement.scrollWidth") == 320


@every_page
async def test_a_page_complains_of_nothing_and_asks_nobody_else(looking: Visitor, address: str) -> None:
    """No error of a script or of the policy in the console, and no request to another host."""
    looking.complaints.clear()
    await unfolded(looking.page, address)
    await looking.page.wait_for_load_state()
    assert looking.complaints == []


async def test_the_slider_says_what_it_stands_for_while_it_is_moved(window: Visitor) -> None:
    """By hand or by arrow keys, before anything is sent; and what it says is what the server would say."""
    page = window.page
    await page.goto("/numbers")
    for key in ("End", "Home", "ArrowRight"):
        await page.get_by_role("slider").press(key)
    told = await page.locator("output").inner_text()
    assert told.startswith("From 0.02 on: ")
    await page.get_by_role("button", name="Show").click()
    assert (await page.locator("output").inner_text()).startswith(told)


@every_page
async def test_every_button_and_field_is_as_large_as_a_thumb(looking: Visitor, address: str) -> None:
    """44 pixels high, the words beside a box included, on a telephone."""
    await looking.page.set_viewport_size({"width": 320, "height": 700})
    await unfolded(looking.page, address)
    assert await looking.page.evaluate(SMALL) == []
