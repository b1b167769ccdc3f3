"""The sandbox answers in the fields and types that Reddit's recorded answers have."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from bot.sandbox import api
from bot.sandbox.gate import Call
from bot.sandbox.state import CLIENT_ID, CLIENT_SECRET, PASSWORD, REFRESH_TOKEN, USERNAME, SandboxReddit

FIELDS = json.loads((Path(__file__).parent.parent / "reddit_fields.json").read_text())
PLAIN = {"null": type(None), "bool": bool, "int": int, "float": float, "str": str}


class StillClock:
    """Time stands still at a round hour."""

    def now(self) -> float:
        return 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        raise NotImplementedError


def problems(value: Any, kind: str, at: str = "answer") -> list[str]:
    """Where `value` is not of the `kind` that tests/reddit_fields.json speaks of; empty when it is."""
    if kind[0] + kind[-1] == "[]":
        if not isinstance(value, list):
            return [f"{at}: not a list"]
        return [p for i, item in enumerate(value) for p in problems(item, kind[1:-1], f"{at}[{i}]")]
    if kind[0] + kind[-1] == "{}":
        if not isinstance(value, dict):
            return [f"{at}: not an object"]
        return [p for key, item in value.items() for p in problems(item, kind[1:-1], f"{at}.{key}")]
    if "|" in kind:
        return min((problems(value, choice, at) for choice in kind.split("|")), key=len)
    if kind.startswith("@"):
        return _problems_of_thing(value, FIELDS["things"][kind[1:]], at)
    return [] if kind == "any" or type(value) is PLAIN[kind] else [f"{at}: {type(value).__name__}, not {kind}"]


def _problems_of_thing(value: Any, thing: dict[str, dict[str, str]], at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: not an object"]
    always, sometimes = (
        {name: kind for kind, names in thing.get(when, {}).items() for name in names.split()}
        for when in ("always", "sometimes")
    )
    missing = [f"{at}.{name}: missing" for name in sorted(always.keys() - value.keys())]
    unknown = [f"{at}.{name}: not Reddit's" for name in sorted(value.keys() - always.keys() - sometimes.keys())]
    known = always | sometimes
    wrong = [p for name in value if name in known for p in problems(value[name], known[name], f"{at}.{name}")]
    return missing + unknown + wrong


def a_lived_in_reddit() -> SandboxReddit:
    """One of everything: deleted, removed, locked, reported, approved, answered; moderated by the bot and not."""
    reddit = SandboxReddit(StillClock())
    reddit.add_subreddit("gardening", moderators=(USERNAME, "rose"))
    reddit.add_subreddit("elsewhere", moderators=("oak",))
    for subreddit in ("gardening", "elsewhere"):
        for title in ("plain", "deleted", "removed", "locked", "reported", "approved", ""):
            reddit.submit(subreddit, title, "Some <b>text</b>.", "fern", id=f"{subreddit}{title}")
        reddit.delete_by_author(f"{subreddit}deleted")
        reddit.remove_by_moderator(f"{subreddit}removed")
        reddit.lock(f"{subreddit}locked")
        reddit.report(f"{subreddit}reported", "weeds", "moss")
        reddit.report(f"{subreddit}reported", "more weeds", "rose")
        reddit.approve(f"{subreddit}approved")
        top = reddit.comment(f"t3_{subreddit}plain", "Top", USERNAME)
        reddit.comment(top.fullname, "Below", "fern")
        reddit.report(top.fullname, "weeds", "moss")
        reddit.distinguish(top.fullname, on=True, sticky=True)
        gone = reddit.comment(f"t3_{subreddit}plain", "Gone", "moss")
        reddit.delete_by_author(gone.fullname)
    for number in range(3):
        reddit.discuss("gardening", f"Subject {number}", "Body", USERNAME)
    reddit.discuss("gardening", "Hello", "Body", USERNAME, to="fern")
    return reddit


def every_answer(reddit: SandboxReddit) -> list[tuple[str, Any]]:
    """Each endpoint called in each way that changes the shape of its answer: (endpoint, answer)."""

    def call(work: Any, form: dict[str, str] | None = None, **path: str) -> Any:
        result = work(Call(reddit, USERNAME, path, form or {}))
        return json.loads(bytes(result.body) if isinstance(result, Response) else json.dumps(result))

    def token(**form: str) -> Any:
        basic = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        return json.loads(bytes(api.access_token(reddit, basic, form).body))

    names = ",".join([*(s.fullname for s in reddit.submissions.values()), *(f"t1_{id}" for id in reddit.comments)])
    top = next(iter(reddit.comments))
    return [
        ("POST /api/v1/access_token", token(grant_type="password", username=USERNAME, password=PASSWORD)),
        ("POST /api/v1/access_token", token(grant_type="refresh_token", refresh_token=REFRESH_TOKEN)),
        ("POST /api/v1/access_token", token(grant_type="client_credentials")),
        ("GET /api/v1/me", call(api.me)),
        ("GET /r/SUB/new", call(api.new, subreddit="gardening")),
        ("GET /r/SUB/new", call(api.new, {"limit": "2"}, subreddit="elsewhere")),
        ("GET /r/SUB/new", call(api.new, {"before": "t3_not-there"}, subreddit="gardening+elsewhere")),
        ("GET /api/info", call(api.info, {"id": names})),
        ("GET /comments/ID", call(api.thread, id="gardeningplain")),
        ("GET /comments/ID", call(api.thread, id="elsewhereremoved")),
        ("POST /api/comment", call(api.comment, {"thing_id": "t3_gardeningplain", "text": "Hello"})),
        ("POST /api/report", call(api.report, {"id": "t3_gardeningplain", "reason": "weeds"})),
        ("POST /api/distinguish", call(api.distinguish, {"id": f"t1_{top}", "how": "yes", "sticky": "true"})),
        (
            "POST /api/mod/conversations",
            call(api.start_conversation, {"srName": "gardening", "subject": "S", "body": "B"}),
        ),
        ("GET /api/mod/conversations", call(api.conversations, {"state": "mod", "entity": "gardening"})),
        ("GET /api/mod/conversations", call(api.conversations)),
        ("GET /api/mod/conversations/ID", call(api.conversation, id=reddit.conversations[0].id)),
        ("GET /r/SUB/about", call(api.about, subreddit="elsewhere")),
        ("GET /r/SUB/about/moderators", call(api.moderators, subreddit="gardening")),
        ("GET /r/SUB/about/modqueue", call(api.modqueue, subreddit="gardening")),
        ("GET /r/SUB/about/unmoderated", call(api.unmoderated, subreddit="gardening")),
        ("GET /user/NAME/comments", call(api.comments_of_user, name=USERNAME)),
    ]


def test_every_answer_has_reddits_fields_and_types() -> None:
    """No answer lacks a field of Reddit's, has one of another type, or makes one up."""
    for endpoint, answer in every_answer(a_lived_in_reddit()):
        assert problems(answer, FIELDS["answers"][endpoint], endpoint) == []


def test_every_listed_endpoint_is_walked() -> None:
    """The list of answers and the walk name the same endpoints."""
    assert {endpoint for endpoint, _ in every_answer(a_lived_in_reddit())} == FIELDS["answers"].keys()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"author": None}, "answer.author: NoneType, not str"),
        ({"created_utc": 1}, "answer.created_utc: int, not float"),
        ({"invented": 1}, "answer.invented: not Reddit's"),
        ({"title": ...}, "answer.title: missing"),
    ],
)
def test_the_walk_sees_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    """A missing field, an invented one and a wrong type are each named with their place."""
    reddit = a_lived_in_reddit()
    submission = api.new(Call(reddit, USERNAME, {"subreddit": "gardening"}, {}))["data"]["children"][0]["data"]
    broken = {name: value for name, value in (submission | change).items() if value is not ...}
    assert problems(broken, "@t3") == [problem]


def test_what_an_author_deleted_is_gone_for_moderators_too() -> None:
    """A deleted submission keeps its title and nothing that leads to its author."""
    reddit = a_lived_in_reddit()
    shown = api.info(Call(reddit, USERNAME, {}, {"id": "t3_gardeningdeleted"}))["data"]["children"][0]["data"]
    assert (shown["author"], shown["selftext"], shown["removed_by_category"]) == ("[deleted]", "[deleted]", "deleted")
    assert "author_fullname" not in shown


@pytest.mark.parametrize(("subreddit", "text"), [("gardening", "Some <b>text</b>."), ("elsewhere", "[removed]")])
def test_what_moderators_removed_only_moderators_read(subreddit: str, text: str) -> None:
    """A removed submission shows its text to its moderators and `[removed]` to others; both see who removed it."""
    call = Call(a_lived_in_reddit(), USERNAME, {}, {"id": f"t3_{subreddit}removed"})
    shown = api.info(call)["data"]["children"][0]["data"]
    assert (shown["selftext"], shown["removed_by_category"]) == (text, "moderator")


def test_html_of_a_text_is_escaped() -> None:
    """The HTML twin of a text carries the stranger's markup as text."""
    shown = api.new(Call(a_lived_in_reddit(), USERNAME, {"subreddit": "gardening"}, {}))["data"]["children"]
    assert all(re.search("<b>", child["data"]["selftext_html"]) is None for child in shown)
