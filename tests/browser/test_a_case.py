"""A case from its arrival to its end, by whoever has only a keyboard, no JavaScript, or little strength tonight."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from bot.review.desk import Why
from bot.review.sessions import Sessions
from bot.types import DeliveryKind, DeliveryState
from tests.browser.conftest import Visit
from tests.browser.house import House

# A browser on a busy machine may take its time.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

# Elements in the order in which they stand, as far as Tab stops at them: of radio buttons at one of each group.
STOPS = """
() => {
  const kinds = "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']";
  const radios = new Set();
  const stops = [...document.querySelectorAll(kinds)].filter((each) => {
    if (!each.checkVisibility() || each.disabled) return false;
    if (each.type !== "radio") return true;
    const chosen = [...each.form.elements[each.name]].find((other) => other.checked);
    if (chosen ? each !== chosen : radios.has(each.name)) return false;
    return radios.add(each.name);
  });
  stops.forEach((each, number) => { each.dataset.stop = number; });
  return stops.length;
}"""
# Where the focus is: its number among those, and whether it can be seen to be there.
FOCUS = """
() => {
  const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
  return {
    stop: here === document.body ? null : Number(here.dataset.stop),
    ringed: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inSight: box.width > 0 && box.height > 0 && box.top < innerHeight && box.bottom > 0 && box.left >= 0
      && box.right <= innerWidth,
    words: here.textContent.trim().slice(0, 60) || here.name,
  };
}"""


async def reply_state(house: House, id: str) -> DeliveryState:
    """What is to become of the reply to this post."""
    found = await house.desk.find(id)
    assert found is not None
    assert found.reply is not None
    assert found.reply.kind is DeliveryKind.REPLY
    return found.reply.state


async def stop_at(page: Page, wanted: Locator) -> None:
    """Presses Tab until the focus is there; on its way it can always be seen."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        focus: dict[str, Any] = await page.evaluate(FOCUS)
        assert focus["ringed"], focus
        assert focus["inSight"], focus
        if await wanted.evaluate("each => each === document.activeElement"):
            return
    pytest.fail(f"Tab never stops at {wanted}")


@pytest.mark.parametrize("address", ["/", "/case/p1", "/case/p1/reply", "/numbers", "/sessions"])
async def test_tab_stops_at_everything_in_reading_order(house: House, visit: Visit, address: str) -> None:
    """The first stop skips the menu; then each link, button and field in turn, ringed and in sight, also on a phone."""
    await house.file("p1")
    page = (await visit(house, viewport={"width": 360, "height": 700})).page
    await page.goto(address)
    count = await page.evaluate(STOPS)
    focuses = []
    for _ in range(count):
        await page.keyboard.press("Tab")
        focuses.append(await page.evaluate(FOCUS))
    assert [each for each in focuses if not each["ringed"] or not each["inSight"]] == []
    assert [each["stop"] for each in focuses] == list(range(count)), focuses
    await page.goto(address)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_a_case_by_keyboard_alone(house: House, visit: Visit) -> None:
    """Taken, read, approved and taken back again with Tab, Enter and Space."""
    await house.file("p1", "ideation, and more words")
    page = (await visit(house)).page
    await stop_at(page, page.get_by_role("button", name="Give me the next case"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/case/p1")
    await stop_at(page, page.locator("details.post > summary"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("ideation, and more words")).to_be_visible()
    await stop_at(page, page.get_by_role("button", name="Approve"))
    await page.keyboard.press("Space")
    await expect(page.get_by_text("You approved the reply")).to_be_visible()
    assert await reply_state(house, "p1") is DeliveryState.PENDING
    await stop_at(page, page.get_by_role("button", name="Undo"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/case/p1")
    assert await reply_state(house, "p1") is DeliveryState.HELD


async def test_a_case_without_javascript(house: House, visit: Visit) -> None:
    """Taken, read, answered in other words, taken back, marked, passed on and closed; then found in the history."""
    await house.file("p1", "ideation, and more words")
    page = (await visit(house, java_script_enabled=False)).page
    await page.get_by_role("button", name="Give me the next case").click()
    await page.locator("details.post > summary").click()
    await expect(page.get_by_text("ideation, and more words")).to_be_visible()
    await page.get_by_role("link", name="Put it together differently").click()
    proposed = await page.locator("blockquote.reply").inner_text()
    await page.locator("input[name=words]:not(:checked)").first.check()
    await page.get_by_role("button", name="Show how it reads").click()
    changed = await page.locator("blockquote.reply").inner_text()
    assert changed != proposed
    await page.get_by_role("button", name="Approve").click()
    assert await reply_state(house, "p1") is DeliveryState.PENDING
    await page.get_by_role("button", name="Undo").click()
    assert await reply_state(house, "p1") is DeliveryState.HELD
    await page.locator("input[name=level][value=watch]").check()
    await page.get_by_role("button", name="Keep my word").click()
    await page.locator("#escalate ~ form input[name=note]").fill("please look")
    await page.locator("#escalate ~ form button").click()
    await page.get_by_label("Find a post").fill("https://www.reddit.com/r/testsub/comments/p1/a_title/")
    await page.get_by_role("button", name="Find").click()
    await page.locator("select[name=why]").select_option("answered")
    await page.locator("#close ~ form button").click()
    assert await reply_state(house, "p1") is DeliveryState.DISMISSED
    await page.get_by_role("link", name="History").click()
    assert await page.locator(".events > li").count() >= 5


async def test_an_open_queue_hears_of_a_new_case(house: House, visit: Visit) -> None:
    """Within seconds the count changes and a line says so, to screen readers as well; the page itself stays put."""
    page = (await visit(house)).page
    crisis = page.locator("[data-level=crisis]")
    changed = page.locator("[role=status][data-changed]")
    async with page.expect_response("**/events"):
        pass
    await expect(crisis).to_have_text("none")
    await expect(changed).to_be_hidden()
    await house.file("p1", "attempt")
    await expect(crisis).to_contain_text("1 waits", timeout=20_000)
    await expect(changed).to_be_visible()
    await expect(page.locator(".cases")).to_have_count(0)
    await changed.get_by_role("link").click()
    await expect(page.locator(".cases a")).to_have_count(1)


async def test_a_crisis_is_news_although_another_case_is_closed(house: House, visit: Visit) -> None:
    """Neither how many wait in all nor how many of its level hides a new one; that one less waits is no news."""
    for id, text in (("w1", "struggle"), ("c1", "attempt")):
        await house.file(id, text)
    page = (await visit(house)).page
    async with page.expect_response("**/events"):
        pass
    changed = page.locator("[role=status][data-changed]")
    await house.desk.dismiss("w1", "mod_ben", Why.OTHER)
    await expect(page.locator("[data-level=watch]")).to_have_text("none", timeout=20_000)
    await expect(changed).to_be_hidden()
    await house.desk.dismiss("c1", "mod_ben", Why.OTHER)
    await house.file("c2", "attempt")
    await expect(changed).to_be_visible(timeout=20_000)


SHOWN = """
(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_a_page_that_nobody_looks_at_lets_go_of_its_connection(house: House, visit: Visit) -> None:
    """A browser has six for one host. Looked at again, it says what came in the meantime."""
    page = (await visit(house)).page
    changed = page.locator("[role=status][data-changed]")
    await expect(page.locator("[data-level=crisis]")).to_have_text("none")
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
        await page.evaluate(SHOWN, True)
    await house.file("p1", "attempt")
    await expect(changed).to_be_hidden()
    async with page.expect_response("**/events"):
        await page.evaluate(SHOWN, False)
    await expect(changed).to_be_visible(timeout=20_000)


async def test_a_page_that_hears_no_more_says_so(house: House, visit: Visit) -> None:
    """Whoever is no longer signed in, and whoever hears nothing for too long, is told, with a way to go on."""
    visitor = await visit(house)
    page, lost = visitor.page, visitor.page.locator("[role=alert][data-lost]")
    await page.clock.install()
    async with page.expect_response("**/events"):
        await page.reload()
    await expect(lost).to_be_hidden()
    await page.clock.fast_forward(91_000)
    await expect(lost).to_be_visible()
    async with page.expect_response("**/events"):
        await lost.get_by_role("link").click()
    await expect(lost).to_be_hidden()
    await Sessions(house.store, 12.0, house.clock).end_all("mod_anna")
    await page.evaluate(SHOWN, True)
    await page.evaluate(SHOWN, False)
    await expect(lost).to_be_visible()
    await lost.get_by_role("link").click()
    await page.wait_for_url("**/sign-in")
    assert all("401" in each for each in visitor.complaints)
    visitor.complaints.clear()


async def test_nobody_reads_a_post_unprepared(house: House, visit: Visit) -> None:
    """No word of a post is to be seen in the queue, nor with its case, until it is asked for; a warning comes first."""
    await house.file("p1", "attempt, and more words", title="A title of somebody's")
    page = (await visit(house)).page
    for address in ("/", "/case/p1"):
        await page.goto(address)
        seen = await page.locator("body").inner_text()
        assert "more words" not in seen
        assert "somebody's" not in seen
    summary, words = page.locator("details.post > summary"), page.locator(".words")
    await expect(words).to_be_hidden()
    assert "may speak of" in await summary.inner_text()
    await summary.click()
    await expect(words).to_be_visible()
    await expect(words).to_contain_text("A title of somebody's")
    await summary.click()
    await expect(words).to_be_hidden()


async def test_the_way_out_is_on_every_screen(house: House, visit: Visit) -> None:
    """Signing out is two taps away, on a telephone too, and what was open is shut."""
    page = (await visit(house, viewport={"width": 320, "height": 700}, has_touch=True)).page
    await page.get_by_role("link", name="mod_anna").tap()
    await page.get_by_role("button", name="Sign out here").tap()
    await page.wait_for_url("**/sign-in")
    await page.goto("/")
    await page.wait_for_url("**/sign-in")
