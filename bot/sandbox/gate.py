"""What every request to the sandbox's API passes: the log, the faults, the allowance of requests, the bearer token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.sandbox.shapes import View
from bot.sandbox.state import Fault, LoggedRequest, RuleBroken, SandboxReddit, UnknownThing


@dataclass(frozen=True, slots=True)
class Call:
    """An authorised request: who asks (None is the application without an account), and what came along.

    `path` holds the variables of the path, `form` the body of a POST or the query of a GET.
    """

    reddit: SandboxReddit
    user: str | None
    path: Mapping[str, str]
    form: Mapping[str, str]

    @property
    def view(self) -> View:
        """The sandbox as this user sees it."""
        return View(self.reddit, self.user)

    @property
    def account(self) -> str:
        """The user's name; 403 for the application without an account."""
        if self.user is None:
            raise HTTPException(403)
        return self.user


Work = Callable[[Call], Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(reddit: SandboxReddit, work: Callable[[Request, Mapping[str, str]], Response]) -> Endpoint:
    """An endpoint that is logged, may fail when told to, and counts against the allowance."""

    async def endpoint(request: Request) -> Response:
        method, path = request.method, request.url.path
        sent = (await request.body()).decode() if method == "POST" else request.url.query
        form = dict(parse_qsl(sent, keep_blank_values=True))
        logged = {name: value for name, value in form.items() if name not in ("password", "refresh_token")}
        reddit.requests.append(LoggedRequest(method, path, logged))
        fault = (reddit.faults and reddit.faults(method, path)) or Fault()
        if fault.delay_seconds:
            await reddit.clock.sleep(fault.delay_seconds)
        used, remaining, reset = reddit.count_request()
        if fault.replaces_answer and fault.when == "before":
            response = _faulty(fault)
        elif remaining < 0:
            response = error(429)
        else:
            response = work(request, form)
            if fault.replaces_answer:
                response = _faulty(fault)
        response.headers["x-ratelimit-used"] = str(used)
        response.headers["x-ratelimit-remaining"] = f"{max(remaining, 0)}.0"
        response.headers["x-ratelimit-reset"] = str(reset)
        return response

    return endpoint


def authorised(reddit: SandboxReddit, work: Work) -> Endpoint:
    """A guarded endpoint for whoever holds a bearer token; a result that is no Response yet becomes JSON."""

    def answer(request: Request, form: Mapping[str, str]) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            user = reddit.token_user(token if scheme.lower() == "bearer" else "")
        except UnknownThing:
            # asyncprawcore reads the reason out of this header.
            return error(401, {"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'})
        try:
            result = work(Call(reddit, user, request.path_params, form))
        except (UnknownThing, HTTPException) as problem:
            return refusal(problem)
        except RuleBroken as rule:
            return JSONResponse({"json": {"errors": [[rule.code, rule.message, rule.field]]}})
        return result if isinstance(result, Response) else JSONResponse(result)

    return guarded(reddit, answer)


def error(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Reddit's plain error."""
    return JSONResponse({"message": HTTPStatus(status).phrase, "error": status}, status, headers)


def refusal(problem: Exception) -> Response:
    """Reddit's plain error for a thing that is not there (404), or for whatever status the problem names."""
    return error(problem.status_code if isinstance(problem, HTTPException) else 404)


def _faulty(fault: Fault) -> Response:
    if fault.status is None:
        return _Dropped()
    return Response(fault.body, fault.status, fault.headers, media_type="text/html")


class _Dropped(Response):
    """No answer: the connection ends, through the means that the server leaves in the scope."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["drop_connection"]()
        while (await receive())["type"] != "http.disconnect":
            pass


class WithoutLastSlash:
    """Reddit answers the same with and without a slash at the end of a path; so do we, and know one form only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["path"].rstrip("/") or "/"
        await self.app(scope, receive, send)
