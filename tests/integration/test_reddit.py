"""The real client against the sandbox: catch-up, errors in our words, and writes that are never repeated."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, cast

import pytest

from bot.clock import SystemClock
from bot.config import Config, Secrets
from bot.deliver.reddit import RedditMessenger
from bot.deliver.worker import Letter
from bot.errors import Forbidden, Gone, Permanent, Transient, Unclear
from bot.reddit import Gateway, user_agent
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import Fault, SandboxReddit
from bot.sources.reddit import Catch, NewPosts
from bot.types import DeliveryKind
from tests.conftest import NOON, HandClock


def submit(reddit: SandboxReddit, count: int, clock: HandClock) -> list[str]:
    """So many posts, a second apart; their ids, oldest first."""
    ids = []
    for number in range(count):
        clock.advance(1)
        ids.append(reddit.submit("testsub", f"title {number}", "text", "somebody"))
    return ids


async def look(gateway: Gateway, known: set[str], since_utc: float = NOON - 1) -> Catch:
    """One look by somebody who knows these posts."""

    async def knows(ids: Sequence[str]) -> set[str]:
        return known & set(ids)

    return await NewPosts(gateway, "testsub", knows).look(since_utc)


async def test_an_outage_of_350_posts_loses_none(gateway: Gateway, reddit: SandboxReddit, clock: HandClock) -> None:
    """Pages back over four listings until a known post is met; oldest first, each once."""
    ids = submit(reddit, 351, clock)
    catch = await look(gateway, {ids[0]})
    assert [post.id for post in catch.posts] == ids[1:]
    assert catch.gap_until_utc is None


async def test_a_deleted_newest_known_post_does_not_stop_the_catch_up(
    gateway: Gateway, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The post last seen is gone from Reddit: an older known one ends the look instead."""
    ids = submit(reddit, 150, clock)
    reddit.remove_by_moderator(ids[20])
    catch = await look(gateway, set(ids[:21]))
    assert [post.id for post in catch.posts] == ids[21:]


async def test_posts_of_the_same_second_are_all_found(gateway: Gateway, reddit: SandboxReddit) -> None:
    """Times do not tell posts apart: 250 of one moment come back, each once, after one that is known."""
    ids = [reddit.submit("testsub", f"title {number}", "text", "somebody") for number in range(251)]
    catch = await look(gateway, {ids[0]})
    assert [post.id for post in catch.posts] == ids[1:]


async def test_a_post_approved_late_is_found_among_known_ones(
    gateway: Gateway, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A post that appears between older and newer known posts is still new to us."""
    ids = submit(reddit, 50, clock)
    catch = await look(gateway, set(ids) - {ids[25]})
    assert [post.id for post in catch.posts] == [ids[25]]


async def test_more_than_a_listing_holds_is_a_gap(gateway: Gateway, reddit: SandboxReddit, clock: HandClock) -> None:
    """1,200 posts in an outage: the 1,000 that Reddit still lists, and the time before which some are missing."""
    ids = submit(reddit, 1_201, clock)
    catch = await look(gateway, {ids[0]})
    assert len(catch.posts) == 1_000
    assert catch.gap_until_utc == catch.posts[0].created_utc


async def test_the_first_look_goes_back_only_to_the_beginning(
    gateway: Gateway, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Posts from before the watch began are left alone."""
    ids = submit(reddit, 10, clock)
    catch = await look(gateway, set(), since_utc=NOON + 6)
    assert [post.id for post in catch.posts] == ids[5:]


async def test_a_post_becomes_ours_whole(gateway: Gateway, reddit: SandboxReddit) -> None:
    """Every field of a submission arrives; a deleted author is None."""
    kept = reddit.submit("testsub", "a title", "a text", "somebody")
    orphan = reddit.submit("testsub", "b", "[deleted]", "[deleted]")
    posts = {post.id: post for post in (await look(gateway, set())).posts}
    post = posts[kept]
    assert (post.subreddit, post.author, post.title, post.text) == ("testsub", "somebody", "a title", "a text")
    assert (post.created_utc, post.fullname) == (NOON, f"t3_{kept}")
    assert f"/comments/{kept}/" in post.permalink
    assert posts[orphan].author is None


async def test_an_unknown_subreddit_is_permanent(gateway: Gateway) -> None:
    """No subreddit of that name: trying again cannot help."""
    with pytest.raises(Permanent):
        await gateway.moderates("nosuchsub")


async def test_wrong_credentials_are_permanent(config: Config, secrets: Secrets) -> None:
    """A refused password is not a passing trouble."""
    wrong = Secrets.model_validate({**secrets.model_dump(), "password": "wrong"})
    async with Gateway.open(config, wrong) as gateway:
        with pytest.raises(Forbidden):
            await gateway.me()


async def test_no_server_is_transient(config: Config, secrets: Secrets) -> None:
    """A refused connection may pass."""
    nowhere = config.model_copy(update={"reddit": config.reddit.model_copy(update={"base_url": "http://127.0.0.1:9"})})
    async with Gateway.open(nowhere, secrets) as gateway:
        with pytest.raises(Transient):
            await gateway.me()


async def test_the_user_agent_has_the_form_reddit_asks_for(config: Config, secrets: Secrets) -> None:
    """`<platform>:<app ID>:<version> (by /u/<name>)`."""
    assert user_agent(config, secrets).endswith(" (by /u/nightlight_bot)")
    assert user_agent(config, secrets).count(":") == 2


ALERT = Letter(DeliveryKind.ALERT, "testsub", "x", "[Nightlight] crisis (t3_x)", "body")


async def test_an_alert_is_an_internal_discussion_and_is_found_again(gateway: Gateway, reddit: SandboxReddit) -> None:
    """No recipient, one conversation, and a later look finds it by its subject, archived or not."""
    messenger = RedditMessenger(gateway)
    assert await messenger.find(ALERT) is None
    sent = await messenger.send(ALERT)
    assert await messenger.find(ALERT) == sent
    (conversation,) = reddit.conversations
    assert conversation.subject == ALERT.subject
    assert not [form for method, path, form in posts_to(reddit, "/api/mod/conversations") if form.get("to")]


def posts_to(reddit: SandboxReddit, path: str) -> list[tuple[str, str, dict[str, str]]]:
    """The POST requests that reached one path."""
    return [
        (request.method, request.path, dict(request.form))
        for request in reddit.requests
        if request.method == "POST" and request.path.rstrip("/") == path
    ]


async def test_a_reply_answered_already_is_not_written_again(gateway: Gateway, reddit: SandboxReddit) -> None:
    """The bot's own comment under the post counts as the reply, whoever wrote others."""
    post_id = reddit.submit("testsub", "a title", "a text", "somebody")
    reddit.comment(f"t3_{post_id}", "hang in there", "a_kind_stranger")
    reply = Letter(DeliveryKind.REPLY, "testsub", post_id, "", "some vetted words")
    messenger = RedditMessenger(gateway)
    assert await messenger.send(reply) == await messenger.send(reply)
    assert len(posts_to(reddit, "/api/comment")) == 1


async def test_a_reply_to_a_deleted_post_is_refused(gateway: Gateway, reddit: SandboxReddit) -> None:
    """Somebody who took their post back is left in peace: Gone, and no comment was tried."""
    post_id = reddit.submit("testsub", "a title", "a text", "somebody")
    reddit.delete_by_author(post_id)
    with pytest.raises(Gone):
        await RedditMessenger(gateway).send(Letter(DeliveryKind.REPLY, "testsub", post_id, "", "words"))
    assert posts_to(reddit, "/api/comment") == []


async def test_a_reply_to_a_locked_post_is_permanent(gateway: Gateway, reddit: SandboxReddit) -> None:
    """THREAD_LOCKED is a no."""
    post_id = reddit.submit("testsub", "a title", "a text", "somebody")
    reddit.lock(post_id)
    with pytest.raises(Permanent, match="THREAD_LOCKED"):
        await RedditMessenger(gateway).send(Letter(DeliveryKind.REPLY, "testsub", post_id, "", "words"))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_answered_503_is_sent_once_and_unclear(
    gateway: Gateway, reddit: SandboxReddit, when: Literal["before", "after"]
) -> None:
    """asyncprawcore alone would post three times; here it is one request, and nobody claims to know what it did."""
    await gateway.me()
    reddit.faults = lambda method, path: Fault(when=when, status=503) if method == "POST" else None
    with pytest.raises(Unclear):
        await RedditMessenger(gateway).send(ALERT)
    assert len(posts_to(reddit, "/api/mod/conversations")) == 1
    assert len(reddit.conversations) == (1 if when == "after" else 0)


async def test_a_write_whose_connection_drops_is_unclear(gateway: Gateway, reddit: SandboxReddit) -> None:
    """The work was done and the answer lost."""
    await gateway.me()
    reddit.faults = lambda method, path: Fault(when="after", dropped=True) if method == "POST" else None
    with pytest.raises(Unclear):
        await RedditMessenger(gateway).send(ALERT)
    assert len(reddit.conversations) == 1


async def test_a_write_that_never_left_is_transient(gateway: Gateway, reddit: SandboxReddit) -> None:
    """429 with Retry-After: surely not done, and the time that Reddit named comes along."""
    await gateway.me()
    limited = Fault(status=429, headers={"retry-after": "7"})
    reddit.faults = lambda method, path: limited if method == "POST" else None
    with pytest.raises(Transient) as caught:
        await RedditMessenger(gateway).send(ALERT)
    assert caught.value.retry_after_seconds == 7.0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=502),
        Fault(status=504),
        Fault(status=520),
        Fault(status=200, body="<html>a block page</html>", headers={"content-type": "text/html"}),
        Fault(status=200, body='{"kind": "Listing", "data": {', headers={"content-type": "application/json"}),
        Fault(dropped=True),
    ],
    ids=lambda fault: f"{fault.status}{fault.body[:6]}{'dropped' if fault.dropped else ''}",
)
async def test_a_read_that_fails_may_be_tried_again(gateway: Gateway, reddit: SandboxReddit, fault: Fault) -> None:
    """Server errors, pages where JSON was due, broken JSON and lost connections are all Transient."""
    await gateway.me()
    reddit.faults = lambda method, path: fault
    with pytest.raises(Transient):
        await look(gateway, set())


async def test_a_write_that_reddit_finds_wrong_is_permanent(gateway: Gateway, reddit: SandboxReddit) -> None:
    """400 is a no, and its reason is told, though asyncpraw reads it only after the connection was let go."""
    await gateway.me()
    wrong = Fault(status=400, body='{"reason": "TOO_LONG", "explanation": "too long"}')
    reddit.faults = lambda method, path: wrong if method == "POST" else None
    with pytest.raises(Permanent, match="TOO_LONG"):
        await RedditMessenger(gateway).send(ALERT)


# --- The gateway alone: one read, one write, and everything that can come back.


async def read(gateway: Gateway) -> None:
    """One listing."""
    async with gateway.reading() as reddit:
        listing = await reddit.request(method="GET", path="r/testsub/new")
        assert listing["kind"] == "Listing"


async def write(gateway: Gateway) -> None:
    """One internal discussion."""
    async with gateway.writing() as reddit:
        subreddit = await reddit.subreddit("testsub")
        conversation = await subreddit.modmail.create(subject="a subject", body="a body", recipient=cast(str, None))
        assert conversation.id


def on(method: str, fault: Fault) -> Callable[[str, str], Fault | None]:
    """This fault for every call of a method, signing in excepted."""
    return lambda used, path: fault if used == method and path != TOKEN_PATH else None


def at_sign_in(fault: Fault) -> Callable[[str, str], Fault | None]:
    """This fault where tokens are handed out."""
    return lambda method, path: fault if path == TOKEN_PATH else None


def says(code: str, words: str = "") -> Fault:
    """Reddit's refusal of a POST, in the body of a 200."""
    body = json.dumps({"json": {"errors": [[code, words, "parent"]]}})
    return Fault(status=200, body=body, headers={"content-type": "application/json"})


TOKEN_PATH = "/api/v1/access_token"
JSON = {"content-type": "application/json"}
NO_ANSWER = {
    **{str(status): Fault(status=status) for status in (500, 502, 503, 504, 520, 522, 408)},
    "html": Fault(status=200, body="<html>a block page</html>"),
    "broken json": Fault(status=200, body='{"kind": "Listing", "data": {', headers=JSON),
    "json of another kind": Fault(status=200, body="[]", headers=JSON),
    "nothing": Fault(status=200, body="", headers=JSON),
    "truncated": Fault(status=200, body='{"kind": "Listing"', headers={**JSON, "content-length": "900"}),
    "dropped": Fault(dropped=True),
}
SURELY_NO = {
    **{str(status): Fault(status=status) for status in (400, 403, 404, 302, 409, 451)},
    "403 with a reason": Fault(status=403, headers={"www-authenticate": "Bearer realm=reddit, error=something_new"}),
    "400 without a reason": Fault(status=400, body='{"explanation": "no"}'),
    "400 with a page": Fault(status=400, body="<html>no</html>"),
}


@pytest.mark.parametrize("fault", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_no_clear_answer(gateway: Gateway, reddit: SandboxReddit, fault: Fault) -> None:
    """A read may be tried again; a write may have happened, is sent once, and nobody claims to know."""
    await gateway.me()
    reddit.faults = lambda method, path: fault
    with pytest.raises(Transient):
        await read(gateway)
    with pytest.raises(Unclear):
        await write(gateway)
    assert len(posts_to(reddit, "/api/mod/conversations")) == 1
    reddit.faults = None
    await read(gateway)
    await write(gateway)


@pytest.mark.parametrize("fault", SURELY_NO.values(), ids=SURELY_NO)
async def test_a_no_is_permanent(gateway: Gateway, reddit: SandboxReddit, fault: Fault) -> None:
    """Banned, private, moved, not there, malformed: trying again cannot help, neither a read nor a write."""
    await gateway.me()
    reddit.faults = lambda method, path: fault
    with pytest.raises(Permanent):
        await read(gateway)
    with pytest.raises(Permanent):
        await write(gateway)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("THREAD_LOCKED", Permanent),
        ("TOO_OLD", Permanent),
        ("SUBREDDIT_NOTALLOWED", Permanent),
        ("DELETED_LINK", Gone),
        ("SUBREDDIT_NOEXIST", Gone),
    ],
)
async def test_a_refusal_in_the_body_is_permanent(
    gateway: Gateway, reddit: SandboxReddit, code: str, kind: type[Permanent]
) -> None:
    """Reddit refuses with 200 and a name, or with 400 and the same name; both are heard."""
    await gateway.me()
    for fault in (says(code), Fault(status=400, body=json.dumps({"reason": code, "explanation": "no"}))):
        reddit.faults = on("POST", fault)
        with pytest.raises(kind, match=code):
            await write(gateway)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Looks like you've been doing that a lot. Take a break for 9 minutes before trying again.", 540.0),
        ("Take a break for 1 minute before trying again.", 60.0),
        ("Take a break for 12 seconds before trying again.", 12.0),
        ("Take a break for 500 milliseconds before trying again.", 0.5),
        ("Take a break for 0 seconds before trying again.", 0.0),
        ("Take a break for 5 hours before trying again.", 3600.0),
        ("you are doing that too much", None),
    ],
)
async def test_ratelimit_in_the_body_is_a_pause(
    gateway: Gateway, reddit: SandboxReddit, words: str, seconds: float | None
) -> None:
    """The write surely did not happen, Reddit's own words say how long to wait, and nothing is sent again here."""
    await gateway.me()
    reddit.faults = on("POST", says("RATELIMIT", words))
    with pytest.raises(Transient) as caught:
        await write(gateway)
    assert caught.value.retry_after_seconds == seconds
    assert len(posts_to(reddit, "/api/mod/conversations")) == 1


@pytest.mark.parametrize(
    ("named", "heard", "pause"),
    [("30", 30.0, 30), ("2.5", 2.5, 2), ("Wed, 21 Oct 2026 07:28:00 GMT", None, 5), (None, None, 5)],
)
async def test_429_is_a_pause_for_everybody(
    gateway: Gateway, reddit: SandboxReddit, named: str | None, heard: float | None, pause: float
) -> None:
    """A write answered 429 surely did not happen; without a number in Retry-After the pause is short."""
    await gateway.me()
    reddit.faults = on("POST", Fault(status=429, headers={} if named is None else {"retry-after": named}))
    with pytest.raises(Transient) as caught:
        await write(gateway)
    assert caught.value.retry_after_seconds == heard
    assert gateway.budget.standing().resumes_in_seconds > pause - 1


@pytest.mark.parametrize("fault", [Fault(status=401), Fault(status=401, headers={"www-authenticate": "Bearer"})])
async def test_an_expired_token_is_replaced(gateway: Gateway, reddit: SandboxReddit, fault: Fault) -> None:
    """401, whatever its reason: surely nothing was done, so Transient, and the next call signs in again and works."""
    await gateway.me()
    for call, method in ((read, "GET"), (write, "POST")):
        reddit.faults = on(method, fault)
        with pytest.raises(Transient):
            await call(gateway)
        reddit.faults = None
        await call(gateway)
    assert len(posts_to(reddit, TOKEN_PATH)) == 3
    assert len(reddit.conversations) == 1


async def test_a_token_that_reddit_forgot_is_replaced(
    gateway: Gateway, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The sandbox's own 401: its hour is over, ours is not."""
    await read(gateway)
    clock.advance(2 * 24 * 3600)
    with pytest.raises(Transient):
        await write(gateway)
    await write(gateway)
    assert len(reddit.conversations) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=500), Transient),
        (Fault(status=503), Transient),
        (Fault(status=429), Transient),
        (Fault(dropped=True), Transient),
        (Fault(status=200, body="<html>a block page</html>"), Transient),
        (Fault(status=200, body="{", headers=JSON), Transient),
        (Fault(status=200, body="{}", headers=JSON), Transient),
        (Fault(status=200, body='{"error": "invalid_grant"}', headers=JSON), Forbidden),
        (Fault(status=400, body='{"error": "invalid_grant"}', headers=JSON), Forbidden),
        (Fault(status=401), Forbidden),
        (Fault(status=403), Forbidden),
    ],
    ids=lambda value: f"{value.status} {value.body[:18]}" if isinstance(value, Fault) else value.__name__,
)
async def test_no_token_is_never_unclear(
    gateway: Gateway, reddit: SandboxReddit, fault: Fault, kind: type[Transient] | type[Forbidden]
) -> None:
    """Without a token nothing was sent: a write is as surely undone as a read. Only refused credentials are final."""
    for call in (read, write):
        reddit.faults = at_sign_in(fault)
        with pytest.raises(kind):
            await call(gateway)
        gateway.budget.heard(200, {"x-ratelimit-remaining": "900", "x-ratelimit-reset": "600"})
        if fault.status == 429:
            return  # what follows would wait for it
    assert {request.path for request in reddit.requests} == {TOKEN_PATH}
    reddit.faults = None
    await write(gateway)


async def test_a_write_to_nobody_is_surely_undone(config: Config, secrets: Secrets, reddit: SandboxReddit) -> None:
    """Signed in, and then the connection is refused: it never left."""
    async with SandboxServer(reddit) as server:
        address = config.reddit.model_copy(update={"base_url": server.base_url})
        async with Gateway.open(config.model_copy(update={"reddit": address}), secrets) as gateway:
            await gateway.me()
            await gateway._client.requestor.close()  # no connection is left open to a server that is going
            await server.__aexit__(None, None, None)
            with pytest.raises(Transient):
                await write(gateway)


async def test_an_author_that_is_null_is_transient_through_asyncpraw(gateway: Gateway, reddit: SandboxReddit) -> None:
    """asyncpraw's objects fail on it with a TypeError, which is ours to translate like every error of a read."""
    await gateway.me()
    thing = {"kind": "t3", "data": {"id": "a", "name": "t3_a", "author": None}}
    body = json.dumps({"kind": "Listing", "data": {"children": [thing], "after": None}})
    reddit.faults = on("GET", Fault(status=200, body=body, headers=JSON))
    with pytest.raises(Transient):
        async with gateway.reading() as client:
            subreddit = await client.subreddit("testsub")
            assert [post async for post in subreddit.new()]


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), AttributeError("x"), ValueError("x"), IndexError("x")]
)
async def test_what_makes_no_sense_is_transient(gateway: Gateway, error: Exception) -> None:
    """Whatever fails while an answer is read counts as a bad answer, and its text stays out of the message."""
    with pytest.raises(Transient, match=f"no sense .{type(error).__name__}.$"):
        async with gateway.reading():
            raise error


class Slow(SandboxReddit):
    """Runs by the machine's clock, so that delays are real ones."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.add_subreddit("testsub")


@pytest.fixture
async def slow() -> Slow:
    """A pretend Reddit whose delays are real."""
    return Slow()


@pytest.fixture
async def hurried(slow: Slow, config: Config, secrets: Secrets) -> AsyncIterator[Gateway]:
    """A gateway to it that waits one second for an answer."""
    async with SandboxServer(slow) as server:
        address = config.reddit.model_copy(update={"base_url": server.base_url, "timeout_seconds": 1})
        async with Gateway.open(config.model_copy(update={"reddit": address}), secrets) as gateway:
            yield gateway


@pytest.mark.parametrize(("method", "call", "kind"), [("GET", read, Transient), ("POST", write, Unclear)])
async def test_a_server_that_is_too_slow(
    slow: Slow,
    hurried: Gateway,
    method: str,
    call: Callable[[Gateway], Awaitable[None]],
    kind: type[Transient] | type[Unclear],
) -> None:
    """The configured time counts (asyncpraw alone would wait 16 seconds), and then the outcome is unknown."""
    await hurried.me()
    slow.faults = on(method, Fault(delay_seconds=3))
    started = time.monotonic()
    with pytest.raises(kind):
        await call(hurried)
    assert 0.9 < time.monotonic() - started < 2


async def test_a_slow_sign_in_leaves_a_write_undone(slow: Slow, hurried: Gateway) -> None:
    """A token that does not come in time is Transient for a write too."""
    slow.faults = at_sign_in(Fault(delay_seconds=3))
    with pytest.raises(Transient):
        await write(hurried)


async def test_a_slow_read_does_not_hold_up_an_alert(slow: Slow, hurried: Gateway) -> None:
    """While a listing takes its time, a write goes through at once."""
    await hurried.me()
    slow.faults = on("GET", Fault(delay_seconds=0.9))
    reading = asyncio.create_task(read(hurried))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await write(hurried)
    assert time.monotonic() - started < 0.5
    assert not reading.done()
    await reading


async def test_an_alert_goes_out_while_readers_wait_for_the_budget(slow: Slow, hurried: Gateway) -> None:
    """Over HTTP: with the readers' share spent, reading waits and a write does not."""
    await hurried.me()
    budget = hurried.budget
    while budget.standing().used < budget.per_minute - budget.reserved:
        await budget.take(urgent=False)
    readers = [asyncio.create_task(read(hurried)) for _ in range(5)]
    await asyncio.sleep(0.05)
    await asyncio.wait_for(write(hurried), 1)
    assert not any(reader.done() for reader in readers)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert not [request for request in slow.requests if request.path == "/r/testsub/new"]


async def test_every_request_is_counted(gateway: Gateway, reddit: SandboxReddit) -> None:
    """Reads, writes, sign-ins and refusals: the budget has counted what the server has seen, and heard its answer."""
    await read(gateway)
    await write(gateway)
    reddit.faults = lambda method, path: Fault(status=503)
    for call in (read, write):
        with pytest.raises((Transient, Unclear)):
            await call(gateway)
    assert gateway.budget.standing().used == len(reddit.requests) == 5
    assert gateway.budget.standing().remaining == reddit.requests_per_window - 5


async def test_calls_together_sign_in_once(gateway: Gateway, reddit: SandboxReddit) -> None:
    """Ten calls without a token ask for one token."""
    await asyncio.gather(*[call(gateway) for call in (read, write) * 5])
    assert len(posts_to(reddit, TOKEN_PATH)) == 1
    assert len(reddit.conversations) == 5


async def test_headers_that_are_no_integers_are_harmless(config: Config, secrets: Secrets) -> None:
    """asyncprawcore's own limiter loses the answer over them."""

    class Fractions(SandboxReddit):
        def count_request(self) -> tuple[int, int, int]:
            return cast(int, "12.5"), cast(int, 990.25), cast(int, "310.75")

    reddit = Fractions()
    reddit.add_subreddit("testsub")
    async with SandboxServer(reddit) as server:
        address = config.reddit.model_copy(update={"base_url": server.base_url})
        async with Gateway.open(config.model_copy(update={"reddit": address}), secrets) as gateway:
            await read(gateway)
            await read(gateway)
            await write(gateway)


async def test_who_we_are_and_what_we_moderate_is_remembered(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The name is asked once, the moderators of a subreddit once an hour; another subreddit is asked for itself."""
    reddit.add_subreddit("othersub")

    def asked(path: str) -> int:
        return sum(request.path == path for request in reddit.requests)

    async with Gateway.open(config, secrets, clock) as gateway:
        assert set(await asyncio.gather(gateway.me(), gateway.me())) == {"nightlight_bot"}
        for name in ("testsub", "TestSub", "othersub", "testsub"):
            assert await gateway.moderates(name)
        assert asked("/api/v1/me") == 1
        assert asked("/r/testsub/about/moderators") == 1
        assert asked("/r/othersub/about/moderators") == 1
        clock.advance(3599)
        await gateway.moderates("testsub")
        assert asked("/r/testsub/about/moderators") == 1
        clock.advance(1)
        await gateway.moderates("testsub")
        assert asked("/api/v1/me") == 1
        assert asked("/r/testsub/about/moderators") == 2


async def test_a_post_whose_author_is_null_loses_no_other(
    gateway: Gateway, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A listing with one such child gives all its posts, that one without an author."""
    ids = submit(reddit, 3, clock)
    async with gateway.reading() as client:
        listing = await client.request(method="GET", path="r/testsub/new", params={"raw_json": 1})
    listing["data"]["children"][1]["data"]["author"] = None
    odd = Fault(status=200, body=json.dumps(listing), headers={"content-type": "application/json"})
    reddit.faults = lambda method, path: odd if path == "/r/testsub/new" else None
    posts = (await look(gateway, set())).posts
    assert [(post.id, post.author) for post in posts] == list(zip(ids, ["somebody", None, "somebody"], strict=True))
