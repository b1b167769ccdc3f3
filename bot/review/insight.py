"""The pages to read: numbers, settings in force, resources and how long they hold, health, and care."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.deployment import BOUNDS
from bot.pictures import NARROW, WIDE, drawing
from bot.replies import in_words
from bot.resources import Line
from bot.review.frame import Frame, Handler, Problem, Rooms, moderator_of, say
from bot.review.moderator import Moderator, Role
from bot.review.numbers import Numbers, count, draw_curve, draw_days, draw_drift, read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Numbers this old, in seconds, are new enough; counting them takes a moment.
_FRESH_SECONDS = 300.0
# Of one team at once: a slider can ask for as many as there are bounds.
_DRAWINGS = 32
_HEIGHTS = {WIDE: 220, NARROW: 200}
# A bot that is well writes its figures down every few seconds.
_SILENT_SECONDS = 180.0
_SOON_DAYS = 30

# Sections for owners alone, since they tell of the machine; the names of other teams' communities in them are left out.
_COMMON = ("reddit", "store", "deliver", "model", "llm", "review", "health", "log")
_NAMES = "subreddits"
# Whom another team trusts is its own affair.
_LEFT_OUT = ("owners", "observers")


def routes(rooms: Rooms, frame: Frame) -> list[BaseRoute]:
    """The pages that change nothing."""
    insight = _Insight(rooms, frame)
    shown: dict[str, Handler] = {
        "/numbers": insight.numbers,
        "/numbers/{chart}.svg": insight.chart,
        "/settings": insight.settings,
        "/resources": insight.resources,
        "/health": insight.health,
        "/care": insight.care,
    }
    return [Route(path, frame.told(handler), methods=["GET"]) for path, handler in shown.items()]


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was counted at a moment of the monotonic clock, and what was drawn of it: by name, width and bound."""

    at: float
    numbers: Numbers
    drawn: dict[tuple[str, int, float | None], str] = field(default_factory=dict)


class _Insight:
    def __init__(self, rooms: Rooms, frame: Frame) -> None:
        self._rooms = rooms
        self._frame = frame
        self._counted: dict[frozenset[str], _Counted] = {}
        # One at a time: the live loop needs the other core, and matplotlib's settings belong to the whole process.
        self._working = asyncio.Lock()

    async def numbers(self, request: Request) -> Response:
        """Figures of the last weeks, and what another bound would have done."""
        counted, tried = await self._numbers(moderator_of(request)), _bound(request)
        numbers = counted.numbers
        return await self._frame.page(
            request,
            "numbers.html",
            numbers=numbers,
            tried=numbers.what_if(tried) if tried else None,
            a_day=json.dumps({f"{what.bound:.2f}": f"{what.a_day:.1f}" for what in numbers.curve}),
            wide=WIDE,
        )

    async def chart(self, request: Request) -> Response:
        """One picture; `?narrow` for a telephone."""
        counted, tried = await self._numbers(moderator_of(request)), _bound(request)
        numbers = counted.numbers
        charts: Mapping[str, Callable[[Axes], None]] = {
            "days": partial(draw_days, numbers),
            "curve": partial(draw_curve, numbers, chosen=tried),
            "drift": partial(draw_drift, numbers),
        }
        name = request.path_params["chart"]
        if name not in charts or (name == "drift" and not numbers.weeks):
            raise Problem(404, "not_found")
        width = NARROW if "narrow" in request.query_params else WIDE
        svg = await self._drawn(counted, (name, width, tried if name == "curve" else None), charts[name])
        return Response(svg, media_type="image/svg+xml")

    async def _drawn(
        self, counted: _Counted, which: tuple[str, int, float | None], draw: Callable[[Axes], None]
    ) -> str:
        """A picture of these numbers, drawn once; whoever asks for one that is there waits for nobody."""
        if which in counted.drawn:
            return counted.drawn[which]
        async with self._working:
            if which not in counted.drawn:
                if len(counted.drawn) >= _DRAWINGS:
                    counted.drawn.clear()
                _, width, _ = which
                counted.drawn[which] = await asyncio.to_thread(drawing, draw, width, _HEIGHTS[width])
            return counted.drawn[which]

    async def _numbers(self, moderator: Moderator) -> _Counted:
        if (known := self._fresh(moderator)) is not None:
            return known
        async with self._working:
            found = self._fresh(moderator)
            if found is None:
                rows = await read_rows(self._rooms.store, self._rooms.clock, moderator.subreddits)
                # Teams may have tables of their own; where somebody sees several, the common one is moved.
                one = next(iter(moderator.subreddits)) if len(moderator.subreddits) == 1 else None
                policy = self._rooms.config.team(one).policy if one else self._rooms.config.policy
                found = _Counted(self._rooms.clock.monotonic(), await asyncio.to_thread(count, rows, policy))
                self._counted[moderator.subreddits] = found
            return found

    def _fresh(self, moderator: Moderator) -> _Counted | None:
        found = self._counted.get(moderator.subreddits)
        is_old = found is None or self._rooms.clock.monotonic() - found.at > _FRESH_SECONDS
        return None if is_old else found

    async def settings(self, request: Request) -> Response:
        """What is set in one's own communities; for owners also what is set on the machine that the bot runs on."""
        moderator, config = moderator_of(request), self._rooms.config
        shown = _COMMON if moderator.role is Role.OWNER else ()
        common = [(name, _settings(getattr(config, name), moderator)) for name in shown]
        teams = [
            (
                name,
                [
                    (part, _settings(getattr(config.team(name), part), moderator))
                    for part in ("alerts", "replies", "policy")
                ],
            )
            for name in sorted(moderator.subreddits)
        ]
        return await self._frame.page(request, "settings.html", common=common, teams=teams)

    async def resources(self, request: Request) -> Response:
        """Every line of the catalogue, with its sources and until when it holds; first what must be looked at again."""
        catalogue, today = self._rooms.catalogue, self._frame.today()
        own = self._countries(moderator_of(request))
        by_country: dict[str, list[Line]] = {}
        for line in catalogue.line:
            by_country.setdefault(line.country, []).append(line)
        return await self._frame.page(
            request,
            "resources.html",
            own=own,
            countries=dict(sorted(by_country.items())),
            directories=catalogue.directory,
            soon=catalogue.due(today + timedelta(days=_SOON_DAYS)),
            today=today,
            in_words=in_words,
        )

    async def health(self, request: Request) -> Response:
        """Whether the bot is at work, as far as this team is concerned."""
        moderator, standing = moderator_of(request), await self._rooms.desk.standing()
        now = self._rooms.clock.now()
        return await self._frame.page(
            request,
            "health.html",
            watches=[each for each in standing.watches if moderator.may_see(each.subreddit)],
            vitals=standing.vitals,
            vitals_utc=standing.vitals_utc,
            silent=standing.vitals_utc is None or now - standing.vitals_utc > _SILENT_SECONDS,
            dead=sum(moderator.may_see(each.subreddit) for each in standing.dead),
            gaps=sum(each.is_open and moderator.may_see(each.subreddit) for each in standing.gaps),
            llm_calls=standing.llm_calls,
        )

    async def care(self, request: Request) -> Response:
        """For those who read all this: when to stop, and who is there for them."""
        catalogue, today = self._rooms.catalogue, self._frame.today()
        lines = [
            line for code in self._countries(moderator_of(request)) for line in catalogue.crisis_lines(code, today)
        ]
        return await self._frame.page(
            request, "care.html", lines=[in_words(line) for line in lines], directories=catalogue.directories(today)
        )

    def _countries(self, moderator: Moderator) -> list[str]:
        teams = (self._rooms.config.team(name) for name in moderator.subreddits)
        return sorted({team.replies.country for team in teams} - {""})


def _bound(request: Request) -> float | None:
    """The bound that somebody tries; None when it is none of those that can be tried."""
    try:
        asked = round(float(request.query_params.get("bound", "")), 2)
    except (ValueError, OverflowError):
        return None
    return asked if asked in BOUNDS else None


def _settings(section: BaseModel, moderator: Moderator) -> list[_Setting]:
    found = []
    for name, info in type(section).model_fields.items():
        if name in _LEFT_OUT:
            continue
        value: Any = getattr(section, name)
        if name == _NAMES:
            value = tuple(each for each in value if moderator.may_see(each))
        found.append(_Setting(name, _words(value), info.description or ""))
    return found


def _words(value: Any) -> str:
    if isinstance(value, BaseModel):
        stated = value.model_dump(mode="json", exclude_unset=True)
        return ", ".join(f"{name} {each}" for name, each in stated.items())
    if isinstance(value, tuple | list | frozenset):
        return "; ".join(_words(each) for each in value)
    if isinstance(value, bool):
        return say("settings.yes" if value else "settings.no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_words(each)}" for name, each in value.items())
    return "" if value is None else str(value)
