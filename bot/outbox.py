"""The outbox: enqueue, claim, finish, retry.

A delivery is written down as `sending` before the call to Reddit. Whoever claims one with `attempts` above 1 must look
for it on Reddit before sending it: an earlier call may have done the work. A chat service cannot be searched, so there
`unclear` counts the calls that may have. A reply is claimed only if at that moment courtesy has nothing against it and
all that it names may be printed, and a chat message only outside quiet hours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from bot.clock import Clock
from bot.digest import how_many_fit, next_part
from bot.errors import UsageError
from bot.manners import Manners, Ruling, Verdict
from bot.store import Store
from bot.types import Delivery, DeliveryKind, DeliveryState, Planned
from models.labels import Level

# The longest that a delivery is ever put off: a day for the digest, an hour for a pause that Reddit asks for.
_HORIZON_SECONDS = 90_000.0
# Reddit may show what it did only a moment later: no look comes sooner than this after a crash or an unclear answer.
SECONDS_BEFORE_LOOKING = 5.0


async def _nobody() -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A planned delivery with its words, ready to be stored."""

    post_id: str
    subreddit: str
    level: Level
    planned: Planned
    subject: str
    body: str
    due_utc: float
    step: int = 0


class Outbox:
    """Deliveries in the store. Each method is one transaction unless it says otherwise.

    `out_of_date` says, in words for moderators, why the body of a reply may not go out now; it is empty when it may.
    """

    def __init__(self, store: Store, clock: Clock, out_of_date: Callable[[str], str] = lambda body: "") -> None:
        self._store = store
        self._clock = clock
        self._out_of_date = out_of_date

    async def enqueue(self, drafts: Sequence[Draft]) -> None:
        """Stores drafts inside the caller's transaction; a second one of a kind, channel and step is left out."""
        for draft in drafts:
            await self._store.execute(
                "add_delivery",
                {
                    "post_id": draft.post_id,
                    "subreddit": draft.subreddit,
                    "kind": draft.planned.kind,
                    "channel": draft.planned.channel,
                    "step": draft.step,
                    "state": draft.planned.state,
                    "priority": draft.level.rank,
                    "subject": draft.subject,
                    "body": draft.body,
                    "due_utc": draft.due_utc,
                    "now": self._clock.now(),
                },
            )

    async def reclaim(self, channel: str = "") -> int:
        """Makes what a crash left in `sending` due again; for the start, while nothing is sent through that channel."""
        now = self._clock.now()
        values = {"now": now, "due_utc": now + SECONDS_BEFORE_LOOKING, "channel": channel}
        async with self._store.transaction():
            return await self._store.execute("reclaim", values)

    async def claim(self, manners: Manners, channel: str = "") -> tuple[Delivery, ...]:
        """The most pressing delivery that is due, now `sending`; empty when none is.

        The lines of a digest come together, as many as one message has room for.

        Of those for a chat channel, or else of those for Reddit. A reply that courtesy forbids is dropped on the way,
        one that a person must decide on goes back to `held` and its case to those who wait, approved or not when it is
        out of date, and what can wait is put off to the end of quiet hours.
        """
        now = self._clock.now()
        values = {"now": now, "horizon": _HORIZON_SECONDS, "channel": channel}
        async with self._store.transaction():
            while due := await self._store.fetch("next_due", values):
                first = due[0]
                if channel and (until := manners.quiet_until(first["subreddit"], _level(first))):
                    await self._store.execute("defer", {"id": first["id"], "due_utc": until, "now": now})
                    continue
                if first["kind"] == DeliveryKind.DIGEST:
                    due = await self._in_one_message(
                        await self._store.fetch("due_together", {"subject": first["subject"]})
                    )
                if first["kind"] == DeliveryKind.REPLY and not await self._may_go(first, manners):
                    continue
                for row in due:
                    await self._store.execute("claim", {"id": row["id"], "now": now})
                return tuple(_claimed(row) for row in due)
        return ()

    async def _in_one_message(self, lines: Sequence[sqlite3.Row]) -> list[sqlite3.Row]:
        """The lines of a digest that one message has room for; the others are due in one that goes on from there."""
        fitting = how_many_fit(lines[0]["subreddit"], [line["body"] for line in lines])
        # A subject of its own, by which that message is looked for.
        subject = next_part(lines[0]["subject"])
        for line in lines[fitting:]:
            await self._store.execute("put_off_to_next_part", {"id": line["id"], "subject": subject})
        return list(lines[:fitting])

    async def _may_go(self, row: sqlite3.Row, manners: Manners) -> bool:
        posts = await self._store.fetch("get_post", {"id": row["post_id"]})
        author, created_utc = (posts[0]["author"], posts[0]["created_utc"]) if posts else (None, None)
        ruling = await manners.ruling(row["subreddit"], author, created_utc, row["id"])
        if ruling.verdict is Verdict.SEND and (words := self._out_of_date(row["body"])):
            ruling = Ruling(Verdict.HOLD, words)
        if ruling.verdict is Verdict.SEND:
            await manners.begin_reply(row["id"], row["subreddit"], author)
            return True
        query = "hold" if ruling.verdict is Verdict.HOLD else "drop"
        await self._store.execute(query, {"id": row["id"], "error": ruling.words, "now": self._clock.now()})
        if not row["unclear"]:
            # Whatever was begun surely did nothing, so no cooldown.
            await self._store.execute("unnote_reply", {"delivery_id": row["id"]})
        if ruling.verdict is Verdict.HOLD:
            await self._store.execute("wake_case", {"id": row["post_id"]})
        return False

    async def finish(self, deliveries: Sequence[Delivery], reddit_id: str) -> None:
        """They are on Reddit under this id."""
        await self._settle("finish", deliveries, reddit_id=reddit_id)

    async def retry(self, deliveries: Sequence[Delivery], due_utc: float, error: str, *, undone: bool = False) -> None:
        """To be tried again, not before `due_utc`; `undone` when the call surely did nothing."""
        await self._settle("retry", deliveries, due_utc=due_utc, error=error, undone=undone)

    async def bury(
        self, deliveries: Sequence[Delivery], error: str, tell: Callable[[], Awaitable[None]] = _nobody
    ) -> None:
        """Dead letters: trying again cannot help, a moderator must see them. `tell` writes in the same transaction."""
        async with self._store.transaction():
            await self._settle_each("bury", deliveries, error=error)
            await tell()

    async def drop(self, deliveries: Sequence[Delivery], error: str) -> None:
        """No longer wanted, such as a reply to a post that was taken down."""
        await self._settle("drop", deliveries, error=error)

    async def revive(self, delivery_id: int) -> Delivery:
        """A dead letter is tried again, all dead lines of a digest together; in the caller's transaction.

        Raises UsageError when there is none of that number, or its words are forgotten.
        """
        changed = await self._store.execute("revive", {"id": delivery_id, "now": self._clock.now()})
        delivery = await self.get(delivery_id)
        if delivery is None or not changed:
            raise UsageError(f"there is no dead letter {delivery_id} that could be sent again; see `nightlight status`")
        return delivery

    async def _settle(self, query: str, deliveries: Sequence[Delivery], **values: object) -> None:
        async with self._store.transaction():
            await self._settle_each(query, deliveries, **values)

    async def _settle_each(self, query: str, deliveries: Sequence[Delivery], **values: object) -> None:
        for each in deliveries:
            await self._store.execute(query, {"id": each.id, "now": self._clock.now(), **values})
            if query in ("bury", "drop") and each.attempts <= 1:
                # Surely never posted, so no cooldown; after a second try nobody can be sure.
                await self._store.execute("unnote_reply", {"delivery_id": each.id})

    async def approve(self, reply: Delivery, due_utc: float, body: str = "") -> None:
        """A held reply may go out from `due_utc` on, with another body if one is given; in the caller's transaction.

        Raises UsageError when it no longer waits for a word.
        """
        values = {"due_utc": due_utc, "body": body or reply.body}
        await self._say("approve", reply, "is not waiting for a review", **values)

    async def dismiss(self, reply: Delivery) -> None:
        """A held reply is never sent; in the caller's transaction. Raises UsageError when it no longer waits."""
        await self._say("dismiss", reply, "is not waiting for a review")

    async def take_back(self, reply: Delivery) -> None:
        """What was approved or dismissed is held again; in the caller's transaction.

        Raises UsageError once a call may have posted it, or when its words are forgotten.
        """
        await self._say("take_back", reply, "can no longer be taken back")

    async def _say(self, query: str, reply: Delivery, refusal: str, **values: object) -> None:
        if not await self._store.execute(query, {"id": reply.id, "now": self._clock.now(), **values}):
            now = await self.get(reply.id)
            raise UsageError(f"reply {reply.id} {refusal}: it is {now.state if now else 'unknown'}")

    async def find(self, state: DeliveryState | None = None) -> list[Delivery]:
        """Deliveries in one state, or all; the most pressing first."""
        rows = await self._store.fetch("find_deliveries", {"state": state})
        return [replace(_delivery(row), about_post=bool(row["about_post"])) for row in rows]

    async def get(self, delivery_id: int) -> Delivery | None:
        """One delivery by its number."""
        rows = await self._store.fetch("get_delivery", {"id": delivery_id})
        return _delivery(rows[0]) if rows else None

    async def of_post(self, post_id: str) -> list[Delivery]:
        """Every delivery that a post led to."""
        return [_delivery(row) for row in await self._store.fetch("deliveries_of_post", {"post_id": post_id})]


def _claimed(row: sqlite3.Row) -> Delivery:
    return replace(
        _delivery(row),
        state=DeliveryState.SENDING,
        attempts=row["attempts"] + 1,
        about_post=bool(row["about_post"]),
        written_utc=row["written_utc"],
    )


def _level(row: sqlite3.Row) -> Level:
    rank: int = row["priority"]
    return list(Level)[rank]


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        id=row["id"],
        post_id=row["post_id"],
        subreddit=row["subreddit"],
        kind=DeliveryKind(row["kind"]),
        state=DeliveryState(row["state"]),
        level=_level(row),
        subject=row["subject"],
        body=row["body"],
        due_utc=row["due_utc"],
        since_utc=row["since_utc"],
        created_utc=row["created_utc"],
        attempts=row["attempts"],
        reddit_id=row["reddit_id"],
        error=row["error"],
        channel=row["channel"],
        step=row["step"],
        unclear=row["unclear"],
    )
