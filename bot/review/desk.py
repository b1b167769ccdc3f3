"""What moderators do with cases, each act an event; and where everything stands.

Whoever acts on a case must be the only one to have it: a claim is asked for in the transaction that acts.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum

from bot.calls import calls_today
from bot.clock import Clock, date_of, timestamp
from bot.config import Config
from bot.errors import UsageError
from bot.manners import Manners, Ruling, Verdict
from bot.notices import Notices, gap_name
from bot.outbox import Outbox
from bot.replies import Parts, compose, reason_to_wait
from bot.resources import Catalogue, NoVettedWords
from bot.review.case import Case, Claim
from bot.review.words import Words
from bot.store import Store
from bot.types import Delivery, DeliveryKind, DeliveryState, Review, ReviewAction
from models.labels import Level

CLAIM_SECONDS = 900.0
# The detail of a claim that somebody had already.
_LONGER = "longer"
# An approved reply does not leave before this is over.
UNDO_SECONDS = 60.0

say = Words.load()

# In the order in which somebody is needed. At other levels nothing waits for a person.
LEVELS = (Level.CRISIS, Level.URGENT, Level.UNASSESSED, Level.WATCH)


class Why(StrEnum):
    """Why a case is closed without the proposed reply."""

    NOT_NEEDED = "not_needed"
    ANSWERED = "answered"
    FALSE_ALARM = "false_alarm"
    NOT_HELPFUL = "not_helpful"
    TAKEN_DOWN = "taken_down"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Watched:
    """A subreddit: the last good look (seconds since the epoch, None before the first), and why Reddit refuses it."""

    subreddit: str
    looked_utc: float | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Posts written between two times (seconds since the epoch) that the bot may never have read.

    `looked_by` looked through them at `looked_utc`; both are None as long as nobody did.
    """

    id: int
    subreddit: str
    from_utc: float
    until_utc: float
    looked_by: str | None = None
    looked_utc: float | None = None

    @property
    def name(self) -> str:
        """What stands in the place of a post's id in an event about it."""
        return gap_name(self.subreddit, self.from_utc)

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to look."""
        return self.looked_utc is None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where everything stands. `messages` are those of the deliveries that go through chat channels, by channel.

    `vitals` are the running process's last figures by name, taken at `vitals_utc`; `llm_calls` were made today (UTC).
    """

    posts: Mapping[Level, int]
    deliveries: Mapping[tuple[DeliveryKind, DeliveryState], int]
    messages: Mapping[tuple[str, DeliveryState], int]
    dead: Sequence[Delivery]
    watches: Sequence[Watched]
    gaps: Sequence[Gap]
    vitals: Mapping[str, float]
    vitals_utc: float | None
    llm_calls: int


@dataclass(frozen=True, slots=True)
class Undoable:
    """An act that somebody may still take back, until a time in seconds since the epoch."""

    review: Review
    until_utc: float


class Desk:
    """Where cases lie until somebody decides. Each act is one transaction.

    An act raises UsageError, in words for the moderator, when the case is unknown, settled or in other hands.
    `out_of_date` is that of the outbox: why the body of a reply may not go out now, empty when it may.
    """

    def __init__(
        self,
        store: Store,
        manners: Manners,
        config: Config,
        clock: Clock,
        out_of_date: Callable[[str], str] = lambda body: "",
    ) -> None:
        self._store = store
        self._manners = manners
        self._config = config
        self._clock = clock
        self._out_of_date = out_of_date
        self._outbox = Outbox(store, clock)
        self._notices = Notices(store, self._outbox, config, clock)

    async def waiting(self) -> list[Case]:
        """Every case with a held reply, the most pressing first."""
        return [await self.case(each.post_id) for each in await self._outbox.find(DeliveryState.HELD)]

    async def case(self, identity: str) -> Case:
        """The case of the post with this id, or of the reply with this number; UsageError when there is none."""
        found = await self.find(identity)
        # The alert in modmail names the post, `reviews list` names the number: either will do.
        if found is None and identity.isascii() and identity.isdigit() and len(identity) < 19:
            numbered = await self._outbox.get(int(identity))
            if numbered is not None and numbered.kind is DeliveryKind.REPLY:
                found = await self.find(numbered.post_id)
        if found is None:
            raise UsageError(say("refusal.unknown", id=identity))
        return found

    async def find(self, post_id: str) -> Case | None:
        """The case of a post; None when it was never judged here."""
        rows = await self._store.fetch("get_post", {"id": post_id})
        if not rows:
            return None
        reviews = [_review(row) for row in await self._store.fetch("reviews_of_post", {"post_id": post_id})]
        return Case.of(rows[0], await self._outbox.of_post(post_id), reviews, self._clock.now())

    async def next(self, actor: str, subreddits: Collection[str]) -> Case | None:
        """Claims the most pressing case of these subreddits that nobody has; None when there is none.

        What this moderator passed on is left to the others.
        """
        now = self._clock.now()
        among = {"actor": actor, "subreddits": json.dumps(sorted(subreddits)), "now": now}
        async with self._store.transaction():
            for level in LEVELS:
                if rows := await self._store.fetch("next_case", {"level": level, **among}):
                    return await self._claimed(rows[0]["id"], actor)
        return None

    async def claim(self, post_id: str, actor: str) -> Case:
        """Takes a case, or keeps it for longer, so that nobody else gets it."""
        async with self._store.transaction():
            return await self._claimed(post_id, actor)

    async def release(self, post_id: str, actor: str) -> None:
        """Gives a case back."""
        async with self._store.transaction():
            if await self._store.execute("release_case", {"id": post_id, "actor": actor}):
                await self._note(await self.case(post_id), ReviewAction.RELEASED, actor)

    async def ruling(self, case: Case) -> Ruling:
        """What courtesy has to say at this moment of a reply to this post."""
        post, reply = case.post, case.reply
        return await self._manners.ruling(post.subreddit, post.author, post.created_utc, reply.id if reply else None)

    def out_of_date(self, case: Case) -> str:
        """Why the reply that waits may not go out as it is, in words; empty when it may, or none waits."""
        return self._out_of_date(case.reply.body) if case.reply is not None and case.reply_waits else ""

    def why_it_waits(self, case: Case, ruling: Ruling, stale: str, catalogue: Catalogue) -> str:
        """Why a reply waits for somebody's word instead of going out by itself; empty when none waits.

        `stale` is what `out_of_date` says of it.
        """
        reply, team = case.reply, self._config.team(case.post.subreddit)
        if reply is None or not case.reply_waits or not case.is_open:
            return ""
        # The error is why it came back when it was on its way already.
        if why := ruling.words or stale or reply.error:
            return why
        if why := reason_to_wait(case.post, team, catalogue, date_of(self._clock.now())):
            return why
        if any(reason.code.split(".")[0] == "language" for reason in case.reasons):
            return say("reply.wait.language")
        return say("reply.wait.team") if case.level.value not in team.replies.auto else ""

    async def approve(
        self,
        identity: str,
        actor: str,
        *,
        note: str = "",
        undo_seconds: float = 0.0,
        body: str = "",
        parts: str = "",
        seen: str | None = None,
        level: Level | None = None,
    ) -> Delivery:
        """The proposed reply may go out once the time to undo is over, with another body if one was composed.

        `seen` is the digest of the body that the moderator read, and `level` what they say the post really is. Also
        raises UsageError when courtesy forbids it, when what would go out is not what they read, or is out of date.
        """
        async with self._deciding(identity, actor) as case:
            reply = case.reply
            if reply is None:
                raise UsageError(say("refusal.no_reply", id=case.post.id))
            ruling = await self.ruling(case)
            if ruling.verdict is Verdict.NEVER:
                raise UsageError(say("refusal.never", number=reply.id, why=ruling.words))
            if seen is not None and seen != digest(body or reply.body):
                raise UsageError(say("refusal.changed"))
            if why := self._out_of_date(body or reply.body):
                raise UsageError(say("refusal.never", number=reply.id, why=why))
            await self._outbox.approve(reply, self._clock.now() + undo_seconds, body)
            if body:
                await self._note(case, ReviewAction.EDITED, actor, parts, reply=reply)
            await self._settle(case, ReviewAction.APPROVED, actor, level, note=note, reply=reply)
        return reply

    async def edit_and_approve(
        self,
        post_id: str,
        parts: Parts,
        catalogue: Catalogue,
        actor: str,
        *,
        undo_seconds: float = UNDO_SECONDS,
        seen: str | None = None,
        level: Level | None = None,
    ) -> Delivery:
        """Like `approve`, with a reply that is put together from other vetted parts."""
        case = await self.case(post_id)
        body = self.composed(case, parts, catalogue)
        words = json.dumps(asdict(parts))
        return await self.approve(
            post_id, actor, undo_seconds=undo_seconds, body=body, parts=words, seen=seen, level=level
        )

    def composed(self, case: Case, parts: Parts, catalogue: Catalogue) -> str:
        """The reply that these parts make. Raises UsageError, in words, when they make none that may be said today."""
        today = date_of(self._clock.now())
        try:
            team, language = self._config.team(case.post.subreddit), case.language
            return compose(case.post, parts, team, catalogue, today, language)
        except NoVettedWords as error:
            raise UsageError(str(error)) from error

    async def dismiss(
        self, identity: str, actor: str, why: Why | None = None, note: str = "", level: Level | None = None
    ) -> Case:
        """The case is closed; a reply that waits for a word is never sent. `level` is what the post really is.

        A false alarm about which nobody says what it really is was nothing pressing. Also raises UsageError for a false
        alarm at the very level that the bot gave.
        """
        async with self._deciding(identity, actor) as case:
            if why is Why.FALSE_ALARM:
                if level is case.level:
                    raise UsageError(say("refusal.right_and_wrong"))
                was_wrong = case.marked is not None and case.marked.detail != case.level
                level = level or (None if was_wrong else Level.NONE)
            reply = case.reply if case.reply_can_be_stopped else None
            if reply is not None:
                await self._outbox.dismiss(reply)
            await self._settle(case, ReviewAction.DISMISSED, actor, level, why or "", note, reply)
        return case

    async def mark(self, post_id: str, actor: str, level: Level | None, note: str = "") -> None:
        """Says which level a post really has; the last word counts, and None takes it back.

        It may be any post that was ever judged. Also raises UsageError for `unassessed`, which is nobody's judgement.
        """
        async with self._store.transaction():
            await self._mark(await self.case(post_id), actor, level, self._clock.now(), note)

    async def escalate(self, post_id: str, actor: str, note: str = "") -> None:
        """Asks the other moderators to look: the case goes to the top of its level, and, once the time to undo is over,
        they get a notice.
        """
        async with self._deciding(post_id, actor) as case:
            await self._store.execute("escalate_case", {"id": case.post.id, "actor": actor})
            await self._note(case, ReviewAction.ESCALATED, actor, note=note)
            due_utc = self._clock.now() + UNDO_SECONDS
            await self._notices.asked(case.post, case.level, len(case.reviews), due_utc)

    async def undoable(self, actor: str) -> list[Undoable]:
        """What this moderator may still take back: their last act on each case or gap, the latest first."""
        values = {"actor": actor, "after_utc": self._clock.now() - UNDO_SECONDS}
        rows = await self._store.fetch("newest_decisions", values)
        return [Undoable(_review(row), row["at_utc"] + UNDO_SECONDS) for row in rows]

    async def undo(self, post_id: str, actor: str) -> None:
        """Takes back what this moderator did last with a case, within a minute: it is in their hands again.

        One that somebody else passed on as well stays where it is. A gap that was ticked off is open again. Also raises
        UsageError when there is nothing of theirs to take back, or when the reply is already on its way.
        """
        async with self._store.transaction():
            last = next((each for each in await self.undoable(actor) if each.review.post_id == post_id), None)
            if last is None:
                raise UsageError(say("refusal.nothing_to_undo"))
            if last.review.action is ReviewAction.LOOKED:
                await self._reopen_gap(post_id, actor)
                return
            case = await self.case(post_id)
            if last.review.action is ReviewAction.ESCALATED and (case.settled_utc or case.held_by_another(actor)):
                raise UsageError(say("refusal.taken_up"))
            reply = case.reply if last.review.delivery_id is not None else None
            if reply is not None:
                await self._outbox.take_back(reply)
            values = {"id": post_id, "actor": actor, "until_utc": self._clock.now() + CLAIM_SECONDS}
            if last.review.action is ReviewAction.ESCALATED:
                number = max(at for at, each in enumerate(case.reviews) if each == last.review)
                await self._notices.take_back_question(post_id, number)
                others = (*case.reviews[:number], *case.reviews[number + 1 :])
                await self._store.execute("withdraw_case", {**values, "before": _who_asks(others)})
            else:
                await self._store.execute("reopen_case", values)
                dropped = {"post_id": post_id, "settled_utc": case.settled_utc, "now": self._clock.now()}
                await self._store.execute("bring_back_questions", dropped)
            word = case.marked
            if word is not None and (word.actor, word.at_utc) == (actor, last.review.at_utc):
                await self._take_back_word(case, word)
            await self._note(case, ReviewAction.UNDONE, actor, last.review.action, reply=reply)

    async def retry(self, delivery_id: int, actor: str) -> Delivery:
        """Sends a dead letter again; UsageError when there is none of that number."""
        async with self._store.transaction():
            delivery = await self._outbox.revive(delivery_id)
            await self._add(delivery.post_id, delivery.subreddit, ReviewAction.RETRIED, actor, reply=delivery)
        return delivery

    async def dead(self) -> list[Delivery]:
        """Every dead letter that can be sent again, the most pressing first: of the others the words are forgotten."""
        return [each for each in await self._outbox.find(DeliveryState.DEAD) if each.body]

    async def gaps(self) -> list[Gap]:
        """Every time of which posts may be missing, in the order in which they were found."""
        return [
            Gap(row["id"], row["subreddit"], row["from_utc"], row["until_utc"], row["looked_by"], row["looked_utc"])
            for row in await self._store.fetch("gaps")
        ]

    async def gap(self, name: str) -> Gap | None:
        """The gap of this name; None when there is none."""
        return next((gap for gap in await self.gaps() if gap.name == name), None)

    async def look_through(self, name: str, actor: str) -> None:
        """Ticks off a gap: this moderator looked through its posts on Reddit."""
        async with self._store.transaction():
            gap = await self._known_gap(name)
            values = {"id": gap.id, "actor": actor, "now": self._clock.now()}
            if not await self._store.execute("look_through_gap", values):
                raise UsageError(say("refusal.looked_already", actor=gap.looked_by))
            await self._add(gap.name, gap.subreddit, ReviewAction.LOOKED, actor)

    async def _known_gap(self, name: str) -> Gap:
        gap = await self.gap(name)
        if gap is None:
            raise UsageError(say("refusal.no_gap"))
        return gap

    async def _reopen_gap(self, name: str, actor: str) -> None:
        gap = await self._known_gap(name)
        await self._store.execute("reopen_gap", {"id": gap.id})
        await self._add(gap.name, gap.subreddit, ReviewAction.UNDONE, actor, ReviewAction.LOOKED)

    async def standing(self) -> Standing:
        """Counts over everything that is stored."""
        posts = await self._store.fetch("count_posts_by_level")
        deliveries = await self._store.fetch("count_deliveries")
        messages = await self._store.fetch("count_messages")
        vitals = await self._store.fetch("vitals")
        return Standing(
            posts={Level(row["level"]): row["n"] for row in posts},
            deliveries={(DeliveryKind(row["kind"]), DeliveryState(row["state"])): row["n"] for row in deliveries},
            messages={(row["channel"], DeliveryState(row["state"])): row["n"] for row in messages},
            dead=await self.dead(),
            watches=[
                Watched(row["subreddit"], row["looked_utc"], row["refusal"])
                for row in await self._store.fetch("watches")
            ],
            gaps=await self.gaps(),
            vitals={row["name"]: row["value"] for row in vitals},
            vitals_utc=max((row["at_utc"] for row in vitals), default=None),
            llm_calls=await calls_today(self._store, self._clock),
        )

    @asynccontextmanager
    async def _deciding(self, identity: str, actor: str) -> AsyncIterator[Case]:
        """A transaction about an open case that nobody else has in hand."""
        async with self._store.transaction():
            case = await self.case(identity)
            if case.settled_utc is not None:
                last = next(each for each in reversed(case.reviews) if each.action in _SETTLING)
                raise UsageError(say(f"refusal.settled.{last.action}", actor=last.actor, time=timestamp(last.at_utc)))
            if other := case.held_by_another(actor):
                raise UsageError(_in_hand(other))
            yield case

    async def _claimed(self, post_id: str, actor: str) -> Case:
        now = self._clock.now()
        before = await self.case(post_id)
        values = {"id": post_id, "actor": actor, "now": now, "until_utc": now + CLAIM_SECONDS}
        if not before.is_open or not await self._store.execute("claim_case", values):
            other = before.held_by_another(actor)
            raise UsageError(_in_hand(other) if other else say("refusal.over"))
        longer = _LONGER if before.claim is not None else ""
        await self._note(before, ReviewAction.CLAIMED, actor, longer)
        return await self.case(post_id)

    async def _settle(
        self,
        case: Case,
        action: ReviewAction,
        actor: str,
        level: Level | None,
        detail: str = "",
        note: str = "",
        reply: Delivery | None = None,
    ) -> None:
        # A word given along with an act has its time: that is how it is known when the act is taken back.
        now = self._clock.now()
        if level is not None:
            await self._mark(case, actor, level, now)
        await self._note(case, action, actor, detail, note, reply, now)
        await self._store.execute("settle_case", {"id": case.post.id, "now": now})
        await self._store.execute("drop_questions", {"post_id": case.post.id, "now": now})

    async def _take_back_word(self, case: Case, word: Review) -> None:
        """What was said before holds again, in the name of whoever said it."""
        earlier = case.reviews[: case.reviews.index(word)]
        before = next((each for each in reversed(earlier) if each.action is ReviewAction.MARKED), None)
        if before is not None and before.detail:
            await self._mark(case, before.actor, Level(before.detail), self._clock.now(), before.note)
        else:
            await self._mark(case, word.actor, None, self._clock.now())

    async def _mark(self, case: Case, actor: str, level: Level | None, at_utc: float, note: str = "") -> None:
        if level is Level.UNASSESSED:
            raise UsageError(say("refusal.unassessed"))
        await self._note(case, ReviewAction.MARKED, actor, level or "", note, at_utc=at_utc)

    async def _note(
        self,
        case: Case,
        action: ReviewAction,
        actor: str,
        detail: str = "",
        note: str = "",
        reply: Delivery | None = None,
        at_utc: float | None = None,
    ) -> None:
        await self._add(case.post.id, case.post.subreddit, action, actor, detail, note, reply, at_utc)

    async def _add(
        self,
        post_id: str,
        subreddit: str,
        action: ReviewAction,
        actor: str,
        detail: str = "",
        note: str = "",
        reply: Delivery | None = None,
        at_utc: float | None = None,
    ) -> None:
        values = {
            "post_id": post_id,
            "subreddit": subreddit,
            "delivery_id": reply.id if reply is not None else None,
            "action": action,
            "actor": actor,
            "now": self._clock.now() if at_utc is None else at_utc,
            "detail": detail,
            "note": note,
        }
        await self._store.execute("add_review", values)


def digest(body: str) -> str:
    """Tells a reply from every other one, so that a form can say which it was that somebody read."""
    return hashlib.sha256(body.encode()).hexdigest()


def _in_hand(claim: Claim) -> str:
    return say("refusal.in_hand", actor=claim.actor, time=timestamp(claim.until_utc))


def _who_asks(reviews: Sequence[Review]) -> str | None:
    """Who asked the others last, among the questions that nobody took back; None when there is none."""
    asking: list[str] = []
    for each in reviews:
        if each.action is ReviewAction.ESCALATED:
            asking.append(each.actor)
        elif each.action is ReviewAction.UNDONE and each.detail == ReviewAction.ESCALATED:
            del asking[max(at for at, actor in enumerate(asking) if actor == each.actor)]
    return asking[-1] if asking else None


_SETTLING = frozenset({ReviewAction.APPROVED, ReviewAction.DISMISSED})


def _review(row: sqlite3.Row) -> Review:
    return Review(
        post_id=row["post_id"],
        delivery_id=row["delivery_id"],
        action=ReviewAction(row["action"]),
        actor=row["actor"],
        at_utc=row["at_utc"],
        detail=row["detail"],
        note=row["note"],
    )
