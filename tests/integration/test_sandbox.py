"""The real asyncpraw against the sandbox, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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


class HandClock:
    """A clock that the test turns by hand; sleeping takes no time and is remembered."""

    def __init__(self) -> None:
        self.utc = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.utc

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        raise NotImplementedError


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
def clock() -> HandClock:
    return HandClock()


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
        clock.utc += TOKEN_SECONDS
        await reddit.user.me(use_cache=False)
        without_retries(reddit)
        clock.utc += TOKEN_SECONDS
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
    clock.utc += 590  # late in the window, so that little time is left
    async with browsing(sandbox) as session:
        seen = []
        for _ in range(4):
            async with session.get("/api/v1/me", headers=token) as answer:
                names = ("used", "remaining", "reset")
                seen.append((answer.status, *(answer.headers[f"x-ratelimit-{name}"] for name in names)))
        clock.utc += 10
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
    assert clock.slept == [7.0]


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
        comment.submission.id: [{"id": comment.id, "author": USERNAME, "body": "Hello", "created_utc": clock.utc}]
    }
    assert [(c["subject"], c["internal"], c["created_utc"]) for c in state["conversations"]] == [
        ("Look", True, clock.utc)
    ]


async def test_a_port_in_use_is_an_error_and_is_free_again_afterwards(sandbox: SandboxReddit) -> None:
    """Two servers cannot share a port; once one has stopped the other may have it."""
    async with SandboxServer(sandbox) as server:
        port = int(server.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await SandboxServer(sandbox, port).__aenter__()
    async with SandboxServer(sandbox, port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}"
