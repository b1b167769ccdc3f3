"""The moderators' page against strangers: those outside, those of another team, those who write posts, and noise."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from html.parser import HTMLParser
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Route

from bot.config import Config, Secrets
from bot.review.desk import Desk
from bot.review.frame import Frame
from bot.review.pages import Rooms, routes
from bot.review.security import csrf_token
from bot.sandbox.state import SandboxReddit
from bot.store import Store
from tests.cases import CATALOGUE, file_case
from tests.conftest import HandClock, KeywordClassifier
from tests.hostile import HOSTILE
from tests.review import browser, csrf, serving, sign_in, with_review

OWN, OTHERS = "p0", "q0"
OWN_GAP, OTHERS_GAP = "gap-testsub-1", "gap-quietcorner-1"
SECRET = "pangolin"
DOOR = [("GET", "/sessions"), ("POST", "/sessions/end"), ("POST", "/sessions/end-all"), ("POST", "/sign-out")]


@pytest.fixture
def reddit(clock: HandClock) -> SandboxReddit:
    """Two communities with a moderator each, and an observer."""
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("testsub", ("nightlight_bot", "anna", "oscar"))
    reddit.add_subreddit("quietcorner", ("nightlight_bot", "bert"))
    return reddit


@pytest.fixture
def set_up(config: Config) -> Config:
    """Both are configured."""
    both = config.reddit.model_copy(update={"subreddits": ("testsub", "quietcorner")})
    return with_review(config.model_copy(update={"reddit": both}), observers=["oscar"])


@pytest.fixture
def rooms(store: Store, desk: Desk, set_up: Config, clock: HandClock) -> Rooms:
    """What the real pages are made from."""
    return Rooms(store, desk, set_up, CATALOGUE, clock)


@pytest.fixture
def pages(rooms: Rooms) -> list[BaseRoute]:
    """The real pages."""
    return routes(rooms)


@pytest.fixture
async def page(
    set_up: Config, secrets: Secrets, store: Store, rooms: Rooms, pages: list[BaseRoute], clock: HandClock
) -> AsyncIterator[str]:
    """The page, with a case and a gap in each community."""
    await file(store, clock, OWN, subreddit="testsub")
    await file(store, clock, OTHERS, subreddit="quietcorner", text=f"ideation {SECRET}", title=SECRET, author=SECRET)
    async with store.transaction():
        for subreddit in ("testsub", "quietcorner"):
            await store.execute("add_gap", {"subreddit": subreddit, "from_utc": 1.0, "until_utc": 2.0, "now": 3.0})
    async with serving(set_up, secrets, store, pages, clock, Frame(rooms).page) as address:
        yield address


@pytest.fixture
async def anna(page: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser in which a moderator of testsub is signed in."""
    async with browser(page) as client:
        assert (await sign_in(client, "anna")).status_code == 303
        yield client


@pytest.fixture
async def stranger(page: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser in which nobody is signed in."""
    async with browser(page) as client:
        yield client


@pytest.fixture
async def oscar(page: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser in which an observer of testsub is signed in."""
    async with browser(page) as client:
        assert (await sign_in(client, "oscar")).status_code == 303
        yield client


async def file(store: Store, clock: HandClock, id: str, **post: Any) -> None:
    """A post that was judged, with its alert and its reply."""
    await file_case(store, clock, KeywordClassifier(), id, **{"text": "ideation", **post})


def addresses(
    pages: Sequence[BaseRoute], post_id: str, delivery_id: int = 1, gap: str = OWN_GAP
) -> list[tuple[str, str]]:
    """Every route behind the door as a method and a path about this case, delivery and gap."""
    found = []
    for route in pages:
        assert isinstance(route, Route), "the tests know only plain routes"
        path = route.path.replace("{post_id}", post_id).replace("{delivery_id:int}", str(delivery_id))
        path = path.replace("{chart}", "days").replace("{gap}", gap)
        assert "{" not in path, "the tests do not know this parameter"
        found += [(method, path) for method in sorted(route.methods or ()) if method != "HEAD"]
    assert len(found) > 15
    return [*found, *DOOR]


def stored(store: Store) -> list[str]:
    """What moderators could have changed: everything but the sessions."""
    with sqlite3.connect(store.path) as connection:
        return [line for line in connection.iterdump() if 'INTO "sessions"' not in line and "sqlite_seq" not in line]


# -- who asks


async def test_without_a_session_every_route_is_shut(
    stranger: httpx2.AsyncClient, pages: list[BaseRoute], store: Store
) -> None:
    """A stranger is sent to the sign-in, sees nothing of any case, and changes nothing."""
    before = stored(store)
    for method, path in addresses(pages, OWN):
        answer = await stranger.request(method, path)
        assert answer.status_code == (303 if method == "GET" else 401), path
        assert method != "GET" or answer.headers["location"].startswith("/sign-in"), path
        assert OWN not in answer.text
    assert stored(store) == before


async def test_another_teams_case_looks_like_none_at_all(
    anna: httpx2.AsyncClient, pages: list[BaseRoute], store: Store
) -> None:
    """For another team every route about a case answers as it does for a case that is not there, and does nothing."""
    token = await csrf(anna)
    before = stored(store)
    theirs, nothing = addresses(pages, OTHERS, 3, OTHERS_GAP), addresses(pages, "nope", 999, "gap-nope-1")
    for (method, path), (_, path_of_nothing) in zip(theirs, nothing, strict=True):
        if path in ("/next", "/events", *(path for _, path in DOOR)):
            continue
        fields = {"csrf": token, "why": "other", "level": "none", "words": "watch"}
        form = {"data": fields} if method == "POST" else {"params": {"q": OTHERS, "subreddit": "quietcorner"}}
        answer = await anna.request(method, path, **form)
        assert SECRET not in answer.text, path
        assert f"/case/{OTHERS}" not in answer.text, path
        if path != path_of_nothing:
            other = await anna.request(method, path_of_nothing, **form)
            assert (answer.status_code, answer.text) == (404, other.text), path
    assert stored(store) == before
    async with anna.stream("GET", "/events") as stream:
        told = await anext(stream.aiter_text())
    assert SECRET not in told


async def test_the_next_case_is_never_another_teams(anna: httpx2.AsyncClient) -> None:
    """Asked for case after case, the page hands out those of one's own communities alone."""
    token = await csrf(anna)
    given_out = [(await anna.post("/next", data={"csrf": token})).headers["location"] for _ in range(3)]
    assert f"/case/{OWN}" in given_out
    assert f"/case/{OTHERS}" not in given_out


async def test_an_observer_changes_nothing(oscar: httpx2.AsyncClient, pages: list[BaseRoute], store: Store) -> None:
    """With a session and a good token, every act is refused."""
    token, before = await csrf(oscar), stored(store)
    for method, path in addresses(pages, OWN):
        if method == "POST" and (method, path) not in DOOR:
            fields = {"csrf": token, "why": "other", "level": "none", "words": "watch"}
            assert (await oscar.post(path, data=fields)).status_code == 403, path
    assert stored(store) == before


@pytest.mark.parametrize("kind", ["none", "stale", "another's", "made up", "in the address"])
async def test_without_its_token_no_form_does_anything(
    page: str, anna: httpx2.AsyncClient, pages: list[BaseRoute], store: Store, kind: str
) -> None:
    """On every route: no token, the one of the session before, somebody else's, one that was guessed."""
    stale = await csrf(anna)
    await sign_in(anna, "anna")
    async with browser(page) as bert:
        await sign_in(bert, "bert")
        others = await csrf(bert)
    own = await csrf(anna)
    fields = {"none": {}, "stale": {"csrf": stale}, "another's": {"csrf": others}, "made up": {"csrf": "0" * 64}}
    query = {"csrf": own} if kind == "in the address" else {}
    before = stored(store)
    for method, path in addresses(pages, OWN):
        if method == "POST":
            data = {"why": "other", "level": "none", "id": "1", **fields.get(kind, {})}
            assert (await anna.post(path, data=data, params=query)).status_code == 403, path
    assert stored(store) == before
    assert (await anna.get("/")).status_code == 200


async def test_nothing_is_changed_by_looking(anna: httpx2.AsyncClient, pages: list[BaseRoute], store: Store) -> None:
    """A link or a picture in somebody's page can make a browser GET; on every route that changes nothing."""
    before = stored(store)
    for _, path in addresses(pages, OWN):
        if path != "/events":
            assert (await anna.get(path)).status_code in (200, 303, 403, 404, 405, 409), path
    assert stored(store) == before


async def test_a_token_without_a_session_is_worth_nothing(
    stranger: httpx2.AsyncClient, anna: httpx2.AsyncClient, pages: list[BaseRoute], store: Store
) -> None:
    """The token follows from the cookie; one that is nobody's or of an ended session opens nothing."""
    ended = {"csrf": await csrf(anna), "cookie": anna.cookies["nightlight"]}
    await anna.post("/sign-out", data={"csrf": ended["csrf"]})
    made_up = {"csrf": csrf_token("x" * 43), "cookie": "x" * 43}
    before = stored(store)
    for brought in (ended, made_up):
        for method, path in addresses(pages, OWN):
            if method == "POST":
                form = {"data": {"csrf": brought["csrf"], "why": "other", "level": "none", "id": "1"}}
                answer = await stranger.post(path, headers={"cookie": f"nightlight={brought['cookie']}"}, **form)
                assert answer.status_code == 401, path
    assert stored(store) == before


async def test_refusals_are_in_the_log_and_no_word_of_theirs(
    page: str, anna: httpx2.AsyncClient, oscar: httpx2.AsyncClient
) -> None:
    """What somebody's role, their team or a form without its token kept them from: where, in which session, and why."""
    own = await csrf(oscar)
    with structlog.testing.capture_logs() as lines:
        await oscar.post(f"/case/{OWN}/claim", data={"csrf": own})
        await anna.get(f"/case/{OTHERS}")
        await anna.post(f"/case/{OWN}/dismiss", data={"csrf": SECRET, "note": SECRET})
        await anna.post(f"/{SECRET}", data={"csrf": own})
        await anna.post("/next", headers={"sec-fetch-site": "cross-site"})
    assert [(line["route"], line["error"]) for line in lines] == [
        ("/case/{post_id}/claim", "not_yours"),
        ("/case/{post_id}", "not_found"),
        ("/case/{post_id}/dismiss", "a form without the token of its session"),
        ("none", "a form without the token of its session"),
        ("/next", "a form that is not from this page"),
    ]
    assert len({line["session"] for line in lines}) == 2
    assert SECRET not in str(lines)
    assert OTHERS not in str(lines)


async def test_what_waits_stands_above_every_page_of_whoever_is_signed_in(
    anna: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    """Also above their sessions and above a refusal; and a stranger does not see whether anything waits."""
    answers = [
        await anna.get("/sessions"),
        await anna.get("/nothing-here"),
        await anna.post("/next", data={"csrf": "made up"}),
        await anna.get("/sign-out"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 403, 405]
    assert ["1 waits, oldest less than a minute" in answer.text for answer in answers] == [True] * 4
    for outside in (await stranger.get("/sign-in"), await stranger.post("/next")):
        assert "data-live" not in outside.text


# -- who writes


async def test_hostile_posts_are_only_text(
    anna: httpx2.AsyncClient, pages: list[BaseRoute], store: Store, clock: HandClock
) -> None:
    """As title, text and author: the pages are built of the same elements as with a harmless post, and run nothing."""
    assert len(HOSTILE) >= 60
    harmless = [await shape(anna, path) for path in about(pages, OWN)]
    for number, text in enumerate(HOSTILE):
        await file(store, clock, f"h{number}", title=text[:300], text=f"ideation {text}", author=text)
        for path, before in zip(about(pages, f"h{number}"), harmless, strict=True):
            found = await shape(anna, path)
            assert found.elements <= before.elements | QUEUE, (path, text)
            assert found.loads <= STATIC, (path, text)
            assert not found.odd_links, (path, text)
    for method, path in addresses(pages, "h0"):
        if method == "GET" and path != "/events":
            assert (await shape(anna, path)).loads <= STATIC | PICTURES, path


STATIC = frozenset({"/static/page.css", "/static/icon.svg", "/static/live.js"})
PICTURES = frozenset(f"/numbers/{name}.svg" for name in ("days", "curve", "drift"))


# Elements and attributes that a page may gain because there is one case more.
QUEUE = frozenset({("a", ("href",)), ("li", ("class",)), ("span", ("class",)), ("ul", ("class",)), ("p", ("class",))})


def about(pages: Sequence[BaseRoute], post_id: str) -> list[str]:
    """The pages that may show something of a case."""
    of_case = [path for method, path in addresses(pages, post_id) if method == "GET" and f"/{post_id}" in path]
    assert of_case
    return [*of_case, "/", "/aside", "/history", "/history.csv", f"/search?q={post_id}"]


class Shape(HTMLParser):
    """What a page is built of, as a browser would read it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[tuple[str, tuple[str, ...]]] = set()
        self.loads: set[str] = set()
        self.odd_links: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes one element."""
        named = {name: value or "" for name, value in attrs}
        assert not [name for name in named if name.startswith("on") or name == "style"]
        self.elements.add((tag, tuple(sorted(named))))
        if tag in ("script", "link", "img", "iframe", "object", "embed", "source", "video", "audio"):
            found = named.get("src") or named.get("srcset") or named.get("href") or "inline"
            self.loads.add(found.partition("?")[0])
        for name in ("href", "action", "formaction", "xlink:href"):
            if name in named and not re.match(r"/(?!/)|#|https://|http://127\.0\.0\.1", named[name]):
                self.odd_links.add(named[name])


async def shape(client: httpx2.AsyncClient, path: str) -> Shape:
    """A page's shape; no page holds a character that turns text around, hides it or commands a terminal."""
    answer = await client.get(path)
    assert answer.status_code in (200, 303, 403, 404, 405, 409)
    assert not set("\u202e\u2066\u2067\u200b\u2060\ufeff\x00\x1b\x07\x9b\U000e0041") & set(answer.text)
    return Shape(answer.text if "html" in answer.headers.get("content-type", "") else "")


# -- noise

_numbers = count()
_WORDS = st.sampled_from(
    ["", "0", "-1", "9" * 40, "1e9", "null", "crisis", "watch", "other", "1", OWN, OTHERS, "testsub", "..", "%00", "٣"]
)
_NOISE = st.text(max_size=60) | _WORDS | st.sampled_from([text for text in HOSTILE if len(text) < 500])
_ASKED = ["level", "subreddit", "mine", "page", "q", "before", "words", "country", "line", "directory", "chosen"]
_SENT = ["why", "note", "id", "next", "state", "code", "error", "csrf"]
_NAMES = st.sampled_from([*_ASKED, *_SENT])
_HEADERS = st.dictionaries(
    st.sampled_from(["accept", "accept-language", "range", "if-none-match", "x-forwarded-for", "x-forwarded-host",
                     "x-original-url", "x-http-method-override", "cookie", "referer", "forwarded", "content-encoding"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.strip),
    max_size=3,
)  # fmt: skip


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    route=st.integers(0, 10_000),
    part=_NOISE,
    query=st.dictionaries(_NAMES, _NOISE, max_size=4),
    form=st.dictionaries(_NAMES, _NOISE, max_size=4),
    headers=_HEADERS,
    signed=st.booleans(),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_noise_breaks_nothing_and_comes_back_nowhere(
    anna: httpx2.AsyncClient,
    stranger: httpx2.AsyncClient,
    pages: list[BaseRoute],
    page: str,
    method: str,
    route: int,
    part: str,
    query: Mapping[str, str],
    form: Mapping[str, str],
    headers: Mapping[str, str],
    signed: bool,
) -> None:
    """Whatever stands in path, query, form and headers of any route: no 5xx, hardened, nothing of it in the answer."""
    mark = f"zq{next(_numbers)}q"
    known = [*pages, Route("/sign-in", _never), Route("/sign-in/reddit", _never), Route("/sign-in/reddit/done", _never)]
    known += [Route("/sign-in/link/{secret}", _never), *(Route(path, _never) for _, path in DOOR)]
    chosen = known[route % len(known)]
    assert isinstance(chosen, Route)
    path = re.sub(r"\{[^}]+\}", lambda _: quote(f"{part}{mark}"[:200], safe=""), chosen.path)
    if method != "GET" and path in ("/sign-out", "/sessions/end-all", "/sessions/end"):
        return  # they would end the session that the others need
    if path == "/events":
        return
    marked = {name: f"{value}{mark}" for name, value in query.items()}
    fields = {
        **{name: f"{value}{mark}" for name, value in form.items()},
        **({"csrf": await token(anna)} if signed else {}),
    }
    sent = {name: value for name, value in headers.items() if name != "cookie" or not signed}
    body = {"data": fields} if method in ("POST", "PUT", "PATCH") else {}
    answer = await (anna if signed else stranger).request(method, path, params=marked, headers=sent, **body)
    assert answer.status_code < 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert mark not in answer.text
    if "location" in answer.headers:
        assert urlsplit(answer.headers["location"]).netloc in ("", urlsplit(page).netloc, sandbox_of(answer))
    assert SECRET not in answer.text


_tokens: dict[str, str] = {}


async def token(client: httpx2.AsyncClient) -> str:
    """The session's token, asked for once."""
    secret = client.cookies["nightlight"]
    if secret not in _tokens:
        _tokens[secret] = await csrf(client)
    return _tokens[secret]


def sandbox_of(answer: httpx2.Response) -> str:
    """Where a sign-in with Reddit leads to, and nothing else does."""
    place = urlsplit(answer.headers["location"])
    return place.netloc if place.path == "/api/v1/authorize" and place.hostname == "127.0.0.1" else ""


async def _never(request: object) -> None:
    raise AssertionError("these routes are only names")
