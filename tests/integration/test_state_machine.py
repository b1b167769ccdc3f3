"""Whatever happens in whatever order, with crashes in between: nothing is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.config import Config, Deliver
from bot.deliver.chat import ChatMessenger
from bot.deliver.escalate import Escalator
from bot.deliver.worker import Letter, Worker
from bot.errors import Forbidden, Transient, Unclear, UsageError
from bot.inbox import Inbox
from bot.keeper import Keeper
from bot.manners import Manners
from bot.notices import Notices
from bot.outbox import Draft, Outbox
from bot.review.desk import UNDO_SECONDS, Desk
from bot.store import Store
from bot.types import Delivery, DeliveryKind, DeliveryState, Planned, Post
from models.labels import Level
from tests.conftest import HandClock

T = TypeVar("T")


class Crash(BaseException):
    """kill -9: nothing after it runs."""


class Reddit:
    """Where letters arrive; the next call meets `trouble`, before or after its work."""

    def __init__(self) -> None:
        self.arrived: Counter[tuple[str, DeliveryKind]] = Counter()
        self.trouble: BaseException | None = None
        self.too_late = False

    async def gone(self, ids: Sequence[str]) -> set[str]:
        """Nothing is ever deleted here."""
        return set()

    async def find(self, letter: Letter) -> str | None:
        """Whether it arrived."""
        return "found" if self.arrived[letter.post_id, letter.kind] else None

    async def send(self, letter: Letter) -> str:
        """Takes it in, unless trouble comes first."""
        trouble, self.trouble = self.trouble, None
        if trouble is None or self.too_late:
            self.arrived[letter.post_id, letter.kind] += 1
        if trouble is not None:
            raise trouble
        return "sent"


class Chat:
    """A chat service, which nobody can search; the next call meets `trouble`, before or after its work."""

    name = "chat"

    def __init__(self) -> None:
        self.arrived: dict[str, list[str]] = {}  # bodies, by subject
        self.trouble: BaseException | None = None
        self.too_late = False

    async def send(self, subject: str, body: str) -> None:
        """Takes it in, unless trouble comes first."""
        trouble, self.trouble = self.trouble, None
        if trouble is None or self.too_late:
            self.arrived.setdefault(subject, []).append(body)
        if trouble is not None:
            raise trouble


TROUBLES = st.sampled_from([Transient("429"), Unclear("503"), Forbidden("403"), Crash()])


class Life(RuleBasedStateMachine):
    """A store with its inbox and outbox, a worker, two moderators and a machine that is switched off at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.reddit, self.chat = HandClock(), Reddit(), Chat()
        self.put: set[str] = set()
        self.approved: set[str] = set()
        self.dismissed: set[str] = set()
        self.refused: set[tuple[str, DeliveryKind]] = set()
        self.begin()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Does something asynchronous."""
        return self.runner.run(work)

    def begin(self) -> None:
        """A process starts."""
        self.store = Store(Path(self.folder.name) / "life.db")
        self.run(self.store.__aenter__())
        config = Config.model_validate(
            {
                "deliver": {"dry_run": False},
                "replies": {"author_cooldown_days": 0},
                "alerts": {"channels": ["chat"], "escalate_minutes": 60},
            }
        )
        manners = Manners(self.store, b"k" * 32, config, self.clock)
        self.inbox, self.outbox = Inbox(self.store, self.clock), Outbox(self.store, self.clock)
        keeper = Keeper(self.store, manners, config, self.clock)
        notices = Notices(self.store, self.outbox, config, self.clock)
        self.worker = Worker(self.outbox, self.reddit, manners, keeper, notices, Deliver(), self.clock)
        messenger = ChatMessenger(self.chat, self.reddit.gone)
        self.chatter = Worker(
            self.outbox, messenger, manners, keeper, notices, Deliver(), self.clock, channel=self.chat.name
        )
        self.escalator = Escalator(self.store, self.outbox, config, self.clock)
        self.desk = Desk(self.store, manners, config, self.clock)
        self.run(self.outbox.reclaim())
        self.run(self.outbox.reclaim(self.chat.name))

    @rule()
    def end(self) -> None:
        """The process ends, in whatever state the store is, and another one begins."""
        self.run(self.store.__aexit__(None, None, None))
        self.begin()

    # Few rules that do much: Hypothesis leaves some of them out of each example.

    @rule(count=st.integers(0, 3), crash=st.booleans(), auto=st.booleans())
    def arrive(self, count: int, crash: bool, auto: bool) -> None:
        """Posts arrive and the next ones are judged, over which the process may die."""
        if count:
            self.fetch(count)
        self.judge(crash, auto)

    def fetch(self, count: int) -> None:
        """Posts arrive; some of them once more."""
        ids = {f"p{len(self.put) + number}" for number in range(count)} | set(sorted(self.put)[:1])
        self.put |= ids

        async def put() -> None:
            async with self.store.transaction():
                await self.inbox.put([Post(id, "testsub", None, "t", "x", self.clock.now(), "") for id in sorted(ids)])

        self.run(put())

    def judge(self, crash: bool, auto: bool) -> None:
        """The next posts are judged and stored with their alerts and a reply, or the process dies over it."""
        state = DeliveryState.PENDING if auto else DeliveryState.HELD

        async def judge() -> None:
            posts = [each.post for each in await self.inbox.take(2)]
            async with self.store.transaction():
                for post in posts:
                    facts = {"author_hash": None, "level": "crisis", "reasons": "[]", "record": "{}", "choice": None}
                    times = {"fetched_utc": self.clock.now(), "now": self.clock.now(), "forgotten_utc": None}
                    await self.store.execute("add_post", {**asdict(post), **facts, **times})
                    alert = Planned(DeliveryKind.ALERT, DeliveryState.PENDING)
                    plans = alert, replace(alert, channel=self.chat.name), Planned(DeliveryKind.REPLY, state)
                    await self.outbox.enqueue(
                        [Draft(post.id, "testsub", Level.CRISIS, plan, f"s {post.id}", "words", 0.0) for plan in plans]
                    )
                await self.inbox.remove(posts)
                if crash:
                    raise Crash
            if auto:
                self.approved |= {post.id for post in posts}

        self.mortal(judge())

    @rule(trouble=st.none() | TROUBLES, too_late=st.booleans(), seconds=st.sampled_from([1.0, 10.0, 1000.0]))
    def deliver(self, trouble: BaseException | None, too_late: bool, seconds: float) -> None:
        """Time passes; the most pressing letter goes out, or meets trouble, or the process dies over it."""
        self.clock.advance(seconds)
        self.reddit.trouble, self.reddit.too_late = trouble, too_late and not isinstance(trouble, Forbidden | Transient)
        before = set(self.dead())
        self.mortal(self.worker.deliver_next())
        self.refused |= set(self.dead()) - before
        self.reddit.trouble = None

    @rule(trouble=st.none() | TROUBLES, too_late=st.booleans(), seconds=st.sampled_from([1.0, 10.0, 4000.0]))
    def call(self, trouble: BaseException | None, too_late: bool, seconds: float) -> None:
        """Time passes; crises go on, and the most pressing chat message goes out, or meets trouble."""
        self.clock.advance(seconds)
        self.run(self.escalator.escalate())
        self.chat.trouble, self.chat.too_late = trouble, too_late and not isinstance(trouble, Forbidden | Transient)
        self.mortal(self.chatter.deliver_next())
        self.chat.trouble = None

    def mortal(self, work: Coroutine[Any, Any, object]) -> None:
        """Does something that may end the process."""
        try:
            self.run(work)
        except Crash:
            self.end()

    @precondition(lambda self: self.judged())
    @rule(data=st.data(), acts=st.lists(st.sampled_from(["approve", "dismiss", "undo"]), min_size=1, max_size=3))
    def review(self, data: st.DataObject, acts: list[str]) -> None:
        """A moderator says yes or no to some reply, another one does after that, or the first takes it back."""
        id = data.draw(st.sampled_from(sorted(self.judged())))
        for act in acts:
            before = self.reply_to(id)
            try:
                match act:
                    case "approve":
                        self.run(self.desk.approve(id, "mod", undo_seconds=UNDO_SECONDS))
                        self.approved.add(id)
                    case "dismiss":
                        self.run(self.desk.dismiss(id, "mod"))
                        if self.reply_to(id).state is DeliveryState.DISMISSED:
                            self.approved.discard(id)
                            self.dismissed.add(id)
                    case "undo":
                        self.run(self.desk.undo(id, "mod"))
                        if before.state is not self.reply_to(id).state:
                            self.approved.discard(id)
                            self.dismissed.discard(id)
            except UsageError:
                assert self.reply_to(id) == before

    def reply_to(self, id: str) -> Delivery:
        """The reply to a post, as it stands."""
        (reply,) = (each for each in self.run(self.outbox.of_post(id)) if each.kind is DeliveryKind.REPLY)
        return reply

    def judged(self) -> set[str]:
        """The posts that were judged."""
        return {row["id"] for row in self.run(self.store.fetch("every_post"))}

    def dead(self) -> list[tuple[str, DeliveryKind]]:
        """The dead letters to Reddit."""
        found = self.run(self.outbox.find(DeliveryState.DEAD))
        return [(each.post_id, each.kind) for each in found if not each.channel]

    @invariant()
    def nothing_twice(self) -> None:
        """No letter arrives twice."""
        assert {key: count for key, count in self.reddit.arrived.items() if count > 1} == {}

    @invariant()
    def no_message_twice_without_saying_so(self) -> None:
        """A step about a crisis arrives in the chat once, or twice when nobody could know; the second says so."""
        for subject, bodies in self.chat.arrived.items():
            if "nobody has a post in hand" not in subject:  # every reminder has the same one
                assert ["may be repeated" in body for body in bodies] in ([False], [True], [False, True])

    @invariant()
    def no_word_without_approval(self) -> None:
        """A reply that arrived was approved; one that was dismissed never arrives."""
        replied = {id for (id, kind), count in self.reddit.arrived.items() if kind is DeliveryKind.REPLY and count}
        assert replied <= self.approved
        assert not replied & self.dismissed

    @invariant()
    def nothing_lost(self) -> None:
        """Every post that was fetched is known, and it is judged or waits to be, not both."""
        ids = json.dumps(sorted(self.put))
        assert {row["id"] for row in self.run(self.store.fetch("known_posts", {"ids": ids}))} == self.put
        assert self.run(self.inbox.depth()) == len(self.put - self.judged())

    def teardown(self) -> None:
        """In calm weather everything that is due arrives."""
        try:
            self.calm_down()
        finally:
            # After a failure too: the thread of a store that stays open keeps the whole test process from ending.
            self.run(self.store.__aexit__(None, None, None))
            self.runner.close()
            self.folder.cleanup()

    def calm_down(self) -> None:
        """No more trouble; all that was due arrives, once, and nothing else does."""
        self.reddit.trouble = self.chat.trouble = None

        async def calm() -> None:
            for _ in range(200):
                if not await self.worker.deliver_next() and not await self.chatter.deliver_next():
                    self.clock.advance(1000)
                    if not await self.outbox.find(DeliveryState.PENDING):
                        break

        judged = self.judged()
        self.run(calm())
        # A message that may have arrived is not sent again about a case that was closed. Should it be opened again, the
        # next reminder tells of it.
        self.clock.advance(3600)
        self.run(self.escalator.escalate())
        self.run(calm())
        due = {(id, DeliveryKind.ALERT) for id in judged} | {(id, DeliveryKind.REPLY) for id in judged & self.approved}
        assert due - self.refused <= {key for key, count in self.reddit.arrived.items() if count}
        dead = {each.subject for each in self.run(self.outbox.find(DeliveryState.DEAD)) if each.channel}
        told = {subject.removeprefix("s ") for subject in dead | self.chat.arrived.keys()}
        waiting = judged - self.approved - self.dismissed
        assert {id for id in waiting if id not in told and not any(each.endswith(f"_{id})") for each in told)} == set()
        self.nothing_twice()
        self.no_message_twice_without_saying_so()
        self.no_word_without_approval()


TestLife = Life.TestCase
# No shrinking: every step of an example writes to a real file, so that thousands of ever shorter examples would take
# minutes; the first one that fails is reported as it is, at most 25 steps long.
TestLife.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    phases=[phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)],
)
