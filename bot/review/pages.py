"""The moderators' pages: what a browser asks for, and which act of the desk it is.

Whoever answers here is signed in already: `request.state.moderator` says who it is, and every form that arrives has
been checked against `request.state.csrf`. All pages work without JavaScript.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from bot.advice import advice_words
from bot.errors import UsageError
from bot.inert import visible
from bot.links import REDDIT, link_to
from bot.manners import Ruling, Verdict
from bot.policy import RISK_WORDS, SEVERITY_WORDS
from bot.replies import (
    LINES_NAMED,
    Parts,
    in_words,
    lines_to_choose,
    proposed_country,
    proposed_parts,
)
from bot.resources import Directory, Line
from bot.review import insight
from bot.review.case import Case
from bot.review.desk import LEVELS, UNDO_SECONDS, Gap, Why
from bot.review.frame import Frame, Handler, Problem, Rooms, moderator_of, say
from bot.review.history import History
from bot.review.moderator import Moderator
from bot.review.queue import Entry
from bot.review.rendering import templates
from bot.types import Delivery, DeliveryKind, DeliveryState, Reason
from models.assessment import Assessment, Evidence
from models.labels import Disorder, Level, Risk, Severity

_SHOWN, _A_PAGE = 10, 50
_PAGES = 10_000
_EVENTS = 50
_NOTE_LENGTH, _MEANING_LENGTH = 300, 200
# A topic that is less likely than this is no news.
_TOPIC_FROM = 0.2
_MARKABLE = (Level.CRISIS, Level.URGENT, Level.WATCH, Level.NONE)
_TONES = (Level.CRISIS, Level.URGENT, Level.WATCH)
# A browser comes back by itself; whether it is still signed in is asked anew each time it does.
_LISTEN_SECONDS, _LOOK_SECONDS = 60.0, 3.0
# Who gives a reason, by the kind of its code: a key of the words `why.by`. The bot gives all others.
_GIVERS = {
    "risk": "team",
    "severity": "team",
    "relevance": "team",
    "words": "words",
    "term": "terms",
    "language": "language",
    "llm": "llm",
}

__all__ = ["Rooms", "routes"]

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class _Section:
    level: Level
    count: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class _Chosen:
    level: Level | None
    subreddit: str
    mine: bool


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One page of a list: what it shows of how many, and which of how many pages it is."""

    shown: Sequence[object]
    count: int
    number: int
    pages: int

    @classmethod
    def of(cls, whole: Sequence[object], number: int) -> _Leaf:
        """The page of that number, or the last one there is."""
        pages = max(1, -(-len(whole) // _A_PAGE))
        number = min(number, pages)
        return cls(whole[(number - 1) * _A_PAGE : number * _A_PAGE], len(whole), number, pages)


def routes(rooms: Rooms) -> list[BaseRoute]:
    """Every page and every act, for whoever `request.state.moderator` names."""
    templates()  # now, so that no request waits for the disk inside the event loop
    frame = Frame(rooms)
    pages = _Pages(rooms, frame)
    shown: dict[str, Handler] = {
        "/": pages.queue,
        "/search": pages.search,
        "/aside": pages.aside,
        "/case/{post_id}": pages.case,
        "/case/{post_id}/reply": pages.reply,
        "/history": pages.history,
        "/history.csv": pages.history_csv,
        "/events": pages.events,
    }
    done: dict[str, Handler] = {
        "/next": pages.next,
        "/case/{post_id}/claim": pages.claim,
        "/case/{post_id}/release": pages.release,
        "/case/{post_id}/approve": pages.approve,
        "/case/{post_id}/edit": pages.edit,
        "/case/{post_id}/dismiss": pages.dismiss,
        "/case/{post_id}/mark": pages.mark,
        "/case/{post_id}/unmark": pages.unmark,
        "/case/{post_id}/escalate": pages.escalate,
        "/case/{post_id}/undo": pages.undo,
        "/delivery/{delivery_id:int}/retry": pages.retry,
        "/gap/{gap}/looked": pages.look_through,
        "/gap/{gap}/undo": pages.undo_look,
    }
    return [
        *(Route(path, frame.told(handler), methods=["GET"]) for path, handler in shown.items()),
        *(Route(path, frame.told(frame.acting(handler)), methods=["POST"]) for path, handler in done.items()),
        *insight.routes(rooms, frame),
    ]


class _Pages:
    def __init__(self, rooms: Rooms, frame: Frame) -> None:
        self._frame = frame
        self._desk = rooms.desk
        self._config = rooms.config
        self._catalogue = rooms.catalogue
        self._clock = rooms.clock
        self._history = History(rooms.store)

    # What is asked

    async def queue(self, request: Request, *, lost: bool = False) -> Response:
        """Every level with the first of its cases, so that no level is buried under another; or one level, whole.

        A page past the last one is the last one: others may have closed what stood there.
        """
        moderator = moderator_of(request)
        chosen = _chosen(request.query_params, moderator)
        among = frozenset({chosen.subreddit}) if chosen.subreddit else moderator.subreddits
        holder = moderator.name if chosen.mine else None
        counted = await self._frame.queue.waiting(among)
        waiting = {each.level: each for each in counted}
        size = _A_PAGE if chosen.level or chosen.mine else _SHOWN
        pages = max(1, -(-waiting[chosen.level].count // size)) if chosen.level and not chosen.mine else 1
        number = min(_number(request.query_params.get("page")), pages)
        # Posts that could not be read stand on a page of their own, all of them: it does not show whose are mine.
        every = [each for each in LEVELS if chosen.mine or each is not Level.UNASSESSED]
        sections = [
            _Section(
                level,
                waiting[level].count,
                await self._frame.queue.entries(level, among, holder=holder, limit=size, offset=(number - 1) * size),
            )
            for level in ([chosen.level] if chosen.level else every)
        ]
        return await self._frame.page(
            request,
            "queue.html",
            404 if lost else 200,
            () if chosen.subreddit else counted,
            sections=sections,
            chosen=chosen,
            levels=LEVELS,
            number=number,
            pages=pages,
            query=f"/?level={chosen.level}" + (f"&subreddit={chosen.subreddit}" if chosen.subreddit else ""),
            lost=lost,
        )

    async def search(self, request: Request) -> Response:
        """The case of a post, by its id or any link to it."""
        asked = request.query_params.get("q", "").strip()
        found = re.search(r"(?:/comments/|redd\.it/|^t3_|^)([A-Za-z0-9_-]{1,32})(?:[/?#]|$)", asked[:300])
        case = await self._desk.find(found[1].lower()) if found else None
        if case is None or not moderator_of(request).may_see(case.post.subreddit):
            return await self.queue(request, lost=True)
        return _to(f"/case/{case.post.id}")

    async def aside(self, request: Request) -> Response:
        """What the bot could not do by itself."""
        moderator, asked = moderator_of(request), request.query_params
        gaps = [gap for gap in reversed(await self._desk.gaps()) if moderator.may_see(gap.subreddit)]
        dead = [each for each in await self._desk.dead() if moderator.may_see(each.subreddit)]
        waiting = await self._frame.queue.waiting(moderator.subreddits)
        return await self._frame.page(
            request,
            "aside.html",
            waiting=waiting,
            unread_count=sum(each.count for each in waiting if each.level is Level.UNASSESSED),
            unread=await self._frame.queue.entries(Level.UNASSESSED, moderator.subreddits, limit=_A_PAGE),
            gaps=_Leaf.of([gap for gap in gaps if gap.is_open], _number(asked.get("gaps"))),
            looked=[gap for gap in gaps if not gap.is_open][:_SHOWN],
            newest_posts=lambda subreddit: f"{self._config.reddit.base_url or REDDIT}/r/{subreddit}/new",
            dead=_Leaf.of(dead, _number(asked.get("dead"))),
        )

    async def case(self, request: Request) -> Response:
        """One case with all that there is to know and to do."""
        case, moderator = await self._case(request), moderator_of(request)
        ruling = await self._desk.ruling(case)
        return await self._frame.page(
            request,
            "case.html",
            case=case,
            can_act=_can_act(moderator, case),
            can_approve=_can_approve(moderator, case, ruling),
            why_not=self._why_not(case, ruling),
            why_it_waits=self._desk.why_it_waits(case, ruling, self._catalogue),
            out_of_date=bool(self._desk.out_of_date(case)),
            link=link_to(case.post, self._config.reddit.base_url or REDDIT),
            named=_named,
            speaks=_speaks(case.assessment),
            visible=visible,
            helping=case.counsel(self._catalogue, self._frame.today()),
            advice=lambda each: advice_words(self._catalogue.find(each.id)),
            meaning=self._meaning,
            named_records=self._named_in(case),
            reply_state=self._reply_state(case.reply),
            likelihoods=self._likelihoods(case.assessment),
            likely=_likely,
            whys=list(Why),
            markable=_MARKABLE,
        )

    async def reply(self, request: Request) -> Response:
        """A reply put together from vetted parts, as it would read."""
        case = await self._case(request)
        if not case.reply_waits:
            raise UsageError(say("refusal.no_reply_waits"))
        ruling = await self._desk.ruling(case)
        asked, team, today = request.query_params, self._config.team(case.post.subreddit), self._frame.today()
        countries = self._catalogue.countries(today)
        country = asked.get("country", proposed_country(case.post, team))
        country = country if country in countries else ""
        lines = lines_to_choose(case.post, country, self._catalogue, today)
        level = case.level if case.level in _TONES else Level.URGENT
        parts = (
            _parts(asked)
            if "chosen" in asked
            else proposed_parts(case.post, level, team, self._catalogue, today, case.language)
        )
        known = {line.id for line in lines}
        kept = tuple(id for id in parts.lines if id in known)
        if not kept and asked.get("country"):
            kept = tuple(line.id for line in lines[:LINES_NAMED])  # another country was chosen
        parts = Parts(parts.words, kept, parts.directory)
        body, problem = "", ""
        try:
            body = self._desk.composed(case, parts, self._catalogue)
        except UsageError as error:
            problem = str(error)
        return await self._frame.page(
            request,
            "reply.html",
            case=case,
            parts=parts,
            tones=_TONES,
            countries=countries,
            country=country,
            lines=lines,
            body=body,
            problem=problem,
            can_approve=_can_approve(moderator_of(request), case, ruling),
            why_not=self._why_not(case, ruling),
            markable=_MARKABLE,
        )

    async def history(self, request: Request) -> Response:
        """What moderators did."""
        before = request.query_params.get("before", "")
        number = int(before) if re.fullmatch(r"[0-9]{1,18}", before, re.ASCII) else None
        events = await self._history.events(moderator_of(request).subreddits, number, _EVENTS)
        return await self._frame.page(request, "history.html", events=events, more=len(events) == _EVENTS)

    async def history_csv(self, request: Request) -> Response:
        """All of it as a table."""
        headers = {"content-disposition": 'attachment; filename="nightlight-history.csv"'}
        rows = self._history.as_csv(moderator_of(request).subreddits)
        return StreamingResponse(rows, media_type="text/csv; charset=utf-8; header=present", headers=headers)

    async def events(self, request: Request) -> Response:
        """A stream of server-sent events: what waits, whenever it changes."""
        stream = self._changes(moderator_of(request))
        # nginx, and what follows its example, would otherwise keep events until a buffer is full.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _changes(self, moderator: Moderator) -> AsyncIterator[str]:
        until = self._clock.monotonic() + _LISTEN_SECONDS
        told = ""
        yield "retry: 3000\n\n"
        while self._clock.monotonic() < until:
            waiting = await self._frame.queue.watched(moderator.subreddits)
            now = json.dumps(
                {
                    each.level: {
                        "words": self._frame.standing(each),
                        "count": each.count,
                        "newest": each.newest_utc or 0,
                    }
                    for each in waiting
                }
            )
            if now != told:
                told = now
                yield f"event: waiting\ndata: {now}\n\n"
            await self._clock.sleep(_LOOK_SECONDS)

    # What is done

    async def next(self, request: Request) -> Response:
        """Takes the most pressing case that nobody has."""
        moderator = moderator_of(request)
        case = await self._desk.next(moderator.name, moderator.subreddits)
        return _to(f"/case/{case.post.id}" if case else "/")

    async def claim(self, request: Request) -> Response:
        case = await self._case(request)
        await self._desk.claim(case.post.id, moderator_of(request).name)
        return _to(f"/case/{case.post.id}")

    async def release(self, request: Request) -> Response:
        case = await self._case(request)
        await self._desk.release(case.post.id, moderator_of(request).name)
        return _to("/")

    async def approve(self, request: Request) -> Response:
        case, form = await self._case(request), await request.form()
        await self._desk.approve(
            case.post.id,
            moderator_of(request).name,
            undo_seconds=UNDO_SECONDS,
            seen=str(form.get("seen", "")),
            level=_verdict(form),
        )
        return _to("/")

    async def edit(self, request: Request) -> Response:
        case, form = await self._case(request), await request.form()
        await self._desk.edit_and_approve(
            case.post.id,
            _parts(form),
            self._catalogue,
            moderator_of(request).name,
            seen=str(form.get("seen", "")),
            level=_verdict(form),
        )
        return _to("/")

    async def dismiss(self, request: Request) -> Response:
        case, form = await self._case(request), await request.form()
        why = _member(Why, form.get("why"))
        await self._desk.dismiss(case.post.id, moderator_of(request).name, why, _note(form), _verdict(form))
        return _to("/")

    async def mark(self, request: Request) -> Response:
        case, form = await self._case(request), await request.form()
        level = _member(Level, form.get("level"))
        await self._desk.mark(case.post.id, moderator_of(request).name, level)
        return _to(f"/case/{case.post.id}")

    async def unmark(self, request: Request) -> Response:
        case = await self._case(request)
        await self._desk.mark(case.post.id, moderator_of(request).name, None)
        return _to(f"/case/{case.post.id}")

    async def escalate(self, request: Request) -> Response:
        case, form = await self._case(request), await request.form()
        await self._desk.escalate(case.post.id, moderator_of(request).name, _note(form))
        return _to("/")

    async def undo(self, request: Request) -> Response:
        case = await self._case(request)
        await self._desk.undo(case.post.id, moderator_of(request).name)
        return _to(f"/case/{case.post.id}")

    async def retry(self, request: Request) -> Response:
        moderator, delivery_id = moderator_of(request), request.path_params["delivery_id"]
        mine = {each.id for each in await self._desk.dead() if moderator.may_see(each.subreddit)}
        if delivery_id not in mine:
            raise Problem(404, "not_found")
        await self._desk.retry(delivery_id, moderator.name)
        return _to("/aside#dead")

    async def look_through(self, request: Request) -> Response:
        gap = await self._gap(request)
        await self._desk.look_through(gap.name, moderator_of(request).name)
        return _to("/aside#gaps")

    async def undo_look(self, request: Request) -> Response:
        gap = await self._gap(request)
        await self._desk.undo(gap.name, moderator_of(request).name)
        return _to("/aside#gaps")

    async def _gap(self, request: Request) -> Gap:
        gap = await self._desk.gap(request.path_params["gap"])
        if gap is None or not moderator_of(request).may_see(gap.subreddit):
            raise Problem(404, "not_found")
        return gap

    async def _case(self, request: Request) -> Case:
        # Whose case another team's is, is not told: it is as if it were not there.
        case = await self._desk.find(request.path_params["post_id"])
        if case is None or not moderator_of(request).may_see(case.post.subreddit):
            raise Problem(404, "not_found")
        return case

    def _named_in(self, case: Case) -> list[Line | Directory]:
        """The records of the catalogue that the reply names."""
        body = case.reply.body if case.reply else ""
        lines = [line for line in self._catalogue.line if in_words(line, case.language) in body]
        return [*lines, *(each for each in self._catalogue.directory if f"({each.url})" in body)]

    def _why_not(self, case: Case, ruling: Ruling) -> str:
        """Why no reply can go out to a case that is open; empty when one can, or none would be proposed anyway."""
        wanted = DeliveryKind.REPLY in self._config.team(case.post.subreddit).policy.actions(case.level)
        asked = case.is_open and (case.reply_waits if case.reply else wanted)
        return ruling.words if asked and ruling.verdict is Verdict.NEVER else ""

    def _reply_state(self, reply: Delivery | None) -> str:
        """What has become of a reply, as a key of the words `reply.state`: in a dry run nobody was answered."""
        if reply is None:
            return ""
        if reply.state is DeliveryState.SENT and reply.was_dry:
            return "dry"
        if reply.state in (DeliveryState.PENDING, DeliveryState.SENDING) and self._config.deliver.dry_run:
            return "pending_dry"
        return reply.state

    def _meaning(self, evidence: Evidence) -> str:
        if evidence.label in list(Disorder):
            return self._catalogue.topic[Disorder(evidence.label)]
        if evidence.note:
            return visible(evidence.note)[:_MEANING_LENGTH]
        if evidence.label in list(Risk):
            return RISK_WORDS[Risk(evidence.label)]
        return SEVERITY_WORDS[Severity(evidence.label)] if evidence.label in list(Severity) else ""

    def _likelihoods(self, assessment: Assessment | None) -> list[tuple[str, list[tuple[str, float]]]]:
        """For each group of bars its words and probabilities; empty without an assessment."""
        if assessment is None:
            return []
        risk = [(RISK_WORDS[level], assessment.risk.at_least(level)) for level in list(Risk)[1:]]
        severity = [(SEVERITY_WORDS[level], assessment.severity.at_least(level)) for level in list(Severity)[1:]]
        likely = sorted(assessment.disorders.items(), key=lambda item: item[1], reverse=True)
        topics = [(say("likely.relevance"), assessment.relevance)]
        topics += [(self._catalogue.topic[which], p) for which, p in likely if p >= _TOPIC_FROM]
        return [("risk", risk), ("severity", severity), ("topics", topics)]


def _can_act(moderator: Moderator, case: Case) -> bool:
    return moderator.may_act and case.is_open and case.held_by_another(moderator.name) is None


def _can_approve(moderator: Moderator, case: Case, ruling: Ruling) -> bool:
    return _can_act(moderator, case) and case.reply_waits and ruling.verdict is not Verdict.NEVER


def _to(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303)


def _chosen(asked: QueryParams, moderator: Moderator) -> _Chosen:
    """What somebody wants to see; whatever makes no sense is left out."""
    level, subreddit = asked.get("level", ""), asked.get("subreddit", "").casefold()
    return _Chosen(
        level=Level(level) if level in LEVELS else None,
        subreddit=subreddit if moderator.may_see(subreddit) else "",
        mine=asked.get("mine") == "1",
    )


def _number(text: str | None) -> int:
    return min(int(text), _PAGES) or 1 if text and re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else 1


def _member(kind: type[E], value: object) -> E:
    try:
        return kind(str(value))
    except ValueError:
        raise Problem(400, "unclear") from None


def _parts(asked: FormData | QueryParams) -> Parts:
    words = asked.get("words")
    if words not in _TONES:
        raise Problem(400, "unclear")
    return Parts(Level(words), tuple(str(id) for id in asked.getlist("line")[:20]), asked.get("directory") == "1")


def _verdict(form: FormData) -> Level | None:
    """What the post really is, where somebody says so along with their act."""
    said = form.get("level") or ""
    if not said:
        return None
    if said not in _MARKABLE:
        raise Problem(400, "unclear")
    return Level(said)


def _note(form: FormData) -> str:
    note = form.get("note", "")
    return visible(note).strip()[:_NOTE_LENGTH] if isinstance(note, str) else ""


def _named(reason: Reason) -> str:
    """Who gives a reason, as a key of the words `why.by`."""
    kind = "term" if reason.code == "language.term" else reason.code.split(".")[0]
    return _GIVERS.get(kind, "bot")


def _speaks(assessment: Assessment | None) -> str:
    """What a post may speak of, for the warning before it; empty when it is nothing grave."""
    grave = [level for level in list(Risk)[1:] if assessment is not None and assessment.risk.at_least(level) >= 0.1]
    return RISK_WORDS[grave[-1]] if grave else ""


def _likely(share: float) -> str:
    """The words for a probability, as a key of the words `likely.words`."""
    for bound, key in ((0.1, "no"), (0.35, "low"), (0.6, "possible"), (0.85, "likely")):
        if share < bound:
            return key
    return "very"
