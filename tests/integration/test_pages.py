"""The moderators' pages over HTTP: what matters first, nothing that acts, nothing of another team's."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from html.parser import HTMLParser

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.advice import advice_words
from bot.config import Config
from bot.manners import Manners
from bot.outbox import Draft, Outbox
from bot.recommendations import OFFERED, counsel
from bot.review.case import excerpts
from bot.review.desk import CLAIM_SECONDS, UNDO_SECONDS, Desk, digest
from bot.review.pages import Rooms, routes
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Planned
from models.assessment import Evidence
from models.document import Document
from models.labels import Level
from models.multilingual import Multilingual
from tests.cases import ANNA, BEN, CATALOGUE, CSRF, OLGA, STRANGER, browsing, file_case
from tests.conftest import HandClock, KeywordClassifier
from tests.review import seen_in

File = Callable[..., Awaitable[None]]
Browser = httpx2.AsyncClient

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "[click](javascript:alert(1)) ![x](data:text/html;base64,PHNjcmlwdD4=)",
    "{{ 7 * 7 }} {% raw %} ${7*7}",
    "</div></details><form action=https://evil.example><button>Approve this reply</button></form>",
    "\u202egnp.exe\u2066 \u200b\u0000\x1b[31m",
    "<style>*{display:none}</style><base href=//evil.example>",
    "A" * 40_000,
    "&lt;script&gt; &#60;script&#62; 😀 <!-- --> ]]>",
    "' OR 1=1; DROP TABLE posts; --",
]


@pytest.fixture
def rooms(store: Store, desk: Desk, clock: HandClock) -> Rooms:
    """Everything the pages are made from, over the test's own store."""
    return Rooms(store, desk, Config(), CATALOGUE, clock)


@pytest.fixture
def file(store: Store, clock: HandClock) -> File:
    """Stores a case: `await file("p1", "ideation")`."""
    return lambda id, text="ideation", **more: file_case(store, clock, KeywordClassifier(), id, text, **more)


@pytest.fixture
async def anna(rooms: Rooms) -> AsyncIterator[Browser]:
    """The browser of a moderator of testsub."""
    async with browsing(rooms, ANNA) as client:
        yield client


@pytest.fixture
async def ben(rooms: Rooms) -> AsyncIterator[Browser]:
    """The browser of an owner of testsub and quietcorner."""
    async with browsing(rooms, BEN) as client:
        yield client


async def post(browser: Browser, address: str, **fields: str | list[str]) -> httpx2.Response:
    """Sends a form."""
    return await browser.post(address, data={"csrf": CSRF, **fields})


async def approve(browser: Browser, id: str, **fields: str) -> httpx2.Response:
    """Approves the reply that the case's page shows."""
    return await post(browser, f"/case/{id}/approve", seen=seen_in((await browser.get(f"/case/{id}")).text), **fields)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(response.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Notes some text."""
        self.text += data

    def all(self, name: str, attribute: str) -> list[str]:
        """An attribute of every tag of a name."""
        return [attrs[attribute] or "" for tag, attrs in self.tags if tag == name and attribute in attrs]


async def test_a_case_says_what_a_model_chose_and_why(anna: Browser, file: File) -> None:
    """In its order, with its name and its reason, and nothing in that reason acts; what it left out is not there."""
    (line, first, second, *_) = counsel(
        Document("a title", "ideation"),
        KeywordClassifier().assess([Document("a title", "ideation")])[0],
        Level.CRISIS,
        CATALOGUE,
        date(2026, 11, 24),
        OFFERED,
    ).recommendations
    choice = {"ids": [second.id], "reasons": {second.id: "<b>fits</b>\u202e"}, "model": "tiny"}
    await file("p1", choice=choice)
    answer = await anna.get("/case/p1")
    page = Page(answer)
    named = [" ".join(advice_words(CATALOGUE.find(each.id)).split()) for each in (line, first, second)]
    assert [words in " ".join(page.text.split()) for words in named] == [True, False, True]
    assert "A language model (tiny) put these in order." in page.text
    assert "What the model says of it, which may quote the post<b>fits</b>" in page.text
    assert re.search(r"<details><summary>What the model says.*?&lt;b&gt;fits.*?</details>", answer.text)
    await file("p2")
    assert "language model" not in Page(await anna.get("/case/p2")).text


async def test_a_post_in_another_language_has_a_case(anna: Browser, store: Store, clock: HandClock) -> None:
    """Whose crisis term was found: the page says what found it, and who says that it is in German."""
    judge = Multilingual.around(KeywordClassifier())
    text = "Ich kann nicht mehr, ich will einfach nur sterben, und niemand merkt etwas davon."
    await file_case(store, clock, judge, "p1", text)
    answer = await anna.get("/case/p1")
    words = " ".join(Page(answer).text.split())
    assert answer.status_code == 200
    assert "found by the crisis terms of other languages" in words
    assert "The post is in German, which the model was not trained on the look at its language" in words


async def test_the_queue_shows_the_gravest_first_and_buries_no_level(
    anna: Browser, file: File, clock: HandClock
) -> None:
    """Every level has its place and its oldest age in sight, however many stand above it; ages are in plain words."""
    await file("w1", "struggle")
    clock.advance(2 * 3600)
    for number in range(30):
        await file(f"c{number:02}", "attempt")
        clock.advance(60)
    page = Page(await anna.get("/"))
    cases = [each.removeprefix("/case/") for each in page.all("a", "href") if each.startswith("/case/")]
    assert cases == [*(f"c{number:02}" for number in range(10)), "w1"]
    assert "30 wait, oldest 30 minutes" in page.text
    assert "1 waits, oldest 2 hours" in page.text
    assert "All 30 of them" in page.text


async def test_what_waits_stands_before_the_menu(anna: Browser, file: File) -> None:
    """On a small telephone the menu takes a third of the screen: whoever is needed comes before it, on every page."""
    await file("p1")
    for address in ("/", "/case/p1", "/aside", "/history", "/health"):
        text = (await anna.get(address)).text
        assert 0 < text.index('class="levels"') < text.index("<nav ") < text.index("<main "), address


async def test_how_long_a_claim_still_holds_is_said_in_plain_words(
    anna: Browser, ben: Browser, file: File, clock: HandClock
) -> None:
    """Nobody has to reckon from UTC at night."""
    await file("p1")
    await post(anna, "/case/p1/claim")
    clock.advance(300)
    assert "You have it for another 10 minutes" in Page(await anna.get("/")).text
    assert "This case is yours for another 10 minutes" in Page(await anna.get("/case/p1")).text
    assert "mod_anna has it for another 10 minutes" in Page(await ben.get("/")).text
    await approve(anna, "p1")
    clock.advance(30)
    assert "It leaves in less than a minute" in Page(await anna.get("/")).text


async def test_one_level_is_shown_whole_page_by_page(anna: Browser, file: File, clock: HandClock) -> None:
    """In the same order; past the last page stands the last one, and never that nobody waits."""
    for number in range(60):
        await file(f"c{number:02}", "attempt")
        clock.advance(1)
    found = []
    for number in ("1", "2", "3", "99999999", "-1", "x"):
        page = Page(await anna.get("/", params={"level": "crisis", "page": number}))
        found.append([each for each in page.all("a", "href") if each.startswith("/case/")])
    assert [len(each) for each in found] == [50, 10, 10, 10, 50, 50]
    assert found[0][0] == "/case/c00"
    assert found[1][-1] == "/case/c59"


async def test_filters_and_search(ben: Browser, file: File, clock: HandClock) -> None:
    """By community, by what is in one's own hands, by id or link; what is not found is not repeated to the reader."""
    await file("p1")
    clock.advance(1)
    await file("p2", subreddit="quietcorner")
    await file("x1", "poison")
    await file("x2", "poison")
    for id in ("p2", "x2"):
        await post(ben, f"/case/{id}/claim")
    for query, expected in (
        ("subreddit=quietcorner", ["p2"]),
        ("mine=1", ["p2", "x2"]),
        ("", ["p1", "p2"]),
        ("level=urgent", []),
    ):
        page = Page(await ben.get(f"/?{query}"))
        assert [each for each in page.all("a", "href") if each.startswith("/case/")] == [
            f"/case/{id}" for id in expected
        ]
    for words in ("p1", " t3_p1 ", "https://www.reddit.com/r/testsub/comments/p1/a_title/", "https://redd.it/p1"):
        assert (await ben.get("/search", params={"q": words})).headers["location"] == "/case/p1"
    lost = await ben.get("/search", params={"q": "xylophonist"})
    assert (lost.status_code, "xylophonist" in lost.text) == (404, False)


async def test_a_case_is_decided_in_two_taps(anna: Browser, file: File, outbox: Outbox, clock: HandClock) -> None:
    """The next case, and yes: the reply leaves a minute later. Until then every page offers to undo it."""
    await file("p1")
    taken = await post(anna, "/next")
    assert (taken.status_code, taken.headers["location"]) == (303, "/case/p1")
    done = await approve(anna, "p1")
    assert (done.status_code, done.headers["location"]) == (303, "/")
    page = Page(await anna.get("/"))
    assert "/case/p1/undo" in page.all("form", "action")
    (reply,) = (each for each in await outbox.of_post("p1") if each.kind is DeliveryKind.REPLY)
    assert (reply.state, reply.due_utc) == (DeliveryState.PENDING, clock.now() + UNDO_SECONDS)
    await post(anna, "/case/p1/undo")
    assert "This case is yours" in Page(await anna.get("/case/p1")).text
    clock.advance(UNDO_SECONDS + 1)
    assert "/case/p1/undo" not in Page(await anna.get("/")).all("form", "action")


async def test_every_act_of_the_last_minute_can_be_undone_from_every_page(anna: Browser, file: File) -> None:
    """Each by the name of its post, so that nobody takes back another than they mean."""
    await file("p1")
    await file("p2", "severe")
    await approve(anna, "p1")
    await post(anna, "/case/p2/dismiss", why="other")
    page = Page(await anna.get("/health"))
    assert page.all("form", "action") == ["/case/p2/undo", "/case/p1/undo"]
    assert "You approved the reply to post p1." in page.text
    assert "You closed the case of post p2." in page.text


@pytest.mark.parametrize(
    ("dry_run", "sent_as", "states"),
    [
        (True, "dry-run", ["will not be posted: this is a dry run", "not posted: it was a dry run"]),
        (False, "dry-run", ["on its way", "not posted: it was a dry run"]),
        (False, "t1_abc", ["on its way", "posted"]),
        (True, "t1_abc", ["will not be posted: this is a dry run", "posted"]),
    ],
)
async def test_nobody_believes_that_a_dry_run_answered_somebody(
    store: Store,
    desk: Desk,
    clock: HandClock,
    manners: Manners,
    outbox: Outbox,
    file: File,
    dry_run: bool,
    sent_as: str,
    states: list[str],
) -> None:
    """Every page says that nothing is sent, and a reply that was only written down is never called posted."""
    config = Config.model_validate({"deliver": {"dry_run": dry_run}})
    await file("p1")
    async with browsing(Rooms(store, desk, config, CATALOGUE, clock), ANNA) as browser:
        await approve(browser, "p1")
        found = [Page(await browser.get("/case/p1"))]
        clock.advance(UNDO_SECONDS)
        while delivery := await outbox.claim(manners):
            await outbox.finish(delivery, sent_as)
        found.append(Page(await browser.get("/case/p1")))
        for page, state in zip(found, states, strict=True):
            assert f"in the name of the bot. {state}" in " ".join(page.text.split())
        for address in ("/", "/case/p1", "/aside", "/history", "/numbers", "/health", "/case/nothing"):
            assert ("This is a dry run" in (await browser.get(address)).text) is dry_run


async def test_whatever_a_reply_names_stands_with_its_source_and_its_dates(
    anna: Browser, file: File, clock: HandClock
) -> None:
    """The directory that a team without a country gives, and the lines of one that has set it."""
    clock.set(1_796_000_000.0)
    await file("p1")
    await file("p2", config=Config.model_validate({"replies": {"country": "US"}}))
    (directory, *_) = CATALOGUE.directories(date(2026, 11, 24))
    for id, records in (
        ("p1", [directory]),
        ("p2", [*CATALOGUE.crisis_lines("US", date(2026, 11, 24))[:1], directory]),
    ):
        page = Page(await anna.get(f"/case/{id}"))
        for record in records:
            assert f"{record.name}checked on {record.verified_on}, good until {record.expires_on}" in page.text
            assert set(record.source) <= set(page.all("a", "href"))


async def replied_to(store: Store, manners: Manners) -> None:
    """The author of every case here had a reply just now."""
    async with store.transaction():
        await manners.begin_reply(999, "testsub", "somebody")


@pytest.mark.parametrize(
    ("text", "before", "words", "approvable"),
    [
        ("ideation", None, "It waits for one of you because your team reads every reply to such a post first.", True),
        (
            "ideation. My husband beats me. I live in the US.",
            None,
            "It waits for one of you because it names a line for violence at home, and somebody there may read it.",
            True,
        ),
        ("ideation", replied_to, "It waits for one of you because the author had a reply within the last", True),
        (
            "ideation",
            lambda _, manners: manners.opt_out("somebody"),
            "It cannot go out, because the author asked for no more replies.",
            False,
        ),
        (
            "[removed]",
            lambda _, manners: manners.opt_out("somebody"),
            "No reply is proposed, and none could be now, because the author asked for no more replies.",
            False,
        ),
    ],
)
async def test_a_case_says_why_its_reply_waits_or_cannot_go(
    anna: Browser,
    file: File,
    store: Store,
    manners: Manners,
    text: str,
    before: Callable[[Store, Manners], Awaitable[None]] | None,
    words: str,
    approvable: bool,
) -> None:
    """In words; where no word of anybody's can send it, nothing asks for one."""
    if before is not None:
        await before(store, manners)
    await file("p1", text, title="ideation")
    page = Page(await anna.get("/case/p1"))
    assert words in " ".join(page.text.split())
    assert ("/case/p1/approve" in page.all("form", "action")) is approvable
    assert ("/case/p1/reply" in page.all("a", "href")) is approvable


async def test_a_reply_that_is_out_of_date_has_to_be_put_together_again(
    store: Store, manners: Manners, outbox: Outbox, file: File, clock: HandClock
) -> None:
    """Nobody is asked to approve it as it is, and everybody is told why, also why one that was approved came back."""
    desk = Desk(store, manners, Config(), clock, lambda body: "it is old" if "988" in body else "")
    await file("p1")
    async with browsing(Rooms(store, desk, Config(), CATALOGUE, clock), ANNA) as browser:
        shown = Page(await browser.get("/case/p1"))
        assert "/case/p1/approve" in shown.all("form", "action")
        for body, words, approvable in (("988", "it is old", False), ("other words", "it was old then", True)):
            (reply,) = await outbox.find(DeliveryState.HELD)
            async with store.transaction():
                await outbox.approve(reply, 0.0, body)
                await store.execute("hold", {"id": reply.id, "error": "it was old then", "now": 0.0})
            page = Page(await browser.get("/case/p1"))
            assert f"It waits for one of you because {words}." in page.text
            assert ("/case/p1/approve" in page.all("form", "action")) is approvable
            assert "/case/p1/reply" in page.all("a", "href")
            answer = await post(browser, "/case/p1/approve", seen=digest(body))
            assert (answer.status_code, "it is old" in answer.text) == ((303, False) if approvable else (409, True))


async def test_a_reply_is_offered_only_to_whoever_may_approve_it(
    rooms: Rooms, anna: Browser, ben: Browser, file: File, manners: Manners
) -> None:
    """Not to observers, not while another has the case, and not once courtesy forbids it, however one got there."""
    await file("p1")
    await post(anna, "/case/p1/claim")
    async with browsing(rooms, OLGA) as olga:
        offered = [
            "/case/p1/edit" in Page(await each.get("/case/p1/reply")).all("form", "action")
            for each in (anna, ben, olga)
        ]
    assert offered == [True, False, False]
    seen = seen_in((await anna.get("/case/p1")).text)
    await manners.opt_out("somebody")
    page = Page(await anna.get("/case/p1/reply"))
    assert ("/case/p1/edit" in page.all("form", "action"), "It cannot go out" in page.text) == (False, True)
    refused = await post(anna, "/case/p1/approve", seen=seen)
    assert (refused.status_code, "the author asked for no more replies" in refused.text) == (409, True)


async def test_a_reply_that_changed_since_it_was_read_is_not_approved(anna: Browser, file: File) -> None:
    """The page says so in words, and the case stays open: nobody is answered with what nobody read."""
    await file("p1")
    await file("p2", "severe")
    for address in ("/case/p1/approve", "/case/p1/edit"):
        for seen in (seen_in((await anna.get("/case/p2")).text), ""):
            refused = await post(anna, address, words="watch", directory="1", seen=seen)
            assert (refused.status_code, "changed since you opened the page" in refused.text) == (409, True)
    assert (await approve(anna, "p1")).status_code == 303


async def test_right_or_wrong_is_said_in_the_same_form(anna: Browser, rooms: Rooms, file: File) -> None:
    """Beside the button that approves or closes; a word can be taken back, and the history tells of all of it."""
    for id in ("p1", "p2", "p3"):
        await file(id)
    await approve(anna, "p1", level="crisis")
    await post(anna, "/case/p2/dismiss", why="false_alarm")
    await approve(anna, "p3", level="")
    cases = [await rooms.desk.case(id) for id in ("p1", "p2", "p3")]
    assert [case.marked.detail if case.marked else None for case in cases] == ["crisis", "none", None]
    page = Page(await anna.get("/case/p1"))
    assert "mod_anna says: Crisis." in page.text
    assert "/case/p1/unmark" in page.all("form", "action")
    await post(anna, "/case/p1/unmark")
    page = Page(await anna.get("/case/p1"))
    assert "mod_anna takes back what was said of the bot" in page.text
    assert "/case/p1/unmark" not in page.all("form", "action")
    assert (await post(anna, "/case/p2/dismiss", why="other", level="unassessed")).status_code == 400


async def test_somebody_elses_case_can_be_read_and_not_touched(
    anna: Browser, ben: Browser, file: File, clock: HandClock
) -> None:
    """No button but the verdict's, and an act by hand is refused in words; when the claim expires they come back."""
    await file("p1")
    await post(anna, "/case/p1/claim")
    page = Page(await ben.get("/case/p1"))
    assert "mod_anna has this case" in page.text
    assert page.all("form", "action") == ["/case/p1/mark"]
    refused = await post(ben, "/case/p1/approve")
    assert (refused.status_code, "mod_anna has this case" in refused.text) == (409, True)
    clock.advance(CLAIM_SECONDS)
    assert "/case/p1/approve" in Page(await ben.get("/case/p1")).all("form", "action")


async def test_the_case_says_why_and_how_sure_and_hides_the_post_until_asked(anna: Browser, file: File) -> None:
    """Reasons with who gives them, likelihoods in words, the reply with its sources; the post in a closed <details>."""
    await file("p1", "they wrote about ideation & <b>more</b>", title="a heading")
    response = await anna.get("/case/p1")
    page = Page(response)
    assert "thoughts of dying or of self-harm" in page.text
    assert "your team's table" in page.text
    assert "very likely, 100%" in page.text
    assert "I am a bot run by the moderators of r/testsub" in page.text
    assert re.search(
        r'<details class="post">\s*<summary>.*?It may speak of thoughts of dying', response.text, re.DOTALL
    )
    assert "open" not in [attribute for tag, attrs in page.tags if tag == "details" for attribute in attrs]
    assert "<mark>a heading\n\nthey wrote about ideation &amp; &lt;b&gt;more&lt;/b&gt;</mark>" in response.text
    assert any(each.startswith("https://www.reddit.com/r/testsub/comments/p1/") for each in page.all("a", "href"))


async def test_a_reply_is_edited_by_choosing_and_never_by_writing(
    anna: Browser, file: File, outbox: Outbox, clock: HandClock
) -> None:
    """Parts are ticked, the outcome is shown first, and what is sent is what was shown; free text has no place."""
    await file("p1")
    page = Page(await anna.get("/case/p1/reply"))
    assert "textarea" not in [tag for tag, _ in page.tags]
    assert {"radio", "checkbox"} <= set(page.all("input", "type"))
    line = CATALOGUE.line[0]
    asked = {"chosen": "1", "words": "watch", "country": line.country, "line": line.id}
    shown = await anna.get("/case/p1/reply", params=asked)
    assert line.name in Page(shown).text
    form = {"words": "watch", "line": line.id, "seen": seen_in(shown.text)}
    done = await post(anna, "/case/p1/edit", **form, body="my own words")
    assert done.status_code == 303
    (reply,) = (each for each in await outbox.of_post("p1") if each.kind is DeliveryKind.REPLY)
    assert (line.name in reply.body, "my own words" in reply.body) == (True, False)
    assert reply.due_utc == clock.now() + UNDO_SECONDS
    await file("p2")
    for fields in ({"words": "none"}, {"words": "watch", "line": "made-up"}, {}, {"words": "watch"}):
        assert (await post(anna, "/case/p2/edit", **fields)).status_code in (400, 409)


async def test_the_lines_for_whom_a_post_is_from_are_there_to_choose(anna: Browser, file: File) -> None:
    """What a post states is proposed, ticked; another country has its own lines; one for some cannot stand alone."""
    await file("p1", "ideation. I live in the US. I am a veteran.")
    page = Page(await anna.get("/case/p1/reply"))
    ticked = [attrs["value"] for tag, attrs in page.tags if tag == "input" and "checked" in attrs]
    assert {"us-988", "us-crisis-text-line", "us-veterans"} <= {*ticked}
    assert page.text.index("988 Suicide & Crisis Lifeline (English") < page.text.index("Veterans Crisis Line: call 988")
    assert "us-trevor" not in page.all("input", "value")
    elsewhere = Page(await anna.get("/case/p1/reply", params={"words": "watch", "country": "GB"}))
    assert "gb-samaritans" in elsewhere.all("input", "value")
    assert "us-veterans" not in elsewhere.all("input", "value")
    alone = {"chosen": "1", "words": "watch", "country": "US", "line": "us-veterans"}
    assert (
        "beside one of its country that is for everybody" in Page(await anna.get("/case/p1/reply", params=alone)).text
    )
    refused = await post(anna, "/case/p1/edit", words="watch", line="us-veterans")
    assert refused.status_code == 409


async def test_every_act_is_an_event_in_the_history(anna: Browser, file: File) -> None:
    """With its actor, newest first, and in the case as well."""
    await file("p1")
    await post(anna, "/case/p1/claim")
    await post(anna, "/case/p1/mark", level="urgent")
    await post(anna, "/case/p1/dismiss", why="false_alarm", note="a note <b>")
    for address in ("/history", "/case/p1"):
        text = Page(await anna.get(address)).text
        assert "mod_anna took the case" in text
        assert "mod_anna says that it is: Urgent" in text
        assert "mod_anna closed the case: The bot was wrong about this post" in text
        assert "a note <b>" in text


@pytest.mark.parametrize("note", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "＝1"])
async def test_the_history_is_a_table_in_which_no_formula_runs(anna: Browser, file: File, note: str) -> None:
    """A note that a spreadsheet would run is text there; the rest of the table is what happened."""
    await file("p1")
    await post(anna, "/case/p1/dismiss", why="other", note=note)
    response = await anna.get("/history.csv")
    assert response.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert (row["note"], row["moderator"], row["action"]) == (f"'{note}", "mod_anna", "dismissed")
    assert (row["time_utc"], row["post"], row["level"]) == ("2026-01-01T12:00:00+00:00", "p1", "crisis")


async def test_what_the_bot_could_not_do_has_a_place_of_its_own(
    anna: Browser, file: File, store: Store, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """Posts it could not read, times it may have missed, and dead letters, which can be sent again."""
    await file("p1", "poison")
    dead = await outbox.claim(manners)
    await outbox.bury(dead, "403 <b>")
    async with store.transaction():
        times = {"from_utc": 1.0, "until_utc": 2.0, "now": clock.now()}
        await store.execute("add_gap", {"subreddit": "testsub", **times})
        await store.execute("add_gap", {"subreddit": "elsewhere", **times})
    page = Page(await anna.get("/aside"))
    assert "/case/p1" in page.all("a", "href")
    assert ("In r/testsub, posts written between" in page.text, "elsewhere" in page.text) == (True, False)
    assert "403 <b>" in page.text
    assert (await post(anna, f"/delivery/{dead[0].id}/retry")).status_code == 303
    assert (await post(anna, f"/delivery/{dead[0].id}/retry")).status_code == 404


async def test_what_is_set_aside_is_counted_and_all_of_it_can_be_reached(
    anna: Browser, store: Store, outbox: Outbox, clock: HandClock
) -> None:
    """Fifty at a time, each list by itself; a page that is not there is the last one."""
    letter = Planned(DeliveryKind.DIGEST, DeliveryState.DEAD)
    async with store.transaction():
        for number in range(60):
            times = {"from_utc": float(number), "until_utc": number + 1.0, "now": float(number)}
            await store.execute("add_gap", {"subreddit": "testsub", **times})
        drafts = [
            Draft(f"d{number}", "testsub", Level.WATCH, letter, "a subject", "words", 0.0) for number in range(53)
        ]
        await outbox.enqueue(drafts)
    page = Page(await anna.get("/aside"))
    assert "Times it may have missed (60)" in page.text
    assert "Messages that could not be delivered (53)" in page.text
    onward = [each for each in page.all("a", "href") if each.startswith("/aside?")]
    assert onward == ["/aside?dead=1&gaps=2", "/aside?gaps=1&dead=2"]
    for address, gaps, dead in ((onward[0], 10, 50), (onward[1], 50, 3), ("/aside?gaps=99&dead=-1", 10, 50)):
        actions = Page(await anna.get(address)).all("form", "action")
        assert [sum(each.startswith(f"/{kind}/") for each in actions) for kind in ("gap", "delivery")] == [gaps, dead]


async def test_posts_that_could_not_be_read_go_on_where_the_page_ends(anna: Browser, file: File) -> None:
    """With their number; the rest is in the list of that level."""
    for number in range(51):
        await file(f"x{number}", "poison")
    page = Page(await anna.get("/aside"))
    assert "Posts the bot could not read (51)" in page.text
    assert "The other 1" in page.text
    (onward,) = (each for each in page.all("a", "href") if each.startswith("/?level=unassessed&"))
    assert Page(await anna.get(onward)).all("a", "href").count("/case/x50") == 1


async def test_times_stand_there_in_full(anna: Browser, file: File, clock: HandClock) -> None:
    """Whoever has no mouse to hover with can tell when something was as well."""
    await file("p1")
    await post(anna, "/case/p1/claim")
    clock.advance(600)
    await post(anna, "/case/p1/claim")
    clock.advance(3600)
    page = " ".join(Page(await anna.get("/case/p1")).text.split())
    assert "Written 71 minutes ago, 2026-01-01 11:59 UTC." in page
    assert "mod_anna took the case 70 minutes ago, 2026-01-01 12:00 UTC" in page
    assert "mod_anna keeps the case for longer 60 minutes ago, 2026-01-01 12:10 UTC" in page


async def test_a_dead_letter_says_what_it_was_and_leads_to_its_case(
    anna: Browser, file: File, store: Store, outbox: Outbox, clock: HandClock
) -> None:
    """And through which channel it should have gone; the menu counts it. A notice about the bot itself has no case."""
    await file("p1")
    alert = Planned(DeliveryKind.ALERT, DeliveryState.DEAD, "discord")
    async with store.transaction():
        for id in ("p1", "refused-testsub-1"):
            await outbox.enqueue([Draft(id, "TestSub", Level.CRISIS, alert, "a subject", "words", clock.now())])
    assert "Set aside (2)" in Page(await anna.get("/")).text
    page = Page(await anna.get("/aside"))
    assert "An alert through discord about post p1 in r/TestSub" in page.text
    assert "An alert through discord about the bot itself, in r/TestSub" in page.text
    assert [each for each in page.all("a", "href") if each.startswith("/case/")] == ["/case/p1"]


async def test_a_gap_is_ticked_off_and_the_tick_taken_back(anna: Browser, ben: Browser, store: Store) -> None:
    """A button and a minute to think again, as with every other act; the history says who did it, and leads back."""
    async with store.transaction():
        await store.execute("add_gap", {"subreddit": "testsub", "from_utc": 1.0, "until_utc": 2.0, "now": 3.0})
        await store.execute("add_gap", {"subreddit": "elsewhere", "from_utc": 1.0, "until_utc": 2.0, "now": 3.0})
    page = Page(await anna.get("/aside"))
    assert "https://www.reddit.com/r/testsub/new" in page.all("a", "href")
    assert page.all("form", "action") == ["/gap/gap-testsub-1/looked"]
    before = Page(await anna.get("/history")).text
    done = await post(anna, "/gap/gap-testsub-1/looked")
    assert (done.status_code, done.headers["location"]) == (303, "/aside#gaps")
    page = Page(await anna.get("/aside"))
    assert "mod_anna looked through r/testsub" in page.text
    assert ("Set aside (1)" in before, "Set aside (" in page.text) == (True, False)
    assert page.all("form", "action") == ["/gap/gap-testsub-1/undo"]
    assert Page(await ben.get("/aside")).all("form", "action") == []
    again = await post(ben, "/gap/gap-testsub-1/looked")
    assert (again.status_code, "mod_anna has looked through these posts already" in again.text) == (409, True)
    history = Page(await anna.get("/history"))
    assert "mod_anna looked through a time that the bot may have missed" in history.text
    assert [each for each in history.all("a", "href") if "gap-" in each] == []
    (row,) = csv.DictReader(io.StringIO((await anna.get("/history.csv")).text))
    assert (row["action"], row["post"], row["level"]) == ("looked", "gap-testsub-1", "")
    assert (await post(anna, "/gap/gap-testsub-1/undo")).status_code == 303
    assert Page(await ben.get("/aside")).all("form", "action") == ["/gap/gap-testsub-1/looked"]
    assert (await post(anna, "/gap/nothing/looked")).status_code == 404


async def test_another_teams_case_is_as_if_it_were_not_there(
    rooms: Rooms, file: File, outbox: Outbox, manners: Manners
) -> None:
    """On no page, under no address and by no act; not even that it exists is told."""
    await file("p1", "ideation xylophonist", title="xylophonist")
    await outbox.bury(await outbox.claim(manners), "no")
    (dead,) = await outbox.find(DeliveryState.DEAD)
    async with browsing(rooms, STRANGER) as browser:
        for address in ("/", "/?level=crisis", "/?subreddit=testsub", "/aside", "/history", "/history.csv"):
            answer = await browser.get(address)
            assert (answer.status_code, "p1" in answer.text, "xylophonist" in answer.text) == (200, False, False)
        missing = (await browser.get("/case/nothing")).text
        assert (await browser.get("/case/p1")).text.replace("p1", "nothing") == missing.replace("p1", "nothing")
        acts = ("claim", "release", "approve", "edit", "dismiss", "mark", "escalate", "undo")
        for address in (*(f"/case/p1/{act}" for act in acts), f"/delivery/{dead.id}/retry"):
            assert (await post(browser, address, words="watch", why="other", level="none")).status_code == 404
        assert (await browser.get("/search", params={"q": "p1"})).status_code == 404
        assert (await post(browser, "/next")).headers["location"] == "/"
    assert (await rooms.desk.case("p1")).reviews == ()


async def test_an_observer_looks_and_does_nothing(rooms: Rooms, file: File) -> None:
    """No button is shown, and none works."""
    await file("p1")
    async with browsing(rooms, OLGA) as browser:
        assert Page(await browser.get("/case/p1")).all("form", "action") == []
        for act in ("claim", "release", "approve", "edit", "dismiss", "mark", "escalate", "undo"):
            assert (await post(browser, f"/case/p1/{act}", level="none", why="other")).status_code == 403
        assert (await post(browser, "/next")).status_code == 403


@pytest.mark.parametrize("text", HOSTILE)
async def test_nothing_in_a_post_acts_on_the_page(anna: Browser, file: File, text: str) -> None:
    """As title, text and author: no tag, no attribute and no hidden character of a stranger's reaches the page."""
    await file("calm", "ideation")
    calm = Page(await anna.get("/case/calm"))
    await file("p1", f"ideation {text}", title=text[:300], author=text[:20])
    response = await anna.get("/case/p1")
    page = Page(response)
    assert response.status_code == 200
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in calm.tags]
    assert {name for _, attrs in page.tags for name in attrs} == {name for _, attrs in calm.tags for name in attrs}
    assert not set("\u202e\u2066\u200b\x00\x1b") & set(response.text)
    for address in ("/", "/history", "/aside"):
        assert text[:20] not in (await anna.get(address)).text.replace("p1", "")


async def test_what_the_browser_sends_never_breaks_a_page(anna: Browser, file: File) -> None:
    """A form without its fields or with nonsense in them is a page that says so, and nothing has happened."""
    await file("p1")
    for act in ("dismiss", "mark", "edit"):
        for fields in (
            {},
            {"why": "<b>", "level": "<b>", "words": "<b>"},
            {"level": "unassessed", "why": "", "words": ""},
        ):
            answer = await post(anna, f"/case/p1/{act}", **fields)
            assert answer.status_code in (400, 409)
            assert "<b>" not in answer.text
    assert (await anna.get("/case/p1")).status_code == 200


ADDRESSES = ["/", "/search", "/aside", "/history", "/history.csv", "/case/p1/reply"]
PARAMETERS = [
    "level",
    "subreddit",
    "mine",
    "page",
    "q",
    "before",
    "words",
    "country",
    "line",
    "directory",
    "chosen",
    "gaps",
    "dead",
]


@given(
    st.sampled_from(ADDRESSES),
    st.dictionaries(
        st.sampled_from(PARAMETERS),
        st.text(max_size=40) | st.sampled_from(["crisis", "watch", "testsub", "1", "p1", "US", *HOSTILE[:8]]),
        max_size=4,
    ),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_parameter_breaks_a_page_or_comes_back(
    anna: Browser, desk: Desk, file: File, address: str, parameters: dict[str, str]
) -> None:
    """Whatever stands in an address: an answer below 500 that does not repeat it."""
    if await desk.find("p1") is None:
        await file("p1")
    marked = {name: f"{value}zqzq" if name in ("q", "line", "country") else value for name, value in parameters.items()}
    answer = await anna.get(address, params=marked)
    assert answer.status_code < 500
    assert "zqzq" not in answer.text


async def test_live_updates_tell_of_changes_once(anna: Browser, file: File) -> None:
    """The stream begins with how things stand, is silent while nothing changes, and ends so that it is asked again."""
    await file("p1")
    answer = await anna.get("/events")
    assert answer.headers["x-accel-buffering"] == "no"  # a proxy that keeps events back tells nobody anything
    lines = answer.text.splitlines()
    (data,) = (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
    assert (data["crisis"]["count"], data["watch"]["count"]) == (1, 0)
    assert data["crisis"]["newest"] > data["watch"]["newest"] == 0
    assert data["crisis"]["words"] == "1 waits, oldest less than a minute"
    assert lines[0] == "retry: 3000"


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70)), max_size=6),
)
def test_evidence_cuts_a_text_and_loses_nothing_of_it(text: str, spans: list[tuple[int, int]]) -> None:
    """The pieces together are the text, and each character is marked by exactly the spans around it."""
    evidence = [Evidence(start, end, "ideation", "rules") for start, end in spans]
    plain = "".join(character if character.isalnum() else "x" for character in text)
    pieces = excerpts(plain, evidence)
    assert "".join(piece.text for piece in pieces) == plain
    at = 0
    for piece in pieces:
        for _ in piece.text:
            assert piece.inside == tuple(number for number, (start, end) in enumerate(spans) if start <= at < end)
            at += 1


def test_every_route_has_a_name_for_whoever_mounts_it(rooms: Rooms) -> None:
    """GET and POST only, and no address twice for one method."""
    found = [(each.path, method) for each in routes(rooms) for method in each.methods - {"HEAD"}]  # type: ignore[attr-defined]
    assert len(found) == len(set(found))
    assert {method for _, method in found} == {"GET", "POST"}
