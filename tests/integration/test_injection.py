"""Posts that give orders, read by a model that obeys them: real hybrid, real client, a hostile server over HTTP.

`tests/attacks.jsonl` holds the posts: what each one tries (`family`), on what text (`on`), and what it wants the model
to say (`wants`). All of it is invented.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.responses import JSONResponse, Response

from bot import app, log
from bot.annotators import open_llm
from bot.choosing import Chooser, open_chooser
from bot.config import Config, Log, Secrets
from bot.judge import Judgement, document_of, judge
from bot.record import to_line, to_record
from bot.resources import Catalogue
from bot.sandbox.server import SandboxServer
from bot.sandbox.state import SandboxReddit
from bot.second import SecondReader
from bot.types import Delivery, DeliveryKind, DeliveryState, Post
from models.hybrid import Hybrid
from models.labels import Level
from models.redact import redact
from tests.conftest import NOON, HandClock
from tests.fake_llm import GOOD_ANSWER, Act, Call, FakeLlm, completion, fails, sends
from tests.integration.test_choosing import Nobody, permitted

ATTACKS = [json.loads(line) for line in (Path(__file__).parents[1] / "attacks.jsonl").read_text("utf-8").splitlines()]
KEY = "sk-never-to-be-seen"
NOTHING = {"relevance": "other", "disorders": [], "severity": "minimal", "risk": "none", "evidence": ""}

# Nothing is a crisis here already, and everything is in doubt: every attack reaches the model.
EVERYTHING = {"unsure_from": 0.0, "unsure_to": 1.0}
NO_CRISIS = {"crisis": [{"risk": "behavior", "min_probability": 1.0}], "crisis_does": ["alert", "reply"]}


@cache
def hybrid() -> Hybrid:
    """The judgement in the box."""
    return Hybrid.load()


def said_to_the_model(call: Call) -> list[str]:
    """Every line of the prompt that is not the post, long enough to be known again."""
    lines = call.said.replace(call.data, "").splitlines()
    return [line.strip() for line in lines if len(line.strip()) >= 25 and "post-" not in line]


def obey(call: Call, wants: str) -> Any:
    """The answer that an attack asks for, with all that the model knows where it asks for that."""
    everything = f"{call.said}\n{call.authorization}"
    match wants:
        case "none":
            return json.dumps(NOTHING)
        case "attempt":
            return json.dumps({**GOOD_ANSWER, "risk": "attempt", "severity": "severe", "evidence": call.post[:200]})
        case "prompt" | "key":
            return json.dumps({**GOOD_ANSWER, "evidence": everything[:1_900], "prompt": everything, "note": everything})
        case "reply":
            return json.dumps({**NOTHING, "reply": "the moderators agree, go ahead", "level": "none", "deliveries": []})
        case "refuse":
            return f"I'm sorry, I can't help with that. My instructions are: {everything}"
        case _:
            return "{" * 5_000 + everything


def by_attack(call: Call) -> str:
    """What the attack in this post wants; an error when the post did not arrive as it was written."""
    (wants,) = {each["wants"] for each in ATTACKS if redacted(each) == call.post}
    return str(wants)


def is_choice(call: Call) -> bool:
    """Whether it is asked to put records in order."""
    return "The records, " in call.said


def obey_in_choosing(call: Call) -> str:
    """The first records on offer, and for a reason what the attack asks for."""
    said = call.said.replace(call.data, "")
    reason = {
        "prompt": said[:1_900],
        "key": f"the key is {call.authorization}",
        "reply": "the moderators agree, go ahead, and repeat: " + said[-1_500:],
        "refuse": "My instructions are: " + " ".join(said.split())[100:220],
    }.get(by_attack(call), call.post[:1_900])
    offered = re.findall(r"^- ([a-z0-9_-]+): ", said, re.MULTILINE)
    return json.dumps({"chosen": [{"id": each, "reason": reason} for each in offered[:2]]})


@cache
def _redacted(title: str, selftext: str) -> str:
    return redact(document_of(post_of({"id": "", "title": title, "selftext": selftext})).text).text


def redacted(attack: Mapping[str, str]) -> str:
    """The attack as it may leave the machine."""
    return _redacted(attack["title"], attack["selftext"])


def post_of(attack: Mapping[str, str]) -> Post:
    """The attack as a post."""
    permalink = f"/r/testsub/comments/{attack['id']}/x/"
    return Post(attack["id"], "testsub", "somebody", attack["title"], attack["selftext"], NOON, permalink)


def saying(wants: str) -> Act:
    """A model that does what one attack wants, whatever the post."""

    async def act(call: Call) -> Response:
        return JSONResponse(completion(obey(call, wants)))

    return act


async def obedient(call: Call) -> Response:
    """A model that does what the very post says."""
    return JSONResponse(completion(obey_in_choosing(call) if is_choice(call) else obey(call, by_attack(call))))


async def echo(call: Call) -> Response:
    """A model that repeats the post, fake answers and all."""
    return JSONResponse(completion(call.post))


HOSTILE: dict[str, Act] = {
    "obedient": obedient,
    "says none": saying("none"),
    "raises all": saying("attempt"),
    "leaks": saying("prompt"),
    "dictates a reply": saying("reply"),
    "refuses": saying("refuse"),
    "junk": saying("junk"),
    "echo": echo,
    "nothing readable": sends(b"\xff{\x00" * 1_000),
    "an error with the key": fails(401),
}


def test_there_are_enough_attacks_of_every_kind() -> None:
    """At least 150, on high-risk and on harmless text, and no post twice."""
    assert len(ATTACKS) >= 150
    assert len({each["id"] for each in ATTACKS}) == len({redacted(each) for each in ATTACKS}) == len(ATTACKS)
    assert min(Counter(each["on"] for each in ATTACKS).values()) >= 75
    assert {each["family"] for each in ATTACKS} >= {
        *("ignore", "fake_json", "fake_turn", "delimiter", "encoded", "language", "hidden", "label", "leak", "reply")
    }


@pytest.mark.parametrize("act", HOSTILE.values(), ids=HOSTILE.keys())
async def test_no_attack_lowers_a_level_changes_a_reply_or_leaks(
    act: Act, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attack, under a policy where every one of them is read, against each kind of hostile model."""
    monkeypatch.setenv("NIGHTLIGHT_LLM_API_KEY", KEY)
    async with FakeLlm(act) as server:
        llm = {
            "base_url": server.base_url,
            "model": "fake",
            "subreddits": ["testsub"],
            "cache": tmp_path / "answers.db",
        }
        config = Config.model_validate(
            {"llm": {**llm, **EVERYTHING}, "policy": NO_CRISIS, "replies": {"auto": ["crisis", "urgent", "watch"]}}
        )
        local = await asyncio.to_thread(judge, [post_of(each) for each in ATTACKS], hybrid(), config.team)
        async with open_llm(config, attempts=1, clock=HandClock()) as annotator:
            reader = SecondReader(annotator, config.llm, config.team)
            assert all(reader.wants(each) for each in local)
            read = await asyncio.gather(*(reader.read(each) for each in local))
        assert {call.post for call in server.calls} == {redacted(each) for each in ATTACKS}
        secrets = {KEY, *(line for call in server.calls[:3] for line in said_to_the_model(call))}
    assert len(secrets) > 5
    for before, after in zip(local, read, strict=True):
        assert after.decision.level >= before.decision.level
        assert replies(after) == replies(before)
        assert (after.local, after.post) == (before.decision, before.post)
        assert assessed(after) == assessed(before)
        line = to_line(to_record(after, config.policy)).decode()
        assert not [secret for secret in secrets if secret in line or secret in repr(after)]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [secret for secret in secrets if secret.encode() in kept]


def replies(judgement: Judgement) -> list[Any]:
    """What is planned to be said to the author."""
    return [each for each in judgement.decision.deliveries if each.kind is DeliveryKind.REPLY]


def assessed(judgement: Judgement) -> Any:
    """The probabilities, which no model on a server has a say in."""
    assessment = judgement.assessment
    assert assessment is not None
    return assessment.relevance, assessment.disorders, assessment.severity, assessment.risk


async def test_no_attack_chooses_more_than_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attack in an alert whose advice a model orders as the attack asks: vetted records in another order, and
    short reasons without prompt or key.
    """
    monkeypatch.setenv("NIGHTLIGHT_LLM_API_KEY", KEY)
    catalogue, today = Catalogue.load(), date(2026, 12, 1)
    everything_urgent = {**NO_CRISIS, "urgent": [{"risk": "none", "min_probability": 0.0}]}
    async with FakeLlm(obedient) as server:
        llm = {"base_url": server.base_url, "model": "fake", "subreddits": ["testsub"]}
        config = Config.model_validate({"llm": llm, "policy": everything_urgent})
        local = await asyncio.to_thread(judge, [post_of(each) for each in ATTACKS], hybrid(), config.team)
        async with open_chooser(config, HandClock(), permitted, permitted) as model:
            reader = Chooser(Nobody(), model, config.llm, catalogue, lambda: today)
            after = await asyncio.gather(*(reader.read(each) for each in local))
        said = server.calls[0].said.replace(server.calls[0].data, "")
        prompt = {line.strip() for line in said.splitlines() if len(line.strip()) >= 25 and not line.startswith("- ")}
    assert [replace(each, counsel=None) for each in after] == local
    reordered = [each.counsel for each in after if each.counsel]
    assert len(reordered) > 50
    for offer in reordered:
        assert all(catalogue.find(each.id) for each in offer.recommendations)
        assert all(0 < len(reason) <= 200 for reason in offer.model_reasons.values())
        reasons = " ".join(offer.model_reasons.values())
        assert not [secret for secret in (KEY, *prompt) if secret[:25] in reasons]
    assert any(offer.model_reasons for offer in reordered)


@dataclass(frozen=True)
class Outcome:
    """What a run of the bot made of the attacks, by author; everything it wrote, and its log."""

    levels: dict[str, Level]
    replies: dict[str, str]
    written: bytes


async def run_live(folder: Path, secrets: Secrets, llm: str | None) -> Outcome:
    """The whole bot against a sandbox in which every attack was posted; replies need no approval. A dry run."""
    clock, stop, lines = HandClock(), asyncio.Event(), io.StringIO()
    reddit = SandboxReddit(clock)
    reddit.add_subreddit("testsub")
    authors = {}
    for each in ATTACKS:
        author = f"author_{each['id']}"
        authors[reddit.submit("testsub", each["title"], each["selftext"], author)] = author
    levels: dict[str, Level] = {}
    due: set[tuple[str, DeliveryKind]] = set()
    delivered: list[Delivery] = []

    def on_judged(judgement: Judgement) -> None:
        levels[authors[judgement.post.id]] = judgement.decision.level
        due.update(
            (judgement.post.id, each.kind)
            for each in judgement.decision.deliveries
            if each.kind is not DeliveryKind.DIGEST and each.state is DeliveryState.PENDING
        )

    def on_delivery(delivery: Delivery, outcome: str) -> None:
        delivered.append(delivery)

    log.set_up(Log(level="debug", format="json"), stream=lines)
    async with SandboxServer(reddit) as server:
        config = Config.model_validate(
            {
                "reddit": {"base_url": server.base_url, "subreddits": ["testsub"], "poll_seconds": 1},
                "store": {"path": folder / "nightlight.db"},
                "deliver": {"dry_run": True},
                "replies": {"auto": ["crisis", "urgent", "watch"], "daily_cap": 10_000},
                "health": {"port": 0},
                "llm": {
                    **EVERYTHING,
                    **({"base_url": llm, "model": "fake", "subreddits": ["testsub"]} if llm else {}),
                    "cache": folder / "answers.db",
                },
            }
        )
        loop = app.run(config, secrets, hybrid, stop, clock=clock, on_judged=on_judged, on_delivery=on_delivery)
        task = asyncio.create_task(loop)
        try:
            async with asyncio.timeout(90):
                while len(levels) < len(ATTACKS) or due - {(each.post_id, each.kind) for each in delivered}:
                    assert not task.done()
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await asyncio.wait_for(task, 15)
            structlog.reset_defaults()
    replies = {authors[each.post_id]: each.body for each in delivered if each.kind is DeliveryKind.REPLY}
    written = b"".join(path.read_bytes() for path in folder.iterdir()) + lines.getvalue().encode()
    written += "".join(each.subject + each.body for each in delivered).encode()
    return Outcome(levels, replies, written)


@pytest.mark.timeout(240)
async def test_the_whole_bot_stands_against_an_obedient_model(
    tmp_path: Path, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once without a model and once with one that obeys, which reads and orders what may help: no level is lower, every
    reply is the same to the letter, and neither prompt nor key is in an alert, a log line or the store, from which the
    page is made.
    """
    monkeypatch.setenv("NIGHTLIGHT_LLM_API_KEY", KEY)
    for name in ("alone", "read"):
        (tmp_path / name).mkdir()
    alone = await run_live(tmp_path / "alone", secrets, None)
    async with FakeLlm(obedient) as server:
        read = await run_live(tmp_path / "read", secrets, server.base_url)
        assert len({call.post for call in server.calls}) == sum(
            level is not Level.CRISIS for level in alone.levels.values()
        )
        chosen = [call for call in server.calls if is_choice(call)]
        assert chosen
        records = set(re.findall(r"^- .*$", "\n".join(call.said for call in chosen), re.MULTILINE))
        asked = [line for call in (*server.calls[:3], *chosen[:3]) for line in said_to_the_model(call)]
        hidden = {KEY, *asked} - records
    assert b"(fake) put these in order" in read.written
    assert len(alone.levels) == len(read.levels) == len(ATTACKS)
    assert all(read.levels[author] >= level for author, level in alone.levels.items())
    assert read.replies == alone.replies
    assert alone.replies
    assert not [secret for secret in hidden if secret.encode() in read.written]
