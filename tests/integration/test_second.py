"""The second reader in the live loop: sandbox Reddit, a pretend LLM server over HTTP, a real store and a real cache."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
import structlog
from starlette.responses import Response

from bot import app, log
from bot.calls import DailyCalls, calls_today
from bot.check import check
from bot.config import Config, Log, Secrets
from bot.errors import ConfigError, SetupError
from bot.judge import judge
from bot.keeper import Keeper
from bot.manners import Manners
from bot.sandbox.state import SandboxReddit
from bot.second import SecondReader
from bot.store import Store
from bot.types import Delivery, DeliveryKind, Post
from models.annotation import Annotation
from models.assessment import Assessment, Ordinal
from models.document import Document
from models.errors import OverBudget
from models.labels import Level, Risk
from models.redact import redact
from tests.conftest import NOON, HandClock, KeywordClassifier
from tests.fake_llm import HOST, Act, Call, FakeLlm, answers, by_post, fails, says, slowly

KEY = "sk-never-to-be-seen"
ATTEMPT = answers(risk="attempt", evidence="hm")
CALM = answers(relevance="other", disorders=[], severity="minimal", risk="none", evidence="")
REFUSES = says("I'm sorry, but I can't help with that.")


class Unsure(KeywordClassifier):
    """Judges by words: `unsure` is in the band, `disputed` is what rules and encoder disagree about."""

    def _assess(self, document: Document) -> Assessment:
        assessment = super()._assess(document)
        if "unsure" in document.text:
            some = dict.fromkeys(Risk, 0.0) | {Risk.NONE: 0.92, Risk.IDEATION: 0.08}
            assessment = replace(assessment, risk=Ordinal(some), unsure=True)
        return replace(assessment, disputed="disputed" in document.text)


@pytest.fixture(autouse=True, scope="module")
def _gazetteer() -> None:
    """The places are read once in a process, which takes longer than some of these tests give a server."""
    redact("")


@dataclass
class Seen:
    """What a run of the bot did, as it happened: levels by title, and deliveries with their outcome."""

    levels: dict[str, Level] = field(default_factory=dict)
    locals: dict[str, Level] = field(default_factory=dict)
    sent: list[Delivery] = field(default_factory=list)


def reading(config: Config, base_url: str, **llm: Any) -> Config:
    """The set-up with a language model for testsub."""
    given = {"base_url": base_url, "model": "fake", "subreddits": ["testsub"], "timeout_seconds": 5, "choose": False}
    cache = config.store.path.with_name("answers.db")
    return Config.model_validate({**config.model_dump(), "llm": {**given, "cache": cache, **llm}})


@asynccontextmanager
async def running(config: Config, secrets: Secrets, clock: HandClock) -> AsyncIterator[Seen]:
    """The live loop in the background; stopped at the end, and its failure is the test's."""
    stop, seen = asyncio.Event(), Seen()

    def on_judged(judgement: Any) -> None:
        seen.levels[judgement.post.title] = judgement.decision.level
        if judgement.local is not None:
            seen.locals[judgement.post.title] = judgement.local.level

    def on_delivery(delivery: Delivery, outcome: str) -> None:
        seen.sent.append(delivery)

    loop = app.run(config, secrets, Unsure, stop, clock=clock, on_judged=on_judged, on_delivery=on_delivery)
    task = asyncio.create_task(loop)
    try:
        yield seen
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


async def stored(config: Config, post_id: str) -> dict[str, Any]:
    """The record of a post, as it is in the database."""
    async with Store(config.store.path) as store:
        (row,) = await store.fetch("get_post", {"id": post_id})
    return {**json.loads(row["record"]), "title": row["title"]}


async def test_a_second_reading_raises_a_level_and_reaches_the_moderators(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The alert shows the quote as the model's; model and prompt are stored; to the author nothing more is said."""
    post_id = reddit.submit("testsub", "a title", "unsure of everything, hm, nobody would mind", "somebody")
    async with FakeLlm(answers(risk="attempt", evidence="nobody would mind")) as llm:
        config = reading(config, llm.base_url)
        async with running(config, secrets, clock) as seen:
            await until(lambda: len(reddit.conversations) == 1, "an alert")
    assert (seen.locals, seen.levels) == ({"a title": Level.NONE}, {"a title": Level.CRISIS})
    body = reddit.conversations[0].body
    assert "A language model read the post as well and sees an attempt to end one's life" in body
    assert "nobody would mind” (quoted by the language model)" in body
    record = await stored(config, post_id)
    assert record["versions"]["llm"] == "fake"
    assert record["versions"]["prompt"].startswith("zero_shot ")
    assert [each["source"] for each in record["evidence"]] == ["llm"]
    assert [each["kind"] for each in record["deliveries"]] == ["alert"]


async def test_a_second_reading_lowers_nothing(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A model that sees nothing where the bot sees something changes neither the level nor the reply."""
    config = Config.model_validate({**config.model_dump(), "replies": {"auto": ["urgent"]}})
    post_id = reddit.submit("testsub", "a title", "indicator, disputed", "somebody")
    async with FakeLlm(CALM) as llm, running(reading(config, llm.base_url), secrets, clock) as seen:
        await until(lambda: len(reddit.conversations) == len(reddit.comments_on(post_id)) == 1, "alert and reply")
        assert len(llm.calls) == 1
    assert (seen.locals, seen.levels) == ({"a title": Level.URGENT}, {"a title": Level.URGENT})
    assert "language model" not in reddit.conversations[0].body


async def test_a_raised_level_leaves_the_reply_as_it_was(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """An urgent post that the model calls an attempt is a crisis to moderators; the author reads the urgent reply."""
    config = Config.model_validate({**config.model_dump(), "replies": {"auto": ["crisis"]}})
    alone = reddit.submit("testsub", "alone", "indicator", "somebody")
    read = reddit.submit("testsub", "read", "indicator, disputed", "somebody_else")
    async with FakeLlm(ATTEMPT) as llm, running(reading(config, llm.base_url), secrets, clock) as seen:
        await until(lambda: len(reddit.conversations) == 2, "two alerts")
        assert len(llm.calls) == 1
    assert seen.levels == {"alone": Level.URGENT, "read": Level.CRISIS}
    async with Store(config.store.path) as store:
        rows = await store.fetch("find_deliveries", {"state": "held"})
    bodies = {row["post_id"]: row["body"] for row in rows if row["kind"] == DeliveryKind.REPLY}
    assert bodies.keys() == {alone, read}
    assert bodies[read] == bodies[alone]


def dead() -> str:
    """Where nobody listens."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        return f"http://{HOST}:{free.getsockname()[1]}/v1"


UNREAD: dict[str, tuple[Act, str]] = {
    "refusal": (REFUSES, "refused to read"),
    "filter": (fails(400, code="content_filter"), "refused to read"),
    "invalid": (says("a sad post"), "gave no usable answer"),
    "broken": (fails(500), "did not answer"),
    "no key": (fails(401), "did not answer"),
    "slow": (slowly(5, CALM), "did not answer"),
}


@pytest.mark.parametrize(("act", "words"), UNREAD.values(), ids=UNREAD.keys())
async def test_what_was_not_read_again_goes_to_a_person(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock, act: Act, words: str
) -> None:
    """A post of level none becomes one to watch, with the reason in the daily summary; an urgent one stays urgent."""
    quiet = reddit.submit("testsub", "quiet", "unsure", "somebody")
    reddit.submit("testsub", "loud", "indicator, disputed", "somebody_else")
    async with FakeLlm(act) as llm:
        config = reading(config, llm.base_url, timeout_seconds=1)
        async with running(config, secrets, clock) as seen:
            await until(lambda: seen.levels == {"quiet": Level.WATCH, "loud": Level.URGENT}, "both judgements")
            await until(lambda: len(reddit.conversations) == 1, "the alert")
            clock.set(clock.now() + 24 * 3600)
            await until(lambda: len(reddit.conversations) == 2, "the summary")
    assert seen.locals == {"quiet": Level.NONE, "loud": Level.URGENT}
    assert all(words in conversation.body for conversation in reddit.conversations)
    assert "llm" in (await stored(config, quiet))["versions"]


async def test_a_server_that_is_away_marks_the_post(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Nobody listens at all: the local judgement stands, and a person is asked to look."""
    reddit.submit("testsub", "quiet", "unsure", "somebody")
    async with running(reading(config, dead()), secrets, clock) as seen:
        await until(lambda: seen.levels == {"quiet": Level.WATCH}, "the judgement")


async def test_only_doubt_is_read_and_only_where_moderators_said_so(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A crisis, a clear case, a deleted text and another community's post never leave the machine."""
    reddit.add_subreddit("second")
    both = config.reddit.model_copy(update={"subreddits": ("testsub", "second")})
    config = config.model_copy(update={"reddit": both})
    reddit.submit("testsub", "crisis", "ideation, disputed", "somebody")
    reddit.submit("testsub", "clear", "flour and eggs", "a_baker")
    reddit.submit("testsub", "unsure", "[removed]", "somebody")
    reddit.submit("second", "elsewhere", "unsure", "somebody")
    reddit.submit("testsub", "doubtful", "unsure", "somebody")
    async with FakeLlm(CALM) as llm, running(reading(config, llm.base_url), secrets, clock) as seen:
        await until(lambda: len(seen.levels) == 5, "all judgements")
        assert [call.post for call in llm.calls] == ["doubtful\n\nunsure"]
    assert seen.locals == {"doubtful": Level.NONE}


async def test_a_server_that_hangs_holds_up_no_other_post(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """While posts wait for it, a crisis of the same batch and later ones are alerted to; then each is stored once."""
    release = asyncio.Event()

    async def hang(call: Call) -> Response:
        await release.wait()
        return await CALM(call)

    for number in range(3):
        reddit.submit("testsub", f"waits {number}", f"unsure {number}", "somebody")
    reddit.submit("testsub", "same batch", "ideation", "somebody")
    async with FakeLlm(hang) as llm:
        config = reading(config, llm.base_url, timeout_seconds=60)
        async with running(config, secrets, clock) as seen:
            await until(lambda: seen.levels == {"same batch": Level.CRISIS}, "the crisis of the same batch")
            reddit.submit("testsub", "later", "ideation", "somebody")
            await until(lambda: len(reddit.conversations) == 2, "two alerts")
            await until(lambda: bool(llm.calls), "a call")
            assert seen.levels == {"same batch": Level.CRISIS, "later": Level.CRISIS}
            release.set()
            await until(lambda: len(seen.levels) == 5, "the rest")
        assert len(llm.calls) == 3


async def test_a_server_that_never_answers_ends_no_reading_but_its_own(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Posts that came one after the other give up one after the other; the loop goes on, and each is marked."""
    llm = FakeLlm(slowly(30, CALM))
    async with llm, running(reading(config, llm.base_url, timeout_seconds=0.6), secrets, clock) as seen:
        for number in range(5):
            reddit.submit("testsub", f"waits {number}", f"unsure {number}", "somebody")
            await asyncio.sleep(0.15)
        await until(lambda: len(seen.levels) == 5, "five judgements")
        reddit.submit("testsub", "later", "ideation", "somebody")
        await until(lambda: len(reddit.conversations) == 1, "an alert")
    assert seen.levels.pop("later") is Level.CRISIS
    assert set(seen.levels.values()) == {Level.WATCH}


async def test_killed_while_a_post_is_read_it_is_judged_at_the_next_start(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The post is still in the inbox; it is judged and read again, and stored once."""
    reddit.submit("testsub", "a title", "unsure", "somebody")
    async with FakeLlm(slowly(30, CALM)) as llm:
        config = reading(config, llm.base_url, timeout_seconds=60)
        task = asyncio.create_task(app.run(config, secrets, Unsure, asyncio.Event(), clock=clock))
        await until(lambda: len(llm.calls) == 1, "the call")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with FakeLlm(ATTEMPT) as llm, running(reading(config, llm.base_url), secrets, clock) as seen:
        await until(lambda: len(reddit.conversations) == 1, "an alert")
    assert seen.levels == {"a title": Level.CRISIS}


async def test_stopping_does_not_wait_for_a_server(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The process ends at once, and the post that was being read stays for the next start."""
    reddit.submit("testsub", "a title", "unsure", "somebody")
    async with FakeLlm(slowly(30, CALM)) as llm:
        config = reading(config, llm.base_url, timeout_seconds=60)
        async with running(config, secrets, clock):
            await until(lambda: len(llm.calls) == 1, "the call")
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 5
    async with Store(config.store.path) as store:
        (inbox,) = await store.fetch("count_inbox")
    assert inbox["n"] == 1


async def test_what_was_answered_before_a_crash_is_not_paid_for_again(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The database is lost after the answer came: the post is judged anew, and the answer is known."""
    reddit.submit("testsub", "a title", "unsure", "somebody")
    async with FakeLlm(ATTEMPT) as llm:
        config = reading(config, llm.base_url, budget_per_day=1)
        for name in ("one.db", "two.db"):
            path = config.store.path.with_name(name)
            one = config.model_copy(update={"store": config.store.model_copy(update={"path": path})})
            async with running(one, secrets, clock) as seen:
                await until(lambda: len(seen.levels) == 1, "the judgement")
            assert seen.levels == {"a title": Level.CRISIS}
        assert len(llm.calls) == 1


async def test_the_budget_of_a_day_holds_across_a_restart(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Two calls a day are two calls; what is over keeps its local level; tomorrow there are two more."""
    async with FakeLlm(CALM) as llm:
        config = reading(config, llm.base_url, budget_per_day=2)
        for number in range(3):
            reddit.submit("testsub", f"first {number}", f"unsure {number}", "somebody")
        async with running(config, secrets, clock) as seen:
            await until(lambda: len(seen.levels) == 3, "three judgements")
        assert (len(llm.calls), len(seen.locals)) == (2, 2)
        reddit.submit("testsub", "again", "unsure again", "somebody")
        async with running(config, secrets, clock) as seen:
            await until(lambda: len(seen.levels) == 1, "the next one")
        assert (len(llm.calls), seen.levels, seen.locals) == (2, {"again": Level.NONE}, {})
        clock.set(NOON + 24 * 3600)
        reddit.submit("testsub", "tomorrow", "unsure tomorrow", "somebody")
        async with running(config, secrets, clock) as seen:
            await until(lambda: len(seen.levels) == 1, "tomorrow's")
        assert (len(llm.calls), seen.locals) == (3, {"tomorrow": Level.NONE})


async def test_a_dead_server_costs_no_calls(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """Posts that reach nobody are marked, every one, and the calls of the day are left for when somebody is there."""
    config = reading(config, dead(), budget_per_day=1)
    for number in range(2):
        async with running(config, secrets, clock) as seen:
            reddit.submit("testsub", f"post {number}", f"unsure {number}", "somebody")
            await until(lambda: len(seen.levels) == 1, "the judgement")
        assert seen.levels == {f"post {number}": Level.WATCH}
    async with Store(config.store.path) as store:
        assert await calls_today(store, clock) == 0


async def test_doubt_is_the_models_own_unless_the_team_has_its_band(config: Config) -> None:
    """Left out, what the model was measured for decides, also between the bounds of urgent and crisis; set, the team's
    band does; a dispute is doubt either way.
    """
    posts = [Post(words, "testsub", None, words, "", NOON, "") for words in ("unsure", "indicator", "plain, disputed")]
    local = [
        replace(each, assessment=replace(each.assessment, unsure=each.post.id == "indicator"))
        for each in judge(posts, Unsure(), config.team)
        if each.assessment
    ]
    assert local[1].decision.level is Level.URGENT
    for given, wanted in (({}, [False, True, True]), ({"unsure_from": 0.05, "unsure_to": 0.2}, [True, False, True])):
        of_team = reading(config, "http://127.0.0.1:1/v1", **given)
        reader = SecondReader(Endless(), of_team.llm, of_team.team)
        assert [reader.wants(each) for each in local] == wanted


async def test_calls_are_counted_by_day(store: Store, clock: HandClock) -> None:
    """So many a day and not one more, however many ask at once; none at all when the budget is zero."""
    calls = DailyCalls(store, clock, 3)
    outcomes = await asyncio.gather(*(calls.spend() for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in outcomes].count(OverBudget) == 7
    assert await calls_today(store, clock) == 3
    with pytest.raises(OverBudget):
        await DailyCalls(store, clock, 0).spend()
    clock.advance(24 * 3600)
    assert await calls_today(store, clock) == 0
    await calls.spend()
    await calls.refund()
    await calls.spend()
    assert await calls_today(store, clock) == 1
    with pytest.raises(OverBudget):
        await DailyCalls(store, clock, 0).spend()


async def test_a_call_is_taken_back_from_the_day_that_it_was_counted_on(store: Store, clock: HandClock) -> None:
    """Midnight may pass before a call turns out to be none, with others counted meanwhile."""
    calls = DailyCalls(store, clock, 3)
    await calls.spend()
    clock.advance(24 * 3600)
    await asyncio.create_task(calls.spend())
    await calls.refund()
    assert await calls_today(store, clock) == 1
    clock.advance(-24 * 3600)
    assert await calls_today(store, clock) == 0


async def test_an_answer_whose_repair_cannot_be_paid_is_unusable(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """The last call of the day brought nonsense: the post is marked like any other that was not read."""
    reddit.submit("testsub", "a title", "unsure", "somebody")
    async with FakeLlm(says("hm")) as llm:
        async with running(reading(config, llm.base_url, budget_per_day=1), secrets, clock) as seen:
            await until(lambda: seen.levels == {"a title": Level.WATCH}, "the judgement")
        assert len(llm.calls) == 1


async def test_a_post_purged_while_it_is_read_does_not_come_back(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock
) -> None:
    """A moderator's purge in another process wins over the answer, and the loop goes on."""
    release = asyncio.Event()

    async def hang(call: Call) -> Response:
        await release.wait()
        return await ATTEMPT(call)

    purged = reddit.submit("testsub", "a title", "unsure xylophonist", "somebody")
    async with FakeLlm(by_post({"xylophonist": hang}, CALM)) as llm:
        config = reading(config, llm.base_url, timeout_seconds=60)
        async with running(config, secrets, clock) as seen:
            await until(lambda: len(llm.calls) == 1, "the call")
            async with Store(config.store.path) as store:
                keeper = Keeper(store, Manners(store, b"k" * 32, config, clock), config, clock)
                assert await keeper.purge([purged], "purged by a moderator") == 1
            release.set()
            reddit.submit("testsub", "the next", "unsure", "somebody")
            await until(lambda: "the next" in seen.levels, "the next judgement")
    assert seen.levels == {"the next": Level.NONE}
    assert (await stored(config, purged))["title"] == ""


class Endless:
    """An annotator that never answers."""

    versions = {"llm": "endless"}  # noqa: RUF012

    async def annotate(self, documents: Any) -> list[Annotation]:
        """Waits for ever."""
        await asyncio.Event().wait()
        return []


async def test_the_line_before_a_slow_server_has_an_end(config: Config) -> None:
    """Beyond 256 posts in line the next ones are marked at once instead of waiting with them."""
    config = reading(config, "http://127.0.0.1:1/v1", timeout_seconds=600)
    reader = SecondReader(Endless(), config.llm, config.team)
    posts = [Post(str(number), "testsub", None, "", "unsure", NOON, "") for number in range(260)]
    tasks = [asyncio.create_task(reader.read(each)) for each in judge(posts, Unsure(), config.team)]
    done, waiting = await asyncio.wait(tasks, timeout=0.5)
    for task in waiting:
        task.cancel()
    assert (len(done), len(waiting)) == (4, 256)
    assert {task.result().decision.level for task in done} == {Level.WATCH}


async def test_no_word_of_a_post_or_a_model_is_in_a_log_line(
    config: Config, secrets: Secrets, reddit: SandboxReddit, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the text, nor the quote, nor the server's error that repeats the key; the reasons hold none either."""
    monkeypatch.setenv("NIGHTLIGHT_LLM_API_KEY", KEY)
    reddit.submit("testsub", "xylophonist", "unsure xylophonist", "xylophonist")
    reddit.submit("testsub", "another", "unsure vibraphone", "xylophonist")
    lines = io.StringIO()
    acts = by_post({"vibraphone": fails(401)}, answers(risk="attempt", evidence="unsure xylophonist"))
    log.set_up(Log(level="debug", format="json"), stream=lines)
    try:
        async with FakeLlm(acts) as llm, running(reading(config, llm.base_url), secrets, clock) as seen:
            await until(lambda: len(seen.levels) == 2, "both judgements")
            assert {call.authorization for call in llm.calls} == {f"Bearer {KEY}"}
    finally:
        structlog.reset_defaults()
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert sorted(each["kind"] for each in events if each["event"] == "post.read_again") == ["failed", "ok"]
    for word in ("xylophonist", "vibraphone", KEY):
        assert word not in lines.getvalue()
    async with Store(config.store.path) as store:
        rows = [await store.fetch("get_post", {"id": row["id"]}) for row in await store.fetch("every_post")]
    assert not any("phon" in row["reasons"] or KEY in row["record"] for (row,) in rows)


async def test_a_set_up_that_cannot_be_asked_is_refused(config: Config, secrets: Secrets) -> None:
    """No model named, or a cache that is no database: one clear error before anything is watched."""
    with pytest.raises(ConfigError, match=r"\[llm\] model"):
        await app.run(reading(config, dead(), model=""), secrets, Unsure, asyncio.Event())
    with pytest.raises(SetupError, match="cannot use the cache"):
        await app.run(reading(config, dead(), cache=config.store.path.parent), secrets, Unsure, asyncio.Event())


@pytest.mark.parametrize(
    ("llm", "fine", "words"),
    [
        ({}, True, "fake at http://127.0.0.1:1/v1 gets posts in doubt from r/testsub"),
        ({"choose": True}, True, "gets posts in doubt and those of urgent alerts from r/testsub"),
        ({"subreddits": []}, True, "no live post leaves this machine"),
        ({"model": ""}, False, "names no model"),
        ({"prompt": "choose"}, False, "prompt is none of criteria, few_shot, zero_shot"),
    ],
)
async def test_the_check_says_what_would_leave_the_machine(
    config: Config, llm: dict[str, Any], fine: bool, words: str
) -> None:
    """Whose posts, and to where."""
    config = reading(config, "http://127.0.0.1:1/v1", **llm)
    findings = [each async for each in check(config, Secrets(), Unsure, date(2026, 1, 1))]
    (said,) = [each for each in findings if each.name == "language model"]
    assert (said.fine, words in said.words) == (fine, True)
