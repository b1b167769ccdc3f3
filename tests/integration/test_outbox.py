"""The outbox: every delivery is sent once, held until approved, and never lost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.clock import date_of
from bot.config import Config, Deliver, Replies
from bot.errors import UsageError
from bot.manners import Manners
from bot.outbox import Draft, Outbox
from bot.replies import out_of_date_by, proposed_parts
from bot.review.desk import Desk
from bot.store import Store
from bot.types import Delivery, DeliveryKind, DeliveryState, Planned
from models.labels import Level
from tests.cases import CATALOGUE, file_case
from tests.conftest import HandClock, KeywordClassifier


def draft(
    post_id: str = "p1",
    kind: DeliveryKind = DeliveryKind.ALERT,
    state: DeliveryState = DeliveryState.PENDING,
    level: Level = Level.URGENT,
    subject: str = "subject",
    due_utc: float = 0.0,
) -> Draft:
    """A draft with whatever the test does not care about filled in."""
    return Draft(post_id, "testsub", level, Planned(kind, state), subject, f"body of {post_id}", due_utc)


async def enqueue(store: Store, outbox: Outbox, *drafts: Draft) -> None:
    """Stores drafts in a transaction of their own."""
    async with store.transaction():
        await outbox.enqueue(drafts)


async def test_the_highest_level_goes_first(store: Store, outbox: Outbox, manners: Manners) -> None:
    """A crisis that came last is claimed before everything else; equal levels go by age."""
    await enqueue(
        store,
        outbox,
        draft("a", level=Level.WATCH),
        draft("b", level=Level.URGENT),
        draft("c", level=Level.URGENT),
        draft("d", level=Level.CRISIS),
    )
    claimed = [(await outbox.claim(manners))[0].post_id for _ in range(4)]
    assert claimed == ["d", "b", "c", "a"]
    assert await outbox.claim(manners) == ()


async def test_a_held_reply_is_never_claimed(store: Store, outbox: Outbox, manners: Manners) -> None:
    """Nothing goes out that waits for a moderator."""
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY, state=DeliveryState.HELD))
    assert await outbox.claim(manners) == ()


@pytest.mark.parametrize("pause_days", [0, 1])
async def test_an_approved_reply_waits_again_when_a_line_in_it_has_expired(
    pause_days: int, store: Store, clock: HandClock
) -> None:
    """Neither the approval nor anything else lets it out; its case is open again, and put together anew it goes."""
    config = Config(replies=Replies(country="IE", max_age_hours=100), deliver=Deliver(dry_run=False))
    manners = Manners(store, b"k" * 32, config, clock)
    outbox = Outbox(store, clock, out_of_date_by(clock, CATALOGUE))
    desk = Desk(store, manners, config, clock)
    clock.set(datetime(2027, 5, 22, 12, tzinfo=UTC).timestamp())  # the last day of a line
    await file_case(store, clock, KeywordClassifier(), "p1", config=config)
    await desk.approve("p1", "mod")
    clock.advance(pause_days * 86_400)
    due = [each for each in await claimed_one_by_one(outbox, manners) if each.kind is DeliveryKind.REPLY]
    case = await desk.case("p1")
    assert (len(due), case.is_open, case.reply_waits) == ((1, False, False) if pause_days == 0 else (0, True, True))
    if case.reply_waits and case.reply:
        assert "has to be put together again" in (case.reply.error or "")
        parts = proposed_parts(case.post, case.level, config.team("testsub"), CATALOGUE, date_of(clock.now()))
        await desk.edit_and_approve("p1", parts, CATALOGUE, "mod", undo_seconds=0)
        assert [each.kind for each in await claimed_one_by_one(outbox, manners)] == [DeliveryKind.REPLY]


async def claimed_one_by_one(outbox: Outbox, manners: Manners) -> list[Delivery]:
    """All that may go out now."""
    found: list[Delivery] = []
    while claimed := await outbox.claim(manners):
        found += claimed
    return found


async def test_approval_makes_a_reply_due(store: Store, outbox: Outbox, manners: Manners, clock: HandClock) -> None:
    """An approved reply can be claimed once the time it was approved for has come, and no sooner."""
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY, state=DeliveryState.HELD))
    (held,) = await outbox.find(DeliveryState.HELD)
    async with store.transaction():
        await outbox.approve(held, clock.now() + 60, "other words")
    clock.advance(59)
    assert await outbox.claim(manners) == ()
    clock.advance(1)
    (claimed,) = await outbox.claim(manners)
    assert (claimed.id, claimed.body) == (held.id, "other words")


async def test_what_was_never_begun_can_be_taken_back(
    store: Store, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """An approved or dismissed reply waits again; one that is being sent does not come back."""
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY, state=DeliveryState.HELD))
    (held,) = await outbox.find(DeliveryState.HELD)
    async with store.transaction():
        await outbox.approve(held, clock.now())
        await outbox.take_back(held)
        await outbox.dismiss(held)
        await outbox.take_back(held)
    assert [each.state for each in await outbox.find()] == [DeliveryState.HELD]
    async with store.transaction():
        await outbox.approve(held, clock.now())
    assert len(await outbox.claim(manners)) == 1
    with pytest.raises(UsageError, match="sending"):
        async with store.transaction():
            await outbox.take_back(held)


async def test_a_dismissed_reply_is_never_sent_and_cannot_be_approved_later(
    store: Store, outbox: Outbox, manners: Manners
) -> None:
    """No is final, and a second word on it is a clear error."""
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY, state=DeliveryState.HELD))
    (held,) = await outbox.find(DeliveryState.HELD)
    async with store.transaction():
        await outbox.dismiss(held)
    assert await outbox.claim(manners) == ()
    with pytest.raises(UsageError, match="dismissed"):
        async with store.transaction():
            await outbox.approve(held, 0.0)


async def test_a_delivery_is_due_only_at_its_time(
    store: Store, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """What is due in an hour waits an hour."""
    await enqueue(store, outbox, draft(due_utc=clock.now() + 3600))
    assert await outbox.claim(manners) == ()
    clock.advance(3600)
    assert len(await outbox.claim(manners)) == 1


async def test_lines_of_one_digest_go_together(store: Store, outbox: Outbox, manners: Manners) -> None:
    """All due lines with one subject are one claim; another day's lines are another."""
    await enqueue(
        store,
        outbox,
        *(draft(f"a{n}", DeliveryKind.DIGEST, level=Level.WATCH, subject="Monday") for n in range(3)),
        draft("b", DeliveryKind.DIGEST, level=Level.WATCH, subject="Tuesday"),
    )
    assert [each.post_id for each in await outbox.claim(manners)] == ["a0", "a1", "a2"]
    assert [each.post_id for each in await outbox.claim(manners)] == ["b"]


async def test_what_a_crash_left_in_sending_is_due_again_with_its_attempt_counted(
    store: Store, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """After a crash the next claim shows a second attempt, which is what makes the worker look first."""
    await enqueue(store, outbox, draft())
    assert (await outbox.claim(manners))[0].attempts == 1
    assert await outbox.claim(manners) == ()
    assert await outbox.reclaim() == 1
    assert await outbox.claim(manners) == ()
    clock.advance(10)
    assert (await outbox.claim(manners))[0].attempts == 2


async def test_a_second_delivery_of_a_kind_for_a_post_is_left_out(store: Store, outbox: Outbox) -> None:
    """However often a post is decided, it has one reply."""
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY))
    await enqueue(store, outbox, draft(kind=DeliveryKind.REPLY))
    assert len(await outbox.of_post("p1")) == 1


ENDS = {DeliveryState.SENT, DeliveryState.DEAD, DeliveryState.DISMISSED}
ACTS = st.lists(st.sampled_from(["claim", "finish", "retry", "bury", "approve", "dismiss", "reclaim"]), max_size=25)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS, held=st.booleans())
async def test_no_order_of_events_sends_twice_or_wakes_the_dead(
    acts: list[str], held: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happens in whatever order: an end state is final, and a held delivery is claimed only once approved."""
    clock = HandClock()
    async with Store(tmp_path_factory.mktemp("outbox") / "t.db") as store:
        outbox, manners = Outbox(store, clock), Manners(store, b"k" * 32, Config(), clock)
        await enqueue(store, outbox, draft(state=DeliveryState.HELD if held else DeliveryState.PENDING))
        claimed: tuple[Delivery, ...] = ()
        ended: DeliveryState | None = None
        approved = not held
        for act in acts:
            (before,) = await outbox.of_post("p1")
            match act:
                case "claim":
                    taken = await outbox.claim(manners)
                    assert not taken or (approved and before.state is DeliveryState.PENDING)
                    claimed = taken or claimed
                case "finish" if claimed:
                    await outbox.finish(claimed, "r1")
                case "retry" if claimed:
                    await outbox.retry(claimed, clock.now(), "later")
                case "bury" if claimed:
                    await outbox.bury(claimed, "no")
                case "approve" | "dismiss":
                    try:
                        async with store.transaction():
                            await (outbox.approve(before, clock.now()) if act == "approve" else outbox.dismiss(before))
                        approved = approved or act == "approve"
                    except UsageError:
                        assert before.state is not DeliveryState.HELD
                case "reclaim":
                    await outbox.reclaim()
            (after,) = await outbox.of_post("p1")
            assert ended is None or after.state is ended
            ended = after.state if after.state in ENDS else None
