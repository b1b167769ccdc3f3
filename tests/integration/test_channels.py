"""Alerts through chat channels: real store, real HTTP to a service on loopback, a clock that only the test moves."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from bot import app, cli
from bot.check import check
from bot.config import Config, Deliver, Log, Secrets
from bot.deliver.chat import Channel, ChatMessenger
from bot.deliver.escalate import Escalator
from bot.deliver.worker import Worker
from bot.errors import SetupError
from bot.keeper import Keeper
from bot.log import set_up
from bot.manners import Manners
from bot.notices import Notices
from bot.outbox import Draft, Outbox
from bot.review.desk import Desk
from bot.sandbox.state import SandboxReddit
from bot.store import Store
from bot.types import DeliveryKind, DeliveryState, Planned
from models.labels import Level
from tests.conftest import HandClock, KeywordClassifier
from tests.integration.test_chat import nobody_gone
from tests.integration.test_worker import judged
from tests.receiver import TOKEN, Receiver

QUARTER = 900.0


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The service behind every channel."""
    async with Receiver.serving() as receiver:
        yield receiver


@dataclass
class Team:
    """A team with two channels, and all that works for it."""

    store: Store
    clock: HandClock
    config: Config
    receiver: Receiver

    def __post_init__(self) -> None:
        """A process starts."""
        self.outbox = Outbox(self.store, self.clock)
        self.manners = Manners(self.store, b"k" * 32, self.config, self.clock)
        self.keeper = Keeper(self.store, self.manners, self.config, self.clock)
        self.notices = Notices(self.store, self.outbox, self.config, self.clock)
        self.escalator = Escalator(self.store, self.outbox, self.config, self.clock)
        self.workers = {name: self._worker(name) for name in self.config.channels}

    def _worker(self, name: str) -> Worker:
        messenger = ChatMessenger(Channel.open(name, self.receiver.url()), nobody_gone)
        parts = (self.outbox, messenger, self.manners, self.keeper, self.notices, Deliver(), self.clock)
        return Worker(*parts, channel=name)

    async def alert(self, post_id: str, level: Level = Level.URGENT, channel: str = "discord") -> None:
        """A post of that level, with its alert and its reply that waits."""
        await judged(self.store, self.manners, self.clock, post_id, level=level)
        held = Planned(DeliveryKind.REPLY, DeliveryState.HELD)
        plans = (Planned(DeliveryKind.ALERT, DeliveryState.PENDING, channel), held)
        drafts = [Draft(post_id, "testsub", level, plan, f"about {post_id}", "words", 0.0) for plan in plans]
        async with self.store.transaction():
            await self.outbox.enqueue(drafts)

    async def send(self) -> None:
        """Everything that is due goes out."""
        while any([await worker.deliver_next() for worker in self.workers.values()]):
            pass

    async def pass_time(self, seconds: float, step: float = 60.0) -> None:
        """Time passes, and everybody does their work every minute."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            await self.escalator.escalate()
            await self.send()

    async def say(self, post_id: str) -> None:
        """A moderator takes it up."""
        desk = Desk(self.store, self.manners, self.config, self.clock)
        await desk.claim(post_id, "mod_anna")
        await desk.dismiss(post_id, "mod_anna")

    async def messages(self, post_id: str) -> list[tuple[str, int, DeliveryState]]:
        """What the outbox knows of the messages about a post."""
        found = await self.outbox.of_post(post_id)
        return [(each.channel, each.step, each.state) for each in found if each.channel]


Found = Callable[..., Team]


@pytest.fixture
def found(store: Store, clock: HandClock, receiver: Receiver) -> Found:
    """Makes a team with settings of its own; called again, it is the same team after a restart."""

    def of(*, page: str | None = None, own: dict[str, Any] | None = None, **alerts: Any) -> Team:
        settings = {"channels": ["discord", "phone"], **alerts}
        review = {"public_url": page, "behind_proxy": page is not None}
        sections = {"alerts": settings, "review": review, "overrides": {"testsub": {"alerts": own or {}}}}
        return Team(store, clock, Config.model_validate(sections), receiver)

    return of


async def test_an_alert_is_one_message(found: Found, receiver: Receiver) -> None:
    """Sent once, settled with the name of its channel, and its words are needed no longer."""
    team = found()
    await team.alert("p1")
    await team.pass_time(3600)
    (message,) = receiver.arrived
    assert (message["title"], message["message"]) == ("about p1", "words")
    (alert, _) = await team.outbox.of_post("p1")
    assert (alert.state, alert.reddit_id, alert.body) == (DeliveryState.SENT, "discord", "")


async def test_quiet_hours_are_for_everything_but_a_crisis(found: Found, receiver: Receiver, clock: HandClock) -> None:
    """At night a crisis goes out at once; the rest waits until seven in the morning, on the team's clocks."""
    team = found(quiet_hours="22:00-07:00", quiet_zone="Europe/Berlin", escalate_minutes=0)
    night = datetime(2026, 1, 10, 22, 30, tzinfo=UTC).timestamp()  # half past eleven in Berlin
    clock.set(night)
    await team.alert("p1", Level.URGENT)
    await team.alert("p2", Level.UNASSESSED)
    await team.alert("p3", Level.CRISIS)
    await team.send()
    assert receiver.titles == ["about p3"]
    clock.set(night + 7.5 * 3600 - 1)
    await team.send()
    assert receiver.titles == ["about p3"]
    clock.set(night + 7.5 * 3600)
    await team.send()
    assert receiver.titles == ["about p3", "about p1", "about p2"]


async def test_a_pause_that_a_service_asks_for(found: Found, receiver: Receiver) -> None:
    """After 429 and 503 it is tried again, and arrives once."""
    team = found()
    receiver.answers = [429, 503]
    await team.alert("p1")
    await team.pass_time(3600)
    assert len(receiver.arrived) == 3
    assert await team.messages("p1") == [("discord", 0, DeliveryState.SENT)]
    assert not any("repeated" in message["message"] for message in receiver.arrived)


async def test_an_unclear_alert_is_not_repeated_and_the_moderators_hear_of_it(found: Found, receiver: Receiver) -> None:
    """500 may mean that it arrived: below a crisis it becomes a dead letter, with one notice a day in modmail."""
    team = found()
    receiver.answers = [500, 404]
    await team.alert("p1")
    await team.alert("p2")
    await team.pass_time(3600)
    assert receiver.titles == ["about p1", "about p2"]
    dead = await team.outbox.find(DeliveryState.DEAD)
    assert {each.post_id: "may have arrived" in (each.error or "") for each in dead} == {"p1": True, "p2": False}
    notices = [each for each in await team.outbox.find(DeliveryState.PENDING) if not each.channel]
    assert [each.subject.count("may not have reached discord") for each in notices] == [1]
    assert TOKEN not in repr((dead, notices))


async def test_without_modmail_another_channel_hears_of_one_that_is_silent(found: Found, receiver: Receiver) -> None:
    """Somebody has to: never the silent one itself, in which nobody might see it."""
    team = found(modmail=False)
    receiver.answers = [404, 200]
    await team.alert("p1")
    await team.pass_time(120)
    assert "may not have reached discord" in receiver.titles[1]
    (notice,) = [each for each in await team.outbox.find() if not each.about_post]
    assert notice.channel == "phone"


async def test_a_channel_hears_of_modmail_that_takes_no_alert(found: Found, receiver: Receiver) -> None:
    """An alert that Reddit refuses for good is told where it still can be, once a day."""
    team = found()
    refused = ChatMessenger(Channel.open("modmail", receiver.url()), nobody_gone)
    modmail = Worker(team.outbox, refused, team.manners, team.keeper, team.notices, Deliver(), team.clock)
    for post_id in ("p1", "p2"):
        receiver.answers = [404]
        await team.alert(post_id, channel="")
        await modmail.deliver_next()
    await team.send()
    (notice,) = receiver.titles[2:]
    assert "may not have reached modmail" in notice
    assert [each.post_id for each in await team.outbox.find(DeliveryState.DEAD)] == ["p1", "p2"]


async def test_an_unclear_crisis_is_repeated_once_and_says_so(found: Found, receiver: Receiver) -> None:
    """Twice is better than never."""
    team = found(escalate_minutes=0)
    receiver.answers = [500]
    await team.alert("p1", Level.CRISIS)
    await team.pass_time(3600)
    assert ["may be repeated" in message["message"] for message in receiver.arrived] == [False, True]
    assert await team.messages("p1") == [("discord", 0, DeliveryState.SENT)]


async def test_a_dead_letter_can_be_sent_again_by_a_person(found: Found, receiver: Receiver) -> None:
    """Whoever looked into the channel knows better than we do."""
    team = found()
    receiver.answers = [500]
    await team.alert("p1")
    await team.pass_time(600)
    (dead,) = await team.outbox.find(DeliveryState.DEAD)
    await team.outbox.revive(dead.id)
    await team.pass_time(600)
    assert len(receiver.arrived) == 2
    assert await team.messages("p1") == [("discord", 0, DeliveryState.SENT)]


async def test_a_crash_in_the_middle_of_a_call(found: Found, receiver: Receiver) -> None:
    """Nobody knows what it did: the urgent one is not sent again, the crisis is and says so, the rest stays."""
    team = found(escalate_minutes=0)
    await team.alert("sent")
    await team.send()
    await team.alert("p1", Level.CRISIS)
    await team.alert("p2", Level.URGENT)
    for _ in range(2):
        await team.outbox.claim(team.manners, "discord")
    team = found(escalate_minutes=0)
    for name in team.config.channels:
        await team.outbox.reclaim(name)
    await team.pass_time(600)
    assert receiver.titles == ["about sent", "about p1"]
    assert "may be repeated" in receiver.arrived[1]["message"]
    assert await team.messages("p2") == [("discord", 0, DeliveryState.DEAD)]


async def test_one_channel_starts_while_another_one_is_sending(found: Found) -> None:
    """What the other one has in hand stays there."""
    team = found()
    await team.alert("p1", channel="discord")
    await team.outbox.claim(team.manners, "discord")
    await team.outbox.reclaim("phone")
    await team.outbox.reclaim()
    assert await team.messages("p1") == [("discord", 0, DeliveryState.SENDING)]


async def test_a_crisis_goes_on_until_it_is_taken_up_and_no_longer(
    found: Found, receiver: Receiver, clock: HandClock
) -> None:
    """Every quarter of an hour the next channel, and round again; then all who were told hear that it is over."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    await team.send()
    await team.pass_time(4 * QUARTER)
    steps = [("discord", 0), ("phone", 1), ("discord", 2), ("phone", 3), ("discord", 4)]
    assert [(channel, step) for channel, step, _ in await team.messages("p1")] == steps
    assert receiver.titles[1:] == ["[Nightlight] crisis: nobody has a post in hand (t3_p1)"] * 4
    assert "Told so far: discord, phone." in receiver.arrived[-1]["message"]
    await team.say("p1")
    await team.pass_time(10 * QUARTER)
    assert receiver.titles[5:] == ["[Nightlight] somebody has taken up a post (t3_p1)"] * 2


async def test_whoever_is_called_in_again_hears_the_end_again(found: Found, receiver: Receiver) -> None:
    """Taken up, left, called out once more and taken up: each who was told since the last all-clear gets another."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    await team.pass_time(QUARTER + 60)
    desk = Desk(team.store, team.manners, team.config, team.clock)
    await desk.claim("p1", "mod_anna")
    await team.pass_time(QUARTER)  # the claim runs out, and the next channel is told again
    await desk.claim("p1", "mod_ben")
    await desk.dismiss("p1", "mod_ben")
    await team.pass_time(10 * QUARTER)
    reminder, over = "nobody has a post in hand", "somebody has taken up a post"
    said = [next((words for words in (reminder, over) if words in title), "alert") for title in receiver.titles]
    assert said == ["alert", reminder, over, over, reminder, over]
    assert [each for each in await team.messages("p1") if each[2] is not DeliveryState.SENT] == []


async def test_follow_ups_say_where_to_take_up_the_case(found: Found, receiver: Receiver) -> None:
    """The reminder, the all-clear and a moderator's question link to the page, as the first alert does."""
    team = found(page="https://mods.example.org")
    await team.alert("p1", Level.CRISIS)
    await team.pass_time(QUARTER)
    desk = Desk(team.store, team.manners, team.config, team.clock)
    await desk.escalate("p1", "mod_anna")
    await team.pass_time(120)
    await team.say("p1")
    await team.pass_time(60)
    assert ["https://mods.example.org/case/p1" in message["message"] for message in receiver.arrived[1:]] == [True] * 4


@pytest.mark.parametrize(
    ("settings", "answers"),
    [
        ({}, []),
        ({"escalate_minutes": 0.5, "own": {"escalate_minutes": 15}}, []),
        ({"escalate_minutes": 0.5, "own": {"escalate_minutes": 0}}, []),
        ({}, [404] * 6),
    ],
    ids=["not yet", "another team sooner", "another team only", "every channel dead"],
)
async def test_a_look_at_crises_writes_nothing_while_nothing_is_due(
    found: Found, receiver: Receiver, settings: dict[str, Any], answers: list[int]
) -> None:
    """However many wait, or were settled in the last two days: nobody who wants to write waits for it."""
    team = found(**settings)
    receiver.answers = answers
    for number in range(3):
        await team.alert(f"p{number}", Level.CRISIS)
    await team.send()
    await team.say("p0")
    await team.pass_time(60)
    async with team.store.transaction():
        async with asyncio.timeout(5):  # a transaction of its own would wait for this one
            await team.escalator.escalate()


async def test_a_crisis_that_is_given_back_is_not_called_over(found: Found, receiver: Receiver) -> None:
    """The all-clear that still waits is true again, and goes out, once somebody else has the crisis."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    await team.pass_time(QUARTER)
    desk = Desk(team.store, team.manners, team.config, team.clock)
    await desk.claim("p1", "mod_anna")
    await team.escalator.escalate()
    await desk.release("p1", "mod_anna")
    await team.pass_time(300)
    assert len(receiver.arrived) == 2
    assert [state for _, step, state in await team.messages("p1") if step < 0] == [DeliveryState.DISMISSED] * 2
    await team.pass_time(QUARTER)
    assert "Nobody has this post in hand. The first alert is from" in receiver.arrived[2]["message"]
    await desk.claim("p1", "mod_ben")
    await team.escalator.escalate()
    await desk.release("p1", "mod_ben")
    await team.escalator.escalate()
    await desk.claim("p1", "mod_ben")
    await team.pass_time(300)
    assert receiver.titles[3:] == ["[Nightlight] somebody has taken up a post (t3_p1)"] * 2


async def test_a_crisis_that_is_taken_up_in_time_disturbs_nobody_else(found: Found, receiver: Receiver) -> None:
    """One message and nothing after it, not even that it is over."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    await team.send()
    await team.pass_time(QUARTER - 60)
    await team.say("p1")
    await team.pass_time(10 * QUARTER)
    assert receiver.titles == ["about p1"]


async def test_a_crisis_that_is_taken_up_and_left_again_goes_on(found: Found, receiver: Receiver) -> None:
    """A claim that runs out, with nothing decided, is nobody's."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    await team.send()
    await Desk(team.store, team.manners, team.config, team.clock).claim("p1", "mod_anna")
    await team.pass_time(300)
    assert receiver.titles == ["about p1"]
    await team.pass_time(8 * QUARTER)
    assert "nobody has a post in hand" in receiver.titles[-1]


async def test_only_a_crisis_is_escalated(found: Found, receiver: Receiver) -> None:
    """An urgent post waits to be read, however long; so does a crisis where the team wants no escalation."""
    team = found()
    await team.alert("p1", Level.URGENT)
    await team.pass_time(10 * QUARTER)
    assert receiver.titles == ["about p1"]
    team = found(escalate_minutes=0)
    await team.alert("p2", Level.CRISIS)
    await team.pass_time(10 * QUARTER)
    assert receiver.titles == ["about p1", "about p2"]


async def test_a_restart_between_two_steps_repeats_none(found: Found, receiver: Receiver) -> None:
    """Each minute another process: the steps are the same as of one."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    for _ in range(40):
        team = found()
        for name in team.config.channels:
            await team.outbox.reclaim(name)
        await team.pass_time(60)
    steps = [("discord", 0), ("phone", 1), ("discord", 2)]
    assert [(channel, step) for channel, step, _ in await team.messages("p1")] == steps
    assert len(receiver.arrived) == 3


async def test_a_channel_that_is_gone_is_not_waited_for(found: Found, receiver: Receiver) -> None:
    """The first channel answers 404: the second hears of the crisis within a minute or two."""
    team = found()
    receiver.answers = [404]
    await team.alert("p1", Level.CRISIS)
    await team.pass_time(120)
    assert await team.messages("p1") == [("discord", 0, DeliveryState.DEAD), ("phone", 1, DeliveryState.SENT)]


async def test_a_post_that_was_deleted_is_told_to_nobody_any_more(found: Found, receiver: Receiver) -> None:
    """Neither the next step nor that it is over."""
    team = found()
    await team.alert("p1", Level.CRISIS)
    await team.pass_time(QUARTER + 60)
    await team.keeper.purge(["p1"], "the post was deleted")
    await team.pass_time(10 * QUARTER)
    assert len(receiver.arrived) == 2


async def test_a_message_that_waits_is_taken_back_once_somebody_has_it(found: Found, receiver: Receiver) -> None:
    """The service was down until then."""
    team = found()
    receiver.answers = [503] * 3
    await team.alert("p1", Level.CRISIS)
    await team.send()
    await team.say("p1")
    await team.pass_time(3600)
    assert len(receiver.arrived) == 1
    assert await team.messages("p1") == [("discord", 0, DeliveryState.DISMISSED)]


@pytest.mark.parametrize("minutes", [0, 600])
async def test_a_channel_hears_of_a_crisis_that_was_only_in_hand_for_a_while(
    found: Found, receiver: Receiver, minutes: int
) -> None:
    """The service was down until then: where nobody is reminded later, the first message has to arrive."""
    team = found(escalate_minutes=minutes)
    receiver.answers = [503]
    await team.alert("p1", Level.CRISIS)
    await team.send()
    await Desk(team.store, team.manners, team.config, team.clock).claim("p1", "mod_anna")
    await team.pass_time(3600)
    state = DeliveryState.DISMISSED if minutes else DeliveryState.SENT
    assert await team.messages("p1") == [("discord", 0, state)]


@pytest.mark.parametrize("modmail", [True, False])
async def test_what_concerns_the_bot_itself_goes_where_urgent_alerts_go(
    found: Found, receiver: Receiver, modmail: bool
) -> None:
    """A silent stream is told in the chat too, so that a team without modmail hears of it."""
    team = found(modmail=modmail)
    await team.notices.stalled("testsub", team.clock.now())
    await team.pass_time(120)
    assert ["no new post could be read" in title for title in receiver.titles] == [True]
    waiting = [each for each in await team.outbox.find(DeliveryState.PENDING) if not each.channel]
    assert len(waiting) == int(modmail)


@pytest.mark.parametrize(
    ("level", "settings", "told"),
    [
        (Level.WATCH, {"modmail": False}, ["discord"]),
        (Level.CRISIS, {"modmail": False}, ["phone"]),
        (Level.WATCH, {}, [""]),
        (Level.CRISIS, {}, ["", "phone"]),
    ],
)
async def test_a_question_to_the_others_reaches_somebody(
    found: Found, level: Level, settings: dict[str, Any], told: list[str]
) -> None:
    """Whoever hears of that level, and where nobody does, whoever hears of urgent posts."""
    levels = {"discord": ["urgent", "unassessed"], "phone": ["crisis"]}
    team = found(channel_levels=levels, **settings)
    await team.alert("p1", level)
    await Desk(team.store, team.manners, team.config, team.clock).escalate("p1", "mod_anna")
    assert [each.channel for each in await team.outbox.of_post("p1") if each.step < 0] == told


@pytest.mark.parametrize("held", [True, False])
async def test_a_question_promises_no_silence_where_a_reply_goes_out_by_itself(found: Found, held: bool) -> None:
    """Nothing is sent to the author meanwhile only where each reply waits for a word, or there is none."""
    team = found()
    await team.alert("p1")
    if not held:
        (reply,) = await team.outbox.find(DeliveryState.HELD)
        async with team.store.transaction():
            await team.outbox.approve(reply, team.clock.now())
    await Desk(team.store, team.manners, team.config, team.clock).escalate("p1", "mod_anna")
    (question, *_) = [each for each in await team.outbox.of_post("p1") if each.step < 0]
    assert ("Nothing is sent to its author" in question.body) is held


# -- the whole process


@asynccontextmanager
async def running(config: Config, secrets: Secrets, clock: HandClock) -> AsyncIterator[None]:
    """The live loop in the background."""
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(config, secrets, KeywordClassifier, stop, clock=clock))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something to become true, half a minute at most."""
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"never happened: {what}")


def with_alerts(config: Config, secrets: Secrets, receiver: Receiver, **alerts: Any) -> tuple[Config, Secrets]:
    """A live set-up with channels, and their URLs."""
    config = Config.model_validate({**config.model_dump(), "alerts": alerts})
    return config, secrets.model_copy(update={"channels": dict.fromkeys(config.channels, receiver.url())})


@pytest.mark.parametrize("share_text", [False, True])
async def test_no_word_of_a_post_leaves_reddit_unless_the_team_says_so(
    config: Config,
    secrets: Secrets,
    reddit: SandboxReddit,
    clock: HandClock,
    receiver: Receiver,
    share_text: bool,
) -> None:
    """Neither title, text nor author, nor the link that Reddit makes of the title; and no log line has a secret."""
    out = io.StringIO()
    set_up(Log(level="debug", format="json"), stream=out)
    config, secrets = with_alerts(config, secrets, receiver, channels=["discord"], share_text=share_text)
    post_id = reddit.submit("testsub", "xylophonist title", "ideation xylophonist", "xylophonist_author")
    async with running(config, secrets, clock):
        await until(lambda: len(receiver.arrived) >= 1 and len(reddit.conversations) >= 1, "a message and a modmail")
    assert receiver.titles[0] == f"[Nightlight] crisis: a post needs a person (t3_{post_id})"
    assert f"/comments/{post_id}\n" in receiver.arrived[0]["message"]
    assert ("xylophonist" in str(receiver)) is share_text
    assert "If you answer (Somebody may not be safe): " in receiver.arrived[0]["message"]
    assert "xylophonist_author" not in str(receiver)
    assert ("xylophonist" in out.getvalue(), TOKEN in out.getvalue()) == (False, False)
    assert '"channel": "discord"' in out.getvalue()


async def test_a_service_that_hangs_holds_nobody_up(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock, receiver: Receiver
) -> None:
    """Modmail and the other channel go on while the first one is silent."""
    config, secrets = with_alerts(config, secrets, receiver, channels=["discord", "phone"], escalate_minutes=1)
    receiver.answers = [0]
    reddit.submit("testsub", "one", "ideation", "somebody")
    async with running(config, secrets, clock):
        await until(lambda: len(reddit.conversations) == 1, "a modmail")
        await until(lambda: any("in hand" in title for title in receiver.titles), "the next channel told")


async def test_alerts_go_where_their_subreddit_wants_them(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock, receiver: Receiver
) -> None:
    """One team has modmail alone, the other a channel alone."""
    reddit.add_subreddit("second")
    alone = {"modmail": False, "channels": ["phone"], "escalate_minutes": 0}
    own = {"second": {"alerts": alone, "policy": {"watch_does": ["alert"]}}}
    both = config.reddit.model_copy(update={"subreddits": ("testsub", "second")})
    config = Config.model_validate({**config.model_dump(), "reddit": both.model_dump(), "overrides": own})
    secrets = secrets.model_copy(update={"channels": {"phone": receiver.url()}})
    first = reddit.submit("testsub", "one", "ideation", "somebody")
    second = reddit.submit("second", "two", "ideation", "somebody")
    async with running(config, secrets, clock):
        await until(lambda: bool(receiver.arrived and reddit.conversations), "both told")
    assert [first in each.subject for each in reddit.conversations] == [True]
    assert [second in title for title in receiver.titles] == [True]


async def test_a_channel_without_a_url_is_refused_at_the_start(config: Config, secrets: Secrets) -> None:
    """An alert that nobody would get is said before it is needed; a dry run sends nothing and needs none."""
    config = Config.model_validate({**config.model_dump(), "alerts": {"channels": ["phone"]}})
    with pytest.raises(SetupError, match="NIGHTLIGHT_CHANNEL_PHONE"):
        await app.run(config, secrets, KeywordClassifier, asyncio.Event())


async def test_the_check_says_which_channels_can_be_used(receiver: Receiver) -> None:
    """A line for each: fine, missing, wrong; and no URL in any."""
    config = Config.model_validate({"alerts": {"channels": ["discord", "phone", "mail"]}})
    secrets = Secrets(channels={"discord": receiver.url(), "mail": "nonsense://" + TOKEN})
    findings = [each async for each in check(config, secrets, KeywordClassifier, datetime.now(UTC).date())]
    of_channels = {each.name: each.fine for each in findings if each.name.startswith("channel")}
    assert of_channels == {"channel discord": True, "channel phone": False, "channel mail": False}
    assert TOKEN not in repr(findings)
    assert receiver.arrived == []


@pytest.mark.parametrize(
    ("review", "secrets", "fine", "words"),
    [
        ({}, Secrets(), True, "off"),
        ({"enabled": True, "sign_in": "link"}, Secrets(), True, "port 8765"),
        ({"enabled": True}, Secrets(), True, "NIGHTLIGHT_REDDIT_WEB_CLIENT_ID is not set"),
        ({"enabled": True}, Secrets(web_client_id="id"), True, "port 8765"),
        ({"enabled": True, "tls_certificate": "gone.pem", "tls_key": "gone.key"}, Secrets(), False, "gone.pem"),
    ],
)
async def test_the_check_says_whether_the_page_can_be_used(
    review: dict[str, Any], secrets: Secrets, fine: bool, words: str
) -> None:
    """A certificate that cannot be read is found before moderators look for the page."""
    config = Config.model_validate({"review": review})
    findings = [each async for each in check(config, secrets, KeywordClassifier, datetime.now(UTC).date())]
    (found,) = [each for each in findings if each.name == "moderators' page"]
    assert (found.fine, words in found.words) == (fine, True)


async def test_a_test_message_on_command(receiver: Receiver, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nightlight channels test` sends one message, and fails in one line when it did not arrive."""
    path = tmp_path / "config.toml"
    path.write_text('[alerts]\nchannels = ["phone"]\n', encoding="utf-8")
    monkeypatch.setenv("NIGHTLIGHT_CHANNEL_PHONE", receiver.url().get_secret_value())
    receiver.answers = [200, 404]

    def command(name: str) -> Any:
        return CliRunner().invoke(cli.app, ["channels", "test", name, "--config", str(path)])

    done = await asyncio.to_thread(command, "phone")
    assert (done.exit_code, receiver.titles) == (0, ["[Nightlight] a test"])
    refused = await asyncio.to_thread(command, "phone")
    assert "answered 404" in str(refused.exception)
    unknown = await asyncio.to_thread(command, "pager")
    assert "it has phone" in str(unknown.exception)
    assert TOKEN not in done.output + refused.output


async def test_the_status_counts_messages_by_channel(found: Found, receiver: Receiver) -> None:
    """What was sent, and what could not be."""
    team = found(escalate_minutes=0)
    receiver.answers = [200, 404]
    await team.alert("p1")
    await team.alert("p2")
    await team.send()
    standing = await Desk(team.store, team.manners, team.config, team.clock).standing()
    assert dict(standing.messages) == {("discord", DeliveryState.SENT): 1, ("discord", DeliveryState.DEAD): 1}
