"""The live loop, whole: sandbox Reddit, real client, real store; only the model is a stand-in."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from bot import app
from bot.config import Config, Replies, Secrets
from bot.errors import ConfigError, SetupError
from bot.inbox import Inbox
from bot.judge import Judgement
from bot.notices import Notices
from bot.outbox import Outbox
from bot.reddit import Gateway
from bot.resources import Catalogue
from bot.sandbox.state import Fault, SandboxReddit
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Post
from bot.watch import Watch
from models.assessment import Assessment
from models.document import Document
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
            async with store.transaction():
                await outbox.approve(held, clock.now())
        await until(lambda: len(reddit.comments_on(post_id)) == 1, "the reply")
        assert reddit.comments_on(post_id)[0].body == held.body
    assert len(reddit.comments_on(post_id)) == 1


async def test_an_approved_reply_with_a_number_that_the_catalogue_lacks_is_held_again(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """As one that was put together with the catalogue of another day may have; why is kept with it."""
    post_id = reddit.submit("testsub", "a title", "ideation", "somebody")
    async with running(config, secrets, clock), Store(config.store.path) as store:
        await until(lambda: len(reddit.conversations) == 1, "an alert")
        outbox = Outbox(store, clock)
        (held,) = await outbox.find(DeliveryState.HELD)
        async with store.transaction():
            await outbox.approve(held, clock.now(), f"{held.body}\n\n- **An old line**: call 0800 111 222.")
        for _ in range(500):
            (reply,) = [each for each in await outbox.of_post(post_id) if each.kind is DeliveryKind.REPLY]
            if reply.error:
                break
            await asyncio.sleep(0.02)
        assert (reply.state, "put together again" in (reply.error or "")) == (DeliveryState.HELD, True)
    assert reddit.comments_on(post_id) == []


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


async def test_half_a_surrogate_pair_in_a_post_stops_nothing(
    config: Config, secrets: Secrets, reddit: SandboxReddit, gateway: Gateway, clock: HandClock
) -> None:
    """JSON may carry what no database takes; such a post is alerted like any other, and so is the one beside it."""
    ids = [
        reddit.submit("testsub", "a title HALF", "ideation HALF", "someHALFbody"),
        reddit.submit("testsub", "another", "ideation", "somebody"),
    ]
    async with gateway.reading() as client:
        listing = await client.request(method="GET", path="r/testsub/new", params={"raw_json": 1})
    body = json.dumps(listing).replace("HALF", r"\ud83d")
    odd = Fault(status=200, body=body, headers={"content-type": "application/json"})
    reddit.faults = lambda method, path: odd if path == "/r/testsub/new" else None
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 2, "two alerts")
    assert all(any(id in subject for subject in subjects(reddit)) for id in ids)
    async with Store(config.store.path) as store:
        (row,) = await store.fetch("get_post", {"id": ids[0]})
    assert (row["title"], row["text"], row["author"]) == ("a title ?", "ideation ?", "some?body")


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
    async with Store(config.store.path) as store:
        (gap,) = await store.fetch("gaps")
    assert (gap["subreddit"], gap["from_utc"] <= gap["until_utc"]) == ("testsub", True)
    assert reddit.conversations[0].body.count(" UTC") >= 2


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


async def test_words_that_break_a_rule_are_refused_before_it_starts(
    config: Config, secrets: Secrets, clock: HandClock, tmp_path: Path
) -> None:
    """A team's own template that says what nobody should read stops the start, by its rule."""
    (tmp_path / "urgent.en.md.j2").write_text("Stay strong.", encoding="utf-8")
    config = config.model_copy(update={"replies": Replies(templates=tmp_path)})
    with pytest.raises(
        ConfigError, match=r"urgent\.en\.md\.j2 breaks the rule “no guilt and no orders”: “Stay strong”"
    ):
        await app.run(config, secrets, KeywordClassifier, asyncio.Event(), clock=clock)


async def test_an_address_that_has_expired_does_not_stop_the_start(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock, tmp_path: Path
) -> None:
    """A record of the catalogue grows old by itself: its replies wait, and posts are read all the same."""
    (line,) = (line for line in Catalogue.load().line if line.id == "ca-nedic")
    words = '{{ say.opening }} {{ say.safety }}\n\n{% include "help.md.j2" %}\n\n{{ say.footer }}'
    (tmp_path / "urgent.en.md.j2").write_text(f"[This page]({line.url}) may help.\n\n{words}", encoding="utf-8")
    clock.set(datetime.combine(line.expires_on, time(), UTC).timestamp())
    config = config.model_copy(update={"replies": Replies(templates=tmp_path)})
    reddit.submit("testsub", "one", "flour", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.stored == ["one"], "the first judgement")


async def test_a_second_process_on_the_same_database_is_refused(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The first goes on undisturbed, and once it ended the next one may begin."""
    reddit.submit("testsub", "one", "flour", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.stored == ["one"], "the first judgement")
        with pytest.raises(SetupError, match="another nightlight is running"):
            await app.run(config, secrets, KeywordClassifier, asyncio.Event(), clock=clock)
        reddit.submit("testsub", "two", "flour", "somebody")
        await until(lambda: classifier.stored == ["one", "two"], "the second judgement")
    async with running(config, secrets, clock):
        pass


async def test_without_a_model_every_post_goes_to_the_moderators(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A model that cannot be loaded is told in the log, and no reason to look away."""
    post_id = reddit.submit("testsub", "a title", "flour and eggs", "somebody")
    stop = asyncio.Event()

    def no_model() -> KeywordClassifier:
        raise FileNotFoundError("model.onnx")

    task = asyncio.create_task(app.run(config, secrets, no_model, stop, clock=clock))
    await until(lambda: len(reddit.conversations) == 1, "an alert")
    stop.set()
    await task
    assert f"unassessed: the bot could not read a post (t3_{post_id})" in subjects(reddit)[0]


class Sleeper(KeywordClassifier):
    """A model that never comes back from a post with the word `hang` in it."""

    def __init__(self) -> None:
        super().__init__()
        self.woken = threading.Event()

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """Hangs, or judges like the other."""
        if any("hang" in document.text for document in documents):
            self.woken.wait(30)
        return super().assess(documents)


async def test_a_model_that_hangs_holds_nobody_up(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """After the timeout its posts go to the moderators unread, and the posts after them are judged as ever."""
    config = Config.model_validate({**config.model_dump(), "model": {"timeout_seconds": 0.2}})
    model, stop = Sleeper(), asyncio.Event()
    hanging = reddit.submit("testsub", "one", "hang", "somebody")
    task = asyncio.create_task(app.run(config, secrets, lambda: model, stop, clock=clock))
    await until(lambda: len(reddit.conversations) == 1, "an alert about the unread post")
    reddit.submit("testsub", "two", "ideation", "somebody")
    await until(lambda: len(reddit.conversations) == 2, "an alert about the next one")
    stop.set()
    model.woken.set()
    await task
    assert ("unassessed" in subjects(reddit)[0], hanging in subjects(reddit)[0]) == (True, True)
    assert "crisis" in subjects(reddit)[1]


async def test_a_model_that_only_hangs_ends_the_process_loudly(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Three times in a row is no accident; every one of those posts was provided for first."""
    config = Config.model_validate({**config.model_dump(), "model": {"timeout_seconds": 0.1, "batch_size": 1}})
    model = Sleeper()
    ids = [reddit.submit("testsub", f"title {number}", "hang", "somebody") for number in range(3)]
    with pytest.raises(BaseExceptionGroup) as caught:
        await app.run(config, secrets, lambda: model, asyncio.Event(), clock=clock)
    model.woken.set()
    assert caught.group_contains(SetupError, match="hung 3 times")
    stored = {(post_id, kind) for post_id, kind, _ in await states(config, clock)}
    assert stored == {(post_id, DeliveryKind.ALERT) for post_id in ids}


async def test_a_subreddit_that_is_refused_is_told_once_and_the_others_go_on(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Banned from one: its moderators hear of it once, the other is watched, and it is asked again every hour."""
    reddit.add_subreddit("second")
    both = config.reddit.model_copy(update={"subreddits": ("testsub", "second")})
    config = config.model_copy(update={"reddit": both})
    reddit.ban("second")
    async with running(config, secrets, clock):
        post_id = reddit.submit("testsub", "a title", "ideation", "somebody")
        await until(lambda: any(post_id in subject for subject in subjects(reddit)), "an alert in the other one")
        await until(lambda: "refused-second" in stored_for(config), "a notice")
        clock.advance(3601)
        clock.advance(3601)
        reddit.promote("second")
        late = reddit.submit("second", "late", "ideation", "somebody")
        await until(lambda: any(late in subject for subject in subjects(reddit)), "an alert once it may read again")
    notices = [post_id for post_id, _, _ in await states(config, clock) if post_id.startswith("refused-second")]
    assert len(notices) == 1


async def test_the_end_of_a_refusal_is_no_silence(
    config: Config, store: Store, gateway: Gateway, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The hours in which Reddit did not let it in count for nothing once it does, also before the first look."""
    reddit.ban("testsub")
    silences: list[float] = []
    inbox, notices = Inbox(store, clock), Notices(store, Outbox(store, clock), config, clock)
    watch = Watch("testsub", config, store, inbox, gateway, notices, clock)

    def at_a_look(method: str, path: str) -> None:
        if path == "/r/testsub/new" and not watch.refused:
            silences.append(clock.monotonic() - watch.heard)

    reddit.faults, stop = at_a_look, asyncio.Event()
    task = asyncio.create_task(watch.run(stop))
    await until(lambda: watch.refused, "a refusal")
    reddit.promote("testsub")
    clock.advance(3601)
    await until(lambda: len(silences) > 0, "a look")
    stop.set()
    await asyncio.wait_for(task, 10)
    assert silences[0] < 60


def stored_for(config: Config) -> str:
    """What the deliveries are about, read as another process would."""
    with closing(sqlite3.connect(config.store.path)) as connection:
        return " ".join(row[0] for row in connection.execute("SELECT post_id FROM deliveries"))


@pytest.mark.parametrize("silence", ["failing", "empty"])
async def test_a_stream_that_falls_silent_is_told_once(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock, silence: str
) -> None:
    """Nothing but errors, or nothing at all where there was something: an alert after half an hour, and only one."""
    nothing = '{"kind": "Listing", "data": {"children": [], "after": null}}'
    empty = Fault(status=200, body=nothing, headers={"content-type": "application/json"})
    reddit.submit("testsub", "a title", "flour", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.seen == ["a title"], "the first judgement")
        reddit.faults = lambda method, path: (
            (Fault(status=503) if silence == "failing" else empty) if path.rstrip("/").endswith("/new") else None
        )
        await until(lambda: len(reddit.conversations) == 1, "a notice")
        clock.advance(3600)
        an_hour_later = clock.now()
        await until(lambda: clock.now() > an_hour_later + 60, "more of the same")
    assert ["no new post could be read" in subject for subject in subjects(reddit)] == [True]


async def test_a_post_approved_late_is_found_far_down_the_listing(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Held back by a filter, shown after 150 newer posts were judged: it is judged, too."""
    late = reddit.submit("testsub", "late", "ideation", "somebody", filtered=True)
    for number in range(150):
        reddit.submit("testsub", f"title {number}", "flour", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: len(classifier.stored) == 150, "all others judged")
        reddit.approve(late)
        await until(lambda: any(late in subject for subject in subjects(reddit)), "an alert")


async def test_what_the_author_deletes_is_forgotten_while_the_bot_runs(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The reply that waits is dropped and no word of the post stays in the files."""
    post_id = reddit.submit("testsub", "xylophonist", "ideation xylophonist", "xylophonist")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 1, "an alert")
        reddit.delete_by_author(post_id)
        clock.advance(13 * 3600)
        clock.advance(1800)
        await until(lambda: not holds(config, "xylophonist"), "the post forgotten")
    assert (post_id, DeliveryKind.REPLY, DeliveryState.DISMISSED) in await states(config, clock)


def holds(config: Config, word: str) -> bool:
    """Whether any file of the database holds a word."""
    for path in config.store.path.parent.glob("nightlight.db*"):
        with suppress(FileNotFoundError):  # a copy in the making comes and goes
            if word.encode() in path.read_bytes():
                return True
    return False


async def test_a_post_of_level_none_leaves_no_word_behind(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """What nobody has to read is not kept: no title, text or author of it is ever in the posts table."""
    reddit.submit("testsub", "a cake", "flour and eggs", "a_baker")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.stored == ["a cake"], "the judgement")
    async with Store(config.store.path) as store:
        (id,) = [row["id"] for row in await store.fetch("every_post")]
        (post,) = await store.fetch("get_post", {"id": id})
    assert (post["author"], post["title"], post["text"], post["permalink"]) == (None, "", "", "")


async def test_killed_while_judging_the_post_is_judged_at_the_next_start(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A post that was fetched is in the inbox, also when Reddit no longer lists it."""
    post_id = reddit.submit("testsub", "a title", "hang ideation", "somebody")
    model = Sleeper()
    task = asyncio.create_task(app.run(config, secrets, lambda: model, asyncio.Event(), clock=clock))
    await until(lambda: any(thread.name == "models" for thread in threading.enumerate()), "the judging begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    model.woken.set()
    reddit.remove_by_moderator(post_id)
    async with running(config, secrets, clock):
        await until(lambda: any(post_id in subject for subject in subjects(reddit)), "an alert")


async def test_a_clock_that_was_ahead_at_the_first_start_hides_no_post(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The beginning of the watch lay in the future by the right time; posts of today are judged all the same."""
    right = clock.now()
    clock.set(right + 30 * 86_400)
    reddit.submit("testsub", "one", "flour", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.stored == ["one"], "the first judgement")
    clock.set(right)
    reddit.submit("testsub", "two", "ideation", "somebody")
    async with running(config, secrets, clock) as classifier:
        await until(lambda: classifier.stored == ["two"], "the second judgement")


class OutOfMemory(KeywordClassifier):
    """A model for which every post is too much."""

    def assess(self, documents: Sequence[Document]) -> list[Assessment]:
        """Asks for more than there is."""
        raise MemoryError


async def test_a_model_out_of_memory_leaves_the_post_to_the_moderators(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The process lives, and the post is unassessed."""
    stop = asyncio.Event()
    reddit.submit("testsub", "a title", "flour", "somebody")
    task = asyncio.create_task(app.run(config, secrets, OutOfMemory, stop, clock=clock))
    await until(lambda: len(reddit.conversations) == 1, "an alert")
    stop.set()
    await task
    assert "unassessed" in subjects(reddit)[0]


async def test_a_post_that_ended_the_process_five_times_is_not_tried_again(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """It goes to the moderators unread, and the post behind it is judged."""
    async with Store(config.store.path) as store:
        inbox = Inbox(store, clock)
        async with store.transaction():
            posts = [Post(id, "testsub", None, id, "ideation", clock.now(), "") for id in ("deadly", "other")]
            await inbox.put(posts)
        for _ in range(5):
            await inbox.take(1)
    async with running(config, secrets, clock) as classifier:
        await until(lambda: len(reddit.conversations) == 2, "two alerts")
    assert classifier.seen == ["other"]
    assert any("unassessed" in subject and "deadly" in subject for subject in subjects(reddit))
