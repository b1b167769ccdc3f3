"""The delivery worker: once, in order, and with a look before every second try."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace

import pytest

from bot.config import Config, Deliver
from bot.deliver.worker import Letter, Worker
from bot.errors import Forbidden, Gone, StoreError, Transient, Unclear
from bot.keeper import Keeper
from bot.manners import Manners
from bot.notices import Notices
from bot.outbox import Outbox
from bot.review.desk import Desk
from bot.store import Store
from bot.types import LONGEST_BODY, Delivery, DeliveryKind, DeliveryState, Post
from models.labels import Level
from tests.conftest import HandClock
from tests.integration.test_outbox import draft, enqueue


@dataclass
class PostOffice:
    """A messenger that keeps what arrived; `trouble` is raised at a send, after the letter arrived if `too_late`."""

    trouble: list[Exception] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    too_late: bool = False
    arrived: list[Letter] = field(default_factory=list)
    looked: int = 0

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Those that the test has deleted."""
        return self.deleted & set(ids)

    async def find(self, letter: Letter) -> str | None:
        """Its number among what arrived."""
        self.looked += 1
        subjects = [each.subject for each in self.arrived]
        return str(subjects.index(letter.subject)) if letter.subject in subjects else None

    async def send(self, letter: Letter) -> str:
        """Keeps it, unless trouble comes first."""
        if self.trouble:
            if self.too_late:
                self.arrived.append(letter)
            raise self.trouble.pop(0)
        self.arrived.append(letter)
        return str(len(self.arrived) - 1)


Hire = Callable[..., Worker]


@pytest.fixture
def hire(store: Store, outbox: Outbox, manners: Manners, keeper: Keeper, clock: HandClock) -> Hire:
    """Makes a worker of a messenger, and of whatever is to hear what it settled."""

    def of(office: PostOffice, after: Callable[[Delivery, str], None] = lambda delivery, outcome: None) -> Worker:
        notices = Notices(store, outbox, Config(), clock)
        return Worker(outbox, office, manners, keeper, notices, Deliver(), clock, after)

    return of


async def deliver_all(worker: Worker, clock: HandClock, rounds: int = 5) -> None:
    """Lets time pass and sends whatever comes due."""
    for _ in range(rounds):
        while await worker.deliver_next():
            pass
        clock.advance(1000)


async def test_a_delivery_arrives_and_is_settled_with_its_id(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """Sent once, marked sent, with what Reddit called it; a first try needs no look."""
    office = PostOffice()
    await enqueue(store, outbox, draft())
    await deliver_all(hire(office), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, row.reddit_id, len(office.arrived), office.looked) == (DeliveryState.SENT, "0", 1, 0)


async def test_an_unclear_send_that_arrived_is_not_sent_again(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """An answer 503 after the work was done: the worker looks, finds it, and settles it."""
    office = PostOffice(trouble=[Unclear("503")], too_late=True)
    await enqueue(store, outbox, draft())
    await deliver_all(hire(office), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, len(office.arrived)) == (DeliveryState.SENT, 1)


async def test_an_unclear_send_that_did_not_arrive_is_sent_again(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """An answer 503 before the work was done: the worker looks, finds nothing, and sends."""
    office = PostOffice(trouble=[Unclear("503"), Transient("429", 3.0)])
    await enqueue(store, outbox, draft())
    await deliver_all(hire(office), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, len(office.arrived), office.looked) == (DeliveryState.SENT, 1, 2)


async def test_a_letter_begun_before_a_crash_is_looked_for(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, clock: HandClock
) -> None:
    """Killed between the send and the store: the next process finds it and does not send it twice."""
    office = PostOffice()
    await enqueue(store, outbox, draft())
    (claimed,) = await outbox.claim(manners)
    await office.send(Letter(claimed.kind, claimed.subreddit, claimed.post_id, claimed.subject, claimed.body))
    await outbox.reclaim()
    await deliver_all(hire(office), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, len(office.arrived)) == (DeliveryState.SENT, 1)


async def test_a_refusal_becomes_a_dead_letter_and_the_rest_goes_on(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """What Reddit refuses for good is kept with the reason; the next delivery is sent all the same."""
    office = PostOffice(trouble=[Forbidden("locked")])
    await enqueue(store, outbox, draft("a", subject="1"), draft("b", subject="2"))
    await deliver_all(hire(office), clock)
    (dead,) = await outbox.find(DeliveryState.DEAD)
    assert (dead.post_id, dead.error) == ("a", "locked")
    assert [letter.post_id for letter in office.arrived] == ["b"]


async def test_a_named_pause_is_kept(store: Store, outbox: Outbox, hire: Hire, clock: HandClock) -> None:
    """After `Retry-After: 30` nothing is tried for 30 seconds."""
    office = PostOffice(trouble=[Transient("429", 30.0)])
    worker = hire(office)
    await enqueue(store, outbox, draft())
    assert await worker.deliver_next()
    clock.advance(29)
    assert not await worker.deliver_next()
    clock.advance(1)
    assert await worker.deliver_next()
    assert len(office.arrived) == 1


async def test_a_digest_is_one_letter_with_every_line(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """Three posts to watch are one message, whose body has all three lines, and all three are settled."""
    office = PostOffice()
    drafts = [draft(f"p{n}", DeliveryKind.DIGEST, level=Level.WATCH, subject="Monday") for n in range(3)]
    await enqueue(store, outbox, *drafts)
    await deliver_all(hire(office), clock)
    (letter,) = office.arrived
    assert all(f"body of p{n}" in letter.body for n in range(3))
    assert len(await outbox.find(DeliveryState.SENT)) == 3


async def test_what_one_message_of_a_digest_has_no_room_for_comes_in_the_next(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """At once and under a subject of its own, by which it is found where the answer was unclear."""
    office = PostOffice()
    lines = [draft(f"p{n:02}", DeliveryKind.DIGEST, level=Level.WATCH, subject="Monday") for n in range(60)]
    await enqueue(store, outbox, *(replace(each, body=f"- {each.post_id} {'x' * 400}") for each in lines))
    worker = hire(office)
    assert await worker.deliver_next()
    office.trouble = [Unclear("503")]  # about the second, which did not arrive
    await deliver_all(worker, clock)
    assert sorted(letter.subject for letter in office.arrived) == ["Monday", "Monday (2)", "Monday (3)"]
    bodies = [letter.body for letter in office.arrived]
    assert [sum(f"- {each.post_id} " in body for body in bodies) for each in lines] == [1] * 60
    assert max(map(len, bodies)) < LONGEST_BODY


async def test_a_digest_that_is_tried_again_goes_out_whole(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """Its lines share the subject by which it is looked for, so a second letter under it would never be sent."""
    office = PostOffice(trouble=[Forbidden("no modmail")])
    lines = [draft(f"p{n}", DeliveryKind.DIGEST, level=Level.WATCH, subject="Monday") for n in range(3)]
    await enqueue(store, outbox, *lines, draft("x", DeliveryKind.DIGEST, level=Level.WATCH, subject="Tuesday"))
    worker = hire(office)
    await deliver_all(worker, clock)
    dead = await outbox.find(DeliveryState.DEAD)
    async with store.transaction():
        await outbox.revive(dead[1].id)
    await deliver_all(worker, clock)
    assert ["body of p0" in office.arrived[1].body, "body of p2" in office.arrived[1].body] == [True, True]
    assert (len(office.arrived), len(await outbox.find(DeliveryState.SENT))) == (2, 4)


async def test_it_stops_when_told(store: Store, outbox: Outbox, hire: Hire, clock: HandClock) -> None:
    """A set event ends the worker after the delivery in hand."""
    office, stop = PostOffice(), asyncio.Event()
    worker = hire(office, lambda delivery, outcome: stop.set())
    await enqueue(store, outbox, draft("a", subject="1"), draft("b", subject="2"))
    await asyncio.wait_for(worker.run(stop), 5)
    assert len(office.arrived) == 1


async def judged(
    store: Store, manners: Manners, clock: HandClock, *ids: str, author: str = "ann", level: Level = Level.CRISIS
) -> None:
    """Posts of an author, stored as the pipeline stores them."""
    async with store.transaction():
        for id in ids:
            post = Post(id, "testsub", author, "a title", "a text", clock.now(), f"/r/testsub/comments/{id}/a_title/")
            values = {"level": level, "reasons": "[]", "record": json.dumps({"evidence": [1]}), "now": clock.now()}
            times = {"fetched_utc": clock.now(), "forgotten_utc": None}
            values |= {"author_hash": manners.hash(author), "choice": None}
            await store.execute("add_post", {**asdict(post), **values, **times})


async def test_an_alert_about_a_deleted_post_is_not_sent_and_the_post_purged(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, clock: HandClock
) -> None:
    """What its author took back between decision and alert is forgotten, and nobody is told of it."""
    office = PostOffice(deleted={"p1"})
    await judged(store, manners, clock, "p1", "p2")
    await enqueue(store, outbox, draft("p1", subject="1"), draft("p2", subject="2"))
    await deliver_all(hire(office), clock)
    assert [letter.post_id for letter in office.arrived] == ["p2"]
    (row,) = await store.fetch("get_post", {"id": "p1"})
    assert (row["text"], row["title"], row["author"], row["permalink"]) == ("", "", None, "")
    assert [(each.state, each.body) for each in await outbox.of_post("p1")] == [(DeliveryState.DISMISSED, "")]


async def test_a_digest_leaves_out_what_was_deleted(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, clock: HandClock
) -> None:
    """The other lines of the day go out all the same."""
    office = PostOffice(deleted={"p1"})
    await judged(store, manners, clock, "p0", "p1", "p2")
    lines = [draft(f"p{n}", DeliveryKind.DIGEST, level=Level.WATCH, subject="Monday") for n in range(3)]
    await enqueue(store, outbox, *lines)
    await deliver_all(hire(office), clock)
    (letter,) = office.arrived
    assert ["body of p0" in letter.body, "body of p1" in letter.body, "body of p2" in letter.body] == [
        True,
        False,
        True,
    ]


async def test_a_reply_to_a_removed_post_is_dropped_in_silence(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """There is nobody to answer: no dead letter, no notice."""
    office = PostOffice(trouble=[Gone("removed")])
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY))
    await deliver_all(hire(office), clock)
    assert [each.state for each in await outbox.find()] == [DeliveryState.DISMISSED]


async def test_a_reply_that_reddit_refuses_is_told_to_the_moderators(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """A dead reply is a notice in their modmail, once."""
    office = PostOffice(trouble=[Forbidden("locked")])
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY))
    await deliver_all(hire(office), clock)
    (notice,) = office.arrived
    assert "could not be posted" in notice.subject
    assert "locked" in notice.body


async def test_a_dead_reply_and_its_notice_are_one(store: Store, outbox: Outbox, hire: Hire, clock: HandClock) -> None:
    """A crash between the two would leave a dead reply that nobody hears of; so the reply is not dead yet either."""
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY))
    worker = hire(PostOffice(trouble=[Forbidden("locked")]))
    with closing(sqlite3.connect(store.path)) as crash:
        crash.execute("CREATE TRIGGER crash BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'power cut'); END")
        with pytest.raises(StoreError, match="power cut"):
            await worker.deliver_next()
    assert [each.state for each in await outbox.find()] == [DeliveryState.SENDING]


@dataclass
class SlowOffice(PostOffice):
    """A messenger whose answer a test waits for, and lets come."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, letter: Letter) -> str:
        """Keeps it, once the test says so."""
        self.asked.set()
        await self.answer.wait()
        return await super().send(letter)


async def test_what_was_sent_is_written_down_before_a_cancelled_worker_ends(
    store: Store, outbox: Outbox, hire: Hire
) -> None:
    """However often it is cancelled: whoever cancels it closes the store next, and what it sent would be sent again."""
    office = SlowOffice()
    await enqueue(store, outbox, draft())
    working = asyncio.create_task(hire(office).deliver_next())
    await office.asked.wait()
    async with store.transaction():  # so that the outcome cannot be written yet
        office.answer.set()
        for _ in range(2):
            await asyncio.sleep(0.01)
            working.cancel()
        await asyncio.sleep(0.01)
        assert not working.done()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert [each.state for each in await outbox.find()] == [DeliveryState.SENT]


async def test_what_cannot_be_sent_for_a_day_becomes_a_dead_letter(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """It is tried until then with growing pauses, and after that a moderator can still send it."""
    office = PostOffice(trouble=[Transient("503")] * 10_000)
    await enqueue(store, outbox, draft())
    worker = hire(office)
    for _ in range(200):
        await worker.deliver_next()
        clock.advance(400)
        (row,) = await outbox.of_post("p1")
        assert row.state is DeliveryState.PENDING
    clock.advance(86_400)
    await worker.deliver_next()
    (row,) = await outbox.of_post("p1")
    assert (row.state, row.error) == (DeliveryState.DEAD, "503")
    office.trouble.clear()
    async with store.transaction():
        await outbox.revive(row.id)
    await deliver_all(worker, clock)
    assert len(office.arrived) == 1


async def test_a_second_reply_to_an_author_waits_for_a_person(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, desk: Desk, clock: HandClock
) -> None:
    """Within the cooldown it is held, however it was planned; a moderator's approval sends it."""
    office = PostOffice()
    await judged(store, manners, clock, "p1", "p2")
    await enqueue(store, outbox, draft("p1", DeliveryKind.REPLY), draft("p2", DeliveryKind.REPLY))
    worker = hire(office)
    await deliver_all(worker, clock)
    assert [letter.post_id for letter in office.arrived] == ["p1"]
    (second,) = await outbox.of_post("p2")
    assert (second.state, "30 days" in (second.error or "")) == (DeliveryState.HELD, True)
    await desk.approve("p2", "mod_anna")
    await deliver_all(worker, clock)
    assert [letter.post_id for letter in office.arrived] == ["p1", "p2"]


async def test_a_reply_that_surely_failed_ends_no_earlier_cooldown(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, desk: Desk, clock: HandClock
) -> None:
    """A second one, approved and refused by Reddit, leaves the thirty days of the first as they were."""
    office = PostOffice()
    worker = hire(office)
    await judged(store, manners, clock, "p1")
    await enqueue(store, outbox, draft("p1", DeliveryKind.REPLY))
    await deliver_all(worker, clock)
    clock.advance(10 * 86_400)
    await judged(store, manners, clock, "p2")
    await enqueue(store, outbox, draft("p2", DeliveryKind.REPLY, DeliveryState.HELD))
    await desk.approve("p2", "mod_anna")
    office.trouble = [Forbidden("locked")]
    clock.advance(60)
    await deliver_all(worker, clock)
    assert [each.state for each in await outbox.of_post("p2")] == [DeliveryState.DEAD]
    assert (await manners.ruling("testsub", "ann", clock.now())).verdict == "hold"


@pytest.mark.parametrize(("trouble", "verdict"), [(Transient("429"), "send"), (Unclear("503"), "hold")])
async def test_a_reply_that_was_begun_and_is_given_up_leaves_a_cooldown_only_if_it_may_be_there(
    store: Store,
    outbox: Outbox,
    manners: Manners,
    hire: Hire,
    clock: HandClock,
    trouble: Exception,
    verdict: str,
) -> None:
    """The post grew too old before the second try: whoever was surely never answered may be answered next time."""
    office = PostOffice()
    office.trouble = [trouble]
    await judged(store, manners, clock, "p1")
    await enqueue(store, outbox, draft("p1", DeliveryKind.REPLY))
    worker = hire(office)
    await worker.deliver_next()
    clock.advance(13 * 3600)
    await worker.deliver_next()
    assert [each.state for each in await outbox.of_post("p1")] == [DeliveryState.DISMISSED]
    assert (await manners.ruling("testsub", "ann", clock.now())).verdict == verdict


async def test_an_author_who_opted_out_is_never_answered(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, clock: HandClock
) -> None:
    """Not even with a moderator's approval."""
    office = PostOffice()
    await judged(store, manners, clock, "p1")
    await enqueue(store, outbox, draft("p1", DeliveryKind.REPLY, DeliveryState.HELD))
    await manners.opt_out("u/Ann")
    (reply,) = await outbox.of_post("p1")
    async with store.transaction():
        await outbox.approve(reply, clock.now())
    await deliver_all(hire(office), clock)
    assert office.arrived == []
    assert [each.state for each in await outbox.of_post("p1")] == [DeliveryState.DISMISSED]


async def test_an_old_post_gets_no_reply(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, clock: HandClock
) -> None:
    """After twelve hours a reply helps nobody any more."""
    office = PostOffice()
    await judged(store, manners, clock, "p1")
    await enqueue(store, outbox, draft("p1", DeliveryKind.REPLY))
    clock.advance(12 * 3600 + 1)
    await deliver_all(hire(office), clock)
    assert office.arrived == []


async def test_more_than_the_daily_cap_waits_for_a_person(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, clock: HandClock
) -> None:
    """Fifty go out by themselves, the next is held, and a day later others go again."""
    office = PostOffice()
    for number in range(52):
        await judged(store, manners, clock, f"p{number}", author=f"author{number}")
    worker = hire(office)
    await enqueue(store, outbox, *(draft(f"p{number}", DeliveryKind.REPLY) for number in range(51)))
    await deliver_all(worker, clock, rounds=1)
    assert (len(office.arrived), len(await outbox.find(DeliveryState.HELD))) == (50, 1)
    clock.advance(86_400)
    await judged(store, manners, clock, "p60", author="author60")
    await enqueue(store, outbox, draft("p60", DeliveryKind.REPLY))
    await deliver_all(worker, clock)
    assert len(office.arrived) == 51


async def test_a_reply_that_a_moderator_approved_is_not_one_of_the_day(
    store: Store, outbox: Outbox, manners: Manners, hire: Hire, desk: Desk, clock: HandClock
) -> None:
    """The cap counts what went out without approval, as the setting says."""
    office = PostOffice()
    await judged(store, manners, clock, "p1", level=Level.URGENT)
    await enqueue(store, outbox, draft("p1", DeliveryKind.REPLY, DeliveryState.HELD))
    await desk.approve("p1", "mod_anna")
    await deliver_all(hire(office), clock)
    one_a_day = Config.model_validate({"replies": {"daily_cap": 1}})
    ruling = await Manners(store, b"k" * 32, one_a_day, clock).ruling("testsub", "bob", clock.now())
    assert (len(office.arrived), ruling.verdict) == (1, "send")


async def test_a_clock_that_was_ahead_holds_nothing_up(
    store: Store, outbox: Outbox, hire: Hire, clock: HandClock
) -> None:
    """A pause that was set while the clock was days ahead ends once the clock is right again."""
    office = PostOffice(trouble=[Transient("503")])
    clock.set(clock.now() + 9 * 86_400)
    await enqueue(store, outbox, draft())
    worker = hire(office)
    await worker.deliver_next()
    clock.set(clock.now() - 9 * 86_400)
    await worker.deliver_next()
    assert len(office.arrived) == 1
