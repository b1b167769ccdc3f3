"""What stands around every page: what waits, what can be undone, and words in place of errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.clock import Clock, date_of
from bot.config import Config
from bot.errors import UsageError
from bot.resources import Catalogue
from bot.review.desk import Desk
from bot.review.moderator import Moderator
from bot.review.queue import Queue, Waiting
from bot.review.refusals import note_refusal
from bot.review.rendering import page
from bot.review.words import Words
from bot.store import Store

say = Words.load()
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the pages are made from."""

    store: Store
    desk: Desk
    config: Config
    catalogue: Catalogue
    clock: Clock


class Problem(Exception):
    """Ends a request with a page that says why: the words under `problem` with this key, and no other."""

    def __init__(self, status: int, key: str) -> None:
        super().__init__(key)
        self.status, self.key = status, key
        self.words = say(f"problem.{key}")


class Frame:
    """Renders pages for whoever `request.state.moderator` names."""

    def __init__(self, rooms: Rooms) -> None:
        self._desk = rooms.desk
        self._clock = rooms.clock
        self._dry_run = rooms.config.deliver.dry_run
        self.queue = Queue(rooms.store, rooms.clock)

    async def page(
        self, request: Request, name: str, status: int = 200, waiting: Sequence[Waiting] = (), **values: object
    ) -> HTMLResponse:
        """The template of this name, with what waits above it, which is asked for unless it is given."""
        moderator = moderator_of(request)
        common = {
            "waiting": waiting or await self.queue.waiting(moderator.subreddits),
            "set_aside": await self.queue.set_aside(moderator.subreddits),
            "undoable": await self._desk.undoable(moderator.name),
            "dry_run": self._dry_run,
            "standing": self.standing,
            "now": self._clock.now(),
        }
        return page(request, name, status, **common, **values)

    def told(self, handler: Handler) -> Handler:
        """The handler, with a page in place of every error that a moderator can do something about."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                if problem.status in (403, 404):
                    note_refusal(request, problem.key)
                return await self.page(request, "problem.html", problem.status, what=problem.words)
            except UsageError as error:
                return await self.page(request, "problem.html", 409, what=str(error))

        return answer

    def acting(self, handler: Handler) -> Handler:
        """The handler, for those alone who may act."""

        async def answer(request: Request) -> Response:
            if not moderator_of(request).may_act:
                raise Problem(403, "not_yours")
            return await handler(request)

        return answer

    def standing(self, waiting: Waiting) -> str:
        """How many wait at a level and for how long, in a few words."""
        if waiting.oldest_utc is None:
            return say("waiting.none")
        age = say("waiting.oldest", age=say.span(self._clock.now() - waiting.oldest_utc))
        return f"{say('waiting.count', count=waiting.count)}, {age}"

    def today(self) -> date:
        """The date in UTC."""
        return date_of(self._clock.now())


def moderator_of(request: Request) -> Moderator:
    """Who asks."""
    moderator: Moderator = request.state.moderator
    return moderator
