"""The delivery worker: once, in order, and with a look before every second try."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.deliver.worker import Letter, Worker
from bot.errors import Forbidden, Transient, Unclear
from bot.outbox import Outbox
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState
from models.labels import Level
from tests.conftest import HandClock
from tests.integration.test_outbox import draft, enqueue


@dataclass
class PostOffice:
    """A messenger that keeps what arrived; `trouble` is raised at a send, after the letter arrived if `too_late`."""

    trouble: list[Exception] = field(default_factory=list)
    too_late: bool = False
    arrived: list[Letter] = field(default_factory=list)
    looked: int = 0

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


@pytest.fixture
def outbox(store: Store, clock: HandClock) -> Outbox:
    """An empty outbox."""
    return Outbox(store, clock)


async def deliver_all(worker: Worker, clock: HandClock, rounds: int = 5) -> None:
    """Lets time pass and sends whatever comes due."""
    for _ in range(rounds):
        while await worker.deliver_next():
            pass
        clock.advance(1000)


async def test_a_delivery_arrives_and_is_settled_with_its_id(store: Store, outbox: Outbox, clock: HandClock) -> None:
    """Sent once, marked sent, with what Reddit called it; a first try needs no look."""
    office = PostOffice()
    await enqueue(store, outbox, draft())
    await deliver_all(Worker(outbox, office, clock), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, row.reddit_id, len(office.arrived), office.looked) == (DeliveryState.SENT, "0", 1, 0)


async def test_an_unclear_send_that_arrived_is_not_sent_again(store: Store, outbox: Outbox, clock: HandClock) -> None:
    """An answer 503 after the work was done: the worker looks, finds it, and settles it."""
    office = PostOffice(trouble=[Unclear("503")], too_late=True)
    await enqueue(store, outbox, draft())
    await deliver_all(Worker(outbox, office, clock), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, len(office.arrived)) == (DeliveryState.SENT, 1)


async def test_an_unclear_send_that_did_not_arrive_is_sent_again(
    store: Store, outbox: Outbox, clock: HandClock
) -> None:
    """An answer 503 before the work was done: the worker looks, finds nothing, and sends."""
    office = PostOffice(trouble=[Unclear("503"), Transient("429", 3.0)])
    await enqueue(store, outbox, draft())
    await deliver_all(Worker(outbox, office, clock), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, len(office.arrived), office.looked) == (DeliveryState.SENT, 1, 2)


async def test_a_letter_begun_before_a_crash_is_looked_for(store: Store, outbox: Outbox, clock: HandClock) -> None:
    """Killed between the send and the store: the next process finds it and does not send it twice."""
    office = PostOffice()
    await enqueue(store, outbox, draft())
    (claimed,) = await outbox.claim()
    await office.send(Letter(claimed.kind, claimed.subreddit, claimed.post_id, claimed.subject, claimed.body))
    await outbox.reclaim()
    await deliver_all(Worker(outbox, office, clock), clock)
    (row,) = await outbox.of_post("p1")
    assert (row.state, len(office.arrived)) == (DeliveryState.SENT, 1)


async def test_a_refusal_becomes_a_dead_letter_and_the_rest_goes_on(
    store: Store, outbox: Outbox, clock: HandClock
) -> None:
    """What Reddit refuses for good is kept with the reason; the next delivery is sent all the same."""
    office = PostOffice(trouble=[Forbidden("locked")])
    await enqueue(store, outbox, draft("a", subject="1"), draft("b", subject="2"))
    await deliver_all(Worker(outbox, office, clock), clock)
    (dead,) = await outbox.find(DeliveryState.DEAD)
    assert (dead.post_id, dead.error) == ("a", "locked")
    assert [letter.post_id for letter in office.arrived] == ["b"]


async def test_a_named_pause_is_kept(store: Store, outbox: Outbox, clock: HandClock) -> None:
    """After `Retry-After: 30` nothing is tried for 30 seconds."""
    office = PostOffice(trouble=[Transient("429", 30.0)])
    worker = Worker(outbox, office, clock)
    await enqueue(store, outbox, draft())
    assert await worker.deliver_next()
    clock.advance(29)
    assert not await worker.deliver_next()
    clock.advance(1)
    assert await worker.deliver_next()
    assert len(office.arrived) == 1


async def test_a_digest_is_one_letter_with_every_line(store: Store, outbox: Outbox, clock: HandClock) -> None:
    """Three posts to watch are one message, whose body has all three lines, and all three are settled."""
    office = PostOffice()
    drafts = [draft(f"p{n}", DeliveryKind.DIGEST, level=Level.WATCH, subject="Monday") for n in range(3)]
    await enqueue(store, outbox, *drafts)
    await deliver_all(Worker(outbox, office, clock), clock)
    (letter,) = office.arrived
    assert all(f"body of p{n}" in letter.body for n in range(3))
    assert len(await outbox.find(DeliveryState.SENT)) == 3


async def test_it_stops_when_told(store: Store, outbox: Outbox, clock: HandClock) -> None:
    """A set event ends the worker after the delivery in hand."""
    office, stop = PostOffice(), asyncio.Event()
    worker = Worker(outbox, office, clock, after=lambda delivery, outcome: stop.set())
    await enqueue(store, outbox, draft("a", subject="1"), draft("b", subject="2"))
    await asyncio.wait_for(worker.run(stop), 5)
    assert len(office.arrived) == 1
