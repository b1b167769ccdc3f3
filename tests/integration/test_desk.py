"""What moderators do with cases: alone with each, each act an event, and a minute to think again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import date

import pytest

from bot.config import Config
from bot.errors import UsageError
from bot.keeper import Keeper
from bot.manners import Manners
from bot.outbox import Outbox
from bot.replies import Parts
from bot.review.desk import CLAIM_SECONDS, UNDO_SECONDS, Desk, Gap, Why, digest
from bot.review.history import History
from bot.review.marks import read_judged
from bot.store import Store
from bot.types import Delivery, DeliveryKind, DeliveryState, ReviewAction
from models.labels import Level
from tests.cases import CATALOGUE, file_case
from tests.conftest import HandClock, KeywordClassifier

File = Callable[..., Awaitable[None]]
HERE = frozenset({"testsub"})


@pytest.fixture
def file(store: Store, clock: HandClock) -> File:
    """Stores a case: `await file("p1", "ideation")`."""
    return lambda id, text="ideation", **more: file_case(store, clock, KeywordClassifier(), id, text, **more)


async def acts(desk: Desk, id: str) -> list[tuple[str, ReviewAction]]:
    """Who did what with a case."""
    found = await desk.find(id)
    assert found is not None
    return [(each.actor, each.action) for each in found.reviews]


async def test_the_next_case_is_the_most_pressing_one_that_waits_longest(
    desk: Desk, file: File, clock: HandClock
) -> None:
    """Highest level first, oldest first within a level; each goes to one moderator, and then there is none."""
    for id, text in (("w", "struggle"), ("u1", "severe"), ("c1", "attempt"), ("u2", "severe"), ("c2", "ideation")):
        await file(id, text)
        clock.advance(1)
    await file("x", "attempt", subreddit="elsewhere")
    given = []
    for number in range(6):
        case = await desk.next(f"mod_{number}", HERE)
        given.append(case.post.id if case else None)
    assert given == ["c1", "c2", "u1", "u2", "w", None]


async def test_no_two_moderators_get_the_same_case_however_they_hurry(desk: Desk, file: File) -> None:
    """Twenty who ask at once for twelve cases get twelve different ones."""
    for number in range(12):
        await file(f"p{number}")
    found = await asyncio.gather(*(desk.next(f"mod_{number}", HERE) for number in range(20)))
    ids = [case.post.id for case in found if case]
    assert (len(ids), len(set(ids))) == (12, 12)


async def test_a_claim_keeps_others_away_until_it_expires(desk: Desk, file: File, clock: HandClock) -> None:
    """Nobody else can take or settle a case in somebody's hands; once the time is over they can."""
    await file("p1")
    await desk.claim("p1", "mod_anna")
    for act in (desk.claim, desk.approve, desk.dismiss, desk.escalate):
        with pytest.raises(UsageError, match="mod_anna has this case"):
            await act("p1", "mod_ben")
    assert await desk.next("mod_ben", HERE) is None
    clock.advance(CLAIM_SECONDS)
    assert (await desk.claim("p1", "mod_ben")).claim is not None
    assert await acts(desk, "p1") == [("mod_anna", ReviewAction.CLAIMED), ("mod_ben", ReviewAction.CLAIMED)]


async def test_a_case_that_is_given_back_is_anybodys(desk: Desk, file: File) -> None:
    """Giving back what is not in one's hands changes nothing."""
    await file("p1")
    await desk.claim("p1", "mod_anna")
    await desk.release("p1", "mod_ben")
    with pytest.raises(UsageError):
        await desk.claim("p1", "mod_ben")
    await desk.release("p1", "mod_anna")
    await desk.claim("p1", "mod_ben")
    assert [action for _, action in await acts(desk, "p1")] == ["claimed", "released", "claimed"]


async def test_an_approved_reply_leaves_after_a_minute_and_not_sooner(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """Until then it can be taken back; afterwards it is on its way."""
    await file("p1")
    await desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS)
    clock.advance(UNDO_SECONDS - 1)
    claimed = [each.kind for each in await outbox.claim(manners)]
    assert (claimed, await outbox.claim(manners)) == ([DeliveryKind.ALERT], ())
    clock.advance(1)
    assert [each.kind for each in await outbox.claim(manners)] == [DeliveryKind.REPLY]
    with pytest.raises(UsageError, match="nothing left to undo"):
        await desk.undo("p1", "mod_anna")


async def test_an_approval_that_was_undone_is_none(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """The reply waits again, in the same hands, never goes out by itself, and can be decided on anew."""
    await file("p1")
    await desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS)
    with pytest.raises(UsageError):
        await desk.undo("p1", "mod_ben")
    await desk.undo("p1", "mod_anna")
    assert await desk.undoable("mod_anna") == []
    clock.advance(3600)
    assert [each.kind for each in await outbox.claim(manners)] == [DeliveryKind.ALERT]
    assert await outbox.claim(manners) == ()
    case = await desk.find("p1")
    assert case is not None and case.reply is not None
    assert (case.is_open, case.reply.state) == (True, DeliveryState.HELD)
    await desk.dismiss("p1", "mod_anna", Why.NOT_HELPFUL)
    assert [action for _, action in await acts(desk, "p1")] == ["approved", "undone", "dismissed"]


async def test_a_closed_case_can_be_opened_again_within_a_minute(desk: Desk, file: File, clock: HandClock) -> None:
    """With its reply; a minute later it stays closed."""
    await file("p1")
    await desk.dismiss("p1", "mod_anna", Why.OTHER)
    await desk.undo("p1", "mod_anna")
    case = await desk.find("p1")
    assert case is not None and case.reply_waits and case.claim is not None
    await desk.dismiss("p1", "mod_anna", Why.OTHER)
    clock.advance(UNDO_SECONDS)
    with pytest.raises(UsageError):
        await desk.undo("p1", "mod_anna")


async def test_each_act_can_be_taken_back_for_its_own_minute(
    desk: Desk, file: File, outbox: Outbox, clock: HandClock
) -> None:
    """Whatever somebody does next: an act on another case takes nothing of that minute, and neither does undoing it."""
    for id in ("p1", "p2", "p3"):
        await file(id)
    await desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS)
    clock.advance(20)
    await desk.dismiss("p2", "mod_anna", Why.OTHER)
    await desk.escalate("p3", "mod_ben")
    undoable = await desk.undoable("mod_anna")
    assert [(each.review.post_id, each.until_utc - clock.now()) for each in undoable] == [("p2", 60), ("p1", 40)]
    await desk.undo("p2", "mod_anna")
    await desk.undo("p1", "mod_anna")
    assert [each.state for each in await outbox.of_post("p1") if each.kind is DeliveryKind.REPLY] == ["held"]
    for id in ("p1", "p2", "p3"):
        with pytest.raises(UsageError, match="nothing left to undo"):
            await desk.undo(id, "mod_anna")


async def test_a_settled_case_is_settled(desk: Desk, file: File) -> None:
    """A second word on it is a clear error that names the first, and leaves no event."""
    await file("p1")
    await desk.dismiss("p1", "mod_anna", Why.NOT_NEEDED)
    for act in (desk.approve, desk.dismiss, desk.escalate, desk.claim):
        with pytest.raises(UsageError):
            await act("p1", "mod_ben")
    assert await acts(desk, "p1") == [("mod_anna", ReviewAction.DISMISSED)]


async def test_a_case_without_a_reply_can_be_closed(desk: Desk, file: File) -> None:
    """Watch posts, which only stand in the summary, leave the queue as well."""
    await file("w", "struggle")
    with pytest.raises(UsageError, match="No reply is proposed"):
        await desk.approve("w", "mod_anna")
    await desk.dismiss("w", "mod_anna", Why.ANSWERED)
    assert await desk.next("mod_anna", HERE) is None


async def test_closing_stops_a_reply_that_would_go_out_by_itself(
    desk: Desk, file: File, outbox: Outbox, manners: Manners
) -> None:
    """Where the team lets crisis replies go out without approval, a moderator who is faster can still say no."""
    await file("p1", config=Config.model_validate({"replies": {"auto": ["crisis"]}}))
    await desk.dismiss("p1", "mod_anna", Why.TAKEN_DOWN)
    assert [each.kind for each in await outbox.claim(manners)] == [DeliveryKind.ALERT]
    assert await outbox.claim(manners) == ()


@pytest.mark.parametrize(("undone", "revived"), [(True, False), (False, False), (False, True)])
async def test_only_a_reply_that_surely_was_not_posted_is_stopped_or_taken_back(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, clock: HandClock, undone: bool, revived: bool
) -> None:
    """Where no call for it did anything it never goes out, and its author is as if never answered."""
    config = Config.model_validate({"replies": {"auto": ["crisis"]}})
    for id in ("closed", "approved"):
        await file(id, author=id, config=config if id == "closed" else None)
    await desk.approve("approved", "mod_anna")
    for claimed in [await outbox.claim(manners) for _ in range(4)]:
        if claimed[0].kind is DeliveryKind.REPLY:
            if revived:
                await outbox.bury(claimed, "503")
                await desk.retry(claimed[0].id, "mod_anna")
            else:
                await outbox.retry(claimed, clock.now() + 9, "503", undone=undone)
    await desk.dismiss("closed", "mod_anna", Why.NOT_HELPFUL)
    if undone:
        await desk.undo("approved", "mod_anna")
    else:
        with pytest.raises(UsageError, match="no longer be taken back"):
            await desk.undo("approved", "mod_anna")
    states = [reply.state for id in ("closed", "approved") if (reply := (await desk.case(id)).reply)]
    assert states == (["dismissed", "held"] if undone else ["pending", "pending"])
    rulings = [await manners.ruling("testsub", author, clock.now()) for author in ("closed", "approved")]
    assert ["had a reply" in each.words for each in rulings] == [not (undone or revived)] * 2  # burying ends it as well


async def test_why_a_reply_waited_is_forgotten_once_somebody_decides(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, store: Store
) -> None:
    """What stopped it is their word, and no cooldown of before."""
    config = Config.model_validate({"replies": {"auto": ["crisis"]}})
    for act in (desk.dismiss, desk.approve):
        id = act.__name__
        await file(id, config=config)
        async with store.transaction():
            await manners.begin_reply(999, "testsub", "somebody")
        while await outbox.claim(manners):
            pass
        held = (await desk.case(id)).reply
        await act(id, "mod_anna")
        decided = (await desk.case(id)).reply
        assert "had a reply" in ((held and held.error) or "")
        assert decided is not None and decided.error is None


async def test_another_pair_of_eyes(desk: Desk, file: File, outbox: Outbox, clock: HandClock) -> None:
    """What somebody passes on stands first in its level for the others, is not given back to them, and is announced."""
    await file("p1")
    clock.advance(10)
    await file("p2")
    await desk.escalate("p2", "mod_anna", "a note")
    anna, ben = await desk.next("mod_anna", HERE), await desk.next("mod_ben", HERE)
    assert (anna and anna.post.id, ben and ben.post.id) == ("p1", "p2")
    (notice,) = await questions(outbox, "p2")
    assert "another pair of eyes" in notice.subject
    assert "a note" not in notice.body
    with pytest.raises(UsageError, match="taken the case up"):
        await desk.undo("p2", "mod_anna")


async def questions(outbox: Outbox, post_id: str) -> list[Delivery]:
    """What the other moderators are asked about a post."""
    return [each for each in await outbox.of_post(post_id) if each.step < 0]


async def test_no_word_of_a_post_is_in_what_the_others_are_asked(
    store: Store, manners: Manners, file: File, outbox: Outbox, clock: HandClock
) -> None:
    """It goes into the chat too, where Reddit's own link would tell the title; and not before it can be taken back."""
    config = Config.model_validate({"alerts": {"channels": ["discord"], "share_text": False}})
    await file("p1", config=config)  # its link ends in /a_title/
    await Desk(store, manners, config, clock).escalate("p1", "mod_anna")
    asked = await questions(outbox, "p1")
    assert {each.channel for each in asked} == {"", "discord"}
    for each in asked:
        assert "/comments/p1\n" in each.body
        assert "title" not in f"{each.subject} {each.body}"
        assert each.due_utc == clock.now() + UNDO_SECONDS


async def test_a_question_that_was_taken_back_is_not_asked(desk: Desk, file: File, outbox: Outbox) -> None:
    """Undoing within the minute withdraws that question and no other; asked again, it is asked."""
    await file("p1")
    await desk.escalate("p1", "mod_ben")
    await desk.escalate("p1", "mod_anna")
    await desk.undo("p1", "mod_anna")
    await desk.escalate("p1", "mod_anna")
    states = [each.state for each in await questions(outbox, "p1")]
    assert states == [DeliveryState.PENDING, DeliveryState.DISMISSED, DeliveryState.PENDING]


async def test_nobody_is_asked_to_look_at_a_case_that_is_settled(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, clock: HandClock
) -> None:
    """Undoing what settled it brings the question back, unless that was taken back itself."""
    await file("p1")
    await desk.escalate("p1", "mod_anna")
    await desk.undo("p1", "mod_anna")
    await desk.escalate("p1", "mod_anna")
    states = []
    for act in (
        desk.claim("p1", "mod_ben"),
        desk.approve("p1", "mod_ben", undo_seconds=UNDO_SECONDS),
        desk.undo("p1", "mod_ben"),
        desk.dismiss("p1", "mod_ben"),
    ):
        clock.advance(1)
        await act
        states.append([each.state.value for each in await questions(outbox, "p1")])
    waits, dropped = ["dismissed", "pending"], ["dismissed", "dismissed"]
    assert states == [waits, dropped, waits, dropped]
    clock.advance(UNDO_SECONDS)
    assert [each.step for each in (*await outbox.claim(manners), *await outbox.claim(manners))] == [0]


@pytest.mark.parametrize(
    ("undone_by", "asking", "in_hand"),
    [
        (["mod_anna"], "mod_ben", None),
        (["mod_ben"], "mod_anna", "mod_ben"),
        (["mod_anna", "mod_ben"], None, "mod_ben"),
        (["mod_ben", "mod_ben"], "mod_anna", "mod_ben"),
    ],
)
async def test_a_question_that_was_taken_back_takes_nobody_elses_with_it(
    desk: Desk, file: File, undone_by: list[str], asking: str | None, in_hand: str | None
) -> None:
    """As long as somebody asks, the case stands first and whoever asked last is named; it stays in nobody's hands."""
    await file("p1")
    await desk.escalate("p1", "mod_anna")
    await desk.escalate("p1", "mod_ben")
    for number, actor in enumerate(undone_by):
        if number and actor == undone_by[0]:
            await desk.escalate("p1", actor)
        await desk.undo("p1", actor)
    case = await desk.case("p1")
    assert (case.escalated_by, case.claim and case.claim.actor) == (asking, in_hand)


async def test_a_question_goes_with_its_post(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """It counts as being about the post, which is looked for on Reddit before it is sent; a purge drops it."""
    for id in ("p1", "p2"):
        await file(id)
        await desk.escalate(id, "mod_anna")
    await keeper.purge(["p2"], "the post was deleted")
    assert [(each.state, each.body) for each in await questions(outbox, "p2")] == [(DeliveryState.DISMISSED, "")]
    clock.advance(UNDO_SECONDS)
    sent = [await outbox.claim(manners) for _ in range(3)]
    assert [(each.post_id, each.step < 0, each.about_post) for claimed in sent for each in claimed] == [
        ("p1", False, True),
        ("p1", True, True),
    ]


async def test_a_reply_is_put_together_from_vetted_parts_only(
    desk: Desk, file: File, outbox: Outbox, clock: HandClock
) -> None:
    """Other parts make another reply, kept with who chose them; what is not in the catalogue makes none."""
    await file("p1")
    lines = CATALOGUE.crisis_lines("GB", date(2026, 11, 24))
    with pytest.raises(UsageError):
        await desk.edit_and_approve("p1", Parts(Level.CRISIS, ("made-up",), True), CATALOGUE, "mod_anna")
    clock.set(1_796_000_000.0)
    await file("p2")
    await desk.edit_and_approve("p2", Parts(Level.WATCH, (lines[0].id,), False), CATALOGUE, "mod_anna")
    (reply,) = (each for each in await outbox.of_post("p2") if each.kind is DeliveryKind.REPLY)
    assert lines[0].name in reply.body
    assert [action for _, action in await acts(desk, "p2")] == ["edited", "approved"]


async def test_a_reply_from_other_parts_that_is_taken_back_is_the_one_proposed(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, keeper: Keeper, store: Store, clock: HandClock
) -> None:
    """Whoever comes next decides on what the bot proposed; the other goes out only if it stays approved."""
    clock.set(1_796_000_000.0)
    await file("p1")
    parts = Parts(Level.WATCH, (CATALOGUE.crisis_lines("GB", date(2026, 11, 24))[0].id,), False)

    async def body() -> str:
        (reply,) = (each for each in await outbox.of_post("p1") if each.kind is DeliveryKind.REPLY)
        return reply.body

    proposed = await body()
    await desk.edit_and_approve("p1", parts, CATALOGUE, "mod_anna")
    edited = await body()
    await desk.undo("p1", "mod_anna")
    assert (await body(), edited != proposed) == (proposed, True)
    await desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS)
    await desk.undo("p1", "mod_anna")
    assert await body() == proposed
    await desk.edit_and_approve("p1", parts, CATALOGUE, "mod_anna")
    async with store.transaction():  # it was due, and something held it
        await store.execute("hold", {"id": 2, "error": "why", "now": clock.now()})
        await store.execute("wake_case", {"id": "p1"})
    await desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS)
    await desk.undo("p1", "mod_anna")
    assert await body() == proposed
    await desk.edit_and_approve("p1", parts, CATALOGUE, "mod_anna")
    clock.advance(UNDO_SECONDS)
    await outbox.claim(manners)
    ((reply,),) = (await outbox.claim(manners),)
    assert reply.body == edited
    clock.advance(49 * 3600)
    await keeper.forget()
    assert {row["proposed"] for row in await store.fetch("deliveries_of_post", {"post_id": "p1"})} == {None}


async def test_nobody_approves_what_they_did_not_read(desk: Desk, file: File) -> None:
    """What goes out is what was on the page of whoever said yes, word by word."""
    await file("p1")
    case = await desk.case("p1")
    assert case.reply is not None
    with pytest.raises(UsageError, match="has changed"):
        await desk.approve("p1", "mod_anna", seen=digest(f"{case.reply.body} and more"))
    await desk.approve("p1", "mod_anna", seen=digest(case.reply.body))


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda desk: desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS), None),
        (lambda desk: desk.approve("p1", "mod_anna", undo_seconds=UNDO_SECONDS, level=Level.CRISIS), "crisis"),
        (lambda desk: desk.dismiss("p1", "mod_anna", Why.ANSWERED), None),
        (lambda desk: desk.dismiss("p1", "mod_anna", Why.ANSWERED, level=Level.URGENT), "urgent"),
        (lambda desk: desk.dismiss("p1", "mod_anna", Why.FALSE_ALARM), "none"),
        (lambda desk: desk.dismiss("p1", "mod_anna", Why.FALSE_ALARM, level=Level.WATCH), "watch"),
    ],
)
async def test_a_word_on_the_bot_given_with_an_act_is_kept_and_undone_with_it(
    desk: Desk, file: File, act: Callable[[Desk], Awaitable[object]], said: str | None
) -> None:
    """`The bot was wrong` is such a word; who says nothing leaves it open."""
    await file("p1")
    await act(desk)
    marked = (await desk.case("p1")).marked
    assert (marked and marked.detail) == said
    await desk.undo("p1", "mod_anna")
    assert (await desk.case("p1")).marked is None


async def test_undoing_an_act_brings_back_the_word_before_it(
    desk: Desk, file: File, store: Store, clock: HandClock
) -> None:
    """It is still that of whoever gave it, on the page and to `tune`; one that was taken back stays so."""
    await file("p1", "struggle")

    async def close_and_undo() -> tuple[str | None, str]:
        clock.advance(1)
        await desk.dismiss("p1", "mod_anna", Why.FALSE_ALARM)
        clock.advance(1)
        await desk.undo("p1", "mod_anna")
        marked = (await desk.case("p1")).marked
        (row,) = await read_judged(store)
        return marked and f"{marked.actor}: {marked.detail}", row["said"]

    await desk.mark("p1", "mod_ben", Level.WATCH)
    assert await close_and_undo() == ("mod_ben: watch", "watch")
    assert await close_and_undo() == ("mod_ben: watch", "watch")
    await desk.mark("p1", "mod_ben", None)
    assert await close_and_undo() == (None, "")


async def test_a_false_alarm_changes_no_word_that_says_so_already(desk: Desk, file: File, clock: HandClock) -> None:
    """A word given before stays when it says that the bot was wrong, and when the act is undone; right and wrong at
    once is refused."""
    await file("p1")
    with pytest.raises(UsageError, match="right, and that it was wrong"):
        await desk.dismiss("p1", "mod_anna", Why.FALSE_ALARM, level=Level.CRISIS)
    await desk.mark("p1", "mod_anna", Level.WATCH)
    clock.advance(1)
    await desk.dismiss("p1", "mod_anna", Why.FALSE_ALARM)
    await desk.undo("p1", "mod_anna")
    marked = (await desk.case("p1")).marked
    assert marked is not None and marked.detail == "watch"
    await desk.mark("p1", "mod_ben", None)
    assert (await desk.case("p1")).marked is None


async def test_the_last_word_on_a_level_counts(desk: Desk, file: File) -> None:
    """Any post that was judged can be marked, also one in which the bot saw nothing; `unassessed` is no mark."""
    await file("n", "a cake")
    await desk.mark("n", "mod_anna", Level.WATCH)
    await desk.mark("n", "mod_ben", Level.CRISIS)
    case = await desk.find("n")
    assert case is not None and case.marked is not None
    assert (case.marked.detail, case.marked.actor) == ("crisis", "mod_ben")
    with pytest.raises(UsageError):
        await desk.mark("n", "mod_ben", Level.UNASSESSED)


async def test_events_are_only_ever_added(store: Store, desk: Desk, file: File) -> None:
    """The database itself refuses to change or remove one, whoever asks it."""
    await file("p1")
    await desk.dismiss("p1", "mod_anna", Why.OTHER, "a note")
    connection = sqlite3.connect(store.path)
    for statement in ("DELETE FROM reviews", "UPDATE reviews SET actor = 'x'", "UPDATE reviews SET note = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
            connection.execute(statement)
    connection.close()


async def test_notes_are_forgotten_with_their_post(
    store: Store, desk: Desk, file: File, keeper: Keeper, clock: HandClock
) -> None:
    """What a moderator wrote about a post does not outlast it; that they did something does."""
    await file("p1")
    await file("p2")
    await desk.dismiss("p1", "mod_anna", Why.OTHER, "a note")
    await desk.dismiss("p2", "mod_anna", Why.OTHER, "a note")
    await keeper.purge(["p2"], "the post was deleted")
    rows = [(await store.fetch("reviews_of_post", {"post_id": id}))[0]["note"] for id in ("p1", "p2")]
    assert rows == ["a note", ""]
    clock.advance(48 * 3600)
    await keeper.forget()
    (review,) = await store.fetch("reviews_of_post", {"post_id": "p1"})
    assert (review["note"], review["detail"], review["actor"]) == ("", "other", "mod_anna")


async def test_a_dead_letter_is_tried_again_in_somebodys_name(
    desk: Desk, file: File, outbox: Outbox, manners: Manners
) -> None:
    """The act is an event as well."""
    await file("p1")
    claimed = await outbox.claim(manners)
    await outbox.bury(claimed, "403")
    await desk.retry(claimed[0].id, "mod_anna")
    assert await acts(desk, "p1") == [("mod_anna", ReviewAction.RETRIED)]
    with pytest.raises(UsageError):
        await desk.retry(claimed[0].id, "mod_anna")


async def test_a_dead_letter_whose_words_are_forgotten_is_no_work_for_anybody(
    desk: Desk, file: File, outbox: Outbox, manners: Manners, keeper: Keeper, clock: HandClock
) -> None:
    """It cannot be sent again, so nobody is asked to; that it was not sent stays counted."""
    await file("p1")
    await outbox.bury(await outbox.claim(manners), "403")
    assert [each.post_id for each in await desk.dead()] == ["p1"]
    clock.advance(48 * 3600 + 1)
    await keeper.forget()
    assert await desk.dead() == []
    assert (await desk.standing()).deliveries[DeliveryKind.ALERT, DeliveryState.DEAD] == 1


async def a_gap(store: Store, desk: Desk, subreddit: str = "testsub") -> Gap:
    """A time of which posts may be missing, found now."""
    async with store.transaction():
        await store.execute("add_gap", {"subreddit": subreddit, "from_utc": 1.0, "until_utc": 2.0, "now": 3.0})
    return (await desk.gaps())[-1]


async def test_a_gap_is_looked_through_once_and_in_somebodys_name(store: Store, desk: Desk) -> None:
    """The act is an event like any other; whoever comes second is told who was first, and leaves none."""
    gap = await a_gap(store, desk)
    assert gap.is_open
    found = await asyncio.gather(
        *(desk.look_through(gap.name, name) for name in ("mod_anna", "mod_ben")), return_exceptions=True
    )
    first, second = ("mod_anna", "mod_ben") if found[0] is None else ("mod_ben", "mod_anna")
    assert [str(each) for each in found if each] == [f"{first} has looked through these posts already."]
    (gap,) = await desk.gaps()
    assert (gap.is_open, gap.looked_by) == (False, first)
    (event,) = await History(store).events(HERE)
    assert (event.review.action, event.review.actor, event.level) == (ReviewAction.LOOKED, first, None)
    assert event.review.post_id == gap.name
    assert await desk.undoable(second) == []
    with pytest.raises(UsageError, match="There is no such time"):
        await desk.look_through("gap-testsub-9", "mod_anna")


async def test_a_gap_that_was_ticked_off_by_mistake_is_open_again(store: Store, desk: Desk, clock: HandClock) -> None:
    """Within a minute, for whoever ticked it off, and both acts stay in the history."""
    gap = await a_gap(store, desk)
    await desk.look_through(gap.name, "mod_anna")
    with pytest.raises(UsageError, match="nothing left to undo"):
        await desk.undo(gap.name, "mod_ben")
    await desk.undo(gap.name, "mod_anna")
    assert (await desk.gaps())[0].is_open
    await desk.look_through(gap.name, "mod_ben")
    clock.advance(UNDO_SECONDS)
    with pytest.raises(UsageError, match="nothing left to undo"):
        await desk.undo(gap.name, "mod_ben")
    events = [each.review for each in await History(store).events(HERE)]
    assert [(each.actor, each.action, each.detail) for each in reversed(events)] == [
        ("mod_anna", "looked", ""),
        ("mod_anna", "undone", "looked"),
        ("mod_ben", "looked", ""),
    ]
