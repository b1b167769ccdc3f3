"""The live loop, whole: sandbox Reddit, real client, real store; only the model is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bot import app
from bot.config import Config, Secrets
from bot.errors import ConfigError, SetupError
from bot.judge import Judgement
from bot.outbox import Outbox
from bot.sandbox.state import Fault, SandboxReddit
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, ReviewAction
from tests.conftest import HandClock, KeywordClassifier


@asynccontextmanager
async def running(config: Config, secrets: Secrets, clock: HandClock) -> AsyncIterator[KeywordClassifier]:
    """The live loop in the background; stopped at the end, and its failure is the test's."""
    stop, classifier = asyncio.Event(), KeywordClassifier()

    def on_judged(judgement: Judgement) -> None:
        classifier.stored.append(judgement.post.title)

    task = asyncio.create_task(app.run(config, secrets, lambda: classifier, stop, clock=clock, on_judged=on_judged))
    try:
        yield classifier
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something to become true, ten seconds at most."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"never happened: {what}")


def subjects(reddit: SandboxReddit) -> list[str]:
    """What the moderators find in their modmail."""
    return [conversation.subject for conversation in reddit.conversations]


async def states(config: Config, clock: HandClock) -> list[tuple[str, DeliveryKind, DeliveryState]]:
    """The outbox, read as another process would."""
    async with Store(config.store.path) as store:
        return sorted((each.post_id, each.kind, each.state) for each in await Outbox(store, clock).find())


async def test_a_crisis_is_one_alert_and_a_held_reply(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The alert names the post and reaches the moderators once; no word reaches the author without approval."""
    post_id = reddit.submit("testsub", "a title", "ideation", "somebody")
    reddit.submit("testsub", "a cake", "flour and eggs", "a_baker")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 1, "an alert")
    (subject,) = subjects(reddit)
    assert "crisis" in subject
    assert f"/comments/{post_id}/" in reddit.conversations[0].body
    assert reddit.comments_on(post_id) == []
    assert await states(config, clock) == [
        (post_id, DeliveryKind.ALERT, DeliveryState.SENT),
        (post_id, DeliveryKind.REPLY, DeliveryState.HELD),
    ]


async def test_an_approved_reply_appears_under_the_post_once(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A moderator's approval, given by another process while the loop runs, is what sends the reply."""
    post_id = reddit.submit("testsub", "a title", "ideation", "somebody")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 1, "an alert")
        async with Store(config.store.path) as store:
            outbox = Outbox(store, clock)
            (held,) = await outbox.find(DeliveryState.HELD)
            await outbox.review(held.id, ReviewAction.APPROVED, "mod_anna")
        await until(lambda: len(reddit.comments_on(post_id)) == 1, "the reply")
        assert reddit.comments_on(post_id)[0].body == held.body
    assert len(reddit.comments_on(post_id)) == 1


async def test_a_level_named_auto_is_answered_without_approval(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """`auto = ["crisis"]` sends the crisis reply by itself and still holds the urgent one."""
    config = Config.model_validate({**config.model_dump(), "replies": {"auto": ["crisis"]}})
    crisis = reddit.submit("testsub", "a title", "ideation", "somebody")
    urgent = reddit.submit("testsub", "another", "indicator", "somebody_else")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.comments_on(crisis)) == 1, "the reply")
        await until(lambda: len(reddit.conversations) == 2, "two alerts")
    assert reddit.comments_on(urgent) == []


async def test_started_again_it_goes_on_where_it_stopped(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """What came while it was away is judged, what was judged is not judged again, and nothing is sent twice."""
    first = reddit.submit("testsub", "first", "ideation", "somebody")
    async with running(config, secrets, clock) as before:
        await until(lambda: len(reddit.conversations) == 1, "an alert")
    clock.advance(60)
    second = reddit.submit("testsub", "second", "ideation", "somebody")
    async with running(config, secrets, clock) as after:
        await until(lambda: len(reddit.conversations) == 2, "a second alert")
    assert (before.seen, after.seen) == (["first"], ["second"])
    assert sorted(subject.rsplit("t3_")[1].rstrip(")") for subject in subjects(reddit)) == sorted([first, second])


async def test_a_post_that_breaks_the_model_goes_to_the_moderators(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Unassessed is an alert of its own, and the posts beside it are judged as ever."""
    poisoned = reddit.submit("testsub", "a title", "poison", "somebody")
    reddit.submit("testsub", "another", "ideation", "somebody")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 2, "two alerts")
    assert any("unassessed" in subject and poisoned in subject for subject in subjects(reddit))
    assert any("crisis" in subject for subject in subjects(reddit))


async def test_a_dry_run_writes_nothing_to_reddit(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Everything is decided and written down, and the only POST that Reddit sees is the sign-in."""
    config = Config.model_validate({**config.model_dump(), "deliver": {"dry_run": True}})
    reddit.submit("testsub", "a title", "ideation", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.seen == ["a title"], "the judgement")
    assert {request.path for request in reddit.requests if request.method == "POST"} == {"/api/v1/access_token"}


async def test_the_watch_digest_goes_out_once_a_day(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Two posts to watch are two lines of one message, at the hour that is set and not before."""
    for title in ("one", "two"):
        reddit.submit("testsub", title, "struggle", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: len(classifier.stored) == 2, "both judgements stored")
        assert subjects(reddit) == []
        clock.set(clock.now() + 24 * 3600)
        await until(lambda: len(reddit.conversations) == 1, "the digest")
    body = reddit.conversations[0].body
    assert "“one”" in body
    assert "“two”" in body


async def test_a_failing_reddit_is_waited_for(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Five server errors in a row end nothing: the post that came meanwhile is judged afterwards."""
    failures = iter(range(5))
    reddit.faults = lambda method, path: (
        Fault(status=503) if "/new" in path and next(failures, None) is not None else None
    )
    reddit.submit("testsub", "a title", "ideation", "somebody")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 1, "an alert")


async def test_more_posts_than_a_listing_holds_are_reported_as_a_gap(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """After an outage of 1,100 posts the moderators read that some were not seen."""
    reddit.submit("testsub", "before", "flour", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.seen == ["before"], "the first judgement")
    for number in range(1_100):
        reddit.submit("testsub", f"title {number}", "flour", "somebody")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 1, "a gap alert")
    assert "were not read" in subjects(reddit)[0]


async def test_a_subreddit_it_does_not_moderate_is_not_even_read(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """With nothing else to watch the process ends loudly, and no listing was asked for."""
    reddit.add_subreddit("strangers", moderators=("somebody_else",))
    changed = config.reddit.model_copy(update={"subreddits": ("strangers",)})
    with pytest.raises(BaseExceptionGroup) as caught:
        await app.run(
            config.model_copy(update={"reddit": changed}), secrets, KeywordClassifier, asyncio.Event(), clock=clock
        )
    assert caught.group_contains(SetupError, match="refuses every subreddit")
    assert not [request for request in reddit.requests if "/new" in request.path]


async def test_a_set_up_that_cannot_work_is_refused_before_it_starts(config: Config, secrets: Secrets) -> None:
    """No subreddit, or no credentials: one clear error each."""
    nothing = config.model_copy(update={"reddit": config.reddit.model_copy(update={"subreddits": ()})})
    with pytest.raises(ConfigError, match="no subreddit"):
        await app.run(nothing, secrets, KeywordClassifier, asyncio.Event())
    with pytest.raises(SetupError, match="NIGHTLIGHT_REDDIT_CLIENT_ID"):
        await app.run(config, Secrets(), KeywordClassifier, asyncio.Event())
