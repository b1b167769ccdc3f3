"""The real client against the sandbox: catch-up, errors in our words, and writes that are never repeated."""

from __future__ import annotations

from typing import Literal

import pytest

from bot.config import Config, Secrets
from bot.deliver.reddit import RedditMessenger
from bot.deliver.worker import Letter
from bot.errors import Forbidden, Gone, Permanent, Transient, Unclear
from bot.reddit import Gateway, user_agent
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

    async def knows(ids: object) -> set[str]:
        return known

    return await NewPosts(gateway, "testsub", knows, since_utc).look()


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
    """400 is a no, though asyncpraw loses the answer on the way and raises a connection error in its place."""
    await gateway.me()
    wrong = Fault(status=400, body='{"reason": "TOO_LONG", "explanation": "too long"}')
    reddit.faults = lambda method, path: wrong if method == "POST" else None
    with pytest.raises(Permanent):
        await RedditMessenger(gateway).send(ALERT)
