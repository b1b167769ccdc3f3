"""Cases as the pipeline leaves them, for whatever needs some, and the pages as somebody sees them who is signed in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.clock import Clock, SystemClock, date_of
from bot.config import Config
from bot.judge import judge
from bot.outbox import Draft, Outbox
from bot.record import to_record
from bot.replies import compose_reply
from bot.resources import Catalogue
from bot.review.moderator import Moderator, Role
from bot.review.pages import Rooms, routes
from bot.store import Store
from bot.types import DeliveryKind, Post
from models.assessment import Classifier
from models.labels import Level

CATALOGUE = Catalogue.load()
CSRF = "a token"
ANNA = Moderator("mod_anna", Role.MODERATOR, frozenset({"testsub"}))
BEN = Moderator("mod_ben", Role.OWNER, frozenset({"testsub", "quietcorner"}))
OLGA = Moderator("olga", Role.OBSERVER, frozenset({"testsub"}))
STRANGER = Moderator("somebody", Role.OWNER, frozenset({"elsewhere"}))


class Earlier(SystemClock):
    """The machine's clock, some time ago."""

    ago = 0.0

    def now(self) -> float:
        """Seconds since the epoch, less `ago`."""
        return super().now() - self.ago


async def file_case(
    store: Store,
    clock: Clock,
    classifier: Classifier,
    id: str,
    text: str = "ideation",
    *,
    subreddit: str = "testsub",
    title: str = "a title",
    author: str | None = "somebody",
    config: Config | None = None,
    choice: Mapping[str, Any] | None = None,
) -> None:
    """A post judged now and stored with its record, its alert and its reply, if the policy asks for them.

    `choice` is what a language model chose of its advice.
    """
    config = config or Config()
    now = clock.now()
    post = Post(id, subreddit, author, title, text, now - 60, f"/r/{subreddit}/comments/{id}/a_title/")
    (judgement,) = judge([post], classifier, config.team)
    team, today = config.team(subreddit), date_of(now)
    drafts = []
    for planned in judgement.decision.deliveries:
        is_reply = planned.kind is DeliveryKind.REPLY
        body = compose_reply(post, judgement.decision, team, CATALOGUE, today) if is_reply else "an alert"
        drafts.append(Draft(id, subreddit, judgement.decision.level, planned, f"about {id}", body, now))
    needed = judgement.decision.level is not Level.NONE
    kept = post if needed else replace(post, author=None, title="", text="", permalink="")
    async with store.transaction():
        await store.execute(
            "add_post",
            {
                **asdict(kept),
                "author_hash": None,
                "level": judgement.decision.level,
                "reasons": json.dumps([asdict(reason) for reason in judgement.decision.reasons]),
                "record": json.dumps(to_record(judgement, team.policy)),
                "choice": json.dumps(choice) if choice else None,
                "fetched_utc": now,
                "now": now,
                "forgotten_utc": None if needed else now,
            },
        )
        await Outbox(store, clock).enqueue(drafts)


class SignedIn:
    """What stands before the pages in a running bot: says who asks. It lets through only forms with the token."""

    def __init__(self, app: ASGIApp, moderator: Moderator) -> None:
        self.app = app
        self.moderator = moderator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Names the moderator and the token in the request's state."""
        scope.setdefault("state", {}).update(moderator=self.moderator, csrf=CSRF)
        await self.app(scope, receive, send)


@asynccontextmanager
async def browsing(rooms: Rooms, moderator: Moderator) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser in which somebody is signed in."""
    transport = httpx2.ASGITransport(app=SignedIn(Starlette(routes=routes(rooms)), moderator))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client
