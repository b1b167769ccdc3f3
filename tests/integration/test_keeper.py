"""Forgetting: in the database, its log and its copy."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from bot.config import Config
from bot.errors import StoreError, Transient, UsageError
from bot.inbox import Inbox
from bot.keeper import Keeper
from bot.manners import Manners, key_path, load_key
from bot.outbox import Outbox
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Post, Presence
from tests.conftest import HandClock
from tests.integration.test_outbox import draft, enqueue

MARKER = "xylophonist"
HOUR = 3600.0


async def remember(store: Store, manners: Manners, clock: HandClock, *ids: str, author: str = MARKER) -> None:
    """Posts full of a word that must vanish, stored as the pipeline stores them."""
    async with store.transaction():
        for id in ids:
            post = Post(id, "testsub", author, MARKER * 9, f"{MARKER} " * 2_000, clock.now(), f"/r/testsub/{MARKER}/")
            record = json.dumps({"evidence": [{"start": 0}], "reasons": ["a reason"]})
            values = {"level": "crisis", "reasons": '[{"code": "c", "words": "w"}]', "record": record, "choice": MARKER}
            times = {"now": clock.now(), "fetched_utc": clock.now(), "forgotten_utc": None}
            await store.execute("add_post", {**asdict(post), **values, **times, "author_hash": manners.hash(author)})


def bytes_on_disk(store: Store) -> bytes:
    """Everything in the database's files: the database, its log, its index and its copy."""
    return b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))


def answering(presence: Presence, asked: list[Sequence[str]]) -> Callable[[Sequence[str]], object]:
    """A Reddit that says the same of every post."""

    async def look_up(ids: Sequence[str]) -> dict[str, Presence]:
        asked.append(ids)
        return dict.fromkeys(ids, presence)

    return look_up


async def test_after_the_retention_time_no_word_of_a_post_is_on_the_disk(
    store: Store, outbox: Outbox, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """Text, title, author and excerpt are gone from database, log and copy; id, level and reasons stay."""
    await remember(store, manners, clock, "old")
    await enqueue(store, outbox, draft("old", subject=f"about {MARKER}"))
    await store.back_up()
    assert MARKER.encode() in bytes_on_disk(store)
    clock.advance(48 * HOUR + 1)
    await remember(store, manners, clock, "new", author="somebody")
    await keeper.forget()
    (old,) = await store.fetch("get_post", {"id": "old"})
    (new,) = await store.fetch("get_post", {"id": "new"})
    assert (old["author"], old["author_hash"], old["title"], old["text"], old["permalink"]) == (None, None, "", "", "")
    assert json.loads(old["record"])["evidence"] == []
    assert (old["level"], "reason" in old["record"], new["text"] != "") == ("crisis", True, True)
    await keeper.purge(["new"], "purged")
    assert MARKER.encode() not in bytes_on_disk(store).replace(f"about {MARKER}".encode(), b"")


async def test_what_still_waits_after_the_retention_time_is_given_up(
    store: Store, outbox: Outbox, keeper: Keeper, clock: HandClock
) -> None:
    """A reply nobody decided on is dismissed, an alert that could not be sent is a dead letter; neither has words."""
    await enqueue(store, outbox, draft("a"), draft("b", DeliveryKind.REPLY, DeliveryState.HELD))
    clock.advance(48 * HOUR + 1)
    await keeper.forget()
    states = {each.post_id: (each.state, each.body) for each in await outbox.find()}
    assert states == {"a": (DeliveryState.DEAD, ""), "b": (DeliveryState.DISMISSED, "")}


async def test_a_post_its_author_deleted_is_purged_at_the_next_check(
    store: Store, outbox: Outbox, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """Its words, its evidence and what still waits go; no other post is touched."""
    await remember(store, manners, clock, "gone", "there")
    await enqueue(store, outbox, draft("gone", DeliveryKind.REPLY, DeliveryState.HELD))
    clock.advance(12 * HOUR + 1)

    async def look_up(ids: Sequence[str]) -> dict[str, Presence]:
        return {id: Presence.GONE if id == "gone" else Presence.THERE for id in ids}

    await keeper.recheck(look_up)
    (gone,) = await store.fetch("get_post", {"id": "gone"})
    (there,) = await store.fetch("get_post", {"id": "there"})
    assert (gone["text"], gone["reasons"], there["text"] != "") == ("", "[]", True)
    assert [(each.state, each.body) for each in await outbox.find()] == [(DeliveryState.DISMISSED, "")]


async def test_every_post_is_asked_about_once_in_twelve_hours(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """A hundred ids a call, and not again before their time."""
    asked: list[Sequence[str]] = []
    await remember(store, manners, clock, *(f"p{number}" for number in range(250)))
    await keeper.recheck(answering(Presence.THERE, asked))
    assert asked == []
    clock.advance(12 * HOUR + 1)
    await keeper.recheck(answering(Presence.THERE, asked))
    await keeper.recheck(answering(Presence.THERE, asked))
    assert [len(ids) for ids in asked] == [100, 100, 50]


async def test_a_reddit_that_mentions_nothing_erases_nothing(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """An empty answer is Reddit's trouble; one post that alone is not mentioned was erased."""
    await remember(store, manners, clock, "a", "b")
    clock.advance(12 * HOUR + 1)
    await keeper.recheck(answering(Presence.UNKNOWN, []))
    assert len(await store.fetch("remembered_posts")) == 2

    async def only_a(ids: Sequence[str]) -> dict[str, Presence]:
        return {id: Presence.THERE if id == "a" else Presence.UNKNOWN for id in ids}

    await keeper.recheck(only_a)
    assert [row["id"] for row in await store.fetch("remembered_posts")] == ["a"]


async def test_what_a_crash_kept_from_being_forgotten_is_asked_about_again(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """A post that is gone counts as checked only once its words are, or it would be kept twelve hours longer."""
    await remember(store, manners, clock, "a", "b")
    clock.advance(12 * HOUR + 1)

    async def look_up(ids: Sequence[str]) -> dict[str, Presence]:
        return {id: Presence.GONE if id == "a" else Presence.THERE for id in ids}

    with closing(sqlite3.connect(store.path)) as crash:
        crash.execute("CREATE TRIGGER crash BEFORE UPDATE OF text ON posts BEGIN SELECT RAISE(ABORT, 'power cut'); END")
        with pytest.raises(StoreError, match="power cut"):
            await keeper.recheck(look_up)
        crash.execute("DROP TRIGGER crash")
    await keeper.recheck(look_up)
    assert [row["id"] for row in await store.fetch("remembered_posts")] == ["b"]


async def test_a_check_that_fails_is_made_again(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """Nothing counts as checked when Reddit did not answer."""
    await remember(store, manners, clock, "a")
    clock.advance(12 * HOUR + 1)

    async def failing(ids: Sequence[str]) -> dict[str, Presence]:
        raise Transient("503")

    with pytest.raises(Transient):
        await keeper.recheck(failing)
    asked: list[Sequence[str]] = []
    await keeper.recheck(answering(Presence.THERE, asked))
    assert asked == [["a"]]


async def test_purging_an_author_finds_every_post_of_theirs(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """Judged or not, in whatever case the name is written; nobody else's."""
    await remember(store, manners, clock, "a", author="Ann")
    await remember(store, manners, clock, "b", author="bob")
    inbox = Inbox(store, clock)
    async with store.transaction():
        await inbox.put([Post("c", "testsub", "ANN", "t", "x", clock.now(), "")])
    assert await keeper.purge_author("u/ann") == 2
    assert [row["id"] for row in await store.fetch("remembered_posts")] == ["b"]
    assert await inbox.take(9) == ()
    assert await inbox.known(["a", "b", "c"]) == {"a", "b", "c"}


async def test_a_cooldown_is_forgotten_when_it_is_over(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """The hash of an author who had a reply lasts thirty days and not an hour longer."""
    async with store.transaction():
        await manners.begin_reply(1, "testsub", "ann")
    clock.advance(29 * 24 * HOUR)
    await keeper.forget()
    assert (await manners.ruling("testsub", "ann", clock.now())).verdict == "hold"
    clock.advance(25 * HOUR)
    await keeper.forget()
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(*) FROM authors").fetchone() == (0,)
    connection.close()


def test_the_key_of_the_hashes_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Two processes get the same key, whoever came first; nobody else may read it."""
    path = key_path(tmp_path / "nightlight.db")
    assert load_key(path) == load_key(path)
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


async def test_a_wish_for_no_more_replies_can_be_taken_back(store: Store, manners: Manners, clock: HandClock) -> None:
    """Afterwards they are answered like everybody."""
    await manners.opt_out("ann")
    assert (await manners.ruling("testsub", "ann", clock.now())).verdict == "never"
    await manners.opt_out("ann", undo=True)
    assert (await manners.ruling("testsub", "ann", clock.now())).verdict == "send"


@pytest.mark.parametrize("typed", ["ann", "u/Ann", "/u/ANN", "U/ann", "/U/ann", " ann\n"])
async def test_a_name_is_the_same_however_it_is_typed(
    store: Store, manners: Manners, keeper: Keeper, clock: HandClock, typed: str
) -> None:
    """A wish under it holds and can be taken back, its posts are found, and both lists know it."""
    await manners.opt_out(typed)
    assert (await manners.ruling("testsub", "Ann", clock.now())).verdict == "never"
    await manners.opt_out(typed, undo=True)
    assert (await manners.ruling("testsub", "Ann", clock.now())).verdict == "send"
    await remember(store, manners, clock, "a", author="Ann")
    assert await keeper.purge_author(typed) == 1
    replies = Config.model_validate({"replies": {"allow_authors": [typed], "deny_authors": [typed]}}).replies
    assert (replies.allow_authors[0].casefold(), replies.deny_authors[0].casefold()) == ("ann", "ann")


@pytest.mark.parametrize("typed", ["", "u/", "u/u/ann", "ann lee", "r/ann", "ann?", "https://www.reddit.com/user/ann"])
async def test_what_is_no_name_is_refused(manners: Manners, keeper: Keeper, typed: str) -> None:
    """A wish noted under what nobody is called would be a promise that is not kept."""
    with pytest.raises(UsageError):
        await manners.opt_out(typed)
    with pytest.raises(UsageError):
        await keeper.purge_author(typed)
    with pytest.raises(ValueError, match="is not the name of a Reddit user"):
        Config.model_validate({"replies": {"deny_authors": [typed]}})


@pytest.fixture
def one_a_day(store: Store, clock: HandClock) -> Manners:
    """Courtesy that lets one reply a day go out without approval."""
    settings = {"deliver": {"dry_run": False}, "replies": {"daily_cap": 1}}
    return Manners(store, b"k" * 32, Config.model_validate(settings), clock)


@pytest.mark.parametrize("how", ["forget", "purge"])
async def test_an_old_reply_that_is_forgotten_does_not_count_again(
    store: Store, outbox: Outbox, one_a_day: Manners, keeper: Keeper, clock: HandClock, how: str
) -> None:
    """It was sent when it was sent: today's replies still go out."""
    await remember(store, one_a_day, clock, "old")
    await enqueue(store, outbox, draft("old", DeliveryKind.REPLY))
    await outbox.finish(await outbox.claim(one_a_day), "r1")
    assert (await one_a_day.ruling("testsub", "ann", clock.now())).verdict == "hold"
    clock.advance(49 * HOUR)
    await (keeper.forget() if how == "forget" else keeper.purge(["old"], "purged"))
    (old,) = await outbox.of_post("old")
    assert (old.state, old.body) == (DeliveryState.SENT, "")
    assert (await one_a_day.ruling("testsub", "ann", clock.now())).verdict == "send"


async def test_an_overridden_list_of_authors_holds(store: Store, clock: HandClock) -> None:
    """Whoever is on the deny list, or not on an allow list that names somebody, gets no reply."""
    config = Config.model_validate(
        {
            "replies": {"deny_authors": ["AutoModerator"]},
            "overrides": {"trial": {"replies": {"allow_authors": ["mod"]}}},
        }
    )
    manners = Manners(store, b"k" * 32, config, clock)
    verdicts = [
        (await manners.ruling(subreddit, author, clock.now())).verdict
        for subreddit, author in [("a", "automoderator"), ("a", "ann"), ("trial", "ann"), ("trial", "Mod")]
    ]
    assert verdicts == ["never", "send", "never", "send"]
