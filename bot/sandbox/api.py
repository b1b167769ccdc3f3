"""The endpoints of Reddit's API that the sandbox plays."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox import shapes
from bot.sandbox.authorise import proves
from bot.sandbox.gate import Call, Work, answer_json, authorised, error, guarded
from bot.sandbox.shapes import Json, listing
from bot.sandbox.state import (
    CLIENT_ID,
    CLIENT_SECRET,
    CODE_TOKEN_SECONDS,
    LISTING_LIMIT,
    PASSWORD,
    REFRESH_TOKEN,
    TOKEN_SECONDS,
    USERNAME,
    Comment,
    Conversation,
    Removal,
    RuleBroken,
    SandboxReddit,
    Submission,
    Subreddit,
    UnknownThing,
    newest,
)

PAGE_LIMIT = 100


def routes(reddit: SandboxReddit) -> list[Route]:
    """Every endpoint, over this state."""
    endpoints: list[tuple[str, str, Work]] = [
        ("GET", "/api/v1/me", me),
        ("GET", "/r/{subreddit}/new", new),
        ("GET", "/api/info", info),
        ("GET", "/comments/{id}", thread),
        ("POST", "/api/comment", comment),
        ("POST", "/api/report", report),
        ("POST", "/api/distinguish", distinguish),
        ("POST", "/api/lock", lock),
        ("POST", "/api/approve", approve),
        ("POST", "/api/remove", remove),
        ("POST", "/api/del", delete),
        ("POST", "/api/mod/conversations", start_conversation),
        ("GET", "/api/mod/conversations", conversations),
        ("GET", "/api/mod/conversations/{id}", conversation),
        ("GET", "/r/{subreddit}/about", about),
        ("GET", "/r/{subreddit}/about/moderators", moderators),
        ("GET", "/r/{subreddit}/about/modqueue", modqueue),
        ("GET", "/r/{subreddit}/about/unmoderated", unmoderated),
        ("GET", "/user/{name}/comments", comments_of_user),
    ]
    token = guarded(reddit, lambda request, form: access_token(reddit, request.headers.get("authorization", ""), form))
    revoke = guarded(reddit, lambda request, form: revoke_token(reddit, request.headers.get("authorization", ""), form))
    return [
        Route("/api/v1/access_token", token, methods=["POST"]),
        Route("/api/v1/revoke_token", revoke, methods=["POST"]),
    ] + [Route(path, authorised(reddit, work), methods=[method]) for method, path, work in endpoints]


# -- logging in


def access_token(reddit: SandboxReddit, authorization: str, form: Mapping[str, str]) -> Response:
    """A token for a password, a refresh token, somebody's code, or the application alone."""
    if not _is_our_client(authorization):
        return error(401)
    answer: Json = {"token_type": "bearer", "expires_in": TOKEN_SECONDS, "scope": "*"}
    match form.get("grant_type"):
        case "password":
            if (form.get("username"), form.get("password")) != (USERNAME, PASSWORD):
                return answer_json({"error": "invalid_grant"})
            user: str | None = USERNAME
        case "refresh_token":
            if form.get("refresh_token") != REFRESH_TOKEN:
                return error(400)
            user = USERNAME
            answer["refresh_token"] = REFRESH_TOKEN
        case "client_credentials":
            user = None
        case "authorization_code":
            code = reddit.take_code(form.get("code", ""))
            if code is None or not proves(code, form):
                return answer_json({"error": "invalid_grant"})
            user, answer["scope"], answer["expires_in"] = code.account, "identity", CODE_TOKEN_SECONDS
        case _:
            return answer_json({"error": "unsupported_grant_type"})
    return answer_json(answer | {"access_token": reddit.issue_token(user, answer["scope"])})


def revoke_token(reddit: SandboxReddit, authorization: str, form: Mapping[str, str]) -> Response:
    """Ends a token; 200 whether there was one or not."""
    if not _is_our_client(authorization):
        return error(401)
    reddit.revoke_token(form.get("token", ""))
    return Response(status_code=200)


def _is_our_client(authorization: str) -> bool:
    scheme, _, credentials = authorization.partition(" ")
    try:
        given = base64.b64decode(credentials).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return scheme.lower() == "basic" and given == f"{CLIENT_ID}:{CLIENT_SECRET}"


def me(call: Call) -> Json:
    return call.view.account(call.account, created_utc=0.0)


# -- reading


def new(call: Call) -> Json:
    """Submissions of one subreddit, or of several joined by `+`."""
    subreddits = [_subreddit(call, name) for name in call.path["subreddit"].split("+")]
    return _page(call, call.reddit.new(*subreddits), call.view.submission)


def info(call: Call) -> Json:
    """The things that were named and are there, as asked for; unknown names are passed over."""
    names = call.form.get("id", "").split(",")[:PAGE_LIMIT]
    found = [thing for name in names if (thing := _known(call, name))]
    return listing([call.view.thing(thing) for thing in found])


def thread(call: Call) -> list[Json]:
    submission = call.reddit.submission(call.path["id"])
    _may_see(call, submission.subreddit)
    return call.view.thread(submission)


def comments_of_user(call: Call) -> Json:
    return _page(call, call.reddit.comments_by(call.path["name"]), call.view.comment_of_user)


def about(call: Call) -> Json:
    return call.view.subreddit(_subreddit(call))


def moderators(call: Call) -> Json:
    """The moderators, or the one named `user` if that is one."""
    shown = call.view.moderators(_subreddit(call))
    if wanted := call.form.get("user"):
        children = [child for child in shown["data"]["children"] if child["name"].lower() == wanted.lower()]
        shown["data"]["children"] = children
    return shown


def modqueue(call: Call) -> Json:
    """What was reported or filtered and waits for a moderator."""
    return _moderators_page(
        call, lambda thing: thing.removal is Removal.AUTOMOD or (thing.removal is None and bool(thing.open_reports))
    )


def unmoderated(call: Call) -> Json:
    """The submissions that no moderator has judged yet, with those that AutoModerator filtered."""
    return _moderators_page(
        call,
        lambda thing: (
            isinstance(thing, Submission) and thing.removal in (None, Removal.AUTOMOD) and thing.approved_by is None
        ),
    )


# -- writing


def comment(call: Call) -> Json:
    parent = call.form.get("thing_id", "")
    _may_see(call, call.reddit.thing(parent).subreddit)
    return shapes.things(call.view.comment(call.reddit.comment(parent, call.form.get("text", ""), call.account)))


def report(call: Call) -> Json:
    thing = call.reddit.thing(call.form.get("id", ""))
    _may_see(call, thing.subreddit)
    call.reddit.report(thing.fullname, call.form.get("reason", ""), call.account)
    return shapes.no_errors()


def distinguish(call: Call) -> Json:
    thing = _moderated(call)
    call.reddit.distinguish(thing.fullname, call.form.get("how") == "yes", call.form.get("sticky") == "true")
    return shapes.things(call.view.thing(thing))


def lock(call: Call) -> Json:
    call.reddit.lock(_moderated(call).fullname)
    return {}


def approve(call: Call) -> Json:
    call.reddit.approve(_moderated(call).fullname, call.account)
    return {}


def remove(call: Call) -> Json:
    call.reddit.remove_by_moderator(_moderated(call).fullname, call.account)
    return {}


def delete(call: Call) -> Json:
    """Delete one's own; of another's, nothing happens."""
    thing = call.reddit.thing(call.form.get("id", ""))
    if thing.author == call.account:
        call.reddit.delete_by_author(thing.fullname)
    return {}


# -- modmail


def start_conversation(call: Call) -> Response:
    """A discussion among the moderators when `to` is absent or empty, else a message to that account."""
    form = call.form
    subreddit = _subreddit(call, form.get("srName", ""))
    _must_moderate(call, subreddit)
    try:
        made = call.reddit.discuss(
            subreddit.name, form.get("subject", ""), form.get("body", ""), call.account, form.get("to") or None
        )
    except RuleBroken as rule:
        explained = {"reason": rule.code, "explanation": rule.message, "fields": [rule.field]}
        return answer_json({"message": "Bad Request"} | explained, 400)
    return answer_json(shapes.conversation(call.reddit, made), 201)


def conversations(call: Call) -> Json:
    """The newest first. Discussions among moderators are in the state `mod`, the others in `all` and `inprogress`; an
    archived one of either kind is in `archived` alone."""
    asked = call.form.get("entity")
    moderated = [s for s in call.reddit.subreddits.values() if call.view.moderates(s)]
    chosen = [_subreddit(call, name) for name in asked.split(",")] if asked else moderated
    for subreddit in chosen:
        _must_moderate(call, subreddit)
    state = call.form.get("state", "all")
    found = [c for c in newest(call.reddit.conversations) if c.subreddit in chosen and state in _states(c)]
    if after := call.form.get("after"):
        found = found[[c.id for c in found].index(after) + 1 :] if after in [c.id for c in found] else []
    return shapes.conversations(call.reddit, found[: _limit(call)], call.account)


def conversation(call: Call) -> Json:
    found = call.reddit.conversation(call.path["id"])
    _must_moderate(call, found.subreddit)
    return shapes.conversation(call.reddit, found) | {"participantSubreddit": {}, "user": {}}


def _states(conversation: Conversation) -> tuple[str, ...]:
    if conversation.archived:
        return ("archived",)
    return ("mod",) if conversation.internal else ("all", "inprogress")


# -- who may, and pages


def _may_see(call: Call, subreddit: Subreddit) -> None:
    if subreddit.closed:
        raise UnknownThing(subreddit.name)
    if call.view.excludes(subreddit):
        raise HTTPException(403)


def _must_moderate(call: Call, subreddit: Subreddit) -> None:
    _may_see(call, subreddit)
    if not call.view.moderates(subreddit):
        raise HTTPException(403)


def _subreddit(call: Call, name: str | None = None) -> Subreddit:
    subreddit = call.reddit.subreddit(call.path["subreddit"] if name is None else name)
    _may_see(call, subreddit)
    return subreddit


def _moderated(call: Call) -> Submission | Comment:
    thing = call.reddit.thing(call.form.get("id", ""))
    _must_moderate(call, thing.subreddit)
    return thing


def _known(call: Call, name: str) -> Submission | Comment | None:
    try:
        thing = call.reddit.thing(name)
        _may_see(call, thing.subreddit)
    except (UnknownThing, HTTPException):
        return None
    return thing


def _moderators_page(call: Call, wanted: Callable[[Submission | Comment], bool]) -> Json:
    subreddit = _subreddit(call)
    _must_moderate(call, subreddit)
    found = [thing for thing in call.reddit.things(subreddit) if wanted(thing)]
    return _page(call, found, call.view.thing)


class _Named(Protocol):
    @property
    def fullname(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _page(call: Call, found: Sequence[N], show: Callable[[N], Json]) -> Json:
    """One page of a listing that runs from the newest to the oldest and ends at `LISTING_LIMIT`.

    `after` asks for what is older than that thing, `before` for what is newer; either way the page is the part next to
    it, and empty when the thing has left the listing.
    """
    limit = _limit(call)
    found = found[:LISTING_LIMIT]
    names = [thing.fullname for thing in found]
    before, after = call.form.get("before"), call.form.get("after")
    if before:
        end = names.index(before) if before in names else 0
        return listing([show(thing) for thing in found[max(end - limit, 0) : end]])
    start = 0 if not after else names.index(after) + 1 if after in names else len(names)
    page = found[start : start + limit]
    more = start + limit < len(found)
    return listing([show(thing) for thing in page], after=page[-1].fullname if more else None)


def _limit(call: Call) -> int:
    given = call.form.get("limit", "")
    return min(max(int(given), 1), PAGE_LIMIT) if given.isdecimal() else 25
