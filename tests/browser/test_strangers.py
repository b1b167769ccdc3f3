"""What a stranger writes, in a real browser: it is shown, and it is nothing but text."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Visit
from tests.browser.house import House
from tests.hostile import HOSTILE

# A browser on a busy machine may take its time.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

# What a page of ours is made of; markup of a stranger's would bring other things, or these with other attributes.
MARKUP = """
() => [...document.querySelectorAll("main *, header *")].filter((each) =>
  each.matches("script, style, iframe, object, embed, base, meta, link, img, video, math, template, textarea")
  || each.getAttributeNames().some((name) => name.startsWith("on") || name === "style" || name === "formaction")
  || [...each.querySelectorAll(":scope > a")].some((link) => !/^https?:$/.test(link.protocol))
  || (each.localName === "form" && new URL(each.action).origin !== location.origin)
).map((each) => each.outerHTML.slice(0, 100))
"""
# Opens the post, points at every part of it and moves the focus through it, as a reader would; its words.
READ = """
() => {
  document.querySelector("details.post").open = true;
  const words = document.querySelector(".words");
  for (const each of [words, ...words.querySelectorAll("*")]) {
    for (const kind of ["mouseover", "click", "toggle"]) if (!each.href) each.dispatchEvent(new MouseEvent(kind));
    each.focus?.();
  }
  return words.innerText;
}"""


async def test_hostile_words_run_nothing(house: House, visit: Visit) -> None:
    """As title, text, author and note, they make no element, run no script, and ask no other host."""
    pairs = list(zip(HOSTILE[::2], HOSTILE[1::2], strict=True))
    for number, (title, text) in enumerate(pairs):
        await house.file(f"p{number}", f"ideation {text}", title=title, author=title)
        await house.desk.escalate(f"p{number}", "mod_ben", text[:300])
    page = (await visit(house)).page
    for address in ["/", "/?level=crisis", "/aside", "/history", *(f"/case/p{each}" for each in range(len(pairs)))]:
        await page.goto(address)
        if address.startswith("/case/"):
            assert "ideation" in await page.evaluate(READ)
        assert await page.evaluate(MARKUP) == [], address


async def test_the_policy_of_the_page_stops_what_would_slip_through(house: House, visit: Visit) -> None:
    """Should markup ever get into a page, the browser itself runs none of it and loads nothing for it."""
    visitor = await visit(house)
    await visitor.page.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("beforeend",
            "<img src=https://evil.example/x.gif onerror=window.ran=1><svg onload=window.ran=1></svg>"
            + "<iframe srcdoc='<script>parent.ran=1</script>'></iframe><p style='position:fixed'>x</p>");
          const script = document.createElement("script");
          script.textContent = "window.ran = 1";
          document.body.append(script);
        }"""
    )
    await visitor.page.wait_for_timeout(300)
    assert await visitor.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in each for each in visitor.complaints)
    visitor.complaints.clear()
