"""The real asyncpraw against the sandbox, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpraw
import pytest
from asyncpraw.exceptions import RedditAPIException
from asyncprawcore.exceptions import (
    Forbidden,
    InvalidToken,
    NotFound,
    OAuthException,
    RequestException,
    ResponseException,
    ServerError,
    TooManyRequests,
)
from yarl import URL

from bot.config import Config, Secrets
from bot.deliver.reddit import RedditMessenger
from bot.deliver.worker import Letter
from bot.errors import Unclear
from bot.reddit import Gateway
from bot.sandbox.faults import KINDS
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import (
    CLIENT_ID,
    CLIENT_SECRET,
    PASSWORD,
    REFRESH_TOKEN,
    TOKEN_SECONDS,
    USERNAME,
    Fault,
    SandboxReddit,
)
from bot.types import DeliveryKind
from tests.conftest import HandClock


@asynccontextmanager
async def serving(sandbox: SandboxReddit, **login: Any) -> AsyncIterator[Any]:
    """A client that is logged in as the bot, or as `login` says, to a sandbox being served."""
    login = login or {"username": USERNAME, "password": PASSWORD}
    async with (
        SandboxServer(sandbox) as server,
        asyncpraw.Reddit(
            **{"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **login},
            user_agent="linux:nightlight:test (by /u/nightlight_bot)",
            reddit_url=server.base_url,
            oauth_url=server.base_url,
            check_for_updates=False,
        ) as reddit,
    ):
        yield reddit


@asynccontextmanager
async def browsing(sandbox: SandboxReddit) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client without a token."""
    async with SandboxServer(sandbox) as server, aiohttp.ClientSession(server.base_url) as session:
        yield session


def without_retries(reddit: Any) -> None:
    """Let asyncprawcore send each request once, as the bot does with its writes."""

    class Once:
        async def sleep(self) -> None: ...

        def should_retry_on_failure(self) -> bool:
            return False

    reddit._core._retry_strategy_class = Once


def fail_once(fault: Fault, method: str, path: str) -> Callable[[str, str], Fault | None]:
    """A hook that breaks the first request of that kind."""
    left = [fault]
    return lambda m, p: left.pop() if left and (m, p) == (method, path) else None


@pytest.fixture
def sandbox(clock: HandClock) -> SandboxReddit:
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("gardening", moderators=(USERNAME, "rose"))
    reddit.add_subreddit("elsewhere", moderators=("oak",))
    reddit.add_subreddit("walled", moderators=("ivy",), private=True)
    return reddit


# -- logging in


@pytest.mark.parametrize("login", [{"username": USERNAME, "password": PASSWORD}, {"refresh_token": REFRESH_TOKEN}])
async def test_logs_in_as_the_bot(sandbox: SandboxReddit, login: dict[str, str]) -> None:
    """A password and a refresh token each open the bot's account, and neither is kept in the log."""
    async with serving(sandbox, **login) as reddit:
        me = await reddit.user.me()
        assert (me.name, me.is_suspended) == (USERNAME, False)
    assert [(r.method, r.path) for r in sandbox.requests] == [("POST", "/api/v1/access_token"), ("GET", "/api/v1/me")]
    assert not {"password", "refresh_token"} & sandbox.requests[0].form.keys()


async def test_without_an_account_one_reads_but_does_not_write(sandbox: SandboxReddit) -> None:
    """The application's own token opens listings and nothing that an account must do."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    async with serving(sandbox, username=None, password=None) as reddit:
        assert [s.id async for s in (await reddit.subreddit("gardening")).new()] == [id]
        with pytest.raises(Forbidden):
            await (await reddit.submission(id)).reply("Hello")


async def test_refuses_a_wrong_password_and_a_wrong_secret(sandbox: SandboxReddit) -> None:
    """A wrong password is `invalid_grant`, a wrong secret 401."""
    async with serving(sandbox, username=USERNAME, password="wrong") as reddit:
        with pytest.raises(OAuthException, match="invalid_grant"):
            await reddit.user.me()
    async with serving(sandbox, username=USERNAME, password=PASSWORD, client_secret="wrong") as reddit:
        with pytest.raises(ResponseException) as caught:
            await reddit.user.me()
        assert caught.value.response.status == 401


async def test_a_token_expires_and_is_renewed(sandbox: SandboxReddit, clock: HandClock) -> None:
    """After its day a token is refused with 401, and the client fetches another by itself."""
    async with serving(sandbox) as reddit:
        await reddit.user.me()
        clock.advance(TOKEN_SECONDS)
        await reddit.user.me(use_cache=False)
        without_retries(reddit)
        clock.advance(TOKEN_SECONDS)
        with pytest.raises(InvalidToken):
            await reddit.user.me(use_cache=False)
    assert [r.path for r in sandbox.requests].count("/api/v1/access_token") == 2


# -- reading


async def test_pages_through_350_posts(sandbox: SandboxReddit) -> None:
    """All 350 come, newest first, in four pages of at most 100."""
    ids = [sandbox.submit("gardening", f"Post {n}", "", "fern", created_utc=float(n)) for n in range(350)]
    async with serving(sandbox) as reddit:
        found = [s.id async for s in (await reddit.subreddit("gardening")).new(limit=None)]
    assert found == ids[::-1]
    pages = [r.form for r in sandbox.requests if r.path == "/r/gardening/new"]
    assert [page.get("after") for page in pages] == [None, f"t3_{ids[250]}", f"t3_{ids[150]}", f"t3_{ids[50]}"]


async def test_a_listing_ends_at_1000(sandbox: SandboxReddit) -> None:
    """What is older than the newest thousand cannot be reached."""
    ids = [sandbox.submit("gardening", "Post", "", "fern") for _ in range(1005)]
    async with serving(sandbox) as reddit:
        found = [s.id async for s in (await reddit.subreddit("gardening")).new(limit=None)]
    assert found == ids[:4:-1]


async def test_before_gives_what_came_next(sandbox: SandboxReddit) -> None:
    """`before` gives the posts that follow the anchor, and nothing once the anchor is gone."""
    ids = [sandbox.submit("gardening", "Post", "", "fern") for _ in range(150)]
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening")
        found = [s.id async for s in gardening.new(limit=100, params={"before": f"t3_{ids[9]}"})]
        assert found == ids[109:9:-1]
        sandbox.delete_by_author(ids[9])
        assert [s async for s in gardening.new(limit=100, params={"before": f"t3_{ids[9]}"})] == []


async def test_streams_posts_as_they_come(sandbox: SandboxReddit) -> None:
    """asyncpraw's own stream yields each post once, in the order of arrival."""
    ids = [sandbox.submit("gardening", "Post", "", "fern") for _ in range(3)]
    seen = []
    async with serving(sandbox) as reddit:
        async for submission in (await reddit.subreddit("gardening")).stream.submissions(pause_after=-1):
            if submission is not None:
                seen.append(submission.id)
            elif len(ids) < 5:
                ids.append(sandbox.submit("gardening", "Post", "", "fern"))
            elif len(seen) >= len(ids):
                break
    assert seen == ids


async def test_removed_and_deleted_posts_leave_the_listing_but_not_info(sandbox: SandboxReddit) -> None:
    """`new` hides them, `info` says who took them away, and approval brings back what moderators removed."""
    kept, deleted, removed = (sandbox.submit("gardening", title, "Text", "fern") for title in "abc")
    sandbox.delete_by_author(deleted)
    sandbox.remove_by_moderator(removed)
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening")
        assert [s.id async for s in gardening.new()] == [kept]
        names = [f"t3_{id}" for id in (kept, "unknown", deleted, removed)]
        found = {s.id: s async for s in reddit.info(fullnames=names)}
        assert [found[id].removed_by_category for id in found] == [None, "deleted", "moderator"]
        assert (found[deleted].author, found[deleted].selftext) == (None, "[deleted]")
        await found[removed].mod.approve()
        assert [s.id async for s in gardening.new()] == [removed, kept]


async def test_info_answers_250_names_in_order(sandbox: SandboxReddit) -> None:
    """asyncpraw asks for 100 at a time and gets posts and comments back in the order asked for."""
    posts = [f"t3_{sandbox.submit('gardening', 'Post', '', 'fern')}" for _ in range(249)]
    names = [*posts, sandbox.comment(posts[0], "Hello", "moss").fullname]
    async with serving(sandbox) as reddit:
        assert [thing.fullname async for thing in reddit.info(fullnames=names)] == names


async def test_unknown_and_private_subreddits(sandbox: SandboxReddit) -> None:
    """Unknown is 404 and private is 403, in each way of asking."""
    walled = sandbox.submit("walled", "Secret", "Text", "ivy")
    async with serving(sandbox) as reddit:
        for name, problem in (("nowhere", NotFound), ("walled", Forbidden)):
            subreddit = await reddit.subreddit(name)
            with pytest.raises(problem):
                await subreddit.load()
            with pytest.raises(problem):
                _ = [s async for s in subreddit.new()]
            with pytest.raises(problem):
                await subreddit.moderator()
        with pytest.raises(Forbidden):
            await reddit.submission(walled)
        assert [s async for s in reddit.info(fullnames=[f"t3_{walled}"])] == []


async def test_knows_its_moderators(sandbox: SandboxReddit) -> None:
    """The list of moderators names them with their permissions, all or the one asked for."""
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening", fetch=True)
        assert gardening.user_is_moderator
        assert [(m.name, m.mod_permissions) for m in await gardening.moderator()] == [
            (USERNAME, ["all"]),
            ("rose", ["all"]),
        ]
        assert [m.name for m in await gardening.moderator(USERNAME)] == [USERNAME]
        assert not (await reddit.subreddit("elsewhere", fetch=True)).user_is_moderator


# -- writing


async def test_comments_and_finds_the_comment_again(sandbox: SandboxReddit) -> None:
    """A reply is on the page of the post, under its parent, and among the bot's own comments."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    async with serving(sandbox) as reddit:
        submission = await reddit.submission(id)
        reply = await submission.reply("Hello & welcome")
        below = await reply.reply("More")
        await submission.load()
        assert [(c.id, c.body, c.author.name) for c in submission.comments] == [(reply.id, "Hello & welcome", USERNAME)]
        assert [c.id for c in submission.comments[0].replies] == [below.id]
        mine = [c async for c in (await reddit.redditor(USERNAME)).comments.new(limit=100)]
        assert [(c.id, c.link_id) for c in mine] == [(below.id, f"t3_{id}"), (reply.id, f"t3_{id}")]
        await below.delete()
        assert [c.id async for c in (await reddit.redditor(USERNAME)).comments.new()] == [reply.id]
    assert [c.id for c in sandbox.comments_on(id)] == [reply.id]


@pytest.mark.parametrize(
    ("act", "text", "code"),
    [
        (SandboxReddit.lock, "Hello", "THREAD_LOCKED"),
        (SandboxReddit.archive, "Hello", "TOO_OLD"),
        (SandboxReddit.delete_by_author, "Hello", "DELETED_LINK"),
        (SandboxReddit.comments_on, " ", "NO_TEXT"),
        (SandboxReddit.comments_on, "x" * 10_001, "TOO_LONG"),
    ],
)
async def test_refuses_a_comment_in_reddits_words(
    sandbox: SandboxReddit, act: Callable[[SandboxReddit, str], Any], text: str, code: str
) -> None:
    """A locked or deleted post and an empty or overlong text each give Reddit's error code, and no comment."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    act(sandbox, id)
    async with serving(sandbox) as reddit:
        submission = await reddit.submission(id, fetch=False)
        with pytest.raises(RedditAPIException) as caught:
            await submission.reply(text)
    assert [item.error_type for item in caught.value.items] == [code]
    assert sandbox.comments == {}


async def test_reports_and_moderates(sandbox: SandboxReddit) -> None:
    """A report brings a post into the queue; distinguishing, locking, removing and approving change it for everyone."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening")
        submission = await reddit.submission(id)
        assert [s.id async for s in gardening.mod.unmoderated()] == [id]
        await submission.report("weeds")
        with pytest.raises(RedditAPIException, match="TOO_LONG"):
            await submission.report("x" * 101)
        queue = [s async for s in gardening.mod.modqueue()]
        assert [(s.id, s.mod_reports) for s in queue] == [(id, [["weeds", USERNAME]])]
        reply = await submission.reply("Hello")
        await reply.mod.distinguish(sticky=True)
        await reply.mod.lock()
        shown = await reddit.comment(reply.id)
        assert (shown.distinguished, shown.stickied, shown.locked) == ("moderator", True, True)
        await submission.mod.approve()
        assert [s async for s in gardening.mod.modqueue()] == []
        assert [s async for s in gardening.mod.unmoderated()] == []
        await submission.mod.remove()
        assert [s async for s in gardening.new()] == []
    assert [(r.fullname, r.reason) for r in sandbox.reports] == [(f"t3_{id}", "weeds")]


async def test_what_automoderator_filtered_waits_in_both_queues(sandbox: SandboxReddit) -> None:
    """A filtered post is in the queue and among the unmoderated ones, unseen by readers until it is approved."""
    filtered = sandbox.submit("gardening", "Tomatoes", "Text", "fern", filtered=True)
    removed = sandbox.submit("gardening", "Beans", "Text", "moss")
    sandbox.remove_by_moderator(removed)
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening")
        assert [s.id async for s in gardening.mod.modqueue()] == [filtered]
        assert [s.id async for s in gardening.mod.unmoderated()] == [filtered]
        assert [s async for s in gardening.new()] == []
        await (await reddit.submission(filtered)).mod.approve()
        assert [s async for s in gardening.mod.modqueue()] == []
        assert [s async for s in gardening.mod.unmoderated()] == []
        assert [s.id async for s in gardening.new()] == [filtered]


async def test_only_moderators_moderate(sandbox: SandboxReddit) -> None:
    """Where the bot is no moderator, queues, locks and modmail are 403."""
    id = sandbox.submit("elsewhere", "Tomatoes", "Text", "fern")
    async with serving(sandbox) as reddit:
        elsewhere = await reddit.subreddit("elsewhere")
        with pytest.raises(Forbidden):
            _ = [s async for s in elsewhere.mod.modqueue()]
        with pytest.raises(Forbidden):
            await (await reddit.submission(id)).mod.lock()
        with pytest.raises(Forbidden):
            await elsewhere.modmail.create(subject="S", body="B", recipient=None)
    assert sandbox.conversations == []


# -- modmail


async def test_starts_a_discussion_among_the_moderators(sandbox: SandboxReddit) -> None:
    """Without a recipient the conversation is internal, and is found again under `mod` and under nothing else."""
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening")
        made = await gardening.modmail.create(subject="Please look", body="A *post*", recipient=None)
        assert made.is_internal
        assert sandbox.requests[-1].form.keys() >= {"subject", "body", "srName"}
        assert "to" not in sandbox.requests[-1].form
        found = [c async for c in gardening.modmail.conversations(state="mod", limit=100)]
        assert [(c.id, c.subject, c.messages[0].body_markdown) for c in found] == [(made.id, "Please look", "A *post*")]
        assert [author.name for author in found[0].authors] == [USERNAME]
        for state in (None, "inprogress", "archived"):
            assert [c async for c in gardening.modmail.conversations(state=state)] == []
        whole = await gardening.modmail(made.id)
        assert whole.messages[0].body_markdown == "A *post*"
        with pytest.raises(NotFound):
            await gardening.modmail("nothing")


async def test_pages_through_the_discussions(sandbox: SandboxReddit) -> None:
    """More discussions than one page holds all come, the newest first, each once."""
    made = [sandbox.discuss("gardening", f"Subject {n}", "Body", USERNAME).id for n in range(150)]
    async with serving(sandbox) as reddit:
        gardening = await reddit.subreddit("gardening")
        assert [c.id async for c in gardening.modmail.conversations(state="mod", limit=None)] == made[::-1]


async def test_an_archived_discussion_is_among_the_archived_alone(sandbox: SandboxReddit) -> None:
    """What a moderator put away is found under `archived` and no longer under `mod`; its id still opens it."""
    kept, archived = (sandbox.discuss("gardening", subject, "Body", USERNAME).id for subject in ("Kept", "Archived"))
    sandbox.archive_conversation(archived)
    async with serving(sandbox) as reddit:
        modmail = (await reddit.subreddit("gardening")).modmail
        found = {
            state: [c.id async for c in modmail.conversations(state=state)]
            for state in ("mod", "archived", "all", "inprogress")
        }
        assert (await modmail(archived)).subject == "Archived"
    assert found == {"mod": [kept], "archived": [archived], "all": [], "inprogress": []}


async def test_the_bot_finds_its_alert_though_a_moderator_archived_it(
    sandbox: SandboxReddit, clock: HandClock, secrets: Secrets
) -> None:
    """After an unclear answer the look finds what arrived, behind more than a page of others put away since."""
    letter = Letter(DeliveryKind.ALERT, "gardening", "x", "[Nightlight] crisis (t3_x)", "Body", clock.now())
    async with SandboxServer(sandbox) as server:
        config = Config.model_validate({"reddit": {"base_url": server.base_url, "subreddits": ["gardening"]}})
        async with Gateway.open(config, secrets, clock) as gateway:
            messenger = RedditMessenger(gateway)
            sandbox.faults = fail_once(Fault("after", status=503), "POST", "/api/mod/conversations")
            with pytest.raises(Unclear):
                await messenger.send(letter)
            (arrived,) = sandbox.conversations
            for number in range(120):
                sandbox.discuss("gardening", f"Later {number}", "Body", "rose")
            for conversation in sandbox.conversations:
                sandbox.archive_conversation(conversation.id)
            assert await messenger.find(letter) == arrived.id


@pytest.mark.parametrize(("subject", "code"), [("x" * 101, "TOO_LONG"), ("", "NO_TEXT")])
async def test_refuses_a_bad_subject(sandbox: SandboxReddit, subject: str, code: str) -> None:
    """A subject that is empty or over 100 characters is 400 and names the field at fault."""
    token = {"authorization": f"bearer {sandbox.issue_token(USERNAME)}"}
    form = {"srName": "gardening", "subject": subject, "body": "B"}
    async with (
        browsing(sandbox) as session,
        session.post("/api/mod/conversations/", data=form, headers=token) as answer,
    ):
        refused = await answer.json()
    assert (answer.status, refused["reason"], refused["fields"]) == (400, code, ["subject"])
    assert sandbox.conversations == []


# -- limits and faults


async def test_counts_requests_and_refuses_those_over_the_limit(clock: HandClock) -> None:
    """Every answer tells the allowance; the one too many is 429; the next ten minutes begin anew."""
    sandbox = SandboxReddit(clock, requests_per_window=3)
    token = {"authorization": f"bearer {sandbox.issue_token(USERNAME)}"}
    clock.advance(590)  # late in the window, so that little time is left
    async with browsing(sandbox) as session:
        seen = []
        for _ in range(4):
            async with session.get("/api/v1/me", headers=token) as answer:
                names = ("used", "remaining", "reset")
                seen.append((answer.status, *(answer.headers[f"x-ratelimit-{name}"] for name in names)))
        clock.advance(10)
        async with session.get("/api/v1/me", headers=token) as answer:
            renewed = (answer.status, answer.headers["x-ratelimit-used"], answer.headers["x-ratelimit-reset"])
    assert seen == [(200, "1", "2.0", "10"), (200, "2", "1.0", "10"), (200, "3", "0.0", "10"), (429, "4", "0.0", "10")]
    assert renewed == (200, "1", "600")


async def test_asyncpraw_reads_429_as_too_many_requests(sandbox: SandboxReddit) -> None:
    """Over the limit asyncpraw raises what it raises for Reddit."""
    sandbox.requests_per_window = 1  # the token takes it
    async with serving(sandbox) as reddit:
        with pytest.raises(TooManyRequests):
            await reddit.user.me()


@pytest.mark.parametrize(
    ("fault", "problem", "done"),
    [
        (Fault(status=503), ServerError, 0),
        (Fault("after", status=503), ServerError, 1),
        (Fault(dropped=True), RequestException, 0),
        (Fault("after", dropped=True), RequestException, 1),
    ],
)
async def test_a_write_that_fails_before_or_after_the_work(
    sandbox: SandboxReddit, fault: Fault, problem: Any, done: int
) -> None:
    """The client sees the same failure whether or not the comment was made: only Reddit's state tells."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    async with serving(sandbox) as reddit:
        submission = await reddit.submission(id)
        without_retries(reddit)
        sandbox.faults = fail_once(fault, "POST", "/api/comment")
        with pytest.raises(problem) as caught:
            await submission.reply("Hello")
        if fault.dropped:
            assert isinstance(caught.value.original_exception, aiohttp.ServerDisconnectedError)  # and no timeout
        assert len(sandbox.comments_on(id)) == done
        await submission.reply("Again")
    assert len(sandbox.comments_on(id)) == done + 1


async def test_a_slow_answer_sleeps_on_the_clock(sandbox: SandboxReddit, clock: HandClock) -> None:
    """A delay alone changes nothing about the answer."""
    sandbox.faults = fail_once(Fault(delay_seconds=7.0), "GET", "/api/v1/me")
    async with serving(sandbox) as reddit:
        assert (await reddit.user.me()).name == USERNAME
    assert clock.monotonic() == 7.0


@dataclass(frozen=True, slots=True)
class Met:
    """What a client meets: a status or an error, a body, some headers; and what the sandbox did meanwhile."""

    outcome: int | str
    body: str = ""
    done: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


MEETINGS = {
    **{f"{status}_before": Met(status, "html") for status in (500, 502, 503, 504, 520, 522)},
    **{f"{status}_after": Met(status, "html", done=True) for status in (500, 502, 503, 504, 520, 522)},
    "429": Met(429, headers={"retry-after": ""}),
    "429_retry_after": Met(429, headers={"retry-after": "1"}),
    "ratelimit": Met(200, "RATELIMIT"),
    "fractional_headers": Met(
        200, "whole", done=True, headers={"x-ratelimit-used": "12.5", "x-ratelimit-reset": "30.5"}
    ),
    "none_remaining": Met(200, "whole", done=True, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
    "dropped_before": Met("ServerDisconnectedError"),
    "dropped_after": Met("ServerDisconnectedError", done=True),
    "half_open_before": Met("TimeoutError"),
    "half_open_after": Met("TimeoutError", done=True),
    "truncated": Met("ClientPayloadError", done=True),
    "html": Met(200, "html"),
    "html_after": Met(200, "html", done=True),
    "broken_json": Met(200, "broken", done=True, headers={"content-type": "application/json"}),
    "slow": Met(200, "whole", done=True, seconds=1.5),
    "null_author": Met(200, "no author"),
    "token_refused": Met(401),
    "token_failing": Met(500, "html"),
    "token_revoked": Met(401, headers={"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'}),
}


def word(body: bytes) -> str:
    """What a client can make of a body."""
    try:
        answer = json.loads(body)
    except ValueError:
        return "html" if body.startswith(b"<!doctype html>") else "broken" if body else ""
    if errors := answer.get("json", {}).get("errors"):
        return str(errors[0][0])
    posts = answer.get("data", {}).get("children", [])
    return "no author" if any(post["data"]["author"] is None for post in posts) else "whole"


SIGN_IN: tuple[str, str, dict[str, Any]] = (
    "POST",
    "/api/v1/access_token",
    {
        "data": {"grant_type": "client_credentials"},
        "headers": {"authorization": aiohttp.encode_basic_auth(CLIENT_ID, CLIENT_SECRET)},
    },
)


async def order(session: aiohttp.ClientSession, **schedule: Any) -> None:
    """Ask for faults as another process does."""
    async with session.post("/sandbox/faults", json=schedule) as answer:
        assert answer.status == 200


async def ask(
    session: aiohttp.ClientSession, method: str, path: str, patience_seconds: float = 30.0, **request: Any
) -> tuple[int | str, Mapping[str, str], bytes]:
    """One request; its status, headers and body, or the name of the error it ended in."""
    try:
        patience = aiohttp.ClientTimeout(patience_seconds)
        async with session.request(method, path, timeout=patience, **request) as answer:
            return answer.status, answer.headers, await answer.read()
    except (aiohttp.ClientError, TimeoutError) as problem:
        return type(problem).__name__, {}, b""


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_each_kind_of_fault_is_met(sandbox: SandboxReddit, clock: HandClock, kind: str) -> None:
    """Once ordered, a fault is what its name says to the client, and the work was done or not."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    token = {"authorization": f"bearer {sandbox.issue_token(USERNAME)}"}
    method, path, request = next(
        each
        for each in (
            ("POST", "/api/comment", {"data": {"thing_id": f"t3_{id}", "text": "Hello"}, "headers": token}),
            ("GET", "/r/gardening/new", {"headers": token}),
            SIGN_IN,
        )
        if KINDS[kind].befalls(each[0], each[1])
    )
    expected = MEETINGS[kind]
    async with browsing(sandbox) as session:
        await order(session, seed=1, rate=1, kinds=[kind])
        patience = 0.5 if KINDS[kind].fault.hangs else 30.0
        outcome, headers, body = await ask(session, method, path, patience, **request)
    asked_about = {name: headers.get(name, "") for name in expected.headers}
    assert Met(outcome, word(body), bool(sandbox.comments), asked_about, clock.monotonic()) == expected


BAD_ORDERS = (
    b"{",
    b"[]",
    b"{}",
    b'{"seed": 1}',
    b'{"seed": "x", "rate": 0.5}',
    b'{"seed": 1, "rate": 2}',
    b'{"seed": 1, "rate": 0.5, "kinds": ["rain"]}',
)


async def test_another_process_can_order_faults(sandbox: SandboxReddit) -> None:
    """An order befalls what it can, is counted by kind, and lasts until a rate of 0; a bad one is 400 and nothing."""
    token = {"authorization": f"bearer {sandbox.issue_token(USERNAME)}"}

    async def sign_in() -> int | str:
        method, path, request = SIGN_IN
        return (await ask(session, method, path, **request))[0]

    async def struck() -> Any:
        return json.loads((await ask(session, "GET", "/sandbox/state"))[2])["faults"]

    async with browsing(sandbox) as session:
        await order(session, seed=1, rate=1, kinds=["token_refused"])
        assert (await sign_in(), (await ask(session, "GET", "/api/v1/me", headers=token))[0]) == (401, 200)
        for bad in BAD_ORDERS:
            assert (await ask(session, "POST", "/sandbox/faults", data=bad))[0] == 400
        assert (await sign_in(), await struck()) == (401, {"token_refused": 2})
        await order(session, seed=1, rate=0)
        assert (await sign_in(), await struck()) == (200, {})


async def test_the_same_seed_strikes_the_same(sandbox: SandboxReddit) -> None:
    """Two schedules of one seed meet the same requests with the same faults, one of another seed does not."""
    id = sandbox.submit("gardening", "Tomatoes", "Text", "fern")
    token = {"authorization": f"bearer {sandbox.issue_token(USERNAME)}"}
    form = {"thing_id": f"t3_{id}", "text": "Hello"}

    async def outcomes(seed: int) -> list[int | str]:
        await order(session, seed=seed, rate=0.5)
        return [(await ask(session, "POST", "/api/comment", data=form, headers=token))[0] for _ in range(25)]

    async with browsing(sandbox) as session:
        first, again, other = await outcomes(1), await outcomes(1), await outcomes(2)
    assert first == again != other
    assert 200 in first
    assert len(set(first)) > 3


# -- the site, the control API, the server


async def test_pages_show_posts_as_text(sandbox: SandboxReddit) -> None:
    """Markup in a title, a post and a comment is shown, never run."""
    id = sandbox.submit("gardening", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "fern")
    sandbox.comment(f"t3_{id}", "<b>bold</b>", "moss")
    async with browsing(sandbox) as session:
        pages = []
        for path in ("/", "/r/gardening", "/r/gardening/", sandbox.submissions[id].permalink):
            async with session.get(path) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")
                assert "default-src 'none'" in answer.headers["content-security-policy"]
                pages.append(await answer.text())
    assert "r/walled" not in pages[0]
    assert "&lt;script&gt;" in pages[1]
    assert "&lt;img" in pages[3]
    assert "&lt;b&gt;bold" in pages[3]
    assert not any(tag in page for page in pages for tag in ("<script", "<img", "<b>"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/r/nowhere/", 404),
        ("/r/walled/", 403),
        ("/r/gardening/comments/none/x/", 404),
        ("/api/v1/me", 401),
        ("/x", 404),
    ],
)
async def test_pages_that_are_not_there(sandbox: SandboxReddit, path: str, status: int) -> None:
    """What is unknown, private or without a token answers so, with and without the last slash."""
    async with browsing(sandbox) as session:
        for form in (path, path.rstrip("/"), path.rstrip("/") + "/"):
            async with session.get(form) as answer:
                assert answer.status == status


async def test_another_process_can_post_and_look(sandbox: SandboxReddit, clock: HandClock) -> None:
    """The control API posts, deletes, removes and locks, and tells what the bot has done."""
    post = {"subreddit": "gardening", "title": "Tomatoes", "selftext": "Text", "author": "fern"}
    async with browsing(sandbox) as session:
        ids = []
        for action in ("delete", "remove", "lock"):
            async with session.post("/sandbox/submissions", json=post | {"created_utc": 5}) as answer:
                assert answer.status == 201
                made = await answer.json()
                ids.append(made["id"])
                assert made["permalink"] == f"/r/gardening/comments/{made['id']}/tomatoes/"
            async with session.post(f"/sandbox/submissions/{made['id']}/{action}") as answer:
                assert answer.status == 200
        for path, body, status in (
            ("/sandbox/submissions", post | {"subreddit": "nowhere"}, 404),
            ("/sandbox/submissions", post | {"id": ids[0]}, 400),
            ("/sandbox/submissions", {"colour": "red"}, 400),
            ("/sandbox/submissions/none/lock", {}, 404),
            (f"/sandbox/submissions/{ids[0]}/paint", {}, 404),
        ):
            async with session.post(path, json=body) as answer:
                assert answer.status == status
        comment = sandbox.comment(f"t3_{sandbox.submit('gardening', 'Beans', '', 'moss')}", "Hello", USERNAME)
        sandbox.discuss("gardening", "Look", "Body", USERNAME)
        async with session.get("/sandbox/state") as answer:
            state = await answer.json()
        async with session.get("/api/v1/me/") as answer:
            assert answer.status == 401
        async with session.get("/sandbox/requests") as answer:
            assert await answer.json() == [{"method": "GET", "path": "/api/v1/me", "form": {}}]
    deleted, removed, locked = (sandbox.submissions[id] for id in ids)
    assert (deleted.removal, removed.removal, locked.locked) == ("deleted", "moderator", True)
    assert state["submissions"] == 4
    assert state["comments"] == {
        comment.submission.id: [{"id": comment.id, "author": USERNAME, "body": "Hello", "created_utc": clock.now()}]
    }
    assert [(c["subject"], c["internal"], c["created_utc"]) for c in state["conversations"]] == [
        ("Look", True, clock.now())
    ]


async def test_a_port_in_use_is_an_error_and_is_free_again_afterwards(sandbox: SandboxReddit) -> None:
    """Two servers cannot share a port; once one has stopped the other may have it."""
    async with SandboxServer(sandbox) as server:
        port = int(server.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await SandboxServer(sandbox, port).__aenter__()
    async with SandboxServer(sandbox, port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}"


ASKED = {
    "client_id": CLIENT_ID,
    "response_type": "code",
    "state": "a state",
    "redirect_uri": "http://127.0.0.1:1/done",
    "duration": "temporary",
    "scope": "identity",
}


async def authorise(session: aiohttp.ClientSession, **changes: str) -> URL:
    """Where the authorise page sends an account back to."""
    async with session.post("/api/v1/authorize", data={**ASKED, **changes}, allow_redirects=False) as answer:
        assert answer.status == 303
        return URL(answer.headers["location"])


async def test_the_authorise_page_sends_an_answer_back_to_this_machine_alone(sandbox: SandboxReddit) -> None:
    """Yes brings a code, no an error, each with the state; another machine and nonsense bring neither."""
    async with browsing(sandbox) as session:
        async with session.get("/api/v1/authorize", params=ASKED) as page:
            assert page.status == 200
            assert f"u/{USERNAME}" in await page.text()
        yes, no = await authorise(session, account="moss"), await authorise(session)
        assert (yes.path, yes.query["state"], set(yes.query)) == ("/done", "a state", {"state", "code"})
        assert dict(no.query) == {"state": "a state", "error": "access_denied"}
        for change in (
            {"redirect_uri": "https://evil.example/done"},
            {"redirect_uri": "http://127.0.0.1@evil.example/"},
            {"client_id": "another"},
            {"response_type": "token"},
            {"state": ""},
        ):
            async with session.get("/api/v1/authorize", params={**ASKED, **change}) as page:
                assert page.status == 400
            async with session.post("/api/v1/authorize", data={**ASKED, **change, "account": "moss"}) as answer:
                assert answer.status == 400


async def test_a_code_is_good_once_and_says_only_who_somebody_is(sandbox: SandboxReddit, clock: HandClock) -> None:
    """It needs its own address and verifier, in time; the token knows the name alone, until it is given back."""
    verifier = "v" * 43
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    application = {"authorization": aiohttp.encode_basic_auth(CLIENT_ID, CLIENT_SECRET)}
    async with browsing(sandbox) as session:

        async def redeem(code: str, **changes: str) -> Any:
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": ASKED["redirect_uri"]}
            form |= {"code_verifier": verifier, **changes}
            async with session.post("/api/v1/access_token", data=form, headers=application) as answer:
                return await answer.json()

        async def code() -> str:
            return (await authorise(session, account="moss", code_challenge=challenge)).query["code"]

        for changes in ({"redirect_uri": "http://127.0.0.1:2/done"}, {"code_verifier": "another"}):
            assert await redeem(await code(), **changes) == {"error": "invalid_grant"}
        late = await code()
        clock.advance(601)
        assert await redeem(late) == {"error": "invalid_grant"}
        good = await code()
        granted = await redeem(good)
        assert (granted["scope"], granted["expires_in"]) == ("identity", 3600)
        assert await redeem(good) == {"error": "invalid_grant"}
        bearer = {"authorization": f"bearer {granted['access_token']}"}
        async with session.get("/api/v1/me", headers=bearer) as answer:
            assert (await answer.json())["name"] == "moss"
        async with session.get("/r/gardening/new", headers=bearer) as answer:
            assert answer.status == 403
            assert "insufficient_scope" in answer.headers["www-authenticate"]
        form = {"token": granted["access_token"]}
        async with session.post("/api/v1/revoke_token", data=form, headers=application) as answer:
            assert answer.status == 200
        async with session.get("/api/v1/me", headers=bearer) as answer:
            assert answer.status == 401
        assert not any({"code", "code_verifier", "token"} & set(request.form) for request in sandbox.requests)
