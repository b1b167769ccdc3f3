"""The pages to read: the numbers are right, nothing of another team is in them, and every word has its place."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from importlib.resources import files

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import Config, Policy
from bot.deployment import bound_of
from bot.manners import Manners
from bot.pictures import NARROW
from bot.review.desk import Desk, Why
from bot.review.marks import NOT_MARKED, judged, read_judged
from bot.review.moderator import Moderator
from bot.review.numbers import Numbers, Share, count, read_rows
from bot.review.pages import Rooms
from bot.review.words import Words
from bot.store import Store
from models.labels import Level
from tests.cases import ANNA, BEN, CATALOGUE, STRANGER, browsing, file_case
from tests.conftest import HandClock, KeywordClassifier

File = Callable[..., Awaitable[None]]
DAY = 86_400.0
HERE = frozenset({"testsub"})
PAGES = ["/numbers", "/settings", "/resources", "/health", "/care"]


@pytest.fixture
def config() -> Config:
    """Two teams, one of them with a table and a country of its own."""
    return Config.model_validate(
        {
            "reddit": {"subreddits": ["testsub", "quietcorner"]},
            "review": {"owners": ["mod_ben", "xylophonist"], "session_hours": 9},
            "overrides": {"quietcorner": {"replies": {"country": "US", "deny_authors": ["xylophonist"]}}},
        }
    )


@pytest.fixture
def rooms(store: Store, manners: Manners, config: Config, clock: HandClock) -> Rooms:
    """Everything the pages are made from."""
    return Rooms(store, Desk(store, manners, config, clock), config, CATALOGUE, clock)


@pytest.fixture
def file(store: Store, clock: HandClock) -> File:
    """Stores a case: `await file("p1", "ideation")`."""
    return lambda id, text="ideation", **more: file_case(store, clock, KeywordClassifier(), id, text, **more)


async def numbers(rooms: Rooms) -> Numbers:
    """What is counted of testsub."""
    return count(await read_rows(rooms.store, rooms.clock, HERE), Policy())


async def test_cases_are_counted_by_day_and_level(rooms: Rooms, file: File, clock: HandClock) -> None:
    """Four weeks of days, the last one today; another team's are not in them."""
    await file("old", "attempt")
    clock.advance(40 * DAY)
    for id, text in (("a", "attempt"), ("b", "attempt"), ("c", "severe"), ("d", "a cake")):
        await file(id, text)
    await file("e", "attempt", subreddit="elsewhere")
    found = await numbers(rooms)
    assert len(found.days) == 28
    assert [levels for _, levels in found.days if levels] == [{Level.CRISIS: 2, Level.URGENT: 1}]
    assert found.days[-1][1] != {}


async def test_moderators_words_say_how_often_the_bot_was_right(rooms: Rooms, file: File) -> None:
    """The last word on each case counts; whether a grave one is crisis or urgent is no mistake."""
    marks = {"a": Level.URGENT, "b": Level.NONE, "c": Level.CRISIS, "d": Level.WATCH}
    for id, text in (("a", "attempt"), ("b", "attempt"), ("c", "severe"), ("d", "struggle")):
        await file(id, text)
        await rooms.desk.mark(id, "mod_anna", Level.NONE)
        await rooms.desk.mark(id, "mod_ben", marks[id])
    found = {each.level: (each.share.part, each.share.whole) for each in (await numbers(rooms)).deserved}
    assert found == {Level.CRISIS: (1, 2), Level.URGENT: (1, 1), Level.WATCH: (1, 1)}


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(8, 10, 0.490, 0.943), (0, 5, 0.0, 0.434), (5, 5, 0.566, 1.0), (0, 0, 0.0, 1.0)]
)
def test_an_interval_says_how_little_few_cases_say(part: int, whole: int, low: float, high: float) -> None:
    """Wilson's interval, as tables have it."""
    assert Share(part, whole).interval == pytest.approx((low, high), abs=0.001)


@given(st.integers(1, 10_000).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))))
def test_an_interval_lies_around_its_share(counted: tuple[int, int]) -> None:
    """And within 0 and 1."""
    share = Share(*counted)
    low, high = share.interval
    assert 0.0 <= low <= share.value + 1e-9
    assert share.value - 1e-9 <= high <= 1.0


async def test_waiting_times_end_with_the_first_act(rooms: Rooms, file: File, clock: HandClock) -> None:
    """From the decision to whatever a moderator did first; who was never looked at is counted."""
    for id in ("a", "b", "c"):
        await file(id, "attempt")
    clock.advance(600)
    await rooms.desk.claim("a", "mod_anna")
    clock.advance(1200)
    await rooms.desk.dismiss("a", "mod_anna", Why.OTHER)
    await rooms.desk.dismiss("b", "mod_anna", Why.OTHER)
    crisis = next(each for each in (await numbers(rooms)).looks if each.level is Level.CRISIS)
    assert (crisis.looked, crisis.unlooked, crisis.half_within) == (2, 1, 1200.0)


async def test_another_bound_is_tried_on_what_really_came(rooms: Rooms, file: File, clock: HandClock) -> None:
    """Alerts a day over the posts that were judged; the higher the bound the fewer, and of the grave ones found."""
    for day in range(4):
        for number in range(5):
            await file(f"p{day}-{number}", "ideation" if number < 2 else "a cake")
        clock.advance(DAY)
    await rooms.desk.mark("p0-0", "mod_anna", Level.CRISIS)
    await rooms.desk.mark("p0-4", "mod_anna", Level.URGENT)
    found = await numbers(rooms)
    assert found.now is not None
    assert (found.now.bound, found.now.a_day) == (bound_of(Policy()), pytest.approx(8 / 4))
    assert (found.now.found.part, found.now.found.whole) == (1, 2)
    heights = [what.a_day for what in found.curve]
    assert heights == sorted(heights, reverse=True)


async def test_labels_outlive_the_words(store: Store, rooms: Rooms, file: File, clock: HandClock) -> None:
    """A mark and the probabilities stay after the text is forgotten; what nobody marked is no label."""
    await file("a", "ideation xylophonist")
    await file("b", "a cake")
    await rooms.desk.mark("a", "mod_anna", Level.WATCH)
    async with store.transaction():
        await store.execute("forget_posts", {"now": clock.now(), "before_utc": clock.now() + 1})
    rows = await read_judged(store, HERE)
    found = judged(rows)
    assert found is not None
    assert dict(zip(found.ids, found.said.tolist(), strict=True)) == {"a": Level.WATCH.rank, "b": NOT_MARKED}
    assert "xylophonist" not in json.dumps([row["record"] for row in rows])
    assert not found.at_risk.any()


@pytest.mark.parametrize("chart", ["days", "curve", "drift"])
async def test_pictures_are_svg_without_scripts(rooms: Rooms, file: File, chart: str) -> None:
    """Drawn here, for wide and for narrow screens, with nothing in them that acts or is fetched."""
    await file("a", "ideation")
    async with browsing(rooms, ANNA) as browser:
        wide = await browser.get(f"/numbers/{chart}.svg?wide=1")
        narrow = await browser.get(f"/numbers/{chart}.svg?narrow=1")
    for answer in (wide, narrow):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        tags = {each.tag.rpartition("}")[2] for each in ET.fromstring(answer.text).iter()}  # noqa: S314 - our own
        assert not tags & {"script", "image", "foreignObject", "a"}
    assert f'width="{NARROW}pt"' in narrow.text


async def test_a_picture_is_drawn_once_for_as_long_as_its_figures_hold(
    rooms: Rooms, file: File, clock: HandClock
) -> None:
    """For one team, chart, width and bound: no two drawings have the same ids in them, so the same bytes were kept."""
    await file("a", "ideation")
    addresses = ["/numbers/days.svg?wide=1", "/numbers/days.svg?narrow=1", "/numbers/curve.svg?bound=0.2"]
    async with browsing(rooms, ANNA) as anna, browsing(rooms, BEN) as ben:
        before = [(await anna.get(address)).text for address in addresses]
        await file("b", "ideation")
        clock.advance(290)
        assert [(await anna.get(address)).text for address in addresses] == before
        assert (await anna.get("/numbers/curve.svg?bound=0.3")).text not in before
        assert (await ben.get(addresses[0])).text != before[0]
        clock.advance(20)
        assert (await anna.get(addresses[0])).text != before[0]


@pytest.mark.parametrize("address", PAGES)
async def test_a_page_to_read_tells_nothing_of_another_team(rooms: Rooms, file: File, address: str) -> None:
    """Neither of its community nor of what is set for it; and an empty store breaks none of them."""
    stranger = Moderator("somebody", STRANGER.role, frozenset({"testsub"}))
    async with browsing(rooms, stranger) as browser:
        assert (await browser.get(address)).status_code == 200
        await file("a", "ideation", subreddit="quietcorner")
        async with rooms.store.transaction():
            for name in ("testsub", "quietcorner"):
                await rooms.store.execute("begin_watch", {"subreddit": name, "since_utc": 0.0})
        text = (await browser.get(address)).text
    assert "quietcorner" not in text
    assert "xylophonist" not in text


async def test_settings_are_for_everybody_and_those_of_the_machine_for_owners(rooms: Rooms) -> None:
    """Each sees what is in force in their communities; only owners where the bot keeps what, and whom it asks."""
    async with browsing(rooms, ANNA) as browser:
        text = (await browser.get("/settings")).text
    assert "daily_cap" in text
    assert "session_hours" not in text
    assert "nightlight.db" not in text
    async with browsing(rooms, BEN) as browser:
        text = (await browser.get("/settings")).text
    assert "xylophonist" in text
    assert "daily_cap" in text
    assert re.search(r"<code>session_hours</code>.*?<dd>9</dd>", text, re.DOTALL)
    assert re.findall(r"<dd>(True|False|None|{}|\[\]|[0-9]+\.0)</dd>", text) == []  # nothing that only Python says
    assert re.search(r"<code>modmail</code>.*?<dd>yes</dd>", text, re.DOTALL)


async def test_resources_say_until_when_they_hold(rooms: Rooms, clock: HandClock) -> None:
    """Every record with its sources; what is about to expire, or has, stands first."""
    async with browsing(rooms, BEN) as browser:
        text = (await browser.get("/resources")).text
        assert all(str(line.expires_on) in text for line in CATALOGUE.line)
        assert "Nothing expires within 30 days." in text
        clock.advance(3 * 365 * DAY)
        text = (await browser.get("/resources")).text
        assert "expired on" in text


async def test_health_says_when_the_bot_is_not_heard_of(rooms: Rooms, clock: HandClock) -> None:
    """No figures for a few minutes is told in words, not by an empty page."""
    async with browsing(rooms, ANNA) as browser:
        assert "has not been heard of" in (await browser.get("/health")).text
        async with rooms.store.transaction():
            await rooms.store.execute("note_vital", {"name": "queue_depth", "value": 3.0, "now": clock.now()})
        assert "The bot is at work" in (await browser.get("/health")).text
        clock.advance(600)
        assert "has not been heard of" in (await browser.get("/health")).text


async def test_pages_have_the_bones_that_assistive_technology_needs(rooms: Rooms, file: File) -> None:
    """One h1, a language, a main with a way to skip to it, a label for every field, a name for every button."""
    await file("a", "ideation")
    async with browsing(rooms, BEN) as browser:
        addresses = ["/", "/?level=crisis", "/aside", "/case/a", "/case/a/reply", "/history", "/nothing", *PAGES]
        found: dict[str, httpx2.Response] = {each: await browser.get(each) for each in addresses if each != "/nothing"}
    for address, answer in found.items():
        text = answer.text
        assert text.count("<h1") == 1, address
        assert '<html lang="en">' in text and 'href="#main"' in text and 'id="main"' in text, address
        assert "<button></button>" not in text and " style=" not in text and "onclick" not in text, address
        fields = re.findall(r"<(?:input(?![^>]*type=\"hidden\")|select)[^>]*>", text)
        assert len(fields) <= text.count("<label"), address
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids)), address
        assert set(re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', text)) <= set(ids), address


def test_every_word_of_the_templates_is_in_the_file() -> None:
    """Each fixed key exists, and what stands in the templates between the tags is no English of its own."""
    say = Words.load()
    for template in (files("bot.review") / "templates").iterdir():
        text = template.read_text(encoding="utf-8")
        for key in re.findall(r"say\([\"']([a-z_.]+)[\"'][,)]", text):
            node = say._table
            for part in key.split("."):
                assert part in node, f"{template.name}: {key}"
                node = node[part]
        ours = r"<code>.*?</code>|<pre>.*?</pre>|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<[^>]*>"
        plain = re.sub(ours, " ", text, flags=re.DOTALL)
        assert not re.search(r"[A-Za-z]{3,}", plain), f"{template.name}: {plain.split()}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "a minute"),
        (300, "5 minutes"),
        (5399, "90 minutes"),
        (5400, "2 hours"),
        (90_000, "25 hours"),
        (200_000, "2 days"),
    ],
)
def test_ages_are_said_as_people_say_them(seconds: float, words: str) -> None:
    """Never in decimals, never negative."""
    assert Words.load().span(seconds) == words
