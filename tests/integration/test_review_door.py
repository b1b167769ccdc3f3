"""The door of the moderators' page, over HTTP, with Reddit played by the sandbox."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import structlog
import trustme
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from bot.config import Config, Review, Secrets
from bot.errors import Transient
from bot.review.door import Teams
from bot.review.security import address
from bot.review.sessions import IDLE_SECONDS, LINK_SECONDS, Links
from bot.sandbox.state import Fault, SandboxReddit
from bot.store import Store
from bot.web import listener
from tests.conftest import NEVER_LOGGED, HandClock
from tests.review import authorise, browser, csrf, post, serving, sign_in, with_review

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}


def rooms() -> list[BaseRoute]:
    """Pages that show what the door hands on."""

    async def front(request: Request) -> Response:
        who = request.state.moderator
        return PlainTextResponse(f"{who.name} {who.role} {' '.join(sorted(who.subreddits))}")

    async def echo(request: Request) -> Response:
        return PlainTextResponse(str((await request.form())["word"]))

    async def broken(request: Request) -> Response:
        raise KeyError(NEVER_LOGGED)

    async def events(request: Request) -> Response:
        async def each() -> AsyncIterator[bytes]:
            while True:
                yield b"data: tick\n\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(each(), media_type="text/event-stream")

    return [
        Route("/", front),
        Route("/echo", echo, methods=["POST"]),
        Route("/broken", broken),
        Route("/events", events),
    ]


@pytest.fixture
def reddit(clock: HandClock) -> SandboxReddit:
    """Two communities: anna and olga moderate the first, bert the second."""
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("testsub", ("nightlight_bot", "Anna", "olga", "oscar"))
    reddit.add_subreddit("quietcorner", ("nightlight_bot", "bert", "olga"))
    return reddit


@pytest.fixture
def set_up(config: Config) -> Config:
    """Both are configured; olga owns, oscar observes."""
    both = config.reddit.model_copy(update={"subreddits": ("testsub", "QuietCorner")})
    return with_review(config.model_copy(update={"reddit": both}), owners=["Olga"], observers=["oscar"])


@pytest.fixture
async def page(set_up: Config, secrets: Secrets, store: Store, clock: HandClock) -> AsyncIterator[str]:
    """The page, where people sign in with Reddit."""
    async with serving(set_up, secrets, store, rooms(), clock) as address:
        yield address


@pytest.fixture
async def link_page(set_up: Config, secrets: Secrets, store: Store, clock: HandClock) -> AsyncIterator[str]:
    """The page, where one signs in by a link: its address is the first."""
    async with serving(with_review(set_up, sign_in="link"), secrets, store, rooms(), clock) as address:
        yield address


@pytest.fixture
async def client(page: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser."""
    async with browser(page) as client:
        yield client


# -- with Reddit


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ("Anna", "Anna moderator testsub"),
        ("bert", "bert moderator quietcorner"),
        ("olga", "olga owner quietcorner testsub"),
        ("oscar", "oscar observer testsub"),
    ],
)
async def test_a_moderator_comes_in_with_their_role_to_their_own_communities(
    client: httpx2.AsyncClient, account: str, shown: str
) -> None:
    """Signing in with Reddit opens the communities that the account moderates, and no other."""
    arrived = await sign_in(client, account)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
    assert (await client.get("/")).text == shown


async def test_a_stranger_does_not_learn_whom_the_bot_watches(client: httpx2.AsyncClient) -> None:
    """Neither the sign-in nor its refusal names a community."""
    for answer in (await client.get("/sign-in"), await sign_in(client, "stranger")):
        assert not re.search("testsub|quietcorner", answer.text, re.IGNORECASE)


async def test_whoever_moderates_nothing_stays_outside(client: httpx2.AsyncClient, store: Store) -> None:
    """An account that Reddit vouches for, but that moderates no configured community, gets no session."""
    refused = await sign_in(client, "stranger")
    assert refused.status_code == 403
    assert "moderates none" in refused.text
    assert (await client.get("/")).status_code == 303
    assert await sessions_in(store) == 0


async def test_only_the_name_is_asked_for_and_the_token_is_given_back(
    client: httpx2.AsyncClient, reddit: SandboxReddit
) -> None:
    """The scope is `identity`; after the name the token is revoked, and nothing of it is in the log of requests."""
    begun = await client.get("/sign-in/reddit")
    asked = httpx2.URL(begun.headers["location"]).params
    assert (asked["scope"], asked["duration"], asked["code_challenge_method"]) == ("identity", "temporary", "S256")
    assert len(asked["state"]) >= 43
    await client.get(await authorise(begun.headers["location"], "Anna"))
    own = [r for r in reddit.requests if r.path in ("/api/v1/me", "/api/v1/revoke_token")]
    assert [r.path for r in own][:2] == ["/api/v1/me", "/api/v1/revoke_token"]
    with pytest.raises(LookupError):
        reddit.token_user("sandbox-token-1")


async def test_an_answer_counts_once_soon_and_in_the_browser_that_asked(
    page: str, client: httpx2.AsyncClient, clock: HandClock, store: Store
) -> None:
    """A state is refused in another browser, a second time, after ten minutes, and when nobody made it."""
    begun = (await client.get("/sign-in/reddit")).headers["location"]
    back = await authorise(begun, "Anna")
    async with browser(page) as other:
        await other.get("/sign-in/reddit")
        assert (await other.get(back)).status_code == 403
    assert (await client.get(back)).status_code == 403  # that state is used up

    late = await authorise((await client.get("/sign-in/reddit")).headers["location"], "Anna")
    clock.advance(601)
    assert (await client.get(late)).status_code == 403
    assert (await client.get("/sign-in/reddit/done?state=made_up&code=made_up")).status_code == 403
    assert await sessions_in(store) == 0

    arrived = await sign_in(client, "Anna")
    assert arrived.status_code == 303
    assert (await client.get(arrived.request.url)).status_code == 403
    assert await sessions_in(store) == 1


async def test_a_code_that_reddit_does_not_know_lets_nobody_in(client: httpx2.AsyncClient) -> None:
    """A good state with a made-up code is refused, and so is a no on Reddit's page."""
    begun = await client.get("/sign-in/reddit")
    back = httpx2.URL(await authorise(begun.headers["location"], "Anna")).copy_set_param("code", "made-up")
    assert (await client.get(back)).status_code == 403
    assert (await sign_in(client, "")).status_code == 403
    assert (await client.get("/")).status_code == 303


async def test_a_removed_moderator_is_out_within_the_hour(
    client: httpx2.AsyncClient, reddit: SandboxReddit, clock: HandClock, store: Store
) -> None:
    """Reddit is asked again every hour: whoever moderates no more loses the session."""
    await sign_in(client, "Anna")
    reddit.demote("testsub", "Anna")
    clock.advance(3601)
    assert (await client.get("/")).headers["location"] == "/sign-in"
    assert await sessions_in(store) == 0


async def test_a_new_moderator_need_not_wait(
    client: httpx2.AsyncClient, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Somebody who was no moderator a minute ago and is one now comes in."""
    assert (await sign_in(client, "newcomer")).status_code == 403
    reddit.promote("testsub", "newcomer")
    clock.advance(61)
    assert (await sign_in(client, "newcomer")).status_code == 303


async def test_reddits_silence_locks_nobody_out_at_once_and_lets_nobody_stay(
    client: httpx2.AsyncClient, reddit: SandboxReddit, clock: HandClock
) -> None:
    """One failed question changes nothing; after an hour without an answer the page is shut until there is one."""
    await sign_in(client, "Anna")
    reddit.faults = lambda method, path: Fault(status=503) if "moderators" in path else None
    clock.advance(2800)
    assert (await client.get("/")).status_code == 200
    clock.advance(801)
    assert (await client.get("/")).status_code == 503
    reddit.faults = None
    clock.advance(31)
    assert (await client.get("/")).status_code == 200


async def test_a_community_that_does_not_answer_shuts_out_nobody_of_another(
    client: httpx2.AsyncClient, page: str, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Only those of whom nobody else is known to say that they moderate are refused, and their sessions stay."""
    async with browser(page) as bert:
        await sign_in(client, "olga")
        await sign_in(bert, "bert")
        reddit.faults = lambda method, path: Fault(status=502) if "quietcorner" in path else None
        clock.advance(3601)
        assert (await client.get("/")).text == "olga owner testsub"
        assert (await bert.get("/")).status_code == 503
        reddit.faults = None
        clock.advance(31)
        assert (await bert.get("/")).text == "bert moderator quietcorner"
        assert (await client.get("/")).text == "olga owner quietcorner testsub"


async def test_a_question_that_hangs_holds_up_nobody_who_is_known(clock: HandClock) -> None:
    """It is given up after a while, is asked once for all who come, and who needs no answer to it waits for none."""
    answers, asked = {"one": frozenset({"anna"}), "two": frozenset({"bert"})}, []
    silent: set[str] = set()

    async def ask(subreddit: str) -> frozenset[str]:
        asked.append(subreddit)
        if subreddit in silent:
            await asyncio.Event().wait()
        return answers[subreddit]

    teams = Teams(["one", "two"], ask, clock, answer_seconds=0.3)
    silent.add("two")
    assert await teams.of("anna") == {"one"}
    with pytest.raises(Transient):
        await teams.of("bert")
    silent.add("one")
    clock.advance(3000)  # old, and believed for ten minutes more
    begun = asyncio.get_running_loop().time()
    assert await asyncio.gather(*(teams.of("anna") for _ in range(9))) == [{"one"}] * 9
    assert asyncio.get_running_loop().time() - begun < 0.2
    assert sorted(asked) == ["one", "one", "two", "two"]
    clock.advance(601)
    with pytest.raises(Transient):
        await teams.of("anna")


async def test_a_token_that_reddit_does_not_take_back_keeps_nobody_out(
    client: httpx2.AsyncClient, reddit: SandboxReddit
) -> None:
    """The name is known by then; that the token lives on for its hour is in the log."""
    reddit.faults = lambda method, path: Fault(status=503) if path.endswith("revoke_token") else None
    with structlog.testing.capture_logs() as lines:
        assert (await sign_in(client, "Anna")).headers["location"] == "/"
    assert [line["event"] for line in lines if "token" in line["event"]] == ["review.token_not_returned"]


async def test_a_community_that_shuts_the_bot_out_lets_nobody_in(
    client: httpx2.AsyncClient, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Where the bot may not ask, nobody is believed; the other community goes on."""
    await sign_in(client, "olga")
    reddit.close("quietcorner")
    clock.advance(3601)
    assert (await client.get("/")).text == "olga owner testsub"


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("/case/abc123", "/case/abc123"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a?b=%0d%0aset-cookie:x", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
async def test_a_sign_in_leads_to_pages_of_ours_alone(client: httpx2.AsyncClient, asked: str, leads: str) -> None:
    """The link in an alert is found again after the sign-in; another site never is."""
    assert (await sign_in(client, "Anna", asked)).headers["location"] == leads


async def test_a_sign_in_that_failed_still_knows_where_it_led(
    client: httpx2.AsyncClient, reddit: SandboxReddit
) -> None:
    """Whoever said no, or was let down by Reddit, tries again and finds the case that the alert was about."""
    again = 'href="/sign-in/reddit?next=/case/abc123"'
    assert again in (await sign_in(client, "", "/case/abc123")).text
    reddit.faults = lambda method, path: Fault(status=503) if path.endswith("/me") else None
    refused = await sign_in(client, "Anna", "/case/abc123")
    assert (refused.status_code, again in refused.text) == (503, True)
    reddit.faults = None
    made_up = await client.get("/sign-in/reddit/done?state=made_up&code=made_up")
    assert 'href="/sign-in/reddit"' in made_up.text


async def test_signing_in_changes_the_secret(client: httpx2.AsyncClient) -> None:
    """What somebody put into the browser before is worth nothing after (session fixation)."""
    await client.get("/sign-in/reddit")
    before = client.cookies["nightlight"]
    await sign_in(client, "Anna")
    assert client.cookies["nightlight"] != before
    assert (await client.get("/", headers={"cookie": f"nightlight={before}"})).status_code == 303


async def test_sign_ins_are_counted_by_address(page: str, client: httpx2.AsyncClient) -> None:
    """The eleventh try of a minute is refused, with whatever cookie and whatever it says of its address."""
    for _ in range(10):
        assert (await client.get("/sign-in/reddit")).status_code == 303
    async with browser(page, headers={"x-forwarded-for": "203.0.113.9"}) as other:
        assert (await other.get("/sign-in/reddit")).status_code == 429


async def test_behind_a_proxy_the_address_is_what_the_proxy_says(
    set_up: Config, secrets: Secrets, store: Store, clock: HandClock
) -> None:
    """The proxy's own entry in X-Forwarded-For is counted, not what a client put before it."""
    here = f"http://127.0.0.1:{(port := free_port())}"
    proxied = with_review(set_up, behind_proxy=True, public_url="https://mods.example.org", port=port)
    async with (
        serving(proxied, secrets, store, rooms(), clock) as address,
        browser(here, headers={"host": "mods.example.org"}) as client,
    ):
        assert address == "https://mods.example.org"
        for number in range(10):
            said = {"x-forwarded-for": f"192.0.2.{number}, 203.0.113.9"}
            assert (await client.get("/sign-in/reddit", headers=said)).status_code == 303
        said = {"x-forwarded-for": "192.0.2.77, 203.0.113.9"}
        assert (await client.get("/sign-in/reddit", headers=said)).status_code == 429
        said = {"x-forwarded-for": "203.0.113.9, 192.0.2.77"}
        begun = await client.get("/sign-in/reddit", headers=said)
        assert begun.status_code == 303
        assert begun.headers["set-cookie"].startswith("__Host-nightlight=")
        assert "Secure" in begun.headers["set-cookie"]
        assert "max-age" in begun.headers["strict-transport-security"]
        assert (await client.get("/", headers={"host": "127.0.0.1"})).status_code == 400


@pytest.mark.parametrize(
    ("peer", "said", "counted"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("::ffff:192.0.2.7", None, "192.0.2.7"),
        ("2001:db8::7", None, "2001:db8::/64"),
        ("fe80::7%eth0", None, "fe80::/64"),
        ("", None, "unknown"),
        ("192.0.2.7", "203.0.113.9:4711", "203.0.113.9"),
        ("192.0.2.7", "[2001:db8::7]:4711", "2001:db8::/64"),
        ("192.0.2.7", "[2001:db8::7]", "2001:db8::/64"),
        ("192.0.2.7", "2001:db8::7", "2001:db8::/64"),
        ("192.0.2.7", "::ffff:203.0.113.9", "203.0.113.9"),
        ("192.0.2.7", "nonsense:80", "unknown"),
        ("192.0.2.7", "", "192.0.2.7"),
    ],
)
def test_each_address_has_tries_of_its_own(peer: str, said: str | None, counted: str) -> None:
    """However a socket or a proxy writes it: strangers who share a counter could use up everybody's tries."""
    headers = [] if said is None else [(b"x-forwarded-for", said.encode())]
    request = Request({"type": "http", "client": (peer, 4711) if peer else None, "headers": headers})
    review = Review() if said is None else Review(behind_proxy=True, public_url="https://mods.example.org")
    assert address(request, review) == counted


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate for 127.0.0.1 from an authority of the test's own, as files, and whoever trusts it."""

    certificate: Path
    key: Path
    trusted: ssl.SSLContext


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """Made anew, as a team would make one that no browser knows."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "page.pem", tmp_path / "page.key"
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    return Certified(certificate, key, trusted)


@pytest.fixture
async def tls_page(
    set_up: Config, secrets: Secrets, store: Store, clock: HandClock, certified: Certified
) -> AsyncIterator[str]:
    """The page on every address of this machine, with a certificate."""
    port = free_port()
    review = {"host": "0.0.0.0", "port": port, "public_url": f"https://127.0.0.1:{port}"}  # noqa: S104
    tls = with_review(set_up, tls_certificate=certified.certificate, tls_key=certified.key, **review)
    async with serving(tls, secrets, store, rooms(), clock) as address:
        yield address


async def test_over_tls_no_cookie_travels_in_the_clear(tls_page: str, certified: Certified) -> None:
    """Before the sign-in, after it and at the sign-out it is Secure, out of scripts' reach and bound to this host."""
    async with browser(tls_page, verify=certified.trusted) as client:
        begun = await client.get("/sign-in/reddit")
        arrived = await sign_in(client, "Anna")
        assert (await client.get("/")).text == "Anna moderator testsub"
        left = await post(client, "/sign-out")
    for answer in (begun, arrived, left):
        (cookie,) = answer.headers.get_list("set-cookie")
        name, *settings = cookie.split("; ")
        assert name.startswith("__Host-nightlight=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(settings)
        assert "max-age" in answer.headers["strict-transport-security"]


async def test_plain_http_and_old_tls_get_no_page(tls_page: str) -> None:
    """Who speaks without TLS, or one that is older than 1.2, gets not a byte of a page, nor a redirect to trust in."""
    port = urlsplit(tls_page).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert b"HTTP/" not in answer
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=old)
        writer.close()
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ConnectionResetError, ssl.SSLError)) as refused:
        await asyncio.open_connection("127.0.0.1", port, ssl=old)
    assert "no protocols available" not in str(refused.value).lower()  # that would be this side's own refusal


async def test_a_certificate_that_cannot_be_used_is_an_error(
    set_up: Config, secrets: Secrets, store: Store, clock: HandClock, tmp_path: Path
) -> None:
    """Nothing is served in its place."""
    (tmp_path / "page.pem").write_text("no certificate", encoding="utf-8")
    tls = with_review(set_up, tls_certificate=tmp_path / "page.pem", tls_key=tmp_path / "nothing.key", port=free_port())
    with pytest.raises(OSError):
        async with serving(tls, secrets, store, rooms(), clock):
            pass
    listener(tls.review.host, tls.review.port).close()  # the port was let go


# -- by a link


async def test_a_link_works_once(link_page: str, store: Store) -> None:
    """The first to follow it is in, as the owner of every community; a look (HEAD) does not use it up."""
    async with browser(link_page) as first, browser(link_page) as second:
        assert (await first.head(link_page)).status_code == 405
        assert (await first.get(link_page)).status_code == 303
        assert "owner quietcorner testsub" in (await first.get("/")).text
        assert (await second.get(link_page)).status_code == 403
        assert (await second.get("/")).status_code == 303
        assert (await second.get(f"{link_page[:-1]}x")).status_code == 403
        assert (await second.get("/sign-in/reddit")).status_code == 404


async def test_a_link_is_short_lived(link_page: str, store: Store, clock: HandClock) -> None:
    """After ten minutes it opens nothing; a new one does."""
    clock.advance(LINK_SECONDS)
    async with browser(link_page) as client:
        assert (await client.get(link_page)).status_code == 403
        fresh = await Links(store, clock).make("somebody")
        assert (await client.get(f"/sign-in/link/{fresh}")).status_code == 303


async def test_of_two_who_follow_a_link_at_once_one_comes_in(link_page: str) -> None:
    """Single use holds under a race."""
    async with browser(link_page) as first, browser(link_page) as second:
        answers = await asyncio.gather(first.get(link_page), second.get(link_page))
    assert sorted(answer.status_code for answer in answers) == [303, 403]


async def test_sessions_by_link_end_where_one_signs_in_with_reddit(
    link_page: str, set_up: Config, secrets: Secrets, store: Store, clock: HandClock
) -> None:
    """A team that goes over to Reddit leaves no old way in open."""
    async with browser(link_page) as client:
        await client.get(link_page)
        cookie = {"cookie": f"nightlight={client.cookies['nightlight']}"}
    async with serving(set_up, secrets, store, rooms(), clock) as page, browser(page) as other:
        assert (await other.get("/", headers=cookie)).status_code == 303


# -- sessions


async def test_the_cookie_is_for_this_page_alone_and_the_store_cannot_lend_it(
    client: httpx2.AsyncClient, store: Store
) -> None:
    """HttpOnly, SameSite, an end; the database holds its hash and never the secret."""
    arrived = await sign_in(client, "Anna")
    cookie = arrived.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=43200" in cookie
    secret = client.cookies["nightlight"]
    assert not any(secret in line for line in await asyncio.to_thread(dump, store.path))


@pytest.mark.parametrize("seconds", [IDLE_SECONDS, 12 * 3600])
async def test_a_session_ends_by_itself(client: httpx2.AsyncClient, clock: HandClock, seconds: float) -> None:
    """Three hours after the last request, and twelve after the first, whatever was asked in between."""
    await sign_in(client, "Anna")
    step = IDLE_SECONDS if seconds == IDLE_SECONDS else 3600.0
    passed = 0.0
    while passed + step < seconds:
        clock.advance(step)
        passed += step
        assert (await client.get("/")).status_code == 200
    clock.advance(seconds - passed)
    assert (await client.get("/")).status_code == 303


async def test_a_page_that_was_left_open_is_nobody(client: httpx2.AsyncClient, clock: HandClock) -> None:
    """The stream of events, which a browser asks for by itself again and again, keeps no session alive."""
    await sign_in(client, "Anna")
    for _ in range(6):
        clock.advance(IDLE_SECONDS / 6)
        async with client.stream("GET", "/events", headers={"accept": "text/event-stream"}) as stream:
            status = stream.status_code
    assert status == 401


async def test_an_owner_of_one_community_ends_nobodys_session_in_another(
    client: httpx2.AsyncClient, page: str, set_up: Config, reddit: SandboxReddit
) -> None:
    """Whom they share no community with is not in their list, and is as if not there."""
    reddit.demote("quietcorner", "olga")
    async with browser(page) as bert:
        await sign_in(bert, "bert")
        await sign_in(client, "olga")
        assert "bert" not in (await client.get("/sessions")).text
        assert (await post(client, "/sessions/end", id="1")).status_code == 404
        assert (await bert.get("/")).status_code == 200


async def test_one_ends_ones_own_sessions_and_nobody_elses(page: str, client: httpx2.AsyncClient) -> None:
    """A moderator sees and ends what is theirs; an owner sees and ends all of their communities."""
    async with browser(page) as phone, browser(page) as bert, browser(page) as olga:
        await sign_in(client, "Anna")
        await sign_in(phone, "anna")
        await sign_in(bert, "bert")
        await sign_in(olga, "olga")
        listed = (await client.get("/sessions")).text
        assert "bert" not in listed
        assert (await post(client, "/sessions/end", id="3")).status_code == 404
        assert (await bert.get("/")).status_code == 200
        assert (await post(client, "/sessions/end", id="2")).status_code == 303
        assert (await phone.get("/")).status_code == 303
        assert "bert" in (await olga.get("/sessions")).text
        assert (await post(olga, "/sessions/end", id="3")).status_code == 303
        assert (await bert.get("/")).status_code == 303
        for id in ("", "x", "-1", "9" * 30, "٣"):
            assert (await post(client, "/sessions/end", id=id)).status_code in (400, 404)
        assert (await post(client, "/sessions/end-all")).status_code == 303
        assert (await client.get("/")).status_code == 303
        assert (await olga.get("/")).status_code == 200


async def test_signing_out_ends_the_session_itself(client: httpx2.AsyncClient, store: Store) -> None:
    """A cookie that somebody copied before is worth nothing after."""
    await sign_in(client, "Anna")
    copied = {"cookie": f"nightlight={client.cookies['nightlight']}"}
    assert (await post(client, "/sign-out")).status_code == 303
    assert (await client.get("/", headers=copied)).status_code == 303
    assert await sessions_in(store) == 0


async def test_a_stream_ends_with_its_session(page: str, client: httpx2.AsyncClient, clock: HandClock) -> None:
    """An answer that goes on for ever stops within a minute of the session's end, and knocks nobody in meanwhile."""
    await sign_in(client, "Anna")
    async with client.stream("GET", "/events") as stream:
        events = stream.aiter_bytes()
        assert await anext(events)
        clock.advance(61)
        for _ in range(10):
            assert await anext(events)
        assert (await post(client, "/sign-out")).status_code == 303
        clock.advance(61)
        async with asyncio.timeout(20):
            async for _ in events:
                pass
    assert (await client.get("/events", headers={"accept": "text/event-stream"})).status_code == 401


# -- forms


async def test_a_form_needs_the_token_of_its_own_session(page: str, client: httpx2.AsyncClient) -> None:
    """No token, an old one, another's, two at once: refused. The right one: the handler reads the whole form."""
    await sign_in(client, "Anna")
    old = await csrf(client)
    await sign_in(client, "Anna")
    async with browser(page) as bert:
        await sign_in(bert, "bert")
        others = await csrf(bert)
    own = await csrf(client)
    for fields in ({}, {"csrf": ""}, {"csrf": old}, {"csrf": others}, {"csrf": [own, own]}, {"csrf": own[:-1]}):
        assert (await client.post("/echo", data={"word": "hello", **fields})).status_code == 403
    answer = await client.post("/echo", data={"word": "héllo & wörld", "csrf": own})
    assert (answer.status_code, answer.text) == (200, "héllo & wörld")


async def test_only_small_forms_of_this_site_are_read(client: httpx2.AsyncClient) -> None:
    """Other kinds of body, long ones, and what the browser says comes from elsewhere are refused."""
    await sign_in(client, "Anna")
    own = await csrf(client)
    form = {"csrf": own, "word": "hello"}
    assert (await client.post("/echo", json=form)).status_code == 415
    assert (await client.post("/echo", files={"word": b"x"}, data={"csrf": own})).status_code == 415
    assert (await client.post("/echo", data={**form, "word": "x" * 70_000})).status_code == 413
    assert (await client.post("/echo", content=b"\xff\xfe", headers=FORM)).status_code == 403
    assert (await client.post("/echo", content=b"a=1&" * 1000, headers=FORM)).status_code == 403
    for site in ("cross-site", "same-site", "none"):
        assert (await client.post("/echo", data=form, headers={"sec-fetch-site": site})).status_code == 403
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADEUP"):
        assert (await client.request(method, "/echo")).status_code in (403, 405, 415)
    assert (await client.post("/echo", data=form, headers={"sec-fetch-site": "same-origin"})).status_code == 200


FORM = {"content-type": "application/x-www-form-urlencoded"}


# -- every answer


async def test_every_answer_is_hardened(client: httpx2.AsyncClient) -> None:
    """Pages, refusals, redirects, static files and errors all carry the headers; no page is kept by a cache."""
    await sign_in(client, "Anna")
    answers = [
        await client.get("/"),
        await client.get("/sign-in"),
        await client.get("/nothing-here"),
        await client.get("/broken"),
        await client.get("/static/page.css"),
        await client.get("/static/../app.py"),
        await client.get("/", headers={"host": "evil.example"}),
        await client.post("/echo", data={"word": "hello"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 303, 404, 500, 200, 404, 400, 403]
    for answer in answers:
        assert EVERYWHERE.items() <= dict(answer.headers).items()
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        static = answer.request.url.path.startswith("/static/") and answer.status_code == 200
        assert answer.headers["cache-control"] == ("no-cache" if static else "no-store")
        assert "server" not in answer.headers


async def test_an_error_quotes_nothing(client: httpx2.AsyncClient) -> None:
    """What a page failed over is in neither the answer nor the log; where it failed is in the log."""
    await sign_in(client, "Anna")
    with structlog.testing.capture_logs() as lines:
        answer = await client.get("/broken")
    assert NEVER_LOGGED not in answer.text + str(lines)
    assert [line["error"].partition(" ")[0] for line in lines if line["event"] == "review.failed"] == ["KeyError"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "a b", "[::2]"])
async def test_another_name_for_this_machine_is_refused(client: httpx2.AsyncClient, host: str) -> None:
    """A name that somebody pointed at this machine (DNS rebinding) opens nothing, not even with a session."""
    await sign_in(client, "Anna")
    assert (await client.get("/", headers={"host": host})).status_code == 400


async def test_localhost_leads_to_the_address_that_reddit_answers_to(page: str, client: httpx2.AsyncClient) -> None:
    """The cookie and Reddit's answer meet under one name, and the case that was asked for is not lost on the way."""
    port = httpx2.URL(page).port
    for path, leads in (
        ("/sign-in", "/sign-in"),
        ("/sign-in?next=/case/abc123", "/sign-in?next=/case/abc123"),
        ("/sign-in?next=//evil.example", "/sign-in"),
    ):
        answer = await client.get(path, headers={"host": f"localhost:{port}"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"{page}{leads}")


async def test_without_a_session_there_is_only_the_sign_in(client: httpx2.AsyncClient) -> None:
    """Routes that exist, and routes that do not, look the same from outside."""
    for path in ("/echo", "/broken", "/sessions", "/nothing-here"):
        assert (await client.get(path)).headers["location"] == f"/sign-in?next={path}"
        assert (await client.post(path, data={"csrf": "x"})).status_code == 401
    assert (await client.get('/"><script>')).headers["location"] == "/sign-in"


async def test_a_cookie_of_nonsense_is_no_error(client: httpx2.AsyncClient) -> None:
    """Whatever a browser sends as its cookie, it is nobody's."""
    for value in ("", "x", "x" * 43, "x" * 5000, '"', "a;nightlight=b", "\x7f"):
        assert (await client.get("/", headers={"cookie": f"nightlight={value}"})).status_code == 303


# -- helpers


async def sessions_in(store: Store) -> int:
    """How many sessions the database holds."""
    rows = await store._db.execute_fetchall("SELECT count(*) FROM sessions")
    return int(next(iter(rows))[0])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def dump(path: Path) -> list[str]:
    """The whole database as SQL."""
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())
